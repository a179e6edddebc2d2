"""Requests: what the API is documented to refuse is refused here, and nothing else is."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from edgecap.captures.body import request_body
from edgecap.errors import InvalidRequest, WindowTooOld
from edgecap.filters.check import check_request
from edgecap.requests import Bounds, CaptureRequest, Filter, FullRequest, SimpleRequest, rfc3339

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OPENAPI = json.loads((Path(__file__).parents[1] / "data/pcaps-openapi.json").read_text())
SCHEMAS = "#/components/schemas/magic-visibility-pcaps_pcaps_"

addresses = st.ip_addresses(v=4).map(str)
ports = st.integers(0, 65535)
filters = st.builds(
    Filter,
    source_address=st.none() | addresses,
    destination_address=st.none() | addresses,
    source_port=st.none() | ports,
    destination_port=st.none() | ports,
    protocol=st.none() | st.integers(0, 255),
).filter(
    lambda wanted: (
        wanted.protocol in (None, 6, 17, 132) or wanted.source_port is wanted.destination_port is None
    )
)
simple = st.builds(
    SimpleRequest,
    time_limit=st.integers(1, 300),
    packet_limit=st.integers(1, 10_000),
    offset_time=st.none()
    | st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=24)).map(lambda ago: NOW - ago),
    filter=filters,
    expression=st.sampled_from(["", "less 100", "not arp and greater 60"]),
)
full = st.builds(
    FullRequest,
    colo=st.from_regex(r"[A-Za-z]{3}([0-9]{2,3})?", fullmatch=True),
    time_limit=st.integers(1, 86_400),
    packet_limit=st.none() | st.integers(1, 10_000),
    byte_limit=st.none() | st.integers(1, 1_000_000_000),
    filter=filters,
)


def check(request, **bounds):
    check_request(request, Bounds(**bounds), now=NOW)


@given(request=simple | full)
def test_every_request_within_bounds_makes_a_body_valid_for_the_schema(request):
    check(request)
    body = request_body(request, destination_conf="s3://bucket?region=us-east-1")
    schema = {"$ref": f"{SCHEMAS}request_{request.type}", "components": OPENAPI["components"]}
    jsonschema.validate(body, schema)
    assert ("destination_conf" in body) == (request.type == "full")
    assert None not in body.values()


@given(request=simple | full)
def test_a_request_survives_json_as_run_parameters_do(request):
    adapter = TypeAdapter(CaptureRequest)
    assert adapter.validate_json(adapter.dump_json(request)) == request


@pytest.mark.parametrize(
    ("field", "most", "make"),
    [
        ("time_limit", 300, lambda value: SimpleRequest(time_limit=value)),
        ("time_limit", 86_400, lambda value: FullRequest(colo="ORD", time_limit=value)),
        ("packet_limit", 10_000, lambda value: SimpleRequest(packet_limit=value)),
        ("packet_limit", 10_000, lambda value: FullRequest(colo="ORD", packet_limit=value)),
        ("byte_limit", 1_000_000_000, lambda value: FullRequest(colo="ORD", byte_limit=value)),
    ],
)
class TestBounds:
    def test_both_ends_pass(self, field, most, make):
        check(make(1))
        check(make(most))

    def test_outside_the_bounds_the_field_is_named_with_its_range(self, field, most, make):
        @given(value=st.integers(max_value=0) | st.integers(min_value=most + 1))
        def out_of_bounds(value):
            with pytest.raises(InvalidRequest, match=f"{field} {value} is out of bounds") as caught:
                check(make(value))
            assert caught.value.field == field
            assert f"give 1 to {most} " in str(caught.value)

        out_of_bounds()

    def test_settings_can_widen_and_narrow_them(self, field, most, make):
        names = {300: "simple_time_limit", 86_400: "full_time_limit"}
        name = names.get(most, field)
        check(make(most + 1), **{name: most + 1})
        with pytest.raises(InvalidRequest):
            check(make(most), **{name: most - 1})


def test_the_documented_bounds_are_those_of_the_openapi_document():
    schemas = OPENAPI["components"]["schemas"]

    def most(name):
        return schemas[f"magic-visibility-pcaps_pcaps_{name}"]["maximum"]

    assert Bounds() == Bounds(
        simple_time_limit=most("time_limit_sampled"),
        full_time_limit=most("time_limit_full"),
        packet_limit=most("packet_limit"),
        byte_limit=most("byte_limit"),
    )


@pytest.mark.parametrize("colo", ["ord02", "ORD", "ams", "lhr123", "Ord02"])
def test_accepts_a_data_centre_and_a_city(colo):
    check(FullRequest(colo=colo))


@pytest.mark.parametrize(
    "colo", ["", "or", "ordd", "ord1", "ord1234", "02ord", "ORD ", "ORD\n", "ord\u0660\u0662", "*"]
)
def test_refuses_an_unknown_data_centre(colo):
    with pytest.raises(InvalidRequest) as caught:
        check(FullRequest(colo=colo))
    assert caught.value.field == "colo_name"
    assert "ord02" in caught.value.hint


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(hours=24), timedelta(seconds=-60)])
def test_an_offset_within_a_day_passes_with_a_minute_of_tolerance(ago):
    check(SimpleRequest(offset_time=NOW - ago))


def test_an_offset_without_time_zone_is_refused():
    with pytest.raises(InvalidRequest, match="no time zone") as caught:
        check(SimpleRequest(offset_time=NOW.replace(tzinfo=None)))
    assert caught.value.field == "offset_time"


def test_an_offset_in_the_future_is_refused():
    with pytest.raises(InvalidRequest, match="is in the future"):
        check(SimpleRequest(offset_time=NOW + timedelta(seconds=61)))


def test_an_offset_before_what_the_api_keeps_is_its_own_error():
    with pytest.raises(WindowTooOld, match="more than 24 hours old"):
        check(SimpleRequest(offset_time=NOW - timedelta(hours=24, microseconds=1)))


@pytest.mark.parametrize("field", ["source_address", "destination_address"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2001:db8::1", "is IPv6"),
        ("203.0.113.0/24", "is a network"),
        ("203.0.113.7/32", "is a network"),
        ("2001:db8::/32", "is a network"),
        ("203.0.113.256", "is not an IP address"),
        ("example.net", "is not an IP address"),
        ("203.0.113.7 ", "is not an IP address"),
        ("203.0.113.7/", "is not an IP address"),
        ("", "is not an IP address"),
    ],
)
def test_an_address_that_the_api_is_not_documented_for_is_refused(field, text, says):
    with pytest.raises(InvalidRequest, match=says) as caught:
        check(SimpleRequest(filter=Filter(**{field: text})))
    assert caught.value.field == f"filter_v1.{field}"


def test_settings_can_let_ipv6_and_networks_through():
    ipv6 = SimpleRequest(filter=Filter(source_address="2001:db8::1"))
    network = SimpleRequest(filter=Filter(destination_address="203.0.113.0/24"))
    both = SimpleRequest(filter=Filter(destination_address="2001:db8::/32"))
    check(ipv6, ipv6_filters=True)
    check(network, cidr_filters=True)
    check(both, ipv6_filters=True, cidr_filters=True)
    with pytest.raises(InvalidRequest):
        check(both, cidr_filters=True)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("source_port", -1),
        ("source_port", 65536),
        ("destination_port", 65536),
        ("protocol", 256),
        ("protocol", -1),
    ],
)
def test_a_port_or_protocol_that_does_not_exist_is_refused(field, bad):
    with pytest.raises(InvalidRequest, match="does not exist") as caught:
        check(SimpleRequest(filter=Filter(**{field: bad})))
    assert caught.value.field == f"filter_v1.{field}"


@pytest.mark.parametrize("direction", ["source", "destination"])
def test_a_port_of_a_protocol_without_ports_is_refused(direction):
    with pytest.raises(InvalidRequest, match="icmp has no ports") as caught:
        check(SimpleRequest(filter=Filter.model_validate({f"{direction}_port": 80, "protocol": 1})))
    assert caught.value.field == f"filter_v1.{direction}_port"
    check(SimpleRequest(filter=Filter.model_validate({f"{direction}_port": 80, "protocol": 132})))


def test_a_protocol_without_ports_contradicts_an_expression_with_one():
    with pytest.raises(InvalidRequest, match="no packet can match: icmp has no ports") as caught:
        check(SimpleRequest(filter=Filter(protocol=1), expression="dst port 80"))
    assert caught.value.field == "filter_v1.protocol"
    check(SimpleRequest(filter=Filter(protocol=1), expression="dst port 80 or less 100"))


@pytest.mark.parametrize(
    ("field", "says"), [("source_address", "'src net 203.0.113.0/24'"), ("destination_address", "'dst net ")]
)
def test_a_network_is_refused_with_the_expression_that_takes_it(field, says):
    with pytest.raises(InvalidRequest) as caught:
        check(SimpleRequest(filter=Filter.model_validate({field: "203.0.113.0/24"})))
    assert f"use the filter expression {says}" in caught.value.hint


@pytest.mark.parametrize("model", [Filter, SimpleRequest, FullRequest])
def test_a_misspelt_field_is_not_ignored(model):
    with pytest.raises(ValidationError):
        model(colo="ORD", tme_limit=3)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (Filter(), "everything"),
        (Filter(protocol=17), "udp"),
        (Filter(protocol=99), "proto 99"),
        (Filter(destination_address="203.0.113.7", destination_port=443), "203.0.113.7:443"),
        (Filter(source_address="198.51.100.9", source_port=53, protocol=17), "udp 198.51.100.9:53 > any"),
        (Filter(source_port=0, destination_port=53), ":0 > :53"),
        (Filter(source_address="2001:db8::1", source_port=53), "[2001:db8::1]:53 > any"),
    ],
)
def test_a_filter_reads_well_in_a_run_s_name(wanted, text):
    assert str(wanted) == text
    assert str(SimpleRequest(time_limit=30, filter=wanted)) == f"simple 30s {text}"
    assert str(FullRequest(colo="ORD", filter=wanted)) == f"full ORD {text}"


@pytest.mark.parametrize(
    ("wanted", "expression", "text"),
    [
        (Filter(), "udp src port 53", "udp src port 53"),
        (Filter(), " udp\n  and less 100 ", "udp and less 100"),
        (Filter(), " \n", "everything"),
        (Filter(destination_address="203.0.113.7"), "udp", "203.0.113.7 and udp"),
        (Filter(), "udp and " * 20 + "udp", "udp and " * 9 + "udp and..."),
    ],
)
def test_an_expression_reads_well_in_a_run_s_name(wanted, expression, text):
    request = SimpleRequest(time_limit=30, filter=wanted, expression=expression)
    assert str(request) == f"simple 30s {text}"
    assert str(FullRequest(colo="ORD", filter=wanted, expression=expression)) == f"full ORD {text}"


@pytest.mark.parametrize("make", [SimpleRequest, lambda **more: FullRequest(colo="ORD", **more)])
class TestExpression:
    def test_a_valid_one_is_in_the_body_as_far_as_possible(self, make):
        request = make(filter=Filter(destination_port=443), expression="tcp and less 100")
        check(request)
        body = request_body(request)
        assert body["filter_v1"] == {"destination_port": 443, "protocol": 6}
        assert "expression" not in body

    def test_the_bounds_count(self, make):
        request = make(expression="dst net 203.0.113.0/24")
        assert request_body(request)["filter_v1"] == {}
        wide = request_body(request, Bounds(cidr_filters=True))
        assert wide["filter_v1"] == {"destination_address": "203.0.113.0/24"}

    @pytest.mark.parametrize(
        ("expression", "field"),
        [("udp and", "expression"), ("host example.net", "expression"), ("udp", "filter_v1.protocol")],
    )
    def test_a_wrong_one_is_refused_and_the_field_is_named(self, make, expression, field):
        with pytest.raises(InvalidRequest) as caught:
            check(make(filter=Filter(protocol=6), expression=expression))
        assert caught.value.field == field

    def test_a_wrong_field_is_reported_before_a_contradiction(self, make):
        with pytest.raises(InvalidRequest, match="is not an IP address"):
            check(make(filter=Filter(source_address="nowhere"), expression="src host 10.0.0.1"))

    def test_a_request_of_before_there_were_any_still_reads(self, make):
        old = make().model_dump(mode="json")
        del old["expression"]
        assert TypeAdapter(CaptureRequest).validate_python(old) == make()


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moment=st.datetimes(datetime(1970, 1, 3), datetime(2200, 1, 1), timezones=zones))
def test_times_are_written_in_utc_and_keep_every_microsecond(moment):
    text = rfc3339(moment)
    assert text.endswith("Z")
    assert len(text) == len("2026-11-23T12:00:00.000000Z")
    assert datetime.fromisoformat(text) == moment
