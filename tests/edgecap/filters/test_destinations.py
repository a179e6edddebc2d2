"""Where all wanted packets go, as far as a filter tells."""

import pytest

from edgecap.filters.destinations import destinations
from edgecap.requests import Filter, FullRequest


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("", ()),
        ("dst host 203.0.113.7", ("203.0.113.7",)),
        ("udp and dst net 203.0.113.0/24 and port 53", ("203.0.113.0/24",)),
        ("(dst host 203.0.113.7 or dst net 2001:db8::/32) and udp", ("203.0.113.7", "2001:db8::/32")),
        ("dst host 203.0.113.7 or port 53", ()),
        ("host 203.0.113.7", ()),
        ("src host 203.0.113.7", ()),
        ("not dst host 203.0.113.7", ()),
        ("udp[8] = 1 and dst host 203.0.113.7", ("203.0.113.7",)),
    ],
)
def test_expressions(expression, found):
    assert destinations(FullRequest(colo="auto", expression=expression)) == found


def test_the_field_counts_first():
    request = FullRequest(
        colo="auto", filter=Filter(destination_address="203.0.113.7"), expression="dst net 203.0.113.0/24"
    )
    assert destinations(request) == ("203.0.113.7",)
