"""`edgecap cancel` where no Prefect server runs: straight to Cloudflare, judged by the edge's log."""

import asyncio
import json
import signal
import uuid

import pytest

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Ended
from edgecap.captures.destinations import destination_conf
from edgecap.captures.intent import decide
from edgecap.captures.order import CaptureOrder
from edgecap.captures.ownership import register
from edgecap.captures.posting import about_to_post
from edgecap.cli.cancelling import Cancelling
from edgecap.cli.interrupting import Signalled
from edgecap.cli.running import end_interrupted
from edgecap.cloudflare.client import Client, Listing
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import load_settings
from edgecap.simulator.faults import parse_fault
from edgecap.stores import open_store
from tasks.runtime.cancelled import CAPTURE, Cancelled, stop_once
from tasks.runtime.cancelling import RUNS, Watched, note_capture
from tests.stand_ins import JsonHandler, Silent, serving

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
    intent = decide(CaptureOrder(request, run_id, "full ORD"), settings, now=edge.clock.now())
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


def test_a_capture_without_a_journalled_id_is_stopped_by_run_id(call, settings, edge, store):
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


def test_a_failed_stop_has_its_own_error(call, settings, edge, store, monkeypatch):
    monkeypatch.setattr("edgecap.cli.cancelling.STOP_WITHIN", 2.0)
    capture = accepted(settings, edge, store, str(uuid.uuid4()))
    edge.faults.add(parse_fault("error,method=PUT,path=*/stop,count=always,value=503"))
    done = call("cancel", capture.id)
    assert done.returncode == 19
    assert f"Cloudflare does not stop capture {capture.id}" in done.stderr
    assert "`edgecap reconcile` tries again" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_capture_that_may_still_turn_up_is_no_success(call, settings, edge, store, monkeypatch):
    """Its POST was recorded, nobody knows the answer, and the list does not show it."""
    monkeypatch.setattr("edgecap.cli.cancelling.STOP_WITHIN", 3.0)
    monkeypatch.setattr("edgecap.cli.cancelling.UNSEEN", 1.0)
    run_id = str(uuid.uuid4())
    about_to(settings, edge, store, decided(settings, edge, store, run_id))
    done = call("cancel", run_id)
    assert done.returncode == 19, done.stderr
    assert "whether Cloudflare accepted a capture for it is not known yet" in done.stderr
    assert "cancel it again then" in done.stderr
    assert stops(edge) == []


@pytest.mark.parametrize("whose", ["ours", "a colleague's"])
def test_an_unreadable_record_does_not_prevent_a_stop(call, settings, edge, store, whose):
    store.put("intents/unreadable/intent.json", b"garbage")
    if whose == "ours":
        capture, more = accepted(settings, edge, store, str(uuid.uuid4())), ()
    else:
        capture, more = post(settings, full_body(settings)), ("--yes",)
    done = call("cancel", capture.id, *more)
    assert done.returncode == 0, done.stderr
    assert stops(edge) == [capture.id]


def test_an_unreachable_archive_does_not_prevent_a_stop(call, settings, edge, store):
    capture = accepted(settings, edge, store, str(uuid.uuid4()))
    away = {"EDGECAP_ARCHIVES__DEFAULT__URI": "file:/nowhere/archive"}
    done = call("cancel", capture.id, **away)
    assert done.returncode == 19
    assert "the journal, which knows who started the capture, cannot be read" in done.stderr
    assert "--yes" in done.stderr
    assert stops(edge) == []
    done = call("cancel", capture.id, "--yes", **away)
    assert done.returncode == 0, done.stderr
    assert stops(edge) == [capture.id]


def silent_archive(server):
    """The environment of an archive in a bucket that never answers."""
    place = {"URI": "s3://archive/edge", "ENDPOINT_URL": server.url}
    place |= {"ACCESS_KEY_ID": "AKIA", "SECRET_ACCESS_KEY": "secret"}
    return {f"EDGECAP_ARCHIVES__DEFAULT__{name}": value for name, value in place.items()}


