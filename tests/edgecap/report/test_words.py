"""What was asked for, in a line: nobody may take a part of the traffic for all of it."""

from datetime import timedelta

import pytest

from edgecap.packets.residual import Residual
from edgecap.report.words import (
    asked_for,
    coverage,
    headline,
    shortfall,
    state_in_words,
    verified_in_words,
    window_in_words,
    without_packets,
)
from edgecap.stores.integrity import VerifiedBy
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
            "It covers 11.4 s of the 1 min asked for: the packet limit ended it.",
        ),
        (["stopped", "partial"], 4, "It covers 4 s of the 1 min asked for: it was stopped."),
        (
            ["limit-reached"],
            60.2,
            "It covers 1 min of the 1 min asked for: the packet limit ended it.",
        ),
        (["partial"], 11.4, ""),
        ([], 11.4, ""),
    ],
)
def test_a_capture_that_ended_early_says_how_much_it_covers(flags, seconds, words):
    manifest = asked(request={"time_limit": 60, "packet_limit": 10}, flags=flags)
    assert coverage(manifest, START, START + timedelta(seconds=seconds)) == words
    assert coverage(manifest, None, None) == ""


def test_the_limit_that_ended_a_capture_is_named():
    manifest = asked(
        request={"time_limit": 60, "packet_limit": 10_000, "byte_limit": 9}, flags=["limit-reached"]
    )
    assert "the byte limit ended it" in coverage(manifest, START, START + timedelta(seconds=9))


@pytest.mark.parametrize(
    ("first", "last", "without"),
    [
        (-240, -225, [(-225, 0)]),  # as the simulator does
        (-15, 0, [(-240, -15)]),  # Cloudflare does not say which end of the window the limit keeps
        (-140, -125, [(-240, -140), (-125, 0)]),
        (-240, -3, []),
    ],
)
def test_a_look_back_that_a_limit_ended_says_what_it_lacks(first, last, without):
    def at(seconds):
        return START + timedelta(seconds=seconds)

    request = {"time_limit": 240, "packet_limit": 10, "offset_time": START.isoformat()}
    manifest = asked(type="simple", request=request, capture={}, flags=["limit-reached"])
    found = shortfall(manifest, at(first), at(last))
    assert (found.covered, found.wanted) == (last - first, 240)
    assert found.without == tuple((at(begins), at(ends)) for begins, ends in without)
    assert shortfall(manifest.model_copy(update={"flags": ()}), at(first), at(last)) is None


def test_a_full_capture_lacks_the_time_after_its_packets():
    request = {"time_limit": 60, "packet_limit": 10}
    manifest = asked(type="full", request=request, capture={}, flags=["limit-reached"])
    last = START + timedelta(seconds=11)
    assert shortfall(manifest, START, last).without == ((last, START + timedelta(seconds=60)),)


@pytest.mark.parametrize(
    ("type_", "request_", "capture", "words"),
    [
        (
            "simple",
            {"time_limit": 300, "offset_time": "2026-11-23T06:32:00Z"},
            {},
            "2026-11-23 06:27:00 to 06:32:00 UTC, 5 min",
        ),
        (
            "simple",
            {},
            {"time_limit": 60, "offset_time": "2026-11-23T00:00:30Z"},
            "2026-11-22 23:59:30 to 2026-11-23 00:00:30 UTC, 1 min",
        ),
        ("full", {"time_limit": 60}, {}, "2026-11-23 06:34:06 to 06:35:06 UTC, 1 min from the request on"),
        ("full", {}, {"time_limit": "long"}, ""),
        ("simple", {"time_limit": 60, "offset_time": "soon"}, {"time_limit": 1e300}, None),
    ],
)
def test_the_time_asked_for_is_told_from_when_to_when(type_, request_, capture, words):
    manifest = asked(type=type_, request=request_, capture=capture)
    submitted = manifest.times.model_copy(update={"submitted": START})
    told = window_in_words(manifest.model_copy(update={"times": submitted}))
    assert told == words if words is not None else told.endswith("UTC, 1 min")


@pytest.mark.parametrize(
    ("verified_by", "words"),
    [
        ("", ""),
        ("md5", "the store's MD5"),
        ("sha256", "the store's SHA-256"),
        ("crc32c-of-parts", "the store's CRC-32C of its parts"),
        ("two-reads", "two reads that gave the same bytes"),
    ],
)
def test_what_bytes_were_held_against_is_told_in_words(verified_by, words):
    assert verified_in_words(verified_by) == words


def test_every_way_to_verify_has_words():
    of_no_store = ("gzip-crc32", "two-reads", "one-read", "reads-differ")
    for each in VerifiedBy:
        words = verified_in_words(each.value)
        assert words.startswith("the store's ") == (each.value not in of_no_store)
        assert " " in words


def test_an_empty_capture_names_its_likely_causes():
    causes = without_packets(entry_of(packets=0, type="simple", colo="").manifest)
    assert any("samples only" in cause for cause in causes)
    [where] = [cause for cause in without_packets(entry_of(packets=0).manifest) if "ORD" in cause]
    assert "may not pass ORD" in where
    assert without_packets(entry_of(packets=0, flags=["not-pcap"]).manifest) == []
    assert without_packets(entry_of().manifest) == []


def test_a_capture_that_nothing_matched_names_both_parts_of_its_filter():
    residual = Residual(expression="greater 1000", packets=976, kept=0)
    manifest = asked(residual=residual, request={"expression": "udp and greater 1000"})
    assert state_in_words(manifest).startswith("no-match: ")
    causes = without_packets(manifest)
    assert "2,408 packets" in causes[0]
    assert causes[1].startswith("`edgecap explain 'udp and greater 1000'` ")


def test_a_limit_that_other_packets_used_up_is_the_first_cause():
    """Not one of 10,000 packets matched: they were of the first 18 of 30 seconds."""
    made = entry_of(flags=["limit-reached"]).manifest
    totals = made.totals.model_copy(
        update={"packets": 10_000, "first": START, "last": START + timedelta(seconds=18.1)}
    )
    manifest = made.model_copy(
        update={
            "state": "complete",
            "totals": totals,
            "residual": Residual(expression="greater 5000", packets=10_000, kept=0),
            "request": {"expression": "udp and greater 5000", "time_limit": 30, "packet_limit": 10_000},
        }
    )
    first, *others = without_packets(manifest)
    assert first.startswith(
        "The packet limit ended it after 18.1 s of 30 s, with packets that do not match: "
    )
    assert len(others) == 2
    assert "limit" not in without_packets(manifest.model_copy(update={"flags": []}))[0]


def test_an_unusual_filter_of_a_foreign_capture_is_shown():
    """People start captures elsewhere, and the API promises nothing about what it echoes."""
    assert (
        asked_for(asked(request={}, capture={"filter_v1": {"protocol": [6], "source_port": "x"}}))
        == "from port x"
    )
