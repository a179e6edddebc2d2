"""What a filter decides is no evidence: it is found in fields and in expressions."""

import pytest

from edgecap.packets.verdict.conditions import Conditions, conditions_of
from edgecap.requests import Filter


@pytest.mark.parametrize(
    ("expression", "fixed"),
    [
        ("", ()),
        ("udp", ("protocol",)),
        ("not tcp", ("protocol",)),
        ("src port 53", ("protocol", "source-port")),
        ("dst port 80 or 443", ("destination-port", "protocol")),
        ("port 53", ("destination-port", "protocol", "source-port")),
        ("dst host 203.0.113.7", ("destination",)),
        ("dst net 10.0.0.0 mask 255.0.0.0", ("destination",)),
        ("src 2001:db8::1", ("source",)),
        ("host 203.0.113.7", ("destination", "source")),
        ("203.0.113.7", ("destination", "source")),
        ("net 10.0.0.0/8", ("destination", "source")),
        ("tcp[tcpflags] & tcp-syn != 0", ("flags", "protocol")),
        ("tcp[13] = 2", ("flags", "protocol")),
        ("less 100", ("size",)),
        ("icmp[0] = 8", ("icmp", "protocol")),
        ("ip[6:2] & 0x1fff != 0", ("fragments", "protocol", "size")),
        ("ip proto 47", ("protocol",)),
    ],
)
def test_an_expression_fixes_what_it_mentions(expression, fixed):
    assert conditions_of(expression=expression).fixed == fixed


def test_the_fields_of_the_api_fix_what_they_name():
    found = conditions_of(fields=Filter(destination_address="203.0.113.7", destination_port=53))
    assert found.fixed == ("destination", "destination-port", "protocol")
    assert found.one_way
    assert found.filter == "to 203.0.113.7:53"


def test_a_filter_on_one_end_lets_one_direction_through():
    assert conditions_of(expression="src port 53").one_way
    assert not conditions_of(expression="port 53").one_way
    assert conditions_of(at_edge=True).one_way


def test_fields_and_expression_are_both_told():
    found = conditions_of(fields=Filter(protocol=17), expression=" less  100 ")
    assert found.filter == "udp and less 100"
    assert conditions_of() == Conditions()
