"""The bounds of requests."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.requests import rfc3339
from edgecap.simulator.bodies import BodyReader
from edgecap.simulator.envelope import Refused
from edgecap.simulator.variants import VARIANTS

NOW = datetime(2026, 11, 23, 6, 34, 6, 123456, tzinfo=UTC)
SIMPLE = {"type": "simple", "system": "magic-transit", "time_limit": 10, "packet_limit": 100}
FULL = {
    "type": "full",
    "system": "magic-transit",
    "time_limit": 10,
    "colo_name": "ORD",
    "destination_conf": "s3://caps/full?region=us-east-1",
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", None),
        ("type", "sample"),
        ("type", 1),
        ("system", None),
        ("system", "magic-wan"),
        ("time_limit", None),
        ("time_limit", 0),
        ("time_limit", 301),
        ("time_limit", "60"),
        ("time_limit", True),
        ("time_limit", 1.5),
        ("packet_limit", None),
        ("packet_limit", 0),
        ("packet_limit", 10_001),
        ("offset_time", "yesterday"),
        ("offset_time", "2026-11-23"),
        ("offset_time", "2026-11-23T05:00:00"),
        ("offset_time", "2026-11-23T25:00:00Z"),
        ("offset_time", "0001-01-01T00:00:00+23:59"),
        ("offset_time", 1763879646),
        ("filter_v1", []),
        ("filter_v1", "tcp"),
        ("filter_v1.source_address", "198.51.100.300"),
        ("filter_v1.source_address", "2001:db8::1"),
        ("filter_v1.destination_address", "203.0.113.0/24"),
        ("filter_v1.destination_address", 3),
        ("filter_v1.source_port", 65_536),
        ("filter_v1.destination_port", -1),
        ("filter_v1.destination_port", "443"),
        ("filter_v1.protocol", 256),
        ("filter_v1.protocol", 6.5),
    ],
)
def test_wrong_fields_of_a_simple_capture_are_named(world, make_world, field, value):
    outer, _, inner = field.partition(".")
    body = {outer: {inner: value} if inner else value}
    answer = world.simple(**body)
    assert answer.status_code == 400
    assert field in answer.json()["errors"][0]["message"]
    error = make_world("flat").simple(**body).json()["errors"][0]
    assert error["source"]["pointer"] == "/" + field.replace(".", "/")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_limit", 86_401),
        ("packet_limit", 0),
        ("packet_limit", 10_001),
        ("byte_limit", 0),
        ("byte_limit", 1_000_000_001),
        ("colo_name", None),
        ("colo_name", "XYZ"),
        ("colo_name", ""),
        ("destination_conf", None),
        ("destination_conf", ""),
    ],
)
def test_wrong_fields_of_a_full_capture_are_named(world, field, value):
    world.register()
    answer = world.full(**{field: value})
    assert answer.status_code == 400
    assert field in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("field", ["packet_limit", "byte_limit", "filter_v1"])
def test_optional_fields_may_not_be_null(world, field):
    """The document has no null; an API that is kinder would not find out who sends one."""
    world.register()
    assert world.full(**{field: None}).status_code == 400
    assert world.full().status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [("time_limit", 86_400), ("packet_limit", 10_000), ("byte_limit", 1_000_000_000), ("time_limit", 60.0)],
)
def test_the_bounds_themselves_are_in(world, field, value):
    world.register()
    assert world.full(**{field: value}).status_code == 200


@pytest.mark.parametrize(
    ("seconds", "status"), [(0, 200), (86_400, 200), (86_400.000001, 400), (-0.000001, 400), (-60, 400)]
)
def test_offset_time_lies_within_the_last_day(world, seconds, status):
    asked = world.now - timedelta(seconds=seconds)
    assert world.simple(offset_time=rfc3339(asked)).status_code == status


def test_lenient_variants_take_ipv6_and_networks(make_world):
    world = make_world("talkative")
    wanted = {"source_address": "2001:db8::/32", "destination_address": "203.0.113.7"}
    answer = world.simple(filter_v1=wanted)
    assert answer.json()["result"]["filter_v1"] == wanted


def test_empty_addresses_and_unknown_fields_are_no_error(world):
    answer = world.simple(note="x", filter_v1={"tos": 3, "source_address": ""})
    assert answer.json()["result"]["filter_v1"] == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [*SIMPLE, *FULL, "byte_limit", "offset_time", "filter_v1", "colo"]


@given(
    base=st.sampled_from([SIMPLE, FULL]),
    changes=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3),
    variant=st.sampled_from(list(VARIANTS.values())),
)
def test_any_body_is_read_within_bounds_or_refused(base, changes, variant):
    """A reader has no third way out."""
    wanted, problems = None, ()
    try:
        wanted = BodyReader({**base, **changes}, variant).capture(NOW)
    except Refused as refused:
        problems = refused.problems
    if wanted is None:
        assert problems[0].message
    else:
        assert 1 <= wanted.time_limit <= (300 if wanted.type == "simple" else 86_400)
        assert wanted.packet_limit is None or 1 <= wanted.packet_limit <= 10_000
        assert wanted.byte_limit is None or 1 <= wanted.byte_limit <= 1_000_000_000
        assert timedelta() <= NOW - wanted.offset_time <= timedelta(hours=24, seconds=1)


@given(value=JSON)
def test_a_body_of_any_kind_is_read_or_refused(value):
    for read in (lambda reader: reader.capture(NOW), lambda reader: reader.destination()):
        with pytest.raises(Refused):
            read(BodyReader(value, VARIANTS["documented"]))
