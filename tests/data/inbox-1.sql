PRAGMA application_id = 0x65636170;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE alerts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        arrival INTEGER NOT NULL,
        position INTEGER NOT NULL,
        identity TEXT NOT NULL,
        key TEXT NOT NULL,
        received INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        incident TEXT,
        alert TEXT NOT NULL,
        plan TEXT NOT NULL,
        UNIQUE (arrival, position)
    );
INSERT INTO "alerts" VALUES(1,1,0,'6ed5217adbb211fe290a8bc7f2b8e8df','e3fb417b8b0248b6c0726cfc02ecacde',1795435200000000,'opened','085b0a569d00f23917b1d90681584bd5','{"source":"generic","kind":"flood","event":"start","severity":"unknown","identity":"6ed5217adbb211fe290a8bc7f2b8e8df","incident":"e3fb417b8b0248b6c0726cfc02ecacde","received":"2026-11-23T12:00:00Z","started":"2026-11-23T12:00:00Z","ended":null,"targets":["203.0.113.7"],"target_port":null,"protocol":null,"source_addresses":[],"source_ports":[],"colos":[],"pps":null,"bps":null,"title":"","text":"","labels":{},"notes":[],"raw":{}}','{"alert":"generic flood start 203.0.113.7","identity":"6ed5217adbb211fe290a8bc7f2b8e8df","incident":"e3fb417b8b0248b6c0726cfc02ecacde","event":"start","about":"203.0.113.7","rule":"floods","built_in":false,"reason":"captures: 1 before","filter":{"source_address":null,"destination_address":null,"source_port":null,"destination_port":null,"protocol":null},"filter_reasons":[],"expression":"","residual":"","captures":[{"phase":"before","number":1,"request":{"type":"simple","time_limit":60,"packet_limit":10000,"offset_time":"2026-11-23T11:59:00Z","filter":{"source_address":null,"destination_address":null,"source_port":null,"destination_port":null,"protocol":null},"expression":""},"not_before":null,"why":"packets"}],"cooldown":600,"daily_budget":50,"preempt":false,"remarks":[]}');
INSERT INTO "alerts" VALUES(2,2,0,'960ff20bc12232289874d6674bc8a497','5c53585edd9ec296f5537f01ff9e47e2',1795435200000000,'opened','10419497732b87cf855da52d30d39a0f','{"source":"generic","kind":"flood","event":"start","severity":"unknown","identity":"960ff20bc12232289874d6674bc8a497","incident":"5c53585edd9ec296f5537f01ff9e47e2","received":"2026-11-23T12:00:00Z","started":"2026-11-23T12:00:00Z","ended":null,"targets":["b"],"target_port":null,"protocol":null,"source_addresses":[],"source_ports":[],"colos":[],"pps":null,"bps":null,"title":"","text":"","labels":{},"notes":[],"raw":{}}','{"alert":"generic flood start b","identity":"960ff20bc12232289874d6674bc8a497","incident":"5c53585edd9ec296f5537f01ff9e47e2","event":"start","about":"b","rule":"floods","built_in":false,"reason":"captures: 1 before","filter":{"source_address":null,"destination_address":null,"source_port":null,"destination_port":null,"protocol":null},"filter_reasons":[],"expression":"","residual":"","captures":[{"phase":"before","number":1,"request":{"type":"simple","time_limit":60,"packet_limit":10000,"offset_time":"2026-11-23T11:59:00Z","filter":{"source_address":null,"destination_address":null,"source_port":null,"destination_port":null,"protocol":null},"expression":""},"not_before":null,"why":"packets"}],"cooldown":600,"daily_budget":50,"preempt":false,"remarks":[]}');
INSERT INTO "alerts" VALUES(3,3,0,'ade9c70acf08f38e84af8a1852cc3fbd','5c53585edd9ec296f5537f01ff9e47e2',1795435260000000,'ended','10419497732b87cf855da52d30d39a0f','{"source":"generic","kind":"flood","event":"end","severity":"unknown","identity":"ade9c70acf08f38e84af8a1852cc3fbd","incident":"5c53585edd9ec296f5537f01ff9e47e2","received":"2026-11-23T12:01:00Z","started":"2026-11-23T12:00:00Z","ended":null,"targets":["b"],"target_port":null,"protocol":null,"source_addresses":[],"source_ports":[],"colos":[],"pps":null,"bps":null,"title":"","text":"","labels":{},"notes":[],"raw":{}}','{"alert":"generic flood end b","identity":"ade9c70acf08f38e84af8a1852cc3fbd","incident":"5c53585edd9ec296f5537f01ff9e47e2","event":"end","about":"b","rule":"floods","built_in":false,"reason":"captures: 1 after","filter":{"source_address":null,"destination_address":null,"source_port":null,"destination_port":null,"protocol":null},"filter_reasons":[],"expression":"","residual":"","captures":[{"phase":"after","number":1,"request":{"type":"simple","time_limit":60,"packet_limit":10000,"offset_time":"2026-11-23T12:00:00Z","filter":{"source_address":null,"destination_address":null,"source_port":null,"destination_port":null,"protocol":null},"expression":""},"not_before":null,"why":"packets"}],"cooldown":600,"daily_budget":50,"preempt":false,"remarks":[]}');
CREATE TABLE arrivals (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        state TEXT NOT NULL CHECK (state IN ('pending', 'settled', 'aside')),
        source TEXT NOT NULL,
        received INTEGER NOT NULL,
        reason TEXT NOT NULL,
        body BLOB NOT NULL
    );
