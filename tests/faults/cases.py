"""The matrix: every crash point over types, archives, ways to die and API variants; and all other faults."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from edgecap.simulator.variants import VARIANTS
from tests.faults import beside, cancels, kills, outages
from tests.faults.cancels import somebody_asks
from tests.faults.case import UPKEEP_LIMIT, Case, Place, Step
from tests.faults.play import Stage
from tests.faults.points import CLIENT, DEATHS, JOURNAL, KINDS, LAGS, LANE, POINTS, POSTING, SLOW, UNTOLD


def matrix(seed: int) -> list[Case]:
    """All cases; the seed decides which variant of the API each one gets."""
    variants = list(VARIANTS)
    random.Random(seed).shuffle(variants)
    turn = itertools.cycle(variants)
    cases = [*_crashes(variants), *_crashes_while_the_list_lags(), *_crashes_again_and_again()]
    cases += [*_api(turn), *_files(turn), *_disks(), *_prefect(), *_people(), *_on_postgres(variants)]
    return [*cases, *cancels.cases(turn), *kills.cases(), *beside.cases(turn), *outages.cases(turn)]


def short(seed: int) -> list[Case]:
    """A handful for every run of the tests. Other seeds choose other points."""
    dice = random.Random(seed)
    variants, kinds, archives = list(VARIANTS), list(KINDS), ["folder", "s3"]
    for each in (variants, kinds, archives):
        dice.shuffle(each)
    # A dead holder's slot comes back after a minute: the points within it are for the whole matrix.
    early = ["after the journal", "while polling"]
    late = ["in mid-download", "between the archive's files", "merged, not archived"]
    late += ["before the manifest", "after the manifest"]
    points = [dice.choice(early), *dice.sample(late, 2)]
    points.sort(key=list(POINTS).index)
    alone = dice.choice([*early, *late])
    lost = Case("connection reset", "after acceptance", kinds[0], Place(variant=variants[2]), faults=(LOST,))
    light = [case for case in matrix(seed) if case.name.startswith(LIGHT) and case.who == "worker"]
    light = [case for case in light if case.flavour == "sqlite" and not case.deaths]
    return [
        _lives(points, kinds[0], Place(archives[0], variants[0])),
        _crash(alone, POINTS[alone], kinds[1], "both", Place(archives[1], variants[1])),
        dice.choice([lost, *light]),
        Case("read-only archive", "", kinds[1], Place("disk"), READ_ONLY, accepts=0, drive=_read_only),
    ]


LIGHT = (
    "a colleague's full capture is finished just before",
    "cancelled while it polls / full / folder",
    "cancelled, POST under way",
    "two archives want the same",
    "POST accepted, its answer lost, then 49 others",
)
"""Cases that take no longer than a lost answer does."""


def _crashes(variants: list[str]) -> Iterator[Case]:
    for number, (point, step) in enumerate(POINTS.items()):
        combinations = itertools.product(KINDS, DEATHS, ("folder", "s3"))
        for turn, (kind, death, archive) in enumerate(combinations, start=number):
            place = Place(archive, variants[turn % len(variants)])
            yield _crash(point, step, kind, death, place)


def _crashes_while_the_list_lags() -> Iterator[Case]:
    for number, (point, step) in enumerate(POINTS.items()):
        kind, death = KINDS[number % 2], list(DEATHS)[number // 2 % 2]
        yield _crash(point, step, kind, death, LAGS, ", list lags 45 s")


def _on_postgres(variants: list[str]) -> Iterator[Case]:
    """Every point once with each way to die, and what leans on the database most."""
    for number, (point, step) in enumerate(POINTS.items()):
        for turn, death in enumerate(DEATHS):
            place = Place(("folder", "s3")[turn], variants[(number + turn) % len(variants)])
            yield _crash(point, step, KINDS[(number + turn) % 2], death, place, flavour="postgres")
    for case in [*_prefect(), *_people()]:
        yield replace(case, flavour="postgres")


def _crash(
    point: str,
    step: Step | None,
    kind: str,
    death: str,
    place: Place,
    more: str = "",
    flavour: str = "sqlite",
) -> Case:
    group, detail = f"crash {point}", DEATHS[death] + more
    if point in UNTOLD:
        place = replace(place, speed=min(place.speed, POSTING))
    if step is None:
        return Case(group, detail, kind, place, on_accept=death, flavour=flavour)
    return Case(group, detail, kind, place, steps=(_dying(step, death),), flavour=flavour)


def _dying(step: Step, death: str) -> Step:
    return Step(step.module, step.name, step.when, step.nth, death)


def _lives(points: list[str], kind: str, place: Place) -> Case:
    steps = [POINTS[point] for point in points]
    assert all(steps)
    return Case(
        "crash in each of several lives",
        f"{', '.join(points)}",
        kind,
        place,
        steps=tuple(filter(None, steps)),
    )


def _crashes_again_and_again() -> Iterator[Case]:
    points = ["after the journal", "while polling", "in mid-download", "after the manifest"]
    for kind in KINDS:
        yield _lives(points, kind, Place())
        yield Case(
            "crash at the same point in all five lives",
            "in mid-download",
            kind,
            Place(),
            expect="given up, archived",
            steps=(POINTS["in mid-download"],) * 5,  # type: ignore[arg-type]
            given_up=True,
            limit=UPKEEP_LIMIT,
        )


# -- the API ------------------------------------------------------------------------------------------------

LOST = "reset,method=POST,path=*/pcaps,after=true"


def _api(turn: Iterator[str]) -> Iterator[Case]:
    faults = {
        ("API latency", "0.4 s a call"): ("latency,count=always,value=0.4",),
        ("connection reset", "before acceptance"): ("reset,method=POST,path=*/pcaps,after=false",),
        ("connection reset", "after acceptance"): (LOST,),
        ("connection reset", "of 4 GETs in a row"): ("reset,method=GET,count=4",),
        ("429 storm", "12 calls"): ("rate_limit,count=12,value=2",),
        ("5xx storm", "12 calls"): ("error,count=12,value=503",),
        ("5xx", "after acceptance"): ("error,method=POST,path=*/pcaps,value=502,after=true",),
        ("garbage JSON", "5 answers"): ("garbage,count=5",),
        ("garbage JSON", "in answer to the POST"): ("garbage,method=POST,path=*/pcaps",),
    }
    for (group, detail), struck in faults.items():
        for kind in KINDS:
            yield Case(group, detail, kind, Place(variant=next(turn)), faults=struck)
    for kind in KINDS:
        yield Case("list lags 45 s", "and the answer is lost", kind, LAGS, faults=(LOST,))
        for ahead in (600.0, -600.0):
            detail = f"{'ahead' if ahead > 0 else 'behind'}"
            yield Case(
                "API clock 10 min off", detail, kind, Place(variant=next(turn), speed=SLOW, ahead=ahead)
            )


# -- files --------------------------------------------------------------------------------------------------


def _files(turn: Iterator[str]) -> Iterator[Case]:
    for archive in ("folder", "s3"):
        late = Place(archive, next(turn), changes={"files_after": 90.0})
        yield Case("objects appear late", "", "full", late, faults=("late_file,count=1,value=90",))
        yield Case(
            "a server's file is missing",
            "",
            "full",
            Place(archive, next(turn)),
            expect=r"archived \(partial\)",
            faults=("missing_file,count=1",),
        )
        yield Case(
            "truncated download",
            "of the API",
            "simple",
            Place(archive, next(turn)),
            faults=("truncate,method=GET,path=*/download,count=2",),
        )
        yield Case(
            "truncated download",
            "of the bucket",
            "full",
            Place(archive, next(turn), proxied=True),
            drive=_cut,
        )
        yield Case(
            "a byte flipped on the way", "", "full", Place(archive, next(turn), proxied=True), drive=_flip
        )


def _cut(stage: Stage) -> None:
    assert stage.world.proxy
    stage.world.proxy.cut(after=6000, times=2, methods="GET")
    stage.start()


def _flip(stage: Stage) -> None:
    assert stage.world.proxy
    stage.world.proxy.flip(at=6000)
    stage.start()


# -- disks --------------------------------------------------------------------------------------------------

READ_ONLY = r"failed: .*read-only.*"
FULL = r"failed: .*(no space|too little space) is left.*"


def _disks() -> Iterator[Case]:
    for kind in KINDS:
        # Enough packets for a disk that has room for the journal only.
        many = {"time_limit": 300} if kind == "simple" else {"time_limit": 90, "colo": "ORD"}
        yield Case("disk full", "tmpfs of 1 MB", kind, Place("small disk"), FULL, request=many)
        yield Case(
            "read-only archive",
            "before acceptance",
            kind,
            Place("disk"),
            READ_ONLY,
            accepts=0,
            drive=_read_only,
        )
        yield Case(
            "read-only archive",
            "after acceptance",
            kind,
            Place("disk"),
            READ_ONLY,
            steps=(Step(JOURNAL, "Journal.accept", "return", do="wait"),),
            drive=_read_only_later,
        )


def _read_only(stage: Stage) -> None:
    stage.world.make_read_only()
    stage.start()


def _read_only_later(stage: Stage) -> None:
    run_id = stage.start()
    stage.reached()
    stage.world.make_read_only()
    stage.site.let_go(run_id)


# -- Prefect ------------------------------------------------------------------------------------------------


def _prefect() -> Iterator[Case]:
    held = Step(LANE, "Hold.remember", do="wait")
    for kind in KINDS:
        yield Case(
            "Prefect server killed",
            "while the lane's slot is held",
            kind,
            Place(),
            steps=(held,),
            drive=_restart,
        )
        yield Case(
            "Prefect server killed",
            "while the capture is polled",
            kind,
            Place("s3"),
            steps=(Step(CLIENT, "Client.get_capture", do="wait"),),
            drive=_restart,
        )
        yield Case(
            "Prefect's database locked 20 s",
            "while the lane's slot is held",
            kind,
            Place(),
            steps=(held,),
            drive=_lock,
        )


def _restart(stage: Stage) -> None:
    run_id = stage.start()
    stage.reached()
    stage.site.kill_server()
    time.sleep(1)
    stage.site.wait_for_server()
    stage.site.let_go(run_id)


def _lock(stage: Stage) -> None:
    run_id = stage.start()
    stage.reached()
    locked = threading.Thread(target=stage.site.lock_database, args=[20.0])
    locked.start()
    time.sleep(0.5)
    stage.site.let_go(run_id)
    locked.join()


# -- people -------------------------------------------------------------------------------------------------


def _people() -> Iterator[Case]:
    for kind in KINDS:
        yield Case(
            "six runs in one lane",
            "of mixed priority, people between",
            kind,
            Place(),
            accepts=6,
            drive=_contend,
            limit=UPKEEP_LIMIT,
        )


def _contend(stage: Stage) -> None:
    """Six runs at once from three queues; twice somebody takes the lane before them."""
    somebody = {**somebody_asks(stage), "time_limit": 10 if stage.case.kind == "simple" else 60}
    for number, queue in enumerate(["schedules", "manual", "alerts"] * 2):
        # Each asks for something of its own, so that the edge's log tells them apart.
        stage.start(queue=queue, time_limit=21 + number)
    for _ in range(2):
        before = len(stage.world.accepted())
        stage.wait(lambda before=before: len(stage.world.accepted()) > before, "one more capture")
        stage.wait(lambda: stage.world.person_asks(somebody), "somebody's turn")
