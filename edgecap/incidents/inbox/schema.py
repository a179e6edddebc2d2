"""The inbox's tables: one SQLite file. Times are microseconds since 1970, UTC.

Each step of an arrival is one transaction, and each of its queries has an index. So a step takes the same
time in an inbox of ten alerts and in one of a million.
"""

from __future__ import annotations

APPLICATION_ID = 0x65636170  # "ecap": tells an inbox from other programs' SQLite files
VERSION = 4

_MEMBERS = (
    # The attacks of an incident: it is over when all of them are.
    """
    CREATE TABLE members (
        incident TEXT NOT NULL,
        key TEXT NOT NULL,
        thing TEXT NOT NULL DEFAULT '',
        ended INTEGER,
        PRIMARY KEY (incident, key)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX members_of_key ON members (key, incident)",
    "CREATE INDEX members_of_thing ON members (thing, incident) WHERE ended IS NULL AND thing <> ''",
    # Ends that arrived before their starts.
    """
    CREATE TABLE early_ends (
        key TEXT PRIMARY KEY,
        ended INTEGER NOT NULL,
        received INTEGER NOT NULL,
        alert INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX early_ends_by_age ON early_ends (received)",
)

_ORDERS = (
    """
    CREATE TABLE orders (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        incident TEXT NOT NULL,
        event TEXT NOT NULL CHECK (event IN ('start', 'escalation', 'end')),
        alert INTEGER NOT NULL,
        key TEXT NOT NULL UNIQUE,
        created INTEGER NOT NULL,
        flow_run TEXT,
        refused TEXT NOT NULL DEFAULT ''
    )
    """,
    "CREATE INDEX orders_of_incident ON orders (incident, event)",
    "CREATE INDEX orders_unsent ON orders (id, created, flow_run) WHERE flow_run IS NULL AND refused = ''",
    "CREATE INDEX orders_refused ON orders (id) WHERE refused <> ''",
)

_SPENT = """
    CREATE TABLE spent (
        rule TEXT NOT NULL,
        day INTEGER NOT NULL,
        about TEXT NOT NULL,
        reserved INTEGER NOT NULL,
        captures INTEGER NOT NULL,
        PRIMARY KEY (rule, day, about, reserved)
    ) WITHOUT ROWID
    """

# How an alert arrived before: however often it was only repeated, that is read from a few rows.
_TELLING = (
    "CREATE INDEX alerts_telling ON alerts (identity, incident)"
    " WHERE incident IS NOT NULL AND outcome <> 'repeated'"
)

_MISSED = (
    # Alerts that led to nothing, by the hour: `told` is how many of them a notification has told of.
    """
    CREATE TABLE missed (
        kind TEXT NOT NULL,
        source TEXT NOT NULL,
        sender TEXT NOT NULL,
        reason TEXT NOT NULL,
        hour INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        count INTEGER NOT NULL,
        size INTEGER NOT NULL,
        told INTEGER NOT NULL,
        PRIMARY KEY (kind, source, sender, reason, hour)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX missed_by_age ON missed (kind, last)",
)

TABLES = (
    # AUTOINCREMENT never reuses an id: the sender was told it.
    """
    CREATE TABLE arrivals (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        state TEXT NOT NULL CHECK (state IN ('pending', 'settled', 'aside')),
        source TEXT NOT NULL,
        received INTEGER NOT NULL,
        reason TEXT NOT NULL,
        body BLOB NOT NULL
    )
    """,
    "CREATE INDEX arrivals_pending ON arrivals (id, received, state) WHERE state = 'pending'",
    "CREATE INDEX arrivals_aside ON arrivals (id, state) WHERE state = 'aside'",
    "CREATE INDEX arrivals_by_age ON arrivals (received, state) WHERE state <> 'pending'",
    """
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
    )
    """,
    "CREATE INDEX alerts_of_identity ON alerts (identity) WHERE incident IS NOT NULL",
    _TELLING,
    "CREATE INDEX alerts_of_key ON alerts (key) WHERE incident IS NOT NULL",
    "CREATE INDEX alerts_of_incident ON alerts (incident) WHERE incident IS NOT NULL",
    """
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
        repeated INTEGER NOT NULL DEFAULT 0,
        gravest INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX incidents_open ON incidents (key) WHERE closed IS NULL",
    "CREATE INDEX incidents_about ON incidents (about, last)",
    "CREATE INDEX incidents_by_age ON incidents (last)",
    "CREATE INDEX incidents_in_order ON incidents (opening)",
    *_MEMBERS,
    *_ORDERS,
    _SPENT,
    *_MISSED,
)

TO_VERSION = {
    2: (
        "ALTER TABLE incidents ADD COLUMN gravest INTEGER NOT NULL DEFAULT 0",
        "DROP INDEX incidents_about",
        "CREATE INDEX incidents_about ON incidents (about, last)",
        *_MEMBERS,
        "INSERT INTO members (incident, key, ended) SELECT id, key, closed FROM incidents",
        "ALTER TABLE orders RENAME TO orders_1",
        "DROP INDEX orders_unsent",
        "DROP INDEX orders_refused",
        *_ORDERS,
        "INSERT INTO orders SELECT * FROM orders_1",
        "DROP TABLE orders_1",
        "ALTER TABLE spent RENAME TO spent_1",
        _SPENT,
        "INSERT INTO spent SELECT rule, day, '', 0, captures FROM spent_1",
        "DROP TABLE spent_1",
    ),
    3: _MISSED,
    4: (_TELLING,),
}
"""The statements that make a version of the one before it."""
