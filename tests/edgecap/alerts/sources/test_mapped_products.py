"""Products without a parser: the mapping of their page reads the payload of their public documentation.

Each page of docs/alerts has the mapping and a shortened payload; the sources stand beside the tests.
"""

from datetime import UTC, datetime

import pytest

from edgecap.alerts.policy.decision import Policy, decide
from edgecap.alerts.sources.signing import hmac_sha256
from tests.edgecap.alerts.conftest import RECEIVED
from tests.edgecap.alerts.sources.pages import DOCS, example_of_page, settings_of_page, source_of_page

PAGES = ("arbor", "ddos-guard", "flowtriq", "kentik", "opsgenie", "splunk", "zabbix")


def changed(page, **changes):
    """The example with other values: `a__b` is the field `b` of the field `a`."""
    body = example_of_page(page)
    for path, value in changes.items():
        inner = body
        *above, last = path.split("__")
        for name in above:
            inner = inner[name]
        if value is None:
            inner.pop(last, None)
        else:
            inner[last] = value
    return body


def read(page, body):
    return source_of_page(page).parse(body, received=RECEIVED)


@pytest.mark.parametrize("page", PAGES)
def test_each_product_has_a_linked_page_that_says_where_it_posts(page):
    assert f"]({page}.md)" in (DOCS / "generic.md").read_text()
    text = (DOCS / f"{page}.md").read_text()
    assert f"`POST /alerts/{page.replace('-', '_')}`" in text
    assert page.replace("-", "_") in settings_of_page(page).custom


@pytest.mark.parametrize("page", PAGES)
def test_the_documented_payload_starts_a_capture_of_its_target(page):
    (alert,) = read(page, example_of_page(page))
    plan = decide(alert, Policy())
    assert alert.event == "start"
    assert alert.notes == ()
    assert plan.captures[0].phase == "before"
    assert plan.filter.destination_address == alert.targets[0]


# An alarm of the channel JSON and its clearance: Spike's documentation of its Kentik integration (payload
# reference); AlertKey also in github.com/lucasalvatore/kentik-alerta-webhook; kb.kentik.com/v4/Cb24.htm
def test_kentik():
    (start,) = read("kentik", example_of_page("kentik"))
    assert str(start) == "kentik Inbound flood start critical 203.0.113.63"
    assert (start.bps, start.pps) == (1761688121.28, 164264.94)
    assert start.started == datetime(2026, 11, 23, 6, 30, 20, tzinfo=UTC)
    cleared = changed("kentik", CurrentState="clear", AlarmState="clear", AlarmEnd="2026-11-23 06:31:05 UTC")
    again, end = read("kentik", cleared)
    assert (end.event, end.incident, again.identity) == ("end", start.incident, start.identity)
    assert end.ended == datetime(2026, 11, 23, 6, 31, 5, tzinfo=UTC)
    assert read("kentik", changed("kentik", CurrentState="ackReq", AlarmState="ackReq"))[0].event == "other"
    (listed,) = read("kentik", changed("kentik", Dimensions=None))
    assert listed.targets == start.targets, "AlertKey is a list of names and values"


# https://flowtriq.com/docs?section=webhooks
def test_flowtriq():
    (start,) = read("flowtriq", example_of_page("flowtriq"))
    assert str(start) == "flowtriq udp_flood start critical 203.0.113.10"
    assert (start.pps, start.bps) == (2_450_000, 1_547_000_000)
    ended = changed("flowtriq", event_type="attack_end", timestamp="2026-11-23T06:31:00Z")
    again, end = read("flowtriq", ended)
    assert (end.event, end.incident, again.identity) == ("end", start.incident, start.identity)
    assert end.ended == datetime(2026, 11, 23, 6, 31, tzinfo=UTC)
    (update,) = read("flowtriq", changed("flowtriq", event_type="attack_update"))
    assert (update.event, update.identity) == ("start", start.identity)
    assert read("flowtriq", changed("flowtriq", event_type="test"))[0].event == "other"
    source = source_of_page("flowtriq")
    assert source.verify({"X-Flowtriq-Signature": f"sha256={hmac_sha256(b'{}', 's3')}"}, b"{}", "s3")
    assert not source.verify({"X-Flowtriq-Signature": f"sha256={hmac_sha256(b'{}', 's4')}"}, b"{}", "s3")


