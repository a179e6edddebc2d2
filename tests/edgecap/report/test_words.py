"""What was asked for, in a line: nobody may take a part of the traffic for all of it."""

from datetime import timedelta

import pytest

from edgecap.report.words import asked_for, coverage, headline
from tests.edgecap.report.summaries import START, entry_of


def asked(**fields):
    return entry_of().manifest.model_copy(update=fields)


@pytest.mark.parametrize(
    ("request_", "words", "title"),
    [
        (
            {"filter": {}, "expression": "udp and src\n port 53"},
            "udp and src port 53",
            "full capture at ORD of the packets that match 'udp and src port 53'",
        ),
        (
            {"filter": {"destination_address": "203.0.113.7"}, "expression": "udp"},
            "to 203.0.113.7 and udp",
            "full capture at ORD of the packets to 203.0.113.7 that match 'udp'",
        ),
        (
            {"filter": {"protocol": 17, "source_port": 53}},
            "udp from port 53",
            "full capture at ORD of the udp packets from port 53",
        ),
        ({"filter": {}}, "everything", "full capture of all packets at ORD"),
        ({"expression": "icmp"}, "icmp", "full capture at ORD of the packets that match 'icmp'"),
        ({}, "", "full capture at ORD"),
    ],
)
def test_a_title_says_all_that_was_asked_for(request_, words, title):
    manifest = asked(request=request_, capture={}, type="full", colo="ORD")
    assert asked_for(manifest) == words
    assert headline(manifest) == title


@pytest.mark.parametrize(
    ("flags", "seconds", "words"),
    [
        (
            ["limit-reached"],
            11.4,
            "It covers 11.4 s of the 1 min asked for: its packet limit or byte limit ended it.",
        ),
        (["stopped", "partial"], 4, "It covers 4 s of the 1 min asked for: it was stopped."),
        (
            ["limit-reached"],
            60.2,
            "It covers 1 min of the 1 min asked for: its packet limit or byte limit ended it.",
        ),
        (["partial"], 11.4, ""),
        ([], 11.4, ""),
    ],
)
def test_a_capture_that_ended_early_says_how_much_it_covers(flags, seconds, words):
    manifest = asked(request={"time_limit": 60}, flags=flags)
    assert coverage(manifest, START, START + timedelta(seconds=seconds)) == words
    assert coverage(manifest, None, None) == ""


def test_an_unusual_filter_of_a_foreign_capture_is_shown():
    """People start captures elsewhere, and the API promises nothing about what it echoes."""
    assert (
        asked_for(asked(request={}, capture={"filter_v1": {"protocol": [6], "source_port": "x"}}))
        == "from port x"
    )
