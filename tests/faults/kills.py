"""Kills in every state of a run: of its process, of the worker or of both; of `reconcile`; of the server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from tests.faults.cancels import OVER_BY_A_PERSON, keep_the_lane_busy, runs_at_the_edge, sleeps
from tests.faults.case import UPKEEP_LIMIT, Case, Place, Step
from tests.faults.play import Stage
from tests.faults.points import BEGINNING, CLIENT, DEATHS, KINDS, LANE, PENDING, POINTS, SLOW, SUBMITTING
from tests.faults.site import ANY, OVER

SOON = 120.0  # seconds in which somebody notices that a run died
# Seconds, likewise, until the missed heartbeats alone would tell: the next warm process says it within 20.
BEFORE_ITS_HEARTBEATS = 90.0
WORKER = {"worker": "worker alone"}
POLLING = Step(CLIENT, "Client.get_capture", "return")


def cases() -> Iterator[Case]:
    """All of them."""
    for flavour in ("sqlite", "postgres"):
        for case in [*_before_it_runs(), *_waiting(), *_of_reconcile()]:
            if flavour == "sqlite" or case.kind == "full":
                yield replace(case, flavour=flavour)
    yield from _worker_alone()
    yield from _forked()
    yield from _cancelling()
    yield from _in_the_warm_process()
    yield from _leases_in_memory()


def _before_it_runs() -> Iterator[Case]:
    for kind in KINDS:
        for state, step in (("Pending", PENDING), ("Submitting", SUBMITTING)):
            yield Case(f"killed while {state}", "worker", kind, Place(), steps=(step,), noticed_within=SOON)
        for do, what in {**DEATHS, **WORKER}.items():
            step = replace(BEGINNING, do=do)
            name = "killed while its process starts"
            yield Case(name, what, kind, Place(), steps=(step,), noticed_within=SOON)
        yield Case(
            "killed while WaitingForWorker",
            "worker, after its process",
            kind,
            Place(),
            steps=(POLLING, replace(PENDING, when="enter")),
            noticed_within=SOON,
        )


def _waiting() -> Iterator[Case]:
    for kind in KINDS:
        speed = SLOW if kind == "simple" else 30.0
        for do, what in {**DEATHS, **WORKER}.items():
            yield Case(
                "killed while WaitingForLane",
                f"{what}; it waits in its process",
                kind,
                Place(speed=speed),
                drive=partial(_in_line, do=do),
                limit=UPKEEP_LIMIT,
            )
        yield Case(
            "killed while WaitingForLane",
            "worker; it waits without a process",
            kind,
            Place(speed=1.5 if kind == "simple" else SLOW),
            drive=_in_line_asleep,
            limit=UPKEEP_LIMIT,
        )
    yield Case(
        "killed while WaitingForCapture",
        "worker; it waits without a process",
        "full",
        Place(speed=SLOW),
        request={"time_limit": 600},
        drive=partial(_capturing_asleep, server=False),
        limit=UPKEEP_LIMIT,
    )
    yield Case(
        "killed while WaitingForCapture",
        "Prefect server; it waits without a process",
        "full",
        Place(speed=SLOW),
        request={"time_limit": 600},
        drive=partial(_capturing_asleep, server=True),
        limit=UPKEEP_LIMIT,
    )


def _of_reconcile() -> Iterator[Case]:
    points = {
        "as it starts": BEGINNING,
        "as it takes up runs": Step("tasks.runtime.recovery", "_see_to_all"),
        "after it took up runs": Step("tasks.runtime.recovery", "_see_to_all", "return"),
        "as it settles": Step("edgecap.reconcile.reconciler", "Reconciler.run"),
    }
    for number, (point, step) in enumerate(points.items()):
        for turn, (do, what) in enumerate(DEATHS.items()):
            yield Case(
                "reconcile killed",
                f"{point}: {what}",
                KINDS[(number + turn) % 2],
                Place(),
                steps=(replace(POLLING, do="both"),),
                drive=partial(_reconcile, step=replace(step, do=do)),
                limit=UPKEEP_LIMIT,
            )


def _worker_alone() -> Iterator[Case]:
    for point in ("after the journal", "slot held, before the POST", "while polling", "in mid-download"):
        step = POINTS[point]
        assert step
        for kind in KINDS:
            yield Case(f"crash {point}", "worker alone", kind, Place(), steps=(replace(step, do="worker"),))


def _forked() -> Iterator[Case]:
    for point in ("after the journal", "while polling", "in mid-download"):
        step = POINTS[point]
        assert step
        for kind in KINDS:
            client, forks = replace(step, do="client"), replace(step, do="forks")
            yield Case(f"crash {point}", "client of the forked process", kind, Place(), steps=(client,))
            yield Case("fork server killed", point, kind, Place(), steps=(forks,))


def _cancelling() -> Iterator[Case]:
    for do, what in {**DEATHS, **WORKER}.items():
        for flavour in ("sqlite", "postgres"):
            yield Case(
                "killed while Cancelling",
                what,
                "full",
                Place(),
                OVER_BY_A_PERSON,
                request={"time_limit": 6000},
                drive=partial(_cancelled_and_killed, do=do),
                limit=UPKEEP_LIMIT,
                flavour=flavour,
            )


def _in_the_warm_process() -> Iterator[Case]:
    for point in ("after the journal", "while polling", "in mid-download", "before the manifest"):
        step = POINTS[point]
        assert step
        for kind in KINDS:
            yield Case(
                f"crash {point}",
                "warm process",
                kind,
                Place(),
                steps=(step,),
                who="warm",
                flavour="warm",
                noticed_within=BEFORE_ITS_HEARTBEATS,
            )


def _leases_in_memory() -> Iterator[Case]:
    """A server of one's own that keeps leases in memory forgets them when it ends, and never the slots."""
    held = Step(LANE, "Hold.remember", do="wait")
    for kind in KINDS:
        yield Case(
            "Prefect server killed",
            "while the lane's slot is held",
            kind,
            Place(),
            steps=(held,),
            drive=partial(_server_dies, too=False),
            limit=UPKEEP_LIMIT,
            flavour="memory",
        )
        yield Case(
            "Prefect server killed",
            "while the lane's slot is held, and its holder with it",
            kind,
            Place(),
            steps=(held,),
            drive=partial(_server_dies, too=True),
            limit=UPKEEP_LIMIT,
            flavour="memory",
        )
        yield Case(
            "crash slot held, before the POST",
            "process",
            kind,
            Place(),
            steps=(Step(LANE, "Hold.remember"),),
            flavour="memory",
        )


