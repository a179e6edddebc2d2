"""The program that stops captures of cancelled runs goes on until it is certain; on a stepped clock."""

import asyncio
import json
import logging
import time
from datetime import UTC, datetime

import pytest

import tasks.runtime.cancelling
from deployments.canceller import LEAST, LOOK, MOST, RECENT, UNSEEN, Canceller, ask, patient_api
from edgecap.captures.identity import intent_id
from edgecap.captures.stopping import Stopped, Stopping
from edgecap.errors import ConfigError, Damaged, NotStopped, ServerFailure, SetupError, UnknownToApi
from tasks.runtime.cancelled import Cancelled
from tasks.runtime.cancelling import Watched, watch
from tasks.runtime.restart_policy import RunState, is_to_end
from tasks.runtime.run_history import RunHistory
from tests.stand_ins import JsonHandler, serving

RUN = Cancelled("run", "intent", is_over=True)
ASKED, OVER = Stopped(Stopping.ASKED, "c" * 32), Stopped(Stopping.OVER, "c" * 32)
NOTHING, UNSEEN_YET = Stopped(Stopping.NOTHING), Stopped(Stopping.UNSEEN)


class StandIns:
    """Runs that Prefect shows as cancelled, what each attempt to stop brings, and a clock."""

    def __init__(self, *outcomes, runs=(RUN,)):
        self.runs = list(runs)
        self.outcomes = list(outcomes)
        self.attempts = []
        self.asked_since = []
        self.told = []
        self.now = 0.0
        self.cancelled = {run.run_id for run in runs}
        self.canceller = Canceller(
            self.look,
            still=self.still,
            tell=self.tell,
            stop=self.stop,
            sleep=self.sleep,
            clock=lambda: self.now,
        )

    async def look(self, since):
        self.asked_since.append(since)
        return self.runs

    async def still(self, run_id):
        return run_id in self.cancelled

    async def tell(self, run_id, line, level):
        assert (level == logging.ERROR) == ("given up" in line)
        self.told.append((run_id, line))

    async def stop(self, cancelled):
        self.attempts.append((self.now, cancelled.run_id))
        outcome = self.outcomes[0] if len(self.outcomes) == 1 else self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def sleep(self, seconds):
        self.now += seconds
        assert self.now < 2 * MOST, "it never ends"
        await asyncio.sleep(0)


@pytest.mark.parametrize("outcome", [ASKED, OVER, NOTHING])
async def test_a_certain_outcome_ends_the_attempts(outcome):
    world = StandIns(outcome)
    for _ in range(3):
        await world.canceller.once()
        await world.canceller.wait_idle()
    assert world.attempts == [(0.0, "run")]
    assert repr(world.canceller) == "<Canceller [1 cancelled, 0 to stop]>"


async def test_the_run_s_log_says_that_its_capture_was_stopped():
    """Nothing else does where the run sleeps: Prefect's state is a bare `Cancelled`."""
    world = StandIns(ASKED)
    for _ in range(2):
        await world.canceller.once()
        await world.canceller.wait_idle()
    assert world.told == [("run", f"cancelled; {ASKED}")]


async def test_trouble_and_refusals_are_tried_again_a_second_later():
    world = StandIns(ServerFailure("503"), NotStopped("it goes on"), ValueError("a fault"), ASKED)
    await world.canceller.once()
    await world.canceller.wait_idle()
    assert [at for at, _ in world.attempts] == [0, 1, 2, 3]


