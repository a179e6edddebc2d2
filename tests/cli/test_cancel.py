"""`edgecap cancel` where no Prefect server runs: straight to Cloudflare, judged by the edge's log."""

import asyncio
import json
import uuid

import pytest

from edgecap.archive.journal import Journal
from edgecap.cloudflare.client import Client, Listing
from edgecap.destinations import destination_conf
from edgecap.intents import decide
from edgecap.ownership import register
from edgecap.posting import about_to_post
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import load_settings
from edgecap.simulator.faults import parse_fault
from edgecap.stores import open_store

LONG = FullRequest(colo="ORD", time_limit=30_000)


@pytest.fixture
def settings(shell, edge, monkeypatch):
    """The shell's settings, with its bucket registered."""
    monkeypatch.setenv("EDGECAP_CONFIG", str(shell.folder / "edgecap.toml"))
    monkeypatch.setenv("EDGECAP_ARCHIVES__DEFAULT__URI", shell.env["EDGECAP_ARCHIVES__DEFAULT__URI"])
    found = load_settings()

    async def registered():
        async with Client(found.account()) as client:
            await register(client, open_store(found.bucket()), found.bucket())

    asyncio.run(registered())
    return found


def post(settings, body):
    """A capture at the edge, and nobody here knows of it."""

    async def posted():
        async with Client(settings.account()) as client:
            return await client.create_capture(body)

    return asyncio.run(posted())


def full_body(settings):
    bucket = destination_conf(settings.bucket(), with_secrets=False)
    return {
        "type": "full",
        "system": "magic-transit",
        "colo_name": "ORD",
        "time_limit": 30_000,
        "destination_conf": bucket,
    }


def decided(settings, edge, store, run_id, request=LONG):
    """An intent in the journal, as a run leaves it that was killed before its POST."""
    names = {"run_name": "full ORD", "account": "default", "archive": "default"}
    intent = decide(request, settings, run_id=run_id, scheduled=None, now=edge.clock.now(), **names)
    return Journal(store).begin(intent)


def about_to(settings, edge, store, intent):
    """The POST is journalled, and no more."""
    journal = Journal(store)
    listing = Listing([], edge.clock.now().replace(microsecond=0))
    place = destination_conf(settings.bucket(), with_secrets=False)
    about_to_post(journal, journal.find(intent.intent_id), listing, place)


def accepted(settings, edge, store, run_id, *, journalled=True):
    intent = decided(settings, edge, store, run_id)
    journal = Journal(store)
    about_to(settings, edge, store, intent)
    bucket = destination_conf(settings.bucket(), with_secrets=True)
    capture = post(settings, {**intent.body, "destination_conf": bucket})
    if journalled:
        journal.accept(intent.intent_id, capture.raw)
    return capture


def stops(edge):
    return [event["capture_id"] for event in edge.log.events("stop")]