def kill(stage: Stage, do: str) -> None:
    """Kill the first run's process, the worker, or both."""
    if do == "worker":
        stage.kills.append(stage.site.kill_worker())
        return
    at = stage.site.kill(stage.runs[0], worker=do == "both")
    if at is None:
        stage.wrong.append("there was no process to kill")
    else:
        stage.kills.append(at)


def _in_line(stage: Stage, do: str) -> None:
    stop = keep_the_lane_busy(stage)
    stage.start()
    stage.in_state("WaitingForLane")
    kill(stage, do)
    time.sleep(5)
    stop()
    _give_the_lane_free(stage)


def _in_line_asleep(stage: Stage) -> None:
    stop = keep_the_lane_busy(stage)
    stage.start()
    sleeps(stage, "WaitingForLane")
    stage.site.kill_worker()
    time.sleep(5)
    stop()
    _give_the_lane_free(stage)


def _give_the_lane_free(stage: Stage) -> None:
    for capture in stage.world.edge.state()["captures"]:
        if capture["holds_lane"]:
            stage.world.person_stops(capture["id"])


def _capturing_asleep(stage: Stage, *, server: bool) -> None:
    stage.start()
    sleeps(stage, "WaitingForCapture")
    if server:
        stage.site.kill_server()
        time.sleep(1)
        stage.site.wait_for_server()
    else:
        stage.site.kill_worker()


def _reconcile(stage: Stage, step: Step) -> None:
    """A run dies with its worker, and so does the run of `reconcile` that should take it up."""
    stage.site.plan(ANY, [step])
    try:
        stage.start()
        stage.wait(lambda: stage.site.struck(ANY), "reconcile to be killed")
        at = stage.site.struck(ANY)[0]
        while hanging := stage.site.reconciling(before=at):
            if time.time() - at > SOON:
                stage.wrong.append(f"a reconcile run that was killed stays {hanging[0]} for {SOON:.0f} s")
                break
            time.sleep(2)
    finally:
        stage.site.plan(ANY, [])


def _cancelled_and_killed(stage: Stage, do: str) -> None:
    stage.start()
    runs_at_the_edge(stage)
    stage.cancel("in the UI")
    kill(stage, do)
    stage.in_state(*OVER)


def _server_dies(stage: Stage, *, too: bool) -> None:
    run_id = stage.start()
    stage.reached()
    stage.site.kill_server()
    if too:
        kill(stage, "both")
    time.sleep(1)
    stage.site.wait_for_server()
    stage.site.let_go(run_id)
