"""Whose capture it is: ours only if all that the API says of it is what we posted, after we had posted it."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Answer, Intent, Posting
from edgecap.captures.adoption import ARRIVES_WITHIN, CLOCKS_APART, Match, find_accepted, match
from edgecap.captures.body import request_body
from edgecap.captures.lanes import LAG
from edgecap.cloudflare.models import PAGE, Capture, Listing
from edgecap.requests import Filter, FullRequest, SimpleRequest, rfc3339
from edgecap.stores.folder import FolderStore

POSTED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
BUCKET = "s3://captures/edge?region=us-east-1"
SIMPLE = SimpleRequest(
    time_limit=60, offset_time=POSTED.replace(microsecond=123_456), filter=Filter(protocol=17)
)
FULL = FullRequest(
    colo="ORD", time_limit=60, byte_limit=5000, filter=Filter(destination_address="203.0.113.7")
)
ANSWERS = {
    "simple": {
        "type": "simple",
        "time_limit": 60,
        "offset_time": rfc3339(SIMPLE.offset_time),
        "filter_v1": {"protocol": 17},
    },
    "full": {
        "type": "full",
        "time_limit": 60,
        "byte_limit": 5000,
        "colo_name": "ORD",
        "destination_conf": BUCKET,
        "filter_v1": {"destination_address": "203.0.113.7"},
    },
}


def intent(request, name="ours"):
    body = request_body(request)
    body.pop("destination_conf", None)
    names = {"account": "default", "archive": "default"}
    return Intent(intent_id=name, request=request, body=body, decided=POSTED - MINUTE, **names)


def posting(number=1, at=POSTED, listed=()):
    return Posting(number=number, at=at, destination=BUCKET, listed=listed)


def capture(kind="full", after=1.0, number=1, **differs):
    """The capture as the API lists it, submitted `after` seconds after the POST was recorded."""
    fields = {
        "id": f"{number:032x}",
        "submitted": rfc3339(POSTED + timedelta(seconds=after)),
        **ANSWERS[kind],
    }
    fields |= differs
    return Capture.model_validate({name: value for name, value in fields.items() if value != "gone"})


def of(kind, found, **more):
    return match(intent(SIMPLE if kind == "simple" else FULL), posting(**more), found)


ROUNDED = {"offset_time": "2026-11-23T06:30:00Z"}


@pytest.mark.parametrize("kind", ["simple", "full"])
def test_a_capture_that_equals_the_post_is_ours(kind):
    assert of(kind, capture(kind)) is Match.YES
    assert of(kind, capture(kind, packet_limit=10_000 if kind == "simple" else None)) is Match.YES


SAME = [
    ({"colo_name": "gone", "colo": "ORD"}, Match.YES),
    ({"colo_name": "ord"}, Match.YES),
    ({"destination_conf": "s3://captures/edge/"}, Match.YES),
    ({"filter_v1": {"destination_address": "203.0.113.7/32", "protocol": None}}, Match.YES),
    ({"submitted": rfc3339(POSTED)}, Match.YES),
]
OTHERS = [
    {"type": "simple"},
    {"time_limit": 61},
    {"byte_limit": 6000},
    {"colo_name": "AMS"},
    {"destination_conf": "s3://captures/other?region=us-east-1"},
    {"destination_conf": "s3://another/edge?region=us-east-1"},
    {"destination_conf": "gs://captures/edge"},
    {"filter_v1": {}},
    {"filter_v1": {"destination_address": "203.0.113.8"}},
    {"filter_v1": {"destination_address": "203.0.113.7", "protocol": 6}},
    {"submitted": rfc3339(POSTED - CLOCKS_APART - SECOND)},
    {"submitted": rfc3339(POSTED + ARRIVES_WITHIN + CLOCKS_APART + SECOND)},
    {"id": "f" * 32},
]
SILENT = [
    {"time_limit": "gone"},
    {"byte_limit": "gone"},
    {"colo_name": "gone"},
    {"destination_conf": "gone"},
    {"destination_conf": "***"},
    {"filter_v1": "gone"},
    {"filter_v1": None},
    {"submitted": "gone"},
    {"submitted": rfc3339(POSTED - SECOND)},
    {"packet_limit": 7},
]


@pytest.mark.parametrize(("differs", "same"), SAME, ids=str)
def test_other_ways_to_write_the_same_make_no_difference(differs, same):
    assert of("full", capture(**differs)) is same


@pytest.mark.parametrize("differs", OTHERS, ids=str)
def test_a_colleagues_full_capture_is_not_ours(differs):
    assert of("full", capture(**differs), listed=("f" * 32,)) is Match.NO


@pytest.mark.parametrize("differs", SILENT, ids=str)
def test_a_capture_with_missing_fields_may_be_ours(differs):
    assert of("full", capture(**differs)) is Match.MAYBE


def test_a_limit_that_was_not_requested_may_be_a_default():
    unlimited = intent(FULL.model_copy(update={"byte_limit": None}))
    assert match(unlimited, posting(), capture(byte_limit="gone")) is Match.YES
    assert match(unlimited, posting(), capture(byte_limit=1_000_000_000)) is Match.MAYBE


@pytest.mark.parametrize(
    ("echo", "found"),
    [
        ("2026-11-23T06:30:00.123456Z", Match.YES),
        ("2026-11-23T06:30:00.123Z", Match.YES),
        ("2026-11-23T06:30:00.124Z", Match.YES),
        ("2026-11-23T06:30:00Z", Match.YES),
        ("2026-11-23T06:30:01Z", Match.YES),
        ("2026-11-23T06:30:00.123457Z", Match.NO),
        ("2026-11-23T06:30:00.125Z", Match.NO),
        ("2026-11-23T06:31:00Z", Match.NO),
        (None, Match.MAYBE),
    ],
)
def test_a_simple_capture_is_matched_by_fingerprint_even_if_the_api_rounds(echo, found):
    assert of("simple", capture("simple", offset_time=echo)) is found


@pytest.mark.parametrize(
    "differs",
    [
        {"type": "full"},
        {"time_limit": 61},
        {"filter_v1": {"protocol": 6}},
        {"submitted": rfc3339(POSTED - 5 * MINUTE)},
    ],
    ids=str,
)
def test_another_simple_capture_is_not_ours(differs):
    assert of("simple", capture("simple", **differs)) is Match.NO


def test_a_fingerprint_with_all_its_digits_tells_more_than_all_else():
    """Something on the way sent the POST twice: the second was refused, the first accepted."""
    ours = intent(SIMPLE)
    assert match(ours, posting(), capture("simple"), refused=True) is Match.YES
    assert match(ours, posting(), capture("simple", submitted="gone", filter_v1="gone")) is Match.YES
    assert match(ours, posting(), capture("simple", **ROUNDED), refused=True) is Match.NO
    assert match(intent(FULL), posting(), capture(), refused=True) is Match.NO


class Pages:
    """Further pages of the list; none if none are given."""

    def __init__(self, *captures):
        self.captures, self.asked = list(captures), []

    async def list_back_to(self, listing, moment):
        self.asked.append(moment)
        return Listing([*listing.captures, *self.captures], listing.server_time)


ONE = (posting(),)
LATER = POSTED + ARRIVES_WITHIN + LAG


def others(count, after=30.0):
    return [capture("simple", after + number, 100 + number) for number in range(count)]


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "archive").mkdir()
    return Journal(FolderStore(tmp_path / "archive"))


@pytest.fixture
def look(journal):
    ours = intent(FULL)
    journal.begin(ours)

    async def looking(captures, now, *, postings=ONE, answers=(), pages=None):
        if not journal.find("ours").postings:
            for one in postings:
                journal.post("ours", one)
            for one in answers:
                journal.answer("ours", one)
        listing = Listing(captures, now)
        return await find_accepted(journal, journal.find("ours"), listing, pages or Pages())

    return looking


async def test_an_intent_that_never_posted_adopts_nothing(look):
    found = await look([capture()], LATER, postings=())
    assert found.absent
    assert found.capture is None


async def test_the_first_match_is_ours_unless_another_intent_has_it(look, journal):
    first, second = capture(after=1, number=1), capture(after=50, number=2)
    assert (await look([second, first], LATER)).capture == first
    other = journal.begin(intent(FULL, "other"))
    journal.accept(other.intent_id, first.raw)
    assert (await look([second, first], LATER)).capture == second


@pytest.mark.parametrize("hours", [0, 40])
async def test_a_capture_of_an_intent_that_waited_long_is_not_ours(look, journal, tmp_path, hours):
    other = journal.begin(intent(FULL, "other"))
    journal.accept(other.intent_id, capture().raw)
    begun = (POSTED - hours * timedelta(hours=1)).timestamp()
    os.utime(tmp_path / "archive" / "intents" / "other" / "intent.json", (begun, begun))
    assert (await look([capture()], LATER)).capture is None


async def test_absence_is_proven_once_the_list_would_show_a_late_post(look):
    early = await look([], LATER - SECOND)
    assert (early.absent, early.until) == (False, LATER)
    assert "not known before 2026-11-23T06:37" in early.doubt
    assert (await look([], LATER)).absent


async def test_after_an_answered_post_only_the_list_lag_is_waited_for(look):
    answered = Answer(number=1, at=POSTED + 2 * SECOND, refused=False)
    early = await look([], POSTED + LAG, answers=[answered])
    assert early.until == POSTED + 2 * SECOND + LAG
    assert (await look([], early.until)).absent


async def test_the_answer_to_an_earlier_post_says_nothing_of_a_later_one(look):
    earlier = posting(at=POSTED - 10 * MINUTE)
    refused = Answer(number=1, at=POSTED - 10 * MINUTE, refused=True)
    found = await look([], POSTED + LAG, postings=[earlier, posting(2)], answers=[refused])
    assert found.until == LATER


async def test_a_refusal_proves_at_once_that_nothing_was_accepted(look):
    refused = Answer(number=1, at=POSTED, refused=True)
    assert (await look(others(PAGE), POSTED + SECOND, answers=[refused])).absent


async def test_a_person_decides_about_candidates_once_waiting_cannot_help(look):
    silent = capture(destination_conf="gone")
    assert (await look([silent], LATER - SECOND)).until == LATER
    found = await look([silent], LATER)
    assert (found.until, found.candidates) == (None, (silent,))
    assert silent.id in found.doubt


async def test_a_capture_beyond_a_full_list_is_unknown_and_not_absent(look):
    """Somebody else took 52 captures while the run was down."""
    found = await look(others(PAGE), LATER)
    assert (found.capture, found.until, found.absent) == (None, None, False)
    assert "does not reach back" in found.doubt


async def test_a_full_list_that_reaches_back_to_before_the_post_proves_absence(look):
    nearly = [*others(PAGE - 1), capture(after=-30, number=99, colo_name="AMS")]
    assert not (await look(nearly, LATER)).absent  # by a clock that is a minute off it was after the POST
    assert (await look([*others(PAGE - 1), capture(after=-120, number=99)], LATER)).absent


async def test_further_pages_are_asked_for(look):
    ours, pages = capture(), Pages()
    assert not (await look(others(PAGE), LATER, pages=pages)).absent
    assert pages.asked == [POSTED - CLOCKS_APART]
    assert (await look(others(PAGE), LATER, pages=Pages(ours))).capture == ours
    assert (await look(others(PAGE), LATER, pages=Pages(capture(after=-120, number=99)))).absent


async def test_no_further_page_of_a_list_that_is_whole_is_asked_for(look):
    pages = Pages()
    assert (await look(others(3), LATER, pages=pages)).absent
    assert not pages.asked


@pytest.mark.parametrize("answers", [(), (Answer(number=1, at=POSTED, refused=False),)], ids=["none", "503"])
async def test_an_absence_is_journalled_as_soon_as_it_is_proven(look, journal, answers):
    """The lane may be busy for hours then, and others fill the list."""
    assert (await look([], LATER, answers=answers)).absent
    assert not journal.find("ours").unsettled
    assert (await look(others(PAGE), LATER + MINUTE)).absent
    late = capture()
    assert (await look([late], LATER + MINUTE)).capture == late, "the list lagged longer than is assumed"


@pytest.mark.parametrize(
    ("captures", "now"), [([], LATER - SECOND), (others(PAGE), LATER), ([capture(colo_name="gone")], LATER)]
)
async def test_an_unproven_match_is_not_journalled(look, journal, captures, now):
    await look(captures, now)
    assert len(journal.find("ours").unsettled) == 1


@pytest.mark.parametrize(
    ("count", "total", "whole"),
    [
        (0, None, True),
        (PAGE - 1, None, True),
        (PAGE, None, False),
        (PAGE, PAGE, False),
        (PAGE - 1, PAGE, False),
        (3, 3, True),
        (PAGE + 7, PAGE + 7, True),
        (PAGE + 7, PAGE + 8, False),
    ],
)
def test_a_list_is_whole_if_shorter_than_a_page_or_its_total(count, total, whole):
    assert Listing(others(count), LATER, total).reaches_back_to(POSTED) == whole


async def test_a_proven_absence_stays_proven_once_it_was_posted_again(look):
    """After a 500 the list proved that nothing came of it; others fill the list before the next look."""
    answered = Answer(number=1, at=POSTED, refused=False)
    again = posting(2, at=POSTED + 10 * MINUTE)
    refused = Answer(number=2, at=again.at, refused=True)
    found = await look(others(PAGE, after=1200), LATER, postings=[*ONE, again], answers=[answered, refused])
    assert found.absent
