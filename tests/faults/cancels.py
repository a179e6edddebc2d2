"""Cancels: at every step of a capture, in every way, wherever it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from tests.faults.case import UPKEEP_LIMIT, Case, Drive, Place, Step
from tests.faults.play import Stage
from tests.faults.points import ACCEPTED, ARCHIVING, FETCHING, KINDS, MERGING, SLOW
from tests.faults.site import OVER

UI, COMMAND, KEY = "in the UI", "edgecap cancel", "Ctrl-C"
OVER_BY_A_PERSON = r"cancelled(, archived.*)?"
HELD = 30.0  # seconds for which a slow service stays slow after the cancel

STEPS: dict[str, Step | None] = {
    "waits for its lane": None,
    "POST under way": None,
    "its capture accepted, not journalled": ACCEPTED,
    "polls": None,
    "fetches": FETCHING,
    "merges": MERGING,
    "archives": ARCHIVING,
}
WAYS = (
    ("worker", UI),
    ("worker", COMMAND),
    ("terminal", KEY),
    ("script", KEY),
    ("script", UI),
    ("script", COMMAND),
    ("warm", UI),
    ("warm", COMMAND),
)


def cases(turn: Iterator[str]) -> Iterator[Case]:
    """All of them."""
    for who, how in WAYS:
        for step in STEPS:
            yield _case(step, "full", who, how, next(turn))
    for number, step in enumerate(STEPS):
        if step != "polls":  # a simple capture looks back and ends at once
            for who, how in (WAYS[number % 2], WAYS[2 + number % 2], WAYS[6 + number % 2]):
                yield _case(step, "simple", who, how, next(turn))
    for step in STEPS:
        yield _case(step, "full", "worker", UI, next(turn), flavour="postgres")
    yield from _asleep()
    yield from _by_the_capture(turn)


def _case(step: str, kind: str, who: str, how: str, variant: str, *, flavour: str = "sqlite") -> Case:
    # What waits long gives its process back; a quick clock keeps waits short, so that it stays.
    slow = (step, kind) == ("waits for its lane", "simple") or step in _ELSE
    place = Place(variant=variant, speed=SLOW if slow else 30.0)
    held = STEPS[step]
    accepts: int | None = 1
    if step == "waits for its lane":
        accepts = 0
    elif step == "POST under way":
        accepts = None
    drives: dict[str, Drive] = {
        "waits for its lane": partial(_in_line, how=how),
        "POST under way": partial(_in_the_post, how=how),
        "polls": partial(_polling, how=how),
    }
    return Case(
        f"cancelled while it {step}" if step not in _ELSE else f"cancelled, {step}",
        how,
        kind,
        place,
        OVER_BY_A_PERSON,
        accepts=accepts,
        request={"time_limit": 6000} if kind == "full" and step in _LASTING else {},
        steps=(held,) if held else (),
        drive=drives.get(step, partial(_held, how=how)),
        limit=UPKEEP_LIMIT,
        who=who,
        flavour="warm" if who == "warm" else flavour,
    )


_ELSE = ("POST under way", "its capture accepted, not journalled")
_LASTING = ("POST under way", "its capture accepted, not journalled", "polls")


def _asleep() -> Iterator[Case]:
    for flavour in ("sqlite", "postgres"):
        for how in (UI, COMMAND):
            for kind in KINDS:
                yield Case(
                    "cancelled while it waits for its lane",
                    f"{how}, without a process",
                    kind,
                    Place(speed=1.5 if kind == "simple" else SLOW),
                    "cancelled",
                    accepts=0,
                    drive=partial(_in_line_asleep, how=how),
                    flavour=flavour,
                )
            yield Case(
                "cancelled while it polls",
                f"{how}, without a process",
                "full",
                Place("s3", speed=SLOW),
                OVER_BY_A_PERSON,
                request={"time_limit": 2400},
                drive=partial(_polling_asleep, how=how),
                limit=UPKEEP_LIMIT,
                flavour=flavour,
            )


def _by_the_capture(turn: Iterator[str]) -> Iterator[Case]:
    for who in ("worker", "script"):
        yield Case(
            "cancelled by its capture's id",
            "while it polls",
            "full",
            Place(variant=next(turn)),
            OVER_BY_A_PERSON,
            request={"time_limit": 6000},
            drive=_by_id,
            limit=UPKEEP_LIMIT,
            who=who,
        )
    yield Case(
        "cancelled by its capture's id",
        "a colleague's, while ours waits for it",
        "full",
        Place(variant=next(turn)),
        drive=_colleagues,
        limit=UPKEEP_LIMIT,
    )

    for words, answer, detail in ((("--detach",), "", "--detach"), ((), "n", "and the answer is no")):
        yield Case(
            "left with Ctrl-C, and its capture goes on",
            detail,
            "full",
            Place(variant=next(turn)),
            r"given up, archived",
            request={"time_limit": 900},
            words=words,
            drive=partial(_left, answer=answer),
            given_up=True,
            limit=UPKEEP_LIMIT,
            who="terminal",
        )


def somebody_asks(stage: Stage) -> dict[str, object]:
    """What a person takes at the dashboard, of the case's kind."""
    if stage.case.kind == "simple":
        return {"type": "simple", "time_limit": 10, "packet_limit": 10}
    return {"type": "full", "colo_name": "ord02", "time_limit": 3600}


