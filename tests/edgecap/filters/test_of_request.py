"""A request's fields and expression together: what the API gets, and what is left for libpcap to do."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgecap.captures.body import request_body
from edgecap.errors import InvalidRequest
from edgecap.filters.of_request import LONGEST, api_filter, explain_request, residual
from edgecap.requests import Bounds, Filter, FullRequest, SimpleRequest
from edgecap.simulator.traffic import compile_filter
from tests.edgecap.filters.expressions import WIDE, compiled, expressions, true_of
from tests.edgecap.packets.frames import frames

NARROW = Bounds()


def ask(expression, **fields):
    return SimpleRequest(filter=Filter(**fields), expression=expression)


addresses = st.sampled_from(
    [
        "203.0.113.7",
        "198.51.100.9",
        "10.0.0.1",
        "203.0.113.0/24",
        "203.0.113.0/29",
        "2001:DB8::1",
        "2001:db8::/32",
    ]
)
ports = st.sampled_from([53, 54, 80, 443, 0])
fields = st.builds(
    Filter,
    source_address=st.none() | addresses,
    destination_address=st.none() | addresses,
    source_port=st.none() | ports,
    destination_port=st.none() | ports,
    protocol=st.none() | st.sampled_from([6, 17, 132, 1, 50]),
)


@st.composite
def asked(draw):
    """Fields, an expression and a frame that often has both; of the frame's link type, and valid."""
    link, data, expected = draw(
        frames(depth=draw(st.integers(0, 1)), most_tags=draw(st.integers(0, 1)), plain=True)
    )
    assume(link != 0)
    wanted = draw(fields)
    if draw(st.booleans()):  # keep what is true of the frame
        wanted = Filter(
            **{
                name: value
                for name, value in wanted.body().items()
                if compile_filter(Filter(**{name: value}), link)(data)
            }
        )
    expression = draw(expressions)
    if not expected.vlans and draw(st.booleans()):
        expression = draw(true_of(expected.layers[0]))
        if draw(st.booleans()):
            expression += draw(st.sampled_from([" or ", " and "])) + draw(expressions)
    compiled(expression, 1)
    taken = compile_filter(wanted, link)(data) and compiled(expression, link).matches(data)
    request = SimpleRequest(filter=wanted, expression=expression)
    return request, draw(st.sampled_from([NARROW, WIDE])), link, data, expected, taken


@settings(max_examples=250)
@given(asked=asked())
def test_no_packet_is_lost_that_the_fields_and_the_expression_describe(asked):
    request, bounds, link, data, _, taken = asked
    if not taken:
        return
    # It would raise if nothing could match both.
    assert compile_filter(api_filter(request, bounds), link)(data)
    assert compiled(residual(request, bounds), link).matches(data)


@settings(max_examples=250)
@given(asked=asked())
def test_api_and_residual_keep_packets_that_match_fields_and_expression(asked):
    request, bounds, link, data, expected, taken = asked
    # Behind tags and IPv6's extension headers, the API sees what libpcap does not.
    assume(expected.layers[0]["version"] == 4 and not expected.vlans)
    try:
        explained = explain_request(request, bounds)
    except InvalidRequest:
        assert not taken
        return
    sent = compile_filter(explained.filter, link)(data)
    assert (sent and compiled(explained.residual, link).matches(data)) == taken
    assert any(compile_filter(each, link)(data) for each in explained.alternatives) >= taken


@settings(max_examples=300)
@given(asked=asked())
def test_the_fields_are_sent_as_they_are_or_narrower(asked):
    request, bounds, link, data, *_ = asked
    try:
        sent = api_filter(request, bounds)
    except InvalidRequest:
        return
    assert request.filter.body().keys() <= sent.body().keys()
    assert compile_filter(request.filter, link)(data) >= compile_filter(sent, link)(data)