def test_a_colleague_s_capture_is_stopped_only_when_that_is_meant(call, settings, edge):
    capture = post(settings, full_body(settings))
    done = call("cancel", capture.id)
    assert done.returncode == 2
    assert f"capture {capture.id} at ORD" in done.stderr
    assert "was not started by edgecap" in done.stderr
    assert "--yes" in done.stderr
    assert stops(edge) == []
    done = call("cancel", capture.id[:8], "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Cloudflare was asked to stop full capture {capture.id}" in done.stdout
    assert "may be lost" in done.stdout
    assert stops(edge) == [capture.id]


@pytest.mark.parametrize("by", ["capture", "beginning", "run"])
def test_a_capture_of_ours_is_stopped_by_any_id(call, settings, edge, store, by):
    run_id = str(uuid.uuid4())
    capture = accepted(settings, edge, store, run_id)
    which = {"capture": capture.id, "beginning": capture.id[:6], "run": run_id}[by]
    done = call("cancel", which, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["capture_id"], said["outcome"]) == (capture.id, "asked")
    assert "no server is known" in said["detail"]
    assert stops(edge) == [capture.id]


def test_a_capture_whose_id_was_never_journalled_is_stopped_by_its_run_s_id(call, settings, edge, store):
    run_id = str(uuid.uuid4())
    capture = accepted(settings, edge, store, run_id, journalled=False)
    done = call("cancel", run_id)
    assert done.returncode == 0, done.stderr
    assert stops(edge) == [capture.id]


def test_a_prefect_server_that_does_not_answer_does_not_hold_it_up(call, settings, edge, store):
    capture = accepted(settings, edge, store, str(uuid.uuid4()))
    done = call("cancel", capture.id, PREFECT_API_URL="http://127.0.0.1:1/api")
    assert done.returncode == 0, done.stderr
    assert "Prefect was not asked: the Prefect server does not answer" in done.stdout
    assert stops(edge) == [capture.id]


def test_what_cloudflare_does_not_stop_is_an_error_of_its_own(call, settings, edge, store, monkeypatch):
    monkeypatch.setattr("cli.cancel.STOP_WITHIN", 2.0)
    capture = accepted(settings, edge, store, str(uuid.uuid4()))
    edge.faults.add(parse_fault("error,method=PUT,path=*/stop,count=always,value=503"))
    done = call("cancel", capture.id)
    assert done.returncode == 19
    assert f"Cloudflare does not stop capture {capture.id}" in done.stderr
    assert "`edgecap reconcile` tries again" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_capture_that_may_still_turn_up_is_no_success(call, settings, edge, store, monkeypatch):
    """Its POST was recorded, nobody knows the answer, and the list does not show it."""
    monkeypatch.setattr("cli.cancel.STOP_WITHIN", 3.0)
    monkeypatch.setattr("cli.cancel.UNSEEN", 1.0)
    run_id = str(uuid.uuid4())
    about_to(settings, edge, store, decided(settings, edge, store, run_id))
    done = call("cancel", run_id)
    assert done.returncode == 19, done.stderr
    assert "whether Cloudflare accepted a capture for it is not known yet" in done.stderr
    assert "cancel it again then" in done.stderr
    assert stops(edge) == []


@pytest.mark.parametrize("whose", ["ours", "a colleague's"])
def test_a_record_that_cannot_be_read_does_not_keep_a_capture_from_being_stopped(
    call, settings, edge, store, whose
):
    store.put("intents/unreadable/intent.json", b"garbage")
    if whose == "ours":
        capture, more = accepted(settings, edge, store, str(uuid.uuid4())), ()
    else:
        capture, more = post(settings, full_body(settings)), ("--yes",)
    done = call("cancel", capture.id, *more)
    assert done.returncode == 0, done.stderr
    assert stops(edge) == [capture.id]


def test_an_archive_that_is_away_does_not_keep_a_capture_from_being_stopped(call, settings, edge, store):
    capture = accepted(settings, edge, store, str(uuid.uuid4()))
    away = {"EDGECAP_ARCHIVES__DEFAULT__URI": "file:/nowhere/archive"}
    done = call("cancel", capture.id, **away)
    assert done.returncode == 19
    assert "the journal, which says whose capture it is, cannot be read" in done.stderr
    assert "--yes" in done.stderr
    assert stops(edge) == []
    done = call("cancel", capture.id, "--yes", **away)
    assert done.returncode == 0, done.stderr
    assert stops(edge) == [capture.id]


def test_ids_that_name_nothing_or_nothing_that_can_be_stopped(call, settings, edge):
    for unknown in ("f" * 32, "abcdef", str(uuid.uuid4())):
        done = call("cancel", unknown)
        assert done.returncode == 13, done.stderr
        assert "no unfinished run and no capture" in done.stderr
    simple = post(
        settings, {"type": "simple", "system": "magic-transit", "time_limit": 5, "packet_limit": 10}
    )
    done = call("cancel", simple.id, "--yes")
    assert (done.returncode, "simple" in done.stderr) == (2, True)
    assert call("cancel", "abc").returncode == 2
    assert stops(edge) == []


def test_a_run_of_a_simple_capture_has_nothing_to_stop(call, settings, edge, store):
    run_id = str(uuid.uuid4())
    decided(settings, edge, store, run_id, SimpleRequest(time_limit=5))
    done = call("cancel", run_id)
    assert done.returncode == 0
    assert "no full capture of it runs at Cloudflare" in done.stdout
