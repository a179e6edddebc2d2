"""Whatever a sender writes: alerts that can be stored and decided on, or one typed error, nothing else."""

import copy
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Policy, decide
from edgecap.alerts.sources.payload import decode
from edgecap.alerts.sources.registry import SOURCES
from edgecap.errors import AlertNotUnderstood
from edgecap.filters.check import check_request
from edgecap.requests import Bounds, SimpleRequest
from tests.edgecap.alerts.conftest import FIXTURES

RECEIVED = datetime(2026, 11, 23, 6, 31, 30, tzinfo=UTC)
PAYLOADS = [(path.parent.name, json.loads(path.read_text())) for path in FIXTURES]
UNDERSTOOD = [  # all but the one for a mapping of its own, which test_generic has
    pytest.param(name, payload, id=f"{path.parent.name}-{path.stem}")
    for path, (name, payload) in zip(FIXTURES, PAYLOADS, strict=True)
    if path.stem != "mapped"
]

words = st.sampled_from(
    [
        "203.0.113.7",
        "203.0.113.7/32",
        "2001:db8::7",
        "0.0.0.0/0",
        "443",
        "0",
        "-1",
        "TCP",
        "500K pps",
        "1e999",
        "ZRH, MXP",
        "2026-11-23T06:31:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "P1",
        "resolved",
        "",
        " ",
    ]
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**18, max_value=10**320)
    | st.floats()
    | st.text(st.characters(), max_size=20)  # half characters too
    | words
)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | words, inner, max_size=4)
    ),
    max_leaves=20,
)


def holds(name, payload):
    """Parses, and checks all that a receiver relies on."""
    try:
        alerts = SOURCES[name].parse(payload, received=RECEIVED)
    except AlertNotUnderstood as error:
        line = str(error)
        assert "\n" not in line
        assert len(line) < 500
        return []
    assert (not alerts) == SOURCES[name].is_ping(payload)
    for alert in alerts:
        assert Alert.model_validate_json(alert.model_dump_json()) == alert, "it can be stored"
        assert len(alert.identity) == len(alert.incident) == 32
        assert alert.target_port is None or 1 <= alert.target_port <= 65_535
        plan = decide(alert, Policy())
        assert plan.explain()
        for each in plan.captures:
            now = max(each.not_before or RECEIVED, RECEIVED) + timedelta(minutes=20)  # its turn comes later
            check_request(each.request, Bounds(), now=now)
            if isinstance(each.request, SimpleRequest):
                assert each.request.offset_time <= (each.not_before or RECEIVED)
    return alerts


@pytest.mark.parametrize("name", SOURCES)
def test_any_json_is_alerts_or_the_typed_error(name):
    @settings(deadline=None)  # other work on the machine is no fault of a parser's
    @given(payload=anything)
    def any_json(payload):
        holds(name, payload)

    any_json()


