"""A service that is away: an outage is one as long as attempts go on failing, and pauses grow with it."""

from datetime import UTC, datetime, timedelta

import pytest

from edgecap.captures.outages import (
    PAUSE_FIRST,
    PAUSE_MOST,
    SAME_OUTAGE,
    Outage,
    another_failure,
    is_over,
    may_pass,
    pause,
    reason,
    waits_for,
)
from edgecap.errors import NetworkFailure, NoPermission, StoreFull, StoreMissing, StoreUnreachable

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
DAY = 86_400.0


def test_an_outage_of_hours_is_waited_out_with_growing_pauses():
    outage, now, pauses = another_failure(None, NOW), NOW, []
    while not is_over(outage, DAY):
        pauses.append(pause(outage))
        now += timedelta(seconds=pauses[-1] + 40)  # each attempt takes a while, too
        outage = another_failure(Outage.parse(str(outage)), now)
    assert outage.since == NOW
    assert pauses[0] == PAUSE_FIRST
    assert pauses == sorted(pauses)
    assert pauses[-1] == PAUSE_MOST
    assert timedelta(days=1) <= now - NOW < timedelta(days=1, minutes=10)


@pytest.mark.parametrize(("lasted", "seconds"), [(0, 15), (29, 15), (100, 50), (599, 299.5), (7200, 300)])
def test_the_next_attempt_comes_after_half_of_the_outage_so_far(lasted, seconds):
    assert pause(Outage(NOW, NOW + timedelta(seconds=lasted))) == seconds


def test_a_failure_long_after_the_last_is_another_outage():
    known = Outage(NOW - timedelta(hours=1), NOW)
    assert another_failure(known, NOW + timedelta(minutes=30)).since == known.since  # many runs in line
    assert another_failure(known, NOW + SAME_OUTAGE).since == known.since
    later = NOW + SAME_OUTAGE + timedelta(seconds=1)
    assert another_failure(known, later) == Outage(later, later)
    before = NOW - timedelta(seconds=1)  # the clock jumped back
    assert another_failure(known, before) == Outage(before, before)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-23T06:30:00+00:00", "a b"])
def test_other_errors_are_no_outage(text):
    assert Outage.parse(text) is None


def test_no_patience_at_all_gives_up_at_once():
    assert is_over(another_failure(None, NOW), 0)


def lasting(error):
    error.permanent = True
    return error


def test_the_run_s_state_names_the_outage_its_start_and_its_end():
    outage = Outage(NOW, NOW + timedelta(minutes=7))
    api = NetworkFailure("cannot connect to api.example.net: refused", where="GET /pcaps")
    assert waits_for(api, []) == "WaitingForCloudflare"
    assert reason(api, outage, DAY) == (
        "Waiting for Cloudflare since 06:30:00Z, until 2026-11-24 06:30Z at most: "
        "cannot connect to api.example.net: refused (GET /pcaps)"
    )
    store = StoreUnreachable("no answer", where="s3://captures/edge/pcap_1.pcap")
    assert waits_for(store, ["s3://captures/edge"]) == "WaitingForBucket"
    assert waits_for(store, ["s3://others"]) == "WaitingForArchive"
    assert "a store that does not answer" in reason(store, outage, DAY)


@pytest.mark.parametrize(
    ("error", "waits_when"),
    [
        (NetworkFailure("down"), "always"),
        (StoreUnreachable("down", where="s3://b"), "always"),
        (lasting(NetworkFailure("the proxy wants a password")), "accepted or unattended"),
        (NoPermission("no"), "accepted"),
        (StoreMissing("gone", where="s3://b"), "accepted"),
        (StoreMissing("gone", where="file:/mnt/archive"), "accepted or unattended"),
        (StoreFull("full", where="file:/mnt/archive"), "never"),
    ],
)
def test_after_acceptance_more_kinds_of_errors_are_waited_out(error, waits_when):
    assert may_pass(error, accepted=True, unattended=False) == (waits_when != "never")
    assert may_pass(error, accepted=False, unattended=True) == (
        waits_when.split()[-1] in ("always", "unattended")
    )
    assert may_pass(error, accepted=False, unattended=False) == (waits_when == "always")