async def test_a_capture_is_stopped_before_the_archive_or_prefect_has_answered(settings, edge, monkeypatch):
    """With the whole id and `--yes`, nothing but Cloudflare is needed."""
    monkeypatch.setattr("edgecap.cli.id_lookup.JOURNAL", 3600.0)
    monkeypatch.setattr("edgecap.cli.id_lookup.PREFECT_ANSWER", 3600.0)
    capture = await asyncio.to_thread(post, settings, full_body(settings))
    with Silent() as archive, Silent() as prefect:
        for name, value in silent_archive(archive).items():
            monkeypatch.setenv(name, value)
        cancelling = Cancelling(load_settings(), "default", "default", f"{prefect.url}/api")
        cancelled = asyncio.create_task(cancelling.cancel(capture.id, yes=True))
        async with asyncio.timeout(240):
            while not stops(edge):  # noqa: ASYNC110 - the edge's log tells
                await asyncio.sleep(0.05)
        assert (archive.given_up, prefect.given_up) == (0, 0)
    said = await cancelled
    assert (said["capture_id"], said["outcome"]) == (capture.id, "asked")
    assert "It is unknown whether a run of edgecap had it" in said["detail"]
    assert stops(edge) == [capture.id]


async def test_a_run_that_learns_its_capture_while_its_journal_hangs_stops_it(settings, edge, monkeypatch):
    capture = await asyncio.to_thread(post, settings, full_body(settings))
    with Silent() as archive:
        for name, value in silent_archive(archive).items():
            monkeypatch.setenv(name, value)
        run = Watched(str(uuid.uuid4()), "an intent", "default", "default")
        RUNS[run.run_id] = run
        try:
            stopping = asyncio.create_task(run.stop(within=3600))
            async with asyncio.timeout(240):
                while not archive.taken:  # noqa: ASYNC110 - the server tells
                    await asyncio.sleep(0.05)
            note_capture(run.run_id, capture.id)
            assert (await stopping).capture_id == capture.id
        finally:
            del RUNS[run.run_id]
        assert archive.given_up == 0
    assert stops(edge) == [capture.id]


class Run:
    """A run in this process that Cloudflare has accepted no capture of; ended before the archive is asked."""

    run_id = capture_id = ""
    is_over = may_go_on = was_stopped = False

    def __init__(self, archive):
        self.archive = archive

    def __str__(self):
        return "no full capture of it runs at Cloudflare"

    def ended_by_itself(self):
        return None

    def end(self, *, leave):
        assert not leave
        assert self.archive.taken == 0
        self.was_stopped = True


def test_ctrl_c_ends_the_run_before_anything_is_asked_of_the_archive(settings, monkeypatch):
    with Silent() as archive:
        for name, value in silent_archive(archive).items():
            monkeypatch.setenv(name, value)
        run = Run(archive)
        with pytest.raises(KeyboardInterrupt, match="no full capture of it runs"):
            end_interrupted(
                run, LONG, load_settings(), "default", detach=False, signalled=Signalled(signal.SIGTERM)
            )
        assert run.was_stopped


@pytest.mark.parametrize("yes", [True, False])
def test_a_hanging_archive_does_not_delay_the_end_of_the_command(call, settings, edge, monkeypatch, yes):
    monkeypatch.setattr("edgecap.cli.id_lookup.JOURNAL", 1.0)
    capture = post(settings, full_body(settings))
    with Silent() as archive:
        done = call("cancel", capture.id, *(["--yes"] if yes else []), **silent_archive(archive))
        # One more would follow, were its answer waited for. A busy machine may not get to the first in time.
        assert archive.taken <= 1
    assert done.returncode == (0 if yes else 19), done.stderr
    assert "no answer within 1 s" in (done.stdout if yes else done.stderr)
    assert stops(edge) == ([capture.id] if yes else [])


class OneRun(JsonHandler):
    """As much of Prefect as a cancel of one run takes. `server.look` is called at each look at the run."""

    def do_GET(self):
        self.server.look()
        known = self.path.endswith(self.server.run["id"])
        self.say(self.server.run if known else {}, 200 if known else 404)

    def do_POST(self):
        self.body()
        if self.path.endswith("/filter"):
            self.say([self.server.run])
            return
        self.server.run["state"] = {"type": "CANCELLING", "name": "Cancelling"}
        self.say({})


@pytest.fixture
def prefect():
    """A running run of a full capture, at a server."""
    run = {"id": str(uuid.uuid4()), "name": "full ORD", "state": {"type": "RUNNING", "name": "Running"}}
    run["parameters"] = {"request": {"type": "full"}}
    with serving(OneRun, run=run, look=lambda: None) as server:
        server.url += "/api"
        yield server


def test_a_capture_posted_after_the_cancel_is_stopped(call, settings, edge, store, prefect):
    """It looks for a cancel only now and then: that nothing runs counts once the run is over."""
    intent = decided(settings, edge, store, prefect.run["id"])
    looks, posted = [], []

    def look():
        if prefect.run["state"]["type"] != "CANCELLING":
            return
        looks.append(1)
        if len(looks) == 3:
            about_to(settings, edge, store, intent)
            body = {**intent.body, "destination_conf": destination_conf(settings.bucket(), with_secrets=True)}
            posted.append(post(settings, body).id)

    prefect.look = look
    done = call("cancel", prefect.run["id"], PREFECT_API_URL=prefect.url)
    assert done.returncode == 0, done.stderr
    assert f"full ORD ({prefect.run['id']}) is cancelling; Cloudflare was asked to stop" in done.stdout
    assert stops(edge) == posted != []


