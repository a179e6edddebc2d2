"""What was asked for, in a line: nobody may take a part of the traffic for all of it."""

import pytest

from edgecap.report.words import asked_for, headline
from tests.edgecap.report.summaries import entry_of


def asked(**fields):
    return entry_of().manifest.model_copy(update=fields)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"filter": {}, "expression": "udp and src\n port 53"}, "udp and src port 53"),
        ({"filter": {"destination_address": "203.0.113.7"}, "expression": "udp"}, "to 203.0.113.7 and udp"),
        ({"filter": {"protocol": 0, "source_port": 0}}, "hopopt from port 0"),
        ({"filter": {}}, "everything"),
        ({"expression": "icmp"}, "icmp"),
    ],
)
def test_an_expression_is_part_of_what_was_asked_for(request_, words):
    manifest = asked(request=request_, capture={})
    assert asked_for(manifest) == words
    assert headline(manifest).endswith(f" of {words}")


def test_an_unusual_filter_of_a_foreign_capture_is_shown():
    """People start captures elsewhere, and the API promises nothing about what it echoes."""
    assert (
        asked_for(asked(request={}, capture={"filter_v1": {"protocol": [6], "source_port": "x"}}))
        == "from port x"
    )
