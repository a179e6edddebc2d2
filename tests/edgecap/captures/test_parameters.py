"""The request that a flow run's parameters ask for, as tables and as fields of a form."""

import pytest
from pydantic import MISSING

from edgecap.captures.parameters import is_full, request_of, within_bounds
from edgecap.requests import Bounds, Filter, FullRequest, SimpleRequest

FULL = {"type": "full", "colo": "ORD", "time_limit": 9}


@pytest.mark.parametrize("empty", [None, "", " ", MISSING])
def test_an_empty_field_of_a_form_asks_for_nothing(empty):
    names = ("filter_expression", "destination_address", "source_port", "until", "protocol", "packets")
    assert request_of(dict.fromkeys(names, empty)) == SimpleRequest()


def test_the_fields_of_a_form_become_a_simple_request():
    fields = {
        "destination_address": " 203.0.113.7\n",
        "destination_port": 443,
        "protocol": "udp",
        "seconds": 30,
        "packets": 500,
        "until": "2026-11-29T03:00:00+00:00",
        "filter_expression": "less 100",
        "account": "default",
    }
    request = request_of(fields)
    assert str(request) == "simple 30s udp 203.0.113.7:443 and less 100"
    assert request.packet_limit == 500
    assert request.offset_time.isoformat() == fields["until"]
    assert not is_full(fields)


def test_a_data_centre_makes_it_a_full_request():
    fields = {"colo": "ord02", "protocol": "any", "seconds": 5, "bytes": 1000, "bucket": "cold"}
    assert request_of(fields) == FullRequest(colo="ord02", time_limit=5, byte_limit=1000, bucket="cold")
    assert is_full(fields)


def test_tables_of_schedules_and_alerts_are_read_as_before():
    assert request_of({"request": FULL, "if_late": "skip"}) == FullRequest(colo="ORD", time_limit=9)
    assert is_full({"request": FULL})
    simple = {"type": "simple", "filter": {"protocol": 6}}
    assert request_of({"request": simple}) == SimpleRequest(filter=Filter(protocol=6))
    assert not is_full({"request": simple})
    assert request_of({}) == SimpleRequest()


def test_an_unknown_protocol_is_an_error():
    with pytest.raises(ValueError, match="protocol"):
        request_of({"protocol": "quic"})


def test_the_default_of_a_form_is_not_above_its_limit():
    packets = {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 10_000}
    request = {"$ref": "#/definitions/Request"}
    schema = {"type": "object", "properties": {"packets": packets, "request": request}}
    within = within_bounds(schema, Bounds(packet_limit=500))
    assert within["properties"]["packets"] == {**packets, "maximum": 500, "default": 500}
    assert within["properties"]["request"] == request
    assert packets["maximum"] == 10_000