@pytest.mark.parametrize("by", ["run", "capture", "canceller"])
def test_a_capture_named_by_its_run_is_stopped_without_the_archive(
    call, settings, edge, prefect, monkeypatch, by
):
    """Such as one that sleeps while its capture runs: it has no process that could do it."""
    capture = post(settings, full_body(settings))
    prefect.run["labels"] = {CAPTURE: capture.id}
    away = {"EDGECAP_ARCHIVES__DEFAULT__URI": "file:/nowhere/archive"}
    if by == "canceller":
        monkeypatch.setenv(*next(iter(away.items())))
        assert asyncio.run(stop_once(Cancelled.of(prefect.run))).capture_id == capture.id
    else:
        which = prefect.run["id"] if by == "run" else capture.id
        done = call("cancel", which, PREFECT_API_URL=prefect.url, **away)
        assert done.returncode == 0, done.stderr
        assert f"full ORD ({prefect.run['id']}) is cancelling; Cloudflare was asked to stop" in done.stdout
    assert stops(edge) == [capture.id]


@pytest.mark.parametrize("state", ["CANCELLED", "FAILED"])
def test_the_capture_of_an_ended_run_is_stopped_without_another_state(call, settings, edge, prefect, state):
    """Such as one that was cancelled while Cloudflare refused to stop its capture."""
    capture = post(settings, full_body(settings))
    prefect.run |= {"labels": {CAPTURE: capture.id}, "state": {"type": state, "name": state.title()}}
    away = {"EDGECAP_ARCHIVES__DEFAULT__URI": "file:/nowhere/archive"}
    done = call("cancel", prefect.run["id"], PREFECT_API_URL=prefect.url, **away)
    assert done.returncode == 0, done.stderr
    assert f"full ORD ({prefect.run['id']}) is {state.lower()}; Cloudflare was asked to stop" in done.stdout
    assert stops(edge) == [capture.id]
    assert prefect.run["state"]["type"] == state


@pytest.mark.parametrize("ends", [True, False])
def test_nothing_runs_is_said_only_after_the_run_is_over(
    call, settings, edge, store, prefect, monkeypatch, ends
):
    monkeypatch.setattr("edgecap.cli.cancelling.STOP_WITHIN", 600.0 if ends else 3.0)
    decided(settings, edge, store, prefect.run["id"])
    looks = []

    def look():
        if prefect.run["state"]["type"] == "CANCELLING":
            looks.append(1)
            if ends and len(looks) == 3:
                prefect.run["state"] = {"type": "CANCELLED", "name": "Cancelled"}

    prefect.look = look
    done = call("cancel", prefect.run["id"], PREFECT_API_URL=prefect.url)
    assert done.returncode == (0 if ends else 19)
    if ends:
        assert len(looks) == 3
        assert "no full capture of it runs at Cloudflare" in done.stdout
    else:
        assert "may not have ended: it may still start one" in done.stderr


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


def stop_requests(edge):
    return [event for event in edge.log.events("request") if event["path"].endswith("/stop")]


def test_a_run_whose_simple_capture_was_accepted_asks_for_no_stop(call, settings, edge, store):
    run_id = str(uuid.uuid4())
    intent = decided(settings, edge, store, run_id, SimpleRequest(time_limit=5))
    capture = post(settings, intent.body)
    Journal(store).accept(intent.intent_id, capture.raw)
    done = call("cancel", run_id)
    assert done.returncode == 0, done.stderr
    assert "no full capture of it runs at Cloudflare" in done.stdout
    assert stop_requests(edge) == []


def test_a_capture_that_is_archived_and_that_cloudflare_has_forgotten_is_over(call, settings, edge, store):
    run_id = str(uuid.uuid4())
    intent = decided(settings, edge, store, run_id)
    journal = Journal(store)
    journal.accept(intent.intent_id, {"id": "f" * 32, "type": "full"})
    journal.end(
        intent.intent_id, Ended(outcome="archived", reason="kept", entry="captures/x/", at=edge.clock.now())
    )
    done = call("cancel", run_id)
    assert done.returncode == 0, done.stderr
    assert "is over at Cloudflare" in done.stdout
    assert stop_requests(edge) == []
