"""`resolve`: a person says what became of a request where the list of captures cannot tell."""

import json

import pytest

from edgecap.archive.journal import Journal
from edgecap.captures.body import request_body
from edgecap.captures.intent import decide
from edgecap.captures.order import CaptureOrder
from edgecap.captures.posting import about_to_post
from edgecap.cloudflare.models import Listing
from edgecap.requests import SimpleRequest
from edgecap.settings import Settings
from tests.edgecap.cli.conftest import ACCOUNT


@pytest.fixture
def journal(store):
    return Journal(store)


@pytest.fixture
def unknown(edge, journal):
    """An intent that was posted, and whose run never learned what came of it."""
    now = edge.clock.now()
    intent = decide(CaptureOrder(SimpleRequest(time_limit=5), "lost", "lost-run"), Settings(), now=now)
    journal.begin(intent)
    about_to_post(journal, journal.find(intent.intent_id), Listing([], now.replace(microsecond=0)), "")
    return intent


def test_the_captures_that_may_be_its_own_are_shown(call, edge, unknown):
    own = edge.create(ACCOUNT, dict(unknown.body))
    edge.simple_spacing = 0
    other = edge.create(ACCOUNT, request_body(SimpleRequest(time_limit=9)))
    done = call("resolve", unknown.intent_id[:8], "--json")
    assert done.returncode == 0, done.stderr
    shown = {one["capture"]["id"]: one["match"] for one in json.loads(done.stdout)["candidates"]}
    assert shown == {own["id"]: "yes", other["id"]: "no"}
    words = call("resolve", unknown.intent_id)
    assert f"{own['id']}\tyes" in words.stdout
    assert "lost-run" in words.stdout


def test_the_capture_that_a_person_names_is_the_intents_own(call, edge, unknown, journal):
    own = edge.create(ACCOUNT, dict(unknown.body))
    done = call("resolve", unknown.intent_id, "--capture", own["id"])
    assert done.returncode == 0, done.stderr
    assert "`edgecap reconcile` archives it" in done.stdout
    assert journal.find(unknown.intent_id).capture_id == own["id"]
    again = call("resolve", unknown.intent_id, "--not-accepted")
    assert again.returncode == 2
    assert f"led to capture {own['id']}" in again.stderr


def test_an_intent_that_was_not_accepted_is_ended(call, unknown, journal):
    done = call("resolve", unknown.intent_id, "--not-accepted", "--json")
    assert json.loads(done.stdout) == {"intent": unknown.intent_id, "capture": None}
    assert journal.find(unknown.intent_id).ended.outcome == "never-accepted"
    again = call("resolve", unknown.intent_id, "--capture", "f" * 32)
    assert again.returncode in (2, 13)


def test_another_intents_capture_and_one_of_another_type_are_refused(call, edge, unknown, journal):
    own = edge.create(ACCOUNT, dict(unknown.body))
    order = CaptureOrder(SimpleRequest(time_limit=6), "other")
    other = decide(order, Settings(), now=edge.clock.now())
    journal.begin(other)
    journal.accept(other.intent_id, own)
    done = call("resolve", unknown.intent_id, "--capture", own["id"])
    assert (done.returncode, f"belongs to intent {other.intent_id}" in done.stderr) == (2, True)
    gone = call("resolve", unknown.intent_id, "--capture", "f" * 32)
    assert gone.returncode == 13
    assert journal.find(unknown.intent_id).accepted is None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["beef" * 8], 13, "no open intent"),
        (["beef" * 8, "--capture", "f" * 32, "--not-accepted"], 2, "contradict each other"),
    ],
)
def test_bad_input_is_one_line(call, edge, arguments, code, words):
    done = call("resolve", *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
