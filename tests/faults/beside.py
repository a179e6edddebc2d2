"""Other users of the account, and what edgecap cannot know: people, two archives, short lists, late POSTs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from edgecap.requests import rfc3339
from tests.faults.cancels import sleeps
from tests.faults.case import UPKEEP_LIMIT, Case, Place, Step
from tests.faults.play import Stage
from tests.faults.points import ACCEPTED, DEATHS, KINDS, LANE, POSTING, SLOW
from tests.faults.storage import OTHER
from tests.faults.world import OURS

LOST = "reset,method=POST,path=*/pcaps,after=true"
UNKNOWN = r"failed: .*cannot be told.*"

# How a colleague's full capture differs from ours; `None` takes our own bucket, too.
WISHES: dict[str, tuple[dict[str, Any], bool]] = {
    "the same, to another bucket": ({}, True),
    "the same with other limits": ({"byte_limit": 1000}, False),
    "the same with a filter": ({"filter_v1": {"protocol": 17}}, False),
    "the very same": ({}, False),
}
HUNDRED = 100.0  # seconds: as long as proxies wait for an answer
BESIDE = 2.0  # speed of the clock: theirs and ours come within a minute of it, also on a busy machine
LENGTH = {"time_limit": 12}
WHENS = ("runs just before", "is finished just before", "comes while ours waits", "comes just after")


def cases(turn: Iterator[str]) -> Iterator[Case]:
    """All of them."""
    yield from _colleagues(turn)
    yield from _two_archives(turn)
    yield from _pushed_out()
    yield from _late_posts()
    yield from _memory_in_the_future()
    yield from _clock_jumps(turn)


# -- a colleague at the dashboard -------------------------------------------------------------------------


def _colleagues(turn: Iterator[str]) -> Iterator[Case]:
    for what, (more, own_bucket) in WISHES.items():
        for when in WHENS:
            yield Case(
                f"a colleague's full capture {when}",
                what,
                "full",
                Place(variant=next(turn), dashboard=own_bucket, speed=BESIDE),
                request=LENGTH,
                drive=partial(_beside, when=when, more=more),
                limit=UPKEEP_LIMIT,
            )
        if (
            what != "the very same"
        ):  # of two captures that are alike in everything, nobody can tell which is ours
            for where in ("accepted, no answer yet", "slot held, before the POST"):
                yield Case(
                    "a colleague's full capture comes while ours is dead",
                    f"{what}; {where}",
                    "full",
                    Place(variant=next(turn), dashboard=own_bucket, speed=BESIDE),
                    request=LENGTH,
                    on_accept="both" if where.startswith("accepted") else "",
                    steps=() if where.startswith("accepted") else (Step(LANE, "Hold.remember", do="both"),),
                    drive=partial(_while_dead, more=more),
                    limit=UPKEEP_LIMIT,
                )
    for when in ("runs just before", "comes just after", "comes while ours waits"):
        # An API that rounds `offset_time` shows no mark of ours.
        yield Case(
            f"a colleague's simple capture {when}",
            "the same, and the API rounds",
            "simple",
            Place(variant="lagging"),
            drive=partial(_beside, when=when, more={}),
            limit=UPKEEP_LIMIT,
        )
    for who in ("terminal", "warm"):
        yield Case(
            "a colleague's full capture is finished just before",
            "the same, to another bucket",
            "full",
            Place(dashboard=True, speed=BESIDE),
            request=LENGTH,
            drive=partial(_beside, when="is finished just before", more={}),
            who=who,
            flavour="warm" if who == "warm" else "sqlite",
        )


def _theirs(stage: Stage, more: dict[str, Any]) -> dict[str, Any]:
    if stage.case.kind == "full":
        return {"type": "full", "colo_name": "ord02", **LENGTH, **more}
    now = stage.world.clock.now().replace(microsecond=0)
    return {"type": "simple", "time_limit": 10, "packet_limit": 10_000, "offset_time": rfc3339(now), **more}


def _ask(stage: Stage, more: dict[str, Any]) -> str:
    """Ask until the lane is theirs."""
    found: list[str] = []
    stage.wait(
        lambda: (
            found.append(got) or True if (got := stage.world.person_asks(_theirs(stage, more))) else False
        ),
        "the colleague's turn",
    )
    return found[0]


def _beside(stage: Stage, when: str, more: dict[str, Any]) -> None:
    if when == "runs just before":
        _ask(stage, more)
        stage.start()
    elif when == "is finished just before":
        theirs = _ask(stage, more)
        stage.wait(lambda: _is_over(stage, theirs), "the colleague's capture to end")
        stage.start()
    elif when == "comes while ours waits":
        _ask(stage, more)
        stage.start()
        stage.in_state("WaitingForLane", "COMPLETED")
        _ask(stage, more)
    else:
        stage.start()
        stage.wait(stage.world.accepted, "our capture")
        _ask(stage, more)


def _is_over(stage: Stage, capture_id: str) -> bool:
    return any(
        event["capture_id"] == capture_id and event.get("lane") == "free"
        for event in stage.world.states("full")
    )


def _while_dead(stage: Stage, more: dict[str, Any]) -> None:
    stage.then = partial(_they_come, stage, more)
    stage.start()
    if not stage.case.on_accept:
        stage.wait(stage.all_kills, "the run's death")
        _they_come(stage, more)
    else:
        stage.wait(lambda: stage.kills, "the run's death")


def _they_come(stage: Stage, more: dict[str, Any]) -> None:
    """As soon as the lane is theirs; in a thread, since the edge itself may be asking."""

    def ask() -> None:
        deadline = time.monotonic() + 60
        while not stage.world.person_asks(_theirs(stage, more)) and time.monotonic() < deadline:
            time.sleep(0.1)

    threading.Thread(target=ask, daemon=True).start()


# -- two archives -----------------------------------------------------------------------------------------


def _two_archives(turn: Iterator[str]) -> Iterator[Case]:
    for kind in KINDS:
        for how in ("at once", "one after the other", "the first is killed"):
            # Whose of two is whose, if an answer is lost: by the mark in `offset_time`, which is rounded away
            # in some APIs, or by the bucket's folder. docs/once.md says so.
            killed = how == "the first is killed"
            variant = "documented" if killed and kind == "simple" else next(turn)
            yield Case(
                "two archives want the same",
                how,
                kind,
                Place(variant=variant, second=True, speed=POSTING),
                accepts=2,
                on_accept="both" if killed else "",
                drive=partial(
                    _in_two_archives, after=how == "one after the other", apart=killed and kind == "full"
                ),
                limit=UPKEEP_LIMIT,
            )


def _in_two_archives(stage: Stage, *, after: bool, apart: bool) -> None:
    stage.start()
    if after:
        stage.in_state("COMPLETED")
    stage.start(archive=OTHER, **({"bucket": OTHER} if apart else {}))


# -- what nobody can know ---------------------------------------------------------------------------------


def _pushed_out() -> Iterator[Case]:
    for kind in KINDS:
        for count in (49, 52):
            place = Place(("folder", "s3")[count == 52], speed=POSTING)
            told = count < 50  # the list shows fifty
            group = f"POST accepted, its answer lost, then {count} others"
            drive = partial(_others_come, count=count)
            # A simple window may be asked for again, marked; of a full capture only a person can tell.
            more: dict[str, Any] = {"accepts": 1, "expect": "archived"}
            if not told:
                more = {"accepts": 1, "expect": UNKNOWN} if kind == "full" else {"accepts": 2}
            for do, what in DEATHS.items():
                yield Case(group, what, kind, place, on_accept=do, drive=drive, limit=UPKEEP_LIMIT, **more)
            yield Case(
                group, "no death", kind, place, faults=(LOST,), drive=drive, limit=UPKEEP_LIMIT, **more
            )

    for kind in KINDS:
        yield Case(
            "POST accepted, its answer lost, then 52 others",
            "process; the list has pages",
            kind,
            Place(changes={"pages": True}, speed=POSTING),
            on_accept="kill",
            drive=partial(_others_come, count=52),
            limit=UPKEEP_LIMIT,
        )
    for said, expect in (("--capture", r"failed, archived.*"), ("--not-accepted", UNKNOWN)):
        yield Case(
            "POST accepted, its answer lost, then 52 others",
            f"a person says {said}",
            "full",
            Place(speed=POSTING),
            expect,
            on_accept="kill",
            drive=partial(_resolved, said=said),
            limit=UPKEEP_LIMIT,
        )


def _others_come(stage: Stage, count: int) -> None:
    stage.then = partial(stage.world.push_out, count)
    stage.start()


def _resolved(stage: Stage, said: str) -> None:
    _others_come(stage, 52)
    stage.in_state("FAILED")
    intent = next(name.split("/")[1] for name in stage.world.names() if name.endswith("/intent.json"))
    stage.command("resolve", intent)
    more = [stage.world.accepted()[0]] if said == "--capture" else []
    stage.command("resolve", intent, said, *more)
    stage.command("reconcile")


def _late_posts() -> Iterator[Case]:
    for kind in KINDS:
        for seconds in (20.0, HUNDRED):
            # Long enough to be there still when what was late arrives.
            yield Case(
                f"a POST is delivered {seconds:.0f} s late",
                "its connection broke",
                kind,
                Place(speed=1.0 if seconds == HUNDRED else SLOW),
                request={"time_limit": 150} if kind == "full" else {},
                drive=partial(_late, seconds=seconds),
                limit=UPKEEP_LIMIT,
            )


def _late(stage: Stage, seconds: float) -> None:
    stage.world.deliver_late(seconds)
    stage.start()
    stage.wait(lambda: len(_our_posts(stage)) > 1, "the late POST")
    time.sleep(seconds)


def _our_posts(stage: Stage) -> list[dict[str, Any]]:
    return [
        event
        for event in stage.world.log.events("request")
        if (event["method"] == "POST" and event["path"].endswith("/pcaps") and event.get("caller") == OURS)
        or (event["method"] == "POST" and "reset" in (event.get("fault") or ()))
    ]


# -- what a lane remembers, and clocks --------------------------------------------------------------------


def _memory_in_the_future() -> Iterator[Case]:
    for kind in KINDS:
        for hours in (1, 72):
            for known in (True, False):
                yield Case(
                    "the lane's memory lies in the future",
                    f"{hours} h, {'a capture' if known else 'none'} named",
                    kind,
                    Place(speed=SLOW),
                    drive=partial(_remembered, hours=hours, known=known),
                    limit=400.0,
                )


def _remembered(stage: Stage, hours: int, *, known: bool) -> None:
    at = stage.world.clock.now() + timedelta(hours=hours)
    value = {"capture_id": "f" * 32 if known else "", "submitted": rfc3339(at), "urgent": False}
    name = f"edgecap_{stage.case.kind}_{stage.world.lanes}"
    stage.site.rest("POST", "/variables/", {"name": name, "value": value})
    stage.start()


def _clock_jumps(turn: Iterator[str]) -> Iterator[Case]:
    for kind in KINDS:
        for seconds, name in ((3600.0, "an hour ahead"), (-600.0, "ten minutes back")):
            yield Case(
                "the API's clock jumps",
                f"{name}, while it waits for its lane",
                kind,
                Place(variant=next(turn), speed=SLOW if kind == "simple" else 30.0),
                drive=partial(_jump_in_line, seconds=seconds),
                limit=UPKEEP_LIMIT,
            )
            yield Case(
                "the API's clock jumps",
                f"{name}, between acceptance and journal",
                kind,
                Place(variant=next(turn)),
                steps=(ACCEPTED,),
                drive=partial(_jump_held, seconds=seconds),
            )
    yield Case(
        "the API's clock jumps",
        "an hour ahead, while it waits without a process",
        "full",
        Place(speed=SLOW),
        request={"time_limit": 2400},
        drive=_jump_asleep,
        limit=UPKEEP_LIMIT,
    )


def _jump_in_line(stage: Stage, seconds: float) -> None:
    _ask(stage, {} if stage.case.kind == "simple" else {"time_limit": 1200})
    stage.start()
    stage.in_state("WaitingForLane")
    stage.world.jump(seconds)


def _jump_held(stage: Stage, seconds: float) -> None:
    run_id = stage.start()
    stage.reached()
    stage.world.jump(seconds)
    stage.site.let_go(run_id)


def _jump_asleep(stage: Stage) -> None:
    stage.start()
    sleeps(stage, "WaitingForCapture")
    stage.world.jump(3600)