def keep_the_lane_busy(stage: Stage) -> Callable[[], None]:
    """Somebody uses the lane all the time; returns what makes him stop."""
    ended = threading.Event()
    taken = [stage.world.person_asks(somebody_asks(stage))]

    def ask() -> None:
        while not ended.wait(0.5):
            if stage.case.kind == "simple" and (more := stage.world.person_asks(somebody_asks(stage))):
                taken.append(more)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()

    def stop() -> None:
        ended.set()
        thread.join()

    return stop


def runs_at_the_edge(stage: Stage) -> None:
    """Wait until our full capture collects packets."""
    stage.wait(
        lambda: any(
            event["after"] == "running" and event["capture_id"] in stage.world.accepted()
            for event in stage.world.states("full")
        ),
        "the capture to run at the edge",
    )


def sleeps(stage: Stage, name: str) -> None:
    """Wait until the first run waits without a process."""
    run_id = stage.runs[0]
    stage.wait(
        lambda: (now := stage.site.state(run_id)).type == "SCHEDULED" and now.name == name,
        "the run to wait without a process",
    )


def _in_line(stage: Stage, how: str) -> None:
    stop = keep_the_lane_busy(stage)
    stage.start()
    stage.in_state("WaitingForLane")
    stage.cancel(how)
    stage.in_state(*OVER)
    stop()


def _in_line_asleep(stage: Stage, how: str) -> None:
    stop = keep_the_lane_busy(stage)
    stage.start()
    sleeps(stage, "WaitingForLane")
    stage.cancel(how)
    stage.in_state(*OVER)
    stop()


def _in_the_post(stage: Stage, how: str) -> None:
    stage.world.trouble("latency,method=POST,path=*/pcaps,value=8")
    stage.start()
    stage.wait(lambda: not stage.world.unspent(), "the POST")
    stage.cancel(how)
    stage.in_state(*OVER)


def _polling(stage: Stage, how: str) -> None:
    stage.start()
    runs_at_the_edge(stage)
    time.sleep(1)
    stage.cancel(how)
    stage.in_state(*OVER)


def _polling_asleep(stage: Stage, how: str) -> None:
    stage.start()
    sleeps(stage, "WaitingForCapture")
    stage.cancel(how)
    stage.in_state(*OVER)


def _held(stage: Stage, how: str) -> None:
    """What is slow stays slow for a while: the cancel must not wait for it."""
    run_id = stage.start()
    stage.reached()
    stage.cancel(how)
    later = threading.Timer(HELD, stage.site.let_go, [run_id])
    later.daemon = True
    later.start()
    stage.in_state(*OVER)


def _by_id(stage: Stage) -> None:
    stage.start()
    runs_at_the_edge(stage)
    stage.cancels.append(time.time())
    stage.command("cancel", stage.world.accepted()[0])
    stage.in_state(*OVER)


def _colleagues(stage: Stage) -> None:
    theirs = stage.world.person_asks(somebody_asks(stage))
    stage.start()
    stage.in_state("WaitingForLane")
    stage.command("cancel", theirs, code=None)
    if any(event["capture_id"] == theirs for event in stage.world.log.events("stop")):
        stage.wrong.append("a colleague's capture was stopped without --yes")
    stage.command("cancel", theirs, "--yes")
    stage.wait(
        lambda: any(event["capture_id"] == theirs for event in stage.world.log.events("stop")),
        "the colleague's capture to be stopped",
    )


def _left(stage: Stage, answer: str) -> None:
    stage.start()
    runs_at_the_edge(stage)
    stage.interrupt(answer)
    assert stage.terminal
    stage.wait(lambda: stage.terminal and stage.terminal.over, "the end of the command")
