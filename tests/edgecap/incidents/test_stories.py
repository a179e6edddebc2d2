"""Alerts as products send them, from their bytes to what the inbox orders."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.alerts.policy.decision import load_policy, read_policy
from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.sources.registry import sources
from edgecap.alerts.understanding import understand
from edgecap.requests import Bounds
from edgecap.settings.alerts import AlertSettings
from tests.edgecap.alerts.sources.pages import example_of_page, source_of_page

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KNOWN = sources(AlertSettings())


@pytest.fixture
def tell(inbox):
    """Receives a payload some seconds after noon, and returns what its alerts came to."""

    def receive(payload, *, after=0, source="generic", policy=None):
        at = NOON + timedelta(seconds=after)
        product = source if isinstance(source, AlertSource) else KNOWN[source]
        (arrival,) = inbox.keep([(product.name, json.dumps(payload).encode(), at)])
        [kept] = inbox.pending()
        taken = understand(
            product,
            kept.body,
            read_policy(policy) if policy else load_policy(None),
            received=at,
            now=at,
            bounds=Bounds(),
            known=inbox,
        )
        return [str(outcome) for outcome in inbox.settle(arrival, taken)]

    return receive


def captures(order):
    return [f"{each.phase} {each.number}" for each in order.plan.captures]


def test_what_was_sent_again_is_counted_and_nothing_else(inbox, tell):
    """A clearance of Kentik says when the alarm began: nobody sent that again. An end is no other alert."""
    kentik = source_of_page("kentik")
    alarm = example_of_page("kentik")

    def said(number, state, **more):
        over = {"AlarmEnd": "2026-11-23 12:04:00 UTC", "EndTime": "2026-11-23 12:04:00 UTC"}
        return {
            **alarm,
            "AlarmID": f"alarm {number}",
            "AlarmStart": "2026-11-23 11:59:00 UTC",
            "StartTime": "2026-11-23 11:59:00 UTC",
            "AlarmState": state,
            "CurrentState": state,
            **(over if state == "clear" else {}),
            **more,
        }

    assert tell(said(1, "alarm"), source=kentik) == ["opened"]
    assert tell(said(1, "alarm"), source=kentik, after=20) == ["repeated"]
    [outcome] = tell(said(2, "alarm"), source=kentik, after=40)
    assert outcome in ("joined", "escalated")
    assert tell(said(1, "clear"), source=kentik, after=250) == ["joined"]
    assert tell(said(2, "clear"), source=kentik, after=255) == ["ended"]
    [incident] = inbox.incidents()
    assert (incident.joined, incident.repeated) == (1, 1)
    assert len(inbox.alerts()) == 5  # each message once


def test_a_flood_within_a_ping_loss_is_captured_to_its_end(inbox, tell):
    """The full capture never started, and the incident closed with the ping loss."""
    loss = {"kind": "ping loss", "target": "203.0.113.50", "incident": "p"}
    flood = {"kind": "syn flood", "target": "203.0.113.50", "target_port": 443, "protocol": "tcp"}
    assert tell({**loss, "event": "start", "severity": "info", "id": "p1"}) == ["opened"]
    start = {**flood, "event": "start", "severity": "critical", "colos": ["ORD"], "id": "s1", "incident": "s"}
    assert tell(start, after=30) == ["escalated"]
    assert tell({**loss, "event": "end", "id": "p2"}, after=60) == ["joined"]
    assert inbox.incidents()[0].closed is None
    assert tell({**flood, "event": "end", "id": "s2", "incident": "s"}, after=90) == ["ended"]
    started, escalated, ended = inbox.orders()
    assert [captures(each) for each in (started, escalated, ended)] == [
        ["before 1", "during 1"],
        ["before 2", "during 4"],  # the first one may become three
        ["after 1"],
    ]
    assert escalated.plan.captures[1].request.colo == "ORD"
    assert ended.alert.kind == "syn flood"


def test_an_end_without_a_target_is_about_that_of_its_start(inbox, tell):
    tell({"event": "start", "target": "203.0.113.7", "protocol": "udp", "id": "1", "incident": "a"})
    assert tell({"event": "end", "id": "2", "incident": "a"}, after=60) == ["ended"]
    [after] = inbox.orders()[-1].plan.captures
    assert after.request.filter.destination_address == "203.0.113.7"
    assert after.request.filter.protocol == 17


def test_only_an_end_without_a_target_asks_for_its_start(inbox, tell, monkeypatch):
    """A query for each alert would cost every start."""
    asked = []
    monkeypatch.setattr(inbox, "start_of", asked.append)
    tell({"event": "start", "target": "203.0.113.7", "id": "1", "incident": "a"})
    tell({"event": "end", "target": "203.0.113.7", "id": "2", "incident": "a"}, after=60)
    assert asked == []


def grafana(status, *, began="2026-11-23T11:59:00Z", ends="0001-01-01T00:00:00Z", fingerprint="f00d"):
    alert = {
        "status": status,
        "labels": {"alertname": "ddos", "target": "203.0.113.9", "severity": "critical"},
        "startsAt": began,
        "endsAt": ends,
        "fingerprint": fingerprint,
    }
    return {"status": status, "alerts": [alert], "groupKey": "{}", "version": "1"}


@pytest.mark.parametrize("source", ["grafana", "alertmanager"])
@pytest.mark.parametrize("began", ["2026-11-23T11:59:00Z", "2026-11-23T12:01:00Z"])
def test_grafana_12_ends_an_incident_with_another_start(inbox, tell, began, source):
    """Its end has the time of the end as its start, too."""
    assert tell(grafana("firing"), source=source) == ["opened"]
    other = grafana("resolved", began=began, ends=began, fingerprint="0ther")
    assert tell(other, source=source, after=80) == ["nothing"]
    assert tell(grafana("resolved", began=began, ends=began), source=source, after=90) == ["ended"]
    assert captures(inbox.orders()[-1]) == ["after 1"]


def test_a_late_end_of_an_earlier_occurrence_ends_no_later_one(inbox, tell):
    first, second = "2026-11-23T11:59:00Z", "2026-11-23T12:30:00Z"
    tell(grafana("firing", began=first), source="grafana")
    tell(grafana("resolved", began=first, ends="2026-11-23T12:01:00Z"), source="grafana", after=60)
    assert tell(grafana("firing", began=second), source="grafana", after=1860) == ["opened"]
    late = grafana("resolved", began=first, ends="2026-11-23T12:01:00Z")
    assert tell(late, source="grafana", after=1870) == ["repeated"]
    assert inbox.incidents()[0].closed is None


def cloudflare(event, target, attack, **more):
    data = {"target_ip": target, "attack_id": attack, "protocol": "UDP", "start_time": "2026-11-23T11:59:00Z"}
    return {
        "alert_type": "dos_attack_l4",
        "alert_event": f"ALERT_STATE_EVENT_{event}",
        "alert_correlation_id": "c1",
        "data": {name: value for name, value in data.items() if value},
        **more,
    }


def test_two_attacks_under_one_correlation_id_are_two(inbox, tell):
    """The second was "repeated", and never captured."""
    assert tell(cloudflare("START", "203.0.113.7", "a1"), source="cloudflare") == ["opened"]
    assert tell(cloudflare("START", "203.0.113.8", "a2"), source="cloudflare", after=5) == ["opened"]
    assert tell(cloudflare("START", "203.0.113.8", "a2"), source="cloudflare", after=6) == ["repeated"]
    assert tell(cloudflare("END", "203.0.113.8", "a2"), source="cloudflare", after=60) == ["ended"]
    assert tell(cloudflare("END", "", ""), source="cloudflare", after=70) == ["ended"]
    [after] = inbox.orders()[-1].plan.captures
    assert after.request.filter.destination_address == "203.0.113.7", "the incident's, not everything"
    assert [each.closed is None for each in inbox.incidents()] == [False, False]


def many(count, status="firing"):
    """A notification about many targets; the gravest comes last."""
    alerts = [
        {
            "status": status,
            "labels": {
                "alertname": "carpet",
                "target": f"203.0.{number // 250}.{number % 250 + 1}",
                "severity": "critical" if number == count - 1 else "warning",
            },
            "startsAt": "2026-11-23T11:59:00Z",
            "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-11-23T12:01:00Z",
            "fingerprint": f"{number:016x}",
        }
        for number in range(count)
    ]
    return {"status": status, "alerts": alerts, "groupKey": "{}", "version": "4"}


def test_many_targets_are_the_gravest_alone_and_the_rest_together(inbox, tell):
    """Fifty incidents were opened, first come first served, and the rest got nothing."""
    came_to = tell(many(256), source="alertmanager")
    assert came_to == ["opened"] * 9 + ["joined"] * 247
    assert inbox.orders()[0].alert.severity == "critical"
    together = inbox.orders()[-1]
    assert len(together.alert.targets) == 248
    capture, full = together.plan.captures
    assert full.request.expression == capture.request.expression
    assert capture.request.expression.startswith("dst net 203.0.0.8/29 or dst net 203.0.0.16/28 or ")
    assert "248 of the targets of one notification, captured together" in together.plan.remarks
    assert set(tell(many(256), source="alertmanager", after=30)) == {"repeated"}
    ends = tell(many(256, "resolved"), source="alertmanager", after=90)
    assert (ends.count("ended"), ends.count("joined")) == (9, 247)
    assert all(incident.closed for incident in inbox.incidents())


def test_few_targets_have_an_incident_each(inbox, tell):
    assert tell(many(8), source="alertmanager") == ["opened"] * 8


@pytest.mark.parametrize("source", ["grafana", "alertmanager"])
def test_alerts_that_the_sender_cut_off_are_told(inbox, tell, source):
    tell({**grafana("firing"), "truncatedAlerts": 7}, source=source)
    assert "left 7 more alerts out (truncatedAlerts)" in inbox.incidents()[0].plan.remarks[0]


def test_an_announced_prefix_starts_the_full_captures_of_its_incident(inbox, tell):
    """Before that, the traffic of an on-demand customer does not arrive at the edge."""
    policy = """
        [[rules]]
        name = "on demand"
        before = 60
        during = { seconds = 30, colos = ["ORD"] }
        filter = {}
    """
    flood = {"event": "start", "target": "203.0.113.7", "protocol": "udp", "id": "1", "incident": "a"}
    elsewhere = {**flood, "target": "198.51.100.7", "id": "2", "incident": "b"}
    assert tell(flood, policy=policy) == ["opened"]
    assert tell(elsewhere, after=5, policy=policy) == ["opened"]
    announced = {
        "alert_type": "fbm_auto_advertisement",
        "ts": 1795435320,
        "data": {"advertise_status": [{"prefix": "203.0.113.0/24", "status": "advertised"}]},
    }
    assert tell(announced, source="cloudflare", after=120, policy=policy) == ["escalated"]
    order = inbox.orders()[-1]
    assert order.incident == inbox.incidents()[1].id
    [again] = [each for each in order.plan.captures if each.request.filter.destination_address]
    assert (again.phase, again.number, again.request.colo) == ("during", 2, "ORD")
    assert tell({"event": "end", "id": "3", "incident": "a"}, after=180) == ["ended"]


def pagerduty(event, *, created="2026-11-23T11:58:00Z", occurred="2026-11-23T12:00:00Z"):
    data = {"id": "P1", "type": "incident", "title": "flood on 203.0.113.9", "created_at": created}
    return {"event": {"id": event, "event_type": event, "occurred_at": occurred, "data": data}}


def of_cloudflare(event, began):
    return {**cloudflare(event, "203.0.113.9", "a1"), "ts": 1795435200} | {
        "data": {"target_ip": "203.0.113.9", "attack_id": "a1", "start_time": began}
    }


def told_by_its_end(source, began):
    """An end that says when its attack began."""
    return {
        "alertmanager": lambda: grafana("resolved", began=began, ends="2026-11-23T12:00:00Z"),
        "grafana": lambda: grafana("resolved", began=began, ends="2026-11-23T12:00:00Z"),
        "pagerduty": lambda: pagerduty("incident.resolved", created=began),
        "cloudflare": lambda: of_cloudflare("END", began),
    }[source]()


BY_ITS_END = ["alertmanager", "grafana", "pagerduty", "cloudflare"]


class TestAnEndWhoseStartNeverCame:
    """It was only remembered, though the packets of the attack could still be had."""

    @pytest.mark.parametrize("source", BY_ITS_END)
    def test_it_is_both_if_it_tells_when_the_attack_began(self, inbox, tell, source):
        end = told_by_its_end(source, "2026-11-23T11:58:00Z")
        assert tell(end, source=source, after=5) == ["opened", "ended"]
        [incident] = inbox.incidents()
        assert incident.closed
        start, after = inbox.orders()
        assert (start.event, captures(start)) == ("start", ["before 2", "before 1"])
        assert (after.event, captures(after)) == ("end", ["after 1"])
        before = start.plan.captures[0].request
        assert before.offset_time == NOON + timedelta(seconds=5), "up to now"
        assert before.filter.destination_address == "203.0.113.9"
        assert tell(end, source=source, after=10) == ["repeated"]

    @pytest.mark.parametrize("source", ["alertmanager", "grafana", "cloudflare"])
    def test_its_start_joins_if_it_still_comes(self, inbox, tell, source):
        began = "2026-11-23T11:58:00Z"
        tell(told_by_its_end(source, began), source=source, after=5)
        late = of_cloudflare("START", began) if source == "cloudflare" else grafana("firing", began=began)
        assert tell(late, source=source, after=8) == ["joined"]
        assert len(inbox.orders()) == 2
        assert inbox.incidents()[0].closed

    @pytest.mark.parametrize("source", BY_ITS_END)
    def test_it_is_only_remembered_if_the_packets_are_gone(self, inbox, tell, source):
        assert tell(told_by_its_end(source, "2026-11-22T11:00:00Z"), source=source, after=5) == ["nothing"]
        assert inbox.incidents() == []

    @pytest.mark.parametrize("source", BY_ITS_END)
    def test_it_is_only_remembered_without_a_time_before_the_end(self, inbox, tell, source):
        assert tell(told_by_its_end(source, "2026-11-23T12:00:00Z"), source=source) == ["nothing"]

    def test_it_is_only_remembered_if_the_rule_takes_nothing(self, inbox, tell):
        policy = '[[rules]]\nname = "none"\ncapture = false\n'
        end = told_by_its_end("grafana", "2026-11-23T11:58:00Z")
        assert tell(end, source="grafana", policy=policy) == ["nothing"]

    @pytest.mark.parametrize("source", BY_ITS_END)
    def test_an_end_whose_start_came_is_an_end(self, inbox, tell, source):
        began = "2026-11-23T11:58:00Z"
        start = {
            "pagerduty": lambda: pagerduty("incident.triggered"),
            "cloudflare": lambda: of_cloudflare("START", began),
        }.get(source, lambda: grafana("firing", began=began))()
        assert tell(start, source=source) == ["opened"]
        assert tell(told_by_its_end(source, began), source=source, after=60) == ["ended"]

    def test_an_end_with_its_start_in_one_message_is_an_end(self, inbox, tell):
        both = grafana("firing")
        both["alerts"] += grafana("resolved", ends="2026-11-23T12:00:00Z")["alerts"]
        assert tell(both, source="grafana", after=5) == ["opened", "ended"]
        assert len(inbox.orders()) == 2


def test_an_unban_without_details_ends_the_ban_of_its_host(inbox, tell):
    ban = {"ip": "203.0.113.7", "action": "ban", "attack_details": {"attack_uuid": "u1"}}
    assert tell(ban, source="fastnetmon") == ["opened"]
    assert tell({"ip": "203.0.113.8", "action": "unban"}, source="fastnetmon", after=50) == ["nothing"]
    assert tell({"ip": "203.0.113.7", "action": "unban"}, source="fastnetmon", after=60) == ["ended"]


def test_a_warning_of_datadog_that_becomes_an_alert_escalates(inbox, tell):
    def monitor(word, number):
        return {
            "id": str(number),
            "title": f"[P1] [{word} on {{target:203.0.113.7}}] pps",
            "date": "1795435190",
        }

    words = ["Warn", "Triggered", "Warn", "Recovered"]
    outcomes = [
        tell(monitor(word, number), source="datadog", after=60 * number)[0]
        for number, word in enumerate(words)
    ]
    assert outcomes == ["opened", "escalated", "joined", "ended"]


def test_another_vector_against_the_same_target_is_captured_too(inbox, tell):
    """It joined, and as it was no graver, its packets were in no capture: the first asked for TCP alone."""
    syn = {"kind": "syn flood", "target": "203.0.113.7:443", "protocol": "tcp", "severity": "high"}
    assert tell({**syn, "event": "start", "id": "1", "incident": "a"}) == ["opened"]
    udp = {**syn, "kind": "udp flood", "target": "203.0.113.7", "protocol": "udp"}
    assert tell({**udp, "event": "start", "id": "2", "incident": "b"}, after=20) == ["escalated"]
    capture, full = inbox.orders()[-1].plan.captures
    assert (capture.request.filter.protocol, capture.number) == (17, 2)
    assert (full.request.filter.protocol, full.number) == (17, 4)
    for number, more in enumerate(({"target": "203.0.113.7:53"}, {"severity": "low"}, {"kind": "dns flood"})):
        again = {**udp, **more, "event": "start", "id": f"3{number}", "incident": f"c{number}"}
        assert tell(again, after=30) == ["joined"], "the packets of these were asked for"


def test_a_narrower_alert_than_the_incident_adds_nothing(inbox, tell):
    assert tell({"event": "start", "target": "203.0.113.7", "id": "1"}) == ["opened"]
    narrower = {"event": "start", "target": "203.0.113.7:443", "protocol": "tcp", "id": "2"}
    assert tell(narrower, after=20) == ["joined"]


def test_another_vector_within_the_cooldown_is_no_flapping(inbox, tell):
    """It was counted with the incident that had ended, and its packets were in no capture."""
    syn = {"kind": "syn flood", "target": "203.0.113.7:443", "protocol": "tcp", "incident": "a"}
    udp = {"kind": "udp flood", "target": "203.0.113.7", "protocol": "udp", "incident": "b"}
    tell({**syn, "event": "start", "id": "1"})
    tell({**syn, "event": "end", "id": "2"}, after=60)
    assert tell({**syn, "event": "start", "id": "3", "incident": "c"}, after=70) == ["joined"]
    assert tell({**udp, "event": "start", "id": "4"}, after=90) == ["opened"]


def test_after_is_captured_with_the_filter_of_before(inbox, tell):
    """The alert that ended last was about DNS alone, and so was "after": there was nothing to compare."""
    flood = {"kind": "flood", "target": "203.0.113.7", "incident": "a"}
    dns = {"kind": "dns", "target": "203.0.113.7:53", "protocol": "udp", "incident": "b"}
    tell({**flood, "event": "start", "id": "1"})
    tell({**dns, "event": "start", "id": "2", "severity": "critical"}, after=20)
    tell({**flood, "event": "end", "id": "3"}, after=60)
    assert tell({**dns, "event": "end", "id": "4"}, after=90) == ["ended"]
    before, after = inbox.orders()[0], inbox.orders()[-1]
    assert after.event == "end"
    [look_back, _], [look_after] = before.plan.captures, after.plan.captures
    assert look_after.request.filter == look_back.request.filter == after.plan.filter
    assert look_after.request.filter.destination_port is None


def test_after_of_two_vectors_is_about_what_they_have_in_common(inbox, tell):
    tcp = {"kind": "syn flood", "target": "203.0.113.7:443", "protocol": "tcp", "incident": "a"}
    udp = {"kind": "dns flood", "target": "203.0.113.7:53", "protocol": "udp", "incident": "b"}
    tell({**tcp, "event": "start", "id": "1"})
    assert tell({**udp, "event": "start", "id": "2"}, after=20) == ["escalated"]
    tell({**udp, "event": "end", "id": "3"}, after=60)
    tell({**tcp, "event": "end", "id": "4"}, after=90)
    [after] = inbox.orders()[-1].plan.captures
    assert after.request.filter.model_dump(exclude_none=True) == {"destination_address": "203.0.113.7"}


def grown(source, severity):
    """A payload of a product, and the same later, when its attack has grown."""
    return {
        "alertmanager": lambda: _severer(grafana("firing"), severity),
        "grafana": lambda: _severer(grafana("firing"), severity),
        "cloudflare": lambda: of_cloudflare("START", "2026-11-23T11:58:00Z") | {"severity": severity},
        "fastnetmon": lambda: {
            "ip": "203.0.113.7",
            "action": "ban",
            "attack_details": {"attack_uuid": "u1", "attack_severity": severity},
        },
        "datadog": lambda: {
            "alert_cycle_key": "c1",
            "alert_transition": "Triggered" if severity == "warning" else "Re-Triggered",
            "alert_priority": "P4" if severity == "warning" else "P1",
            "title": "flood",
            "tags": "target:203.0.113.7",
        },
        "generic": lambda: {"id": "1", "event": "start", "target": "203.0.113.7", "severity": severity},
    }[source]()


def _severer(payload, severity):
    payload["alerts"][0]["labels"]["severity"] = severity
    return payload


@pytest.mark.parametrize(
    "source", ["alertmanager", "grafana", "cloudflare", "fastnetmon", "datadog", "generic"]
)
def test_the_same_alert_grown_worse_escalates_its_incident(inbox, tell, source):
    assert tell(grown(source, "warning"), source=source) == ["opened"]
    assert tell(grown(source, "critical"), source=source, after=120) == ["escalated"]
    assert tell(grown(source, "critical"), source=source, after=180) == ["repeated"]


SEVERITIES = [
    ("flowtriq", ("incident", "severity"), "low", "critical"),
    ("kentik", ("AlarmSeverity",), "major", "critical"),
    ("opsgenie", ("alert", "priority"), "P3", "P1"),
    ("splunk", ("result", "severity"), "low", "critical"),
    ("zabbix", ("severity",), "Warning", "Disaster"),
]


@pytest.mark.parametrize(("page", "where", "first", "then"), SEVERITIES)
def test_a_mapped_product_escalates_under_the_same_id(inbox, tell, page, where, first, then):
    """Kentik's alarm kept its AlarmID from major to critical, and was taken for a repetition."""

    def payload(severity):
        whole = example_of_page(page)
        *above, last = where
        inner = whole
        for name in above:
            inner = inner[name]
        inner[last] = severity
        return whole

    source = source_of_page(page)
    soon = -5 * 3600 - 29 * 60  # 06:31, a minute after the attacks of the examples began
    assert tell(payload(first), source=source, after=soon) == ["opened"]
    assert tell(payload(then), source=source, after=soon + 120) == ["escalated"]
    assert tell(payload(then), source=source, after=soon + 130) == ["repeated"]


def test_a_higher_priority_of_pagerduty_escalates(tell):
    def incident(event, priority):
        payload = pagerduty(event)
        payload["event"]["data"]["priority"] = {"summary": priority}
        return payload

    assert tell(incident("incident.triggered", "P4"), source="pagerduty") == ["opened"]
    updated = incident("incident.priority_updated", "P1")
    assert tell(updated, source="pagerduty", after=120) == ["escalated"]


@pytest.mark.parametrize(
    "more", [{"target": "203.0.113.7", "protocol": ""}, {"colos": ["ORD"]}, {"protocol": "udp"}]
)
def test_the_same_alert_that_says_more_escalates_its_incident(inbox, tell, more):
    first = {"id": "1", "event": "start", "target": "203.0.113.7:443", "protocol": "tcp"}
    assert tell(first) == ["opened"]
    assert tell({**first, **more}, after=20) == ["escalated"]
    assert tell({**first, **more}, after=30) == ["repeated"]