INSERT INTO "arrivals" VALUES(1,'settled','generic',1795435200000000,'',X'7B7D');
INSERT INTO "arrivals" VALUES(2,'settled','generic',1795435200000000,'',X'7B7D');
INSERT INTO "arrivals" VALUES(3,'settled','generic',1795435260000000,'',X'7B7D');
INSERT INTO "arrivals" VALUES(4,'pending','grafana',1795435200000000,'',X'7B7D');
CREATE TABLE incidents (
        id TEXT PRIMARY KEY,
        key TEXT NOT NULL,
        about TEXT NOT NULL,
        rule TEXT NOT NULL,
        opening INTEGER NOT NULL,
        opened INTEGER NOT NULL,
        last INTEGER NOT NULL,
        closed INTEGER,
        superseded INTEGER NOT NULL DEFAULT 0,
        joined INTEGER NOT NULL DEFAULT 0,
        repeated INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    ;
INSERT INTO "incidents" VALUES('085b0a569d00f23917b1d90681584bd5','e3fb417b8b0248b6c0726cfc02ecacde','203.0.113.7','floods',1,1795435200000000,1795435200000000,NULL,0,0,0);
INSERT INTO "incidents" VALUES('10419497732b87cf855da52d30d39a0f','5c53585edd9ec296f5537f01ff9e47e2','b','floods',2,1795435200000000,1795435260000000,1795435260000000,0,0,0);
CREATE TABLE orders (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        incident TEXT NOT NULL,
        event TEXT NOT NULL CHECK (event IN ('start', 'end')),
        alert INTEGER NOT NULL,
        key TEXT NOT NULL,
        created INTEGER NOT NULL,
        flow_run TEXT,
        refused TEXT NOT NULL DEFAULT '',
        UNIQUE (incident, event)
    );
INSERT INTO "orders" VALUES(1,'085b0a569d00f23917b1d90681584bd5','start',1,'97b6526534caa80f035f502be8c157b7',1795435200000000,'run 1','');
INSERT INTO "orders" VALUES(2,'10419497732b87cf855da52d30d39a0f','start',2,'285a19c06a2d129768d3058c7d12035b',1795435200000000,NULL,'');
INSERT INTO "orders" VALUES(3,'10419497732b87cf855da52d30d39a0f','end',3,'dccd2635c2775051350f7e59626617d6',1795435260000000,NULL,'');
CREATE TABLE spent (
        rule TEXT NOT NULL,
        day INTEGER NOT NULL,
        captures INTEGER NOT NULL,
        PRIMARY KEY (rule, day)
    ) WITHOUT ROWID
    ;
INSERT INTO "spent" VALUES('floods',20780,3);
CREATE INDEX arrivals_pending ON arrivals (id, received, state) WHERE state = 'pending';
CREATE INDEX arrivals_aside ON arrivals (id, state) WHERE state = 'aside';
CREATE INDEX arrivals_by_age ON arrivals (received, state) WHERE state <> 'pending';
CREATE INDEX alerts_of_identity ON alerts (identity) WHERE incident IS NOT NULL;
CREATE INDEX alerts_of_key ON alerts (key) WHERE incident IS NOT NULL;
CREATE INDEX alerts_of_incident ON alerts (incident) WHERE incident IS NOT NULL;
CREATE UNIQUE INDEX incidents_open ON incidents (key) WHERE closed IS NULL;
CREATE INDEX incidents_about ON incidents (about, last) WHERE closed IS NULL;
CREATE INDEX incidents_by_age ON incidents (last);
CREATE INDEX incidents_in_order ON incidents (opening);
CREATE INDEX orders_unsent ON orders (id, created, flow_run) WHERE flow_run IS NULL AND refused = '';
CREATE INDEX orders_refused ON orders (id) WHERE refused <> '';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('arrivals',4);
INSERT INTO "sqlite_sequence" VALUES('alerts',3);
INSERT INTO "sqlite_sequence" VALUES('orders',3);
COMMIT;