@pytest.mark.parametrize(
    ("request_", "sent", "left"),
    [
        (ask(""), {}, ""),
        (ask("", protocol=17), {"protocol": 17}, ""),
        (ask("udp and src port 53"), {"protocol": 17, "source_port": 53}, ""),
        # The fields say more about the same packets, and so more can be sent, and less is left.
        (ask("src port 53", protocol=17), {"protocol": 17, "source_port": 53}, ""),
        (ask("udp or tcp", protocol=17), {"protocol": 17}, ""),
        (
            ask("host 203.0.113.7", destination_address="203.0.113.7"),
            {"destination_address": "203.0.113.7"},
            "",
        ),
        (
            ask("net 203.0.113.0/24 and greater 100", destination_address="203.0.113.7"),
            {"destination_address": "203.0.113.7"},
            "greater 100",
        ),
        (
            ask("udp src port 53 or tcp src port 80", protocol=6),
            {"protocol": 6, "source_port": 80},
            "",
        ),
        (
            ask("(udp src port 53 or tcp src port 80) and less 100", protocol=6),
            {"protocol": 6, "source_port": 80},
            "less 100",
        ),
        (
            ask("udp src port 53 or tcp port 80", protocol=6),
            {"protocol": 6},
            "udp src port 53 or tcp port 80",
        ),
        (ask("vlan and udp", protocol=6), {"protocol": 6}, "vlan and udp"),
    ],
)
def test_what_is_sent_and_what_is_left(request_, sent, left):
    assert api_filter(request_, NARROW) == Filter(**sent)
    assert residual(request_, NARROW) == left
    assert request_body(request_, NARROW)["filter_v1"] == sent


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (ask("src net 203.0.113.0/24", source_address="203.0.113.0/29"), "203.0.113.0/29"),
        (ask("src net 203.0.113.0/29", source_address="203.0.113.0/24"), "203.0.113.0/29"),
        (ask("src host 203.0.113.9", source_address="203.0.113.0/24"), "203.0.113.9"),
        (ask("src host 2001:db8::1", source_address="2001:DB8::1"), "2001:DB8::1"),
        (
            ask("src host 203.0.113.9 or src host 203.0.113.10", source_address="203.0.113.0/24"),
            "203.0.113.0/24",
        ),
    ],
)
def test_of_two_networks_the_narrower_one_is_sent(request_, sent):
    assert api_filter(request_, WIDE).source_address == sent


@pytest.mark.parametrize(
    ("request_", "field", "says"),
    [
        (ask("udp", protocol=6), "protocol", "protocol is tcp, and the expression asks for udp"),
        (ask("tcp or udp", protocol=1), "protocol", "protocol is icmp, and the expression asks for tcp"),
        (ask("udp dst port 53", protocol=17, destination_port=54), "destination_port", "is 54, .* for 53"),
        (
            ask("src host 10.0.0.1", source_address="10.0.0.2"),
            "source_address",
            "is 10.0.0.2, .* 10.0.0.1",
        ),
        (ask("src net 10.0.0.0/8", source_address="203.0.113.7"), "source_address", "for 10.0.0.0/8"),
        (ask("src host 2001:db8::1", source_address="10.0.0.2"), "source_address", "for 2001:db8::1"),
    ],
)
def test_a_contradiction_names_the_field(request_, field, says):
    for ask_for in (api_filter, residual, request_body):
        with pytest.raises(InvalidRequest, match=f"no packet can match: .*{says}") as error:
            ask_for(request_, NARROW)
        assert error.value.field == f"filter_v1.{field}"


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("udp and", "the filter is not valid: can't parse filter expression: syntax error"),
        ("host example.net", "the filter has the unknown word 'example.net'"),
        ("udp annd tcp", "the unknown word 'annd'"),
        ("udp " + "and udp " * 2000, f"has 16,004 characters.*at most {LONGEST:,}"),
        ("udp\0", "it holds a zero byte"),
    ],
)
def test_an_expression_that_cannot_be_applied_is_one_line(expression, says):
    request = FullRequest(colo="ORD", expression=expression)
    with pytest.raises(InvalidRequest, match=says) as error:
        api_filter(request, NARROW)
    assert error.value.field == "expression"
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
