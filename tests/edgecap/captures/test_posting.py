"""What the answer to a POST proves, what is journalled around it, and what asks for a window again."""

from datetime import UTC, datetime, timedelta

import pytest

from edgecap.archive.journal import Journal
from edgecap.captures.intent import decide
from edgecap.captures.order import CaptureOrder
from edgecap.captures.posting import Look, about_to_post, had_arrived, proves_nothing_accepted, repeat_of
from edgecap.clock import ServerClock
from edgecap.cloudflare.models import Capture, Listing
from edgecap.errors import (
    BadCredentials,
    Busy,
    NetworkFailure,
    RateLimited,
    RequestRefused,
    ServerFailure,
    UnexpectedAnswer,
)
from edgecap.requests import FullRequest, SimpleRequest, rfc3339
from edgecap.settings import Settings
from edgecap.stores.folder import FolderStore

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def journal(tmp_path):
    return Journal(FolderStore(tmp_path))


def decided(request):
    return decide(CaptureOrder(request, "run"), Settings(), now=NOW)


def post(journal, intent, *, at=NOW, captures=(), destination=""):
    return about_to_post(journal, journal.find(intent.intent_id), Listing(list(captures), at), destination)


@pytest.mark.parametrize(
    ("status", "arrived"),
    [
        (500, True),
        (503, True),
        (408, False),
        (502, False),
        (504, False),
        (520, False),
        (530, False),
        (531, True),
    ],
)
def test_a_gateway_s_answer_does_not_say_that_the_post_has_arrived(status, arrived):
    """It may still pass the request on, so the list can tell only two minutes later."""
    assert had_arrived(ServerFailure("trouble", status=status, sent=True)) is arrived


@pytest.mark.parametrize("error", [NetworkFailure("reset", sent=True), UnexpectedAnswer("odd", sent=True)])
def test_without_an_api_answer_nothing_proves_that_the_post_arrived(error):
    assert not had_arrived(error)
    assert not proves_nothing_accepted(error)


@pytest.mark.parametrize(
    "error",
    [
        RequestRefused("no", status=400, sent=True),
        RateLimited("later", status=429, sent=True),
        Busy("busy", status=409, sent=True),
        BadCredentials("who", status=401, sent=True),
        NetworkFailure("cannot connect", sent=False),
    ],
)
def test_a_refusal_and_what_was_never_sent_prove_that_nothing_was_accepted(error):
    assert proves_nothing_accepted(error)


def test_server_trouble_proves_nothing():
    assert not proves_nothing_accepted(ServerFailure("trouble", status=503, sent=True))


def test_the_server_s_time_advances_from_the_look_at_its_speed():
    look = Look(Listing([], NOW), 100.0, lambda: 130.0, ServerClock(lambda: NOW, speed=2.0))
    assert look.age == 30
    assert look.now() == NOW + MINUTE


def test_a_post_is_journalled_with_what_the_list_showed_and_without_keys(journal):
    intent = journal.begin(decided(FullRequest(colo="ORD", time_limit=60)))
    old = [Capture(id=f"{number}" * 32, type=kind) for number, kind in enumerate(("full", "simple"))]
    destination = "r2://caps/full?account-id=1&access-key-id=AK&secret-access-key=SK"
    assert post(journal, intent, captures=old, destination=destination) == 1
    [posting] = journal.find(intent.intent_id).postings
    assert (posting.at, posting.listed) == (NOW, ("0" * 32,))
    assert "caps/full" in posting.destination
    assert "SK" not in posting.destination


def test_of_two_processes_of_one_run_the_second_may_not_post(journal):
    intent = journal.begin(decided(SimpleRequest(time_limit=5)))
    record = journal.find(intent.intent_id)
    assert about_to_post(journal, record, Listing([], NOW), "") == 1
    assert about_to_post(journal, record, Listing([], NOW), "") == 0
    assert post(journal, intent, at=NOW + 8 * MINUTE) == 2  # once the first is proven to have started nothing


def test_a_window_is_requested_again_once_with_its_own_fingerprint():
    first = decided(SimpleRequest(time_limit=5))
    again = repeat_of(first, now=NOW + 8 * MINUTE)
    assert again.repeats == first.intent_id != again.intent_id
    assert again.decided == NOW + 8 * MINUTE
    assert abs(again.request.offset_time - first.request.offset_time) <= timedelta(seconds=1)
    assert again.request.offset_time != first.request.offset_time
    assert again.body == {**first.body, "offset_time": rfc3339(again.request.offset_time)}
    assert repeat_of(again, now=NOW + 9 * MINUTE) is None
    assert repeat_of(decided(FullRequest(colo="ORD", time_limit=60)), now=NOW) is None