# https://ddos-guard.net/tutorials/network-protection/alerts-configuring
def test_ddos_guard():
    (start,) = read("ddos-guard", example_of_page("ddos-guard"))
    assert str(start) == "ddos_guard unknown start 203.0.113.1"
    assert (start.pps, start.bps) == (4_264_545, 239_702_424)
    again, end = read("ddos-guard", changed("ddos-guard", end=1795415461))
    assert (again.identity, end.incident) == (start.identity, start.incident)
    assert [again.event, end.event] == ["start", "end"]
    assert end.ended == datetime(2026, 11, 23, 6, 31, 1, tzinfo=UTC)


# https://help.splunk.com/.../use-a-webhook-alert-action (the fields; its example has a result of mongod)
def test_splunk():
    (start,) = read("splunk", example_of_page("splunk"))
    assert str(start) == "splunk Inbound flood start high 203.0.113.8:53"
    assert start.protocol == 17
    (end,) = read("splunk", changed("splunk", result__status="cleared", result__attack_id="7"))
    assert end.event == "end"


# https://support.atlassian.com/opsgenie/docs/opsgenie-edge-connector-alert-action-data/
def test_opsgenie():
    (start,) = read("opsgenie", example_of_page("opsgenie"))
    assert str(start) == "opsgenie netflow start critical 203.0.113.9:53"
    assert (start.protocol, start.title) == (17, "UDP flood")
    assert start.started == datetime(2026, 11, 23, 6, 30, 0, 104_000, tzinfo=UTC)
    closed = changed("opsgenie", action="Close", alert__details=None, alert__updatedAt=1795415461764002246)
    again, end = read("opsgenie", closed)
    assert (end.event, end.incident, end.targets) == ("end", start.incident, ())
    assert again.identity == start.identity
    assert end.ended.replace(microsecond=0) == datetime(2026, 11, 23, 6, 31, 1, tzinfo=UTC)
    for action in ("Acknowledge", "AddNote", "AssignOwnership", "Escalate", "Delete"):
        assert read("opsgenie", changed("opsgenie", action=action))[0].event == "other"


# https://www.zabbix.com/documentation/current/en/manual/appendix/macros/supported_by_location and
# .../manual/config/notifications/media/webhook/webhook_examples
def test_zabbix():
    (start,) = read("zabbix", example_of_page("zabbix"))
    assert str(start) == "zabbix Inbound packets to the web cluster are high start high 203.0.113.12"
    assert (start.protocol, start.labels) == (17, {"target_ip": "203.0.113.12", "proto": "udp"})
    (end,) = read("zabbix", changed("zabbix", value="0"))
    assert (end.event, end.incident) == ("end", start.incident)
    (untagged,) = read("zabbix", changed("zabbix", tags=[]))
    assert (untagged.targets, untagged.local_targets) == ((), ("10.0.0.5",))
    for word, severity in (("Disaster", "critical"), ("Average", "medium"), ("Not classified", "unknown")):
        assert read("zabbix", changed("zabbix", severity=word))[0].severity == severity


# The alert of Sightline's REST API, which its webhook sends:
# github.com/cablelabs/dis-arbor-monitor, `process_sightline_webhook_notification`
def test_arbor():
    (start,) = read("arbor", example_of_page("arbor"))
    assert str(start) == "arbor dos_host_detection start 203.0.113.80"
    assert (start.pps, start.bps) == (3_200_000, 4_850_000_000)
    stopped = {"data__attributes__ongoing": False, "data__attributes__stop_time": "2026-11-23T06:31:00+00:00"}
    again, end = read("arbor", changed("arbor", **stopped))
    assert (end.event, end.incident, again.identity) == ("end", start.incident, start.identity)
    assert end.ended == datetime(2026, 11, 23, 6, 31, tzinfo=UTC)