def places(value, path=()):
    """Where in a payload something stands, as paths."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


@pytest.mark.parametrize(
    "number", range(len(PAYLOADS)), ids=[f"{path.parent.name}-{path.stem}" for path in FIXTURES]
)
def test_any_value_in_any_place_of_a_real_payload(number):
    name, payload = PAYLOADS[number]

    @settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data())
    def mutated(data):
        body = copy.deepcopy(payload)
        for path in data.draw(st.lists(st.sampled_from(list(places(payload))), min_size=1, max_size=3)):
            inner = body
            for key in path[:-1]:
                inner = inner[key] if isinstance(inner, dict | list) and _has(inner, key) else {}
            if _has(inner, path[-1]):
                if isinstance(inner, dict) and data.draw(st.booleans()):
                    del inner[path[-1]]
                else:
                    inner[path[-1]] = data.draw(anything)
        holds(name, body)

    mutated()


def _has(inner, key):
    return (
        key in inner
        if isinstance(inner, dict)
        else isinstance(inner, list) and isinstance(key, int) and key < len(inner)
    )


@pytest.mark.parametrize(("name", "payload"), UNDERSTOOD)
def test_every_documented_payload_is_understood_and_always_the_same(name, payload):
    first = holds(name, payload)
    assert bool(first) != SOURCES[name].is_ping(payload)
    body = json.dumps(payload).encode()
    later = SOURCES[name].parse(decode(body, name), received=RECEIVED + timedelta(hours=3))
    assert [(each.identity, each.incident) for each in later] == [
        (each.identity, each.incident) for each in first
    ]
    shuffled = json.loads(json.dumps(payload, sort_keys=True))
    assert [each.identity for each in holds(name, shuffled)] == [each.identity for each in first]


@settings(deadline=None)
@given(title=anything, real=st.sampled_from(PAYLOADS), to=st.sampled_from(list(SOURCES)))
def test_a_payload_for_another_source_is_refused_cleanly(title, real, to):
    holds(to, {**real[1], "title": title})


@pytest.mark.parametrize("name", SOURCES)
def test_identities_of_different_sources_differ(name):
    """One body, understood by two sources, is two alerts."""
    body = {
        "alerts": [{"fingerprint": "f", "labels": {"alertname": "x"}}],
        "action": "ban",
        "title": "x",
        "id": "f",
    }
    body |= {
        "alert_type": "x",
        "alert_correlation_id": "f",
        "event": {"event_type": "incident.triggered", "id": "f"},
    }
    found = {each: SOURCES[each].parse(body, received=RECEIVED) for each in SOURCES if each != "generic"}
    found["generic"] = SOURCES["generic"].parse({"id": "f"}, received=RECEIVED)
    mine = {alert.identity for alert in found[name]}
    others = {alert.identity for each, alerts in found.items() if each != name for alert in alerts}
    assert mine
    assert not mine & others


def test_a_megabyte_of_addresses_is_cut():
    target = ",".join(f"198.51.{number // 256}.{number % 256}" for number in range(65_536))
    (alert,) = holds("cloudflare", {"alert_type": "x", "data": {"target_ip": target}})
    assert 64 < len(alert.targets) <= 1000
    assert all(each.startswith("198.51.") for each in alert.targets)
    assert alert.notes[0] == "data.target_ip is longer than 10,000 characters; the rest is left out"
    assert len(alert.notes) == 1


def test_a_cut_address_is_not_read_as_an_address():
    """203.0.113.25 cut after 203.0.113.2 would be a capture of somebody else's packets."""
    for spaces in range(9_970, 10_000):
        target = " " * spaces + "203.0.113.255 198.51.100.1"
        (alert,) = holds("cloudflare", {"alert_type": "x", "data": {"target_ip": "\u00a0" + target}})
        assert set(alert.targets) <= {"203.0.113.255", "198.51.100.1"}


def test_a_megabyte_of_nonsense_makes_few_notes():
    (alert,) = holds(
        "cloudflare", {"alert_type": "x", "data": {"target_ip": ["x" * 1000, *map(str, range(10_000))]}}
    )
    assert len(alert.notes) <= 64
    assert all(len(note) < 200 for note in alert.notes)


@pytest.mark.parametrize(
    "word", ["1", "a", "1 ", "1.1.", "access-key", "a://", "1,", "[", "\u00df", "-", "key=", "x-amz-", " "]
)
def test_every_field_takes_a_megabyte_of_anything(word):
    """No pattern takes time by the square of a text's length; a minute for all would be one that does."""
    text = word * (1_000_000 // len(word))
    fields = [
        "target_ip",
        "target_port",
        "protocol",
        "start_time",
        "max_rate",
        "severity",
        "attack_id",
        "pop_names",
    ]
    began = time.process_time()
    holds("cloudflare", {"alert_type": text, "data": dict.fromkeys(fields, text)})
    holds("pagerduty", {"event": {"event_type": "incident.triggered", "data": {"title": text, "id": text}}})
    holds("datadog", {"title": text, "tags": text})
    assert time.process_time() - began < 60  # minutes and more, where an expression backtracks