@pytest.mark.parametrize(("takes", "pause"), [(0.0, LOOK), (1.0, LOOK - 1.0), (9.0, LEAST)])
async def test_a_look_is_followed_by_a_pause_however_long_it_took(takes, pause):
    """A server that is slow is asked at once again, but never without any pause."""
    world = StandIns(ASKED, runs=())
    look, sleep, pauses = world.look, world.sleep, []

    async def slow(since):
        world.now += takes
        return await look(since)

    async def paused(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError
        await sleep(seconds)

    canceller = Canceller(
        slow, still=world.still, tell=world.tell, stop=world.stop, sleep=paused, clock=lambda: world.now
    )
    with pytest.raises(asyncio.CancelledError):
        await canceller.forever()
    assert pauses == pytest.approx([pause] * 3)


async def test_a_run_pauses_between_looks_however_long_they_take(monkeypatch):
    """The same for the run's process: here each look takes an hour of the loop's clock."""
    loop = asyncio.get_running_loop()
    clock, ahead, began, ended = loop.time, 0.0, [], []
    monkeypatch.setattr(loop, "time", lambda: clock() + ahead)

    class History:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            pass

        async def states(self):
            nonlocal ahead
            began.append(loop.time())
            ahead += 3600.0
            ended.append(loop.time())
            return [RunState("CANCELLING", datetime.now(UTC))] if len(began) == 3 else []

    monkeypatch.setattr("tasks.runtime.cancelling.LOOK", 60.0)
    await watch(Watched("run", ""), History(), lambda: None)
    pauses = [later - earlier for earlier, later in zip(ended, began[1:], strict=False)]
    assert len(pauses) == 2
    assert all(
        0.9 * tasks.runtime.cancelling.LEAST < pause < tasks.runtime.cancelling.LOOK for pause in pauses
    )


@pytest.mark.parametrize("error", [ConfigError("no account is called 'lab'"), Damaged("bytes differ")])
async def test_a_permanent_error_ends_the_attempts_and_the_run_log_says_so(error, caplog):
    world = StandIns(error)
    for _ in range(3):
        await world.canceller.once()
        await world.canceller.wait_idle()
    assert len(world.attempts) == 1
    [(run_id, line)] = world.told
    assert run_id == "run"
    assert line.endswith(f"is given up here: {error}")
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == [line]


async def test_a_capture_that_cloudflare_does_not_know_may_be_too_new():
    world = StandIns(UnknownToApi("no such capture"))
    await world.canceller.once()
    await world.canceller.wait_idle()
    assert UNSEEN < world.attempts[-1][0] <= UNSEEN + 20
    assert len(world.told) == 1


async def test_an_internal_error_is_logged_once_and_given_up_later(caplog):
    world = StandIns(ValueError("a fault"))
    await world.canceller.once()
    await world.canceller.wait_idle()
    assert MOST < world.attempts[-1][0] <= MOST + 20
    assert len(caplog.records) == 2
    assert len(world.told) == 1


async def test_a_run_that_is_started_anew_or_deleted_meanwhile_keeps_its_capture():
    world = StandIns(ServerFailure("503"))
    await world.canceller.once()
    world.runs = []  # it was cancelled ten minutes ago: looks show it no more, and it is cancelled still
    await world.canceller.once()
    for _ in range(20):
        await asyncio.sleep(0)
    attempts = len(world.attempts)
    assert attempts > 2
    world.cancelled.clear()
    await world.canceller.wait_idle()
    assert len(world.attempts) <= attempts + 1
    assert not world.told
    await world.canceller.once()
    assert repr(world.canceller) == "<Canceller [0 cancelled, 0 to stop]>"
    world.runs, world.outcomes = [RUN], [ASKED]  # and is cancelled again
    await world.canceller.once()
    await world.canceller.wait_idle()
    assert len(world.attempts) <= attempts + 2


async def test_an_unanswered_post_is_looked_for_until_the_list_must_show_it():
    world = StandIns(UNSEEN_YET)
    await world.canceller.once()
    await world.canceller.wait_idle()
    times = [at for at, _ in world.attempts]
    assert times[:3] == [0, 1, 2]
    assert UNSEEN < times[-1] <= UNSEEN + 20
    world = StandIns(UNSEEN_YET, UNSEEN_YET, ASKED)
    await world.canceller.once()
    await world.canceller.wait_idle()
    assert len(world.attempts) == 3


async def test_a_run_that_still_ends_may_begin_its_intent_yet():
    ending = Cancelled("run", "intent", is_over=False)
    world = StandIns(NOTHING, runs=[ending])
    await world.canceller.once()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(world.attempts) > 2
    world.runs = [RUN]
    await world.canceller.once()
    await world.canceller.wait_idle()


async def test_a_capture_that_cannot_be_stopped_delays_no_other():
    other = Cancelled("other", "intent 2")
    world = StandIns(ServerFailure("503"), runs=[RUN])
    await world.canceller.once()
    await asyncio.sleep(0)
    world.runs, world.outcomes = [RUN, other], [ASKED]
    await world.canceller.once()
    await world.canceller.wait_idle()
    assert {run_id for _, run_id in world.attempts} == {"run", "other"}


async def test_the_first_look_reaches_back_further_and_outlives_prefect_failures():
    world = StandIns(NOTHING, runs=[])
    await world.canceller.once()
    await world.canceller.once()
    assert world.asked_since[1] - world.asked_since[0] > 100 * RECENT
    failing = iter([SetupError("away"), SetupError("away"), KeyboardInterrupt()])

    async def look(since):
        raise next(failing)

    canceller = Canceller(look, still=world.still, tell=world.tell, sleep=world.sleep)
    with pytest.raises(KeyboardInterrupt):
        await canceller.forever()


def test_a_run_of_prefect_s_is_read_for_its_intent():
    run = {"id": "0b0e", "parameters": {"request": {"type": "full"}}, "state": {"type": "CANCELLING"}}
    assert Cancelled.of(run) == Cancelled("0b0e", intent_id("0b0e"), is_over=False)
    part = {"incident": "a" * 32, "phase": "during", "number": 2}
    given = {"request": {"type": "full"}, "part": part, "account": "lab", "archive": "cold"}
    run = {"id": "0b0e", "parameters": given, "state": {"type": "CANCELLED"}}
    assert Cancelled.of(run) == Cancelled("0b0e", intent_id("a" * 32, "during", "2"), "lab", "cold")
    for other in ({"request": {"type": "simple"}}, {}, {"request": {"type": "full"}, "part": {"odd": 1}}):
        assert Cancelled.of({"id": "0b0e", "parameters": other, "state": {"type": "CANCELLED"}}) is None


@pytest.fixture
def slow_prefect():
    """A server that takes six seconds for each answer: a run was cancelled, and another is being so."""

    def run(run_id, kind):
        return {"id": run_id, "parameters": {"request": {"type": "full"}}, "state": {"type": kind}}

    class Handler(JsonHandler):
        def do_GET(self):
            at = datetime.now(UTC).isoformat()
            self.say([{"type": "CANCELLING", "name": "Cancelling", "timestamp": at}])

        def do_POST(self):
            body = json.loads(self.body())
            [kind] = body["flow_runs"]["state"]["type"]["any_"]
            self.say([run(kind.lower(), kind)])

        def say(self, answer=None, status=200):
            time.sleep(6)
            super().say(answer, status)

    with serving(Handler) as server:
        yield f"{server.url}/api"


async def test_a_cancel_is_seen_at_a_prefect_server_that_is_slow(slow_prefect):
    """By the program beside the workers, and by the run's own process."""
    with patient_api(slow_prefect) as prefect:
        found = await ask(prefect)(datetime.now(UTC))
    assert [each.run_id for each in found] == ["cancelling", "cancelled"]
    async with RunHistory("some-run", slow_prefect) as history:
        assert is_to_end(await history.states())
