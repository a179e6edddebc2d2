"""Long outages: of the API, the archive, the bucket, Prefect's server; and tokens that fail.

A run tries again for minutes of real time before it gives its process back, whatever the edge's clock does.
So an outage lasts until the run waits without a process, at most `LONGEST`, and `MORE` after that. One of
each kind lasts a real hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

from tests.faults.case import UPKEEP_LIMIT, Case, Place, Step
from tests.faults.play import Stage
from tests.faults.points import ACCEPTED, ARCHIVING, FETCHING, KINDS, LANE, MERGING, SLOW

LONGEST = 420.0  # seconds; 400 were too many for runs that failed after 4.8 minutes
MORE = 30.0  # seconds
HOUR = 3600.0
LIMIT = LONGEST + UPKEEP_LIMIT
API = {
    "503": ("error,count=always,value=503",),
    "no connection": ("reset,count=always,after=false",),
    "429": ("rate_limit,count=always,value=30",),
}

Away = Callable[[Stage], AbstractContextManager[None]]


def cases(turn: Iterator[str]) -> Iterator[Case]:
    """All of them."""
    yield from _api(turn)
    yield from _token(turn)
    yield from _download(turn)
    yield from _archive(turn)
    yield from _bucket(turn)
    yield from _prefect()
    yield from _for_an_hour()


def _api(turn: Iterator[str]) -> Iterator[Case]:
    for number, (how, faults) in enumerate(API.items()):
        for kind in KINDS:
            yield _away(
                "the API is away",
                f"{how}, before the first call",
                kind,
                next(turn),
                partial(_edge, faults=faults),
            )
            step = ACCEPTED if (number + (kind == "full")) % 2 else _PAUSE[kind]
            name = "before it is journalled" if step is ACCEPTED else "before it is fetched"
            yield _away(
                "the API is away", f"{how}, {name}", kind, next(turn), partial(_edge, faults=faults), step
            )
    for who in ("script", "warm"):
        yield _away(
            "the API is away",
            "503, before the first call",
            "full",
            next(turn),
            partial(_edge, faults=API["503"]),
            who=who,
        )


_PAUSE = {
    "simple": Step("edgecap.cloudflare.client", "Client.get_capture", "return", do="hold"),
    "full": Step("edgecap.cloudflare.client", "Client.get_capture", "return", do="hold"),
}


def _away(
    group: str,
    detail: str,
    kind: str,
    variant: str,
    away: Away,
    step: Step | None = None,
    *,
    archive: str = "folder",
    who: str = "worker",
    flavour: str = "sqlite",
    **place: bool,
) -> Case:
    return Case(
        group,
        detail,
        kind,
        Place(archive, variant, **place),  # type: ignore[arg-type]
        steps=(step,) if step else (),
        drive=partial(_while_away, away=away),
        limit=LIMIT,
        who=who,
        flavour="warm" if who == "warm" else flavour,
    )


def _edge(stage: Stage, faults: tuple[str, ...]) -> AbstractContextManager[None]:
    return stage.world.outage(*faults)


def _while_away(stage: Stage, away: Away) -> None:
    """Away until the run waits without a process, or long enough for one that gives up."""
    if not stage.case.steps:
        with away(stage):
            stage.start()
            _until_it_waits(stage)
        return
    run_id = stage.start()
    stage.reached()
    with away(stage):
        stage.site.let_go(run_id)
        _until_it_waits(stage)


def _until_it_waits(stage: Stage) -> None:
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        state = stage.site.state(stage.runs[0])
        if state.type in ("SCHEDULED", "COMPLETED", "FAILED") and state.name.startswith(
            ("Waiting", "Fail", "C")
        ):
            break
        time.sleep(1)
    time.sleep(MORE)


def _token(turn: Iterator[str]) -> Iterator[Case]:
    for kind in KINDS:
        for step, name in ((ACCEPTED, "before it is journalled"), (_PAUSE[kind], "before it is fetched")):
            yield _away("the token answers 403 for a while", name, kind, next(turn), _no_token, step)
    yield Case(
        "the token answers 403",
        "from the start",
        "full",
        Place(variant=next(turn)),
        r"failed: .*",
        accepts=0,
        drive=_never_good,
    )


def _no_token(stage: Stage) -> AbstractContextManager[None]:
    return stage.world.token_refused()


def _never_good(stage: Stage) -> None:
    with stage.world.token_refused():
        stage.start()
        stage.in_state("FAILED")


def _download(turn: Iterator[str]) -> Iterator[Case]:
    for archive in ("folder", "s3"):
        for status, count in ((404, 3), (404, 1), (500, 3)):
            yield Case(
                f"the download answers {status} after success",
                f"{count} times",
                "simple",
                Place(archive, next(turn)),
                faults=(f"error,method=GET,path=*/download,value={status},count={count}",),
            )

        for name, changes in (
            ("redirects", {"download_redirects": True}),
            ("answers 404 for a minute after success", {"download_after": 60.0}),
        ):
            yield Case(f"the download {name}", "", "simple", Place(archive, next(turn), changes=changes))


def _archive(turn: Iterator[str]) -> Iterator[Case]:
    steps = {
        "before the first call": None,
        "before it is journalled": ACCEPTED,
        "before it is merged": MERGING,
        "before its manifest": ARCHIVING,
    }
    for number, (name, step) in enumerate(steps.items()):
        for kind in KINDS:
            yield _away(
                "the archive is away",
                name,
                kind,
                next(turn),
                _no_archive,
                step,
                archive="s3",
                archive_proxied=True,
            )
        kind = KINDS[number % 2]
        yield _away("the archive is away", f"{name}, a folder", kind, next(turn), _no_archive, step)


def _no_archive(stage: Stage) -> AbstractContextManager[None]:
    return stage.world.archive_away()


def _bucket(turn: Iterator[str]) -> Iterator[Case]:
    yield _away("the bucket is away", "before the first call", "full", next(turn), _no_bucket, proxied=True)
    yield _away(
        "the bucket is away",
        "before it is fetched",
        "full",
        next(turn),
        _no_bucket,
        _PAUSE["full"],
        proxied=True,
    )


def _no_bucket(stage: Stage) -> AbstractContextManager[None]:
    return stage.world.bucket_away()


def _prefect() -> Iterator[Case]:
    steps = {
        "while the lane's slot is held": Step(LANE, "Hold.remember", do="hold"),
        "before it is journalled": ACCEPTED,
        "while it is fetched": FETCHING,
        "before its manifest": ARCHIVING,
    }
    for flavour in ("sqlite", "postgres"):
        for number, (name, step) in enumerate(steps.items()):
            for kind in KINDS:
                if flavour == "sqlite" or KINDS[number % 2] == kind:
                    yield Case(
                        "the Prefect server is away for 200 s",
                        name,
                        kind,
                        Place(),
                        steps=(step,),
                        drive=partial(_no_server, seconds=200.0),
                        limit=LIMIT,
                        flavour=flavour,
                    )
    yield Case(
        "the Prefect server is away for 200 s",
        "while it waits without a process",
        "full",
        Place(speed=SLOW),
        request={"time_limit": 600},
        drive=partial(_no_server_asleep, seconds=200.0),
        limit=LIMIT,
    )


def _no_server(stage: Stage, seconds: float) -> None:
    run_id = stage.start()
    stage.reached()
    with stage.site.without_server():
        stage.site.let_go(run_id)
        time.sleep(seconds)


def _no_server_asleep(stage: Stage, seconds: float) -> None:
    run_id = stage.start()
    stage.wait(
        lambda: stage.site.state(run_id).name == "WaitingForCapture", "the run to wait without a process"
    )
    with stage.site.without_server():
        time.sleep(seconds)


def _for_an_hour() -> Iterator[Case]:
    def case(group: str, detail: str, kind: str, away: Away, place: Place, step: Step | None = None) -> Case:
        return Case(
            group,
            detail,
            kind,
            place,
            steps=(step,) if step else (),
            drive=partial(_hour, away=away),
            limit=HOUR + UPKEEP_LIMIT,
            long=True,
        )

    down = partial(_edge, faults=API["503"])
    real = Place(speed=1.0)  # on a quick clock the packets would be too old by then
    yield case("away for a real hour", "the API, before the first call", "simple", down, real)
    yield case("away for a real hour", "the API, after acceptance", "full", down, real, ACCEPTED)
    s3 = Place("s3", archive_proxied=True, speed=1.0)
    yield case("away for a real hour", "the archive, before its manifest", "full", _no_archive, s3, ARCHIVING)
    held = Step("edgecap.cloudflare.client", "Client.get_capture", "return", do="hold")
    yield case("away for a real hour", "the Prefect server, while it polls", "full", _no_prefect, real, held)


def _no_prefect(stage: Stage) -> AbstractContextManager[None]:
    return stage.site.without_server()


def _hour(stage: Stage, away: Away) -> None:
    if not stage.case.steps:
        with away(stage):
            stage.start()
            time.sleep(HOUR)
        return
    run_id = stage.start()
    stage.reached()
    with away(stage):
        stage.site.let_go(run_id)
        time.sleep(HOUR)
