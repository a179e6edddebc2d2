"""Playing a case: its world, its runs, its faults, and its result."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from deployments.demo.object_store import ObjectStore
from tests.faults.case import Case, Result, Step
from tests.faults.evidence import RunSeen
from tests.faults.judge import has_reason, judge, outcome_of
from tests.faults.site import OVER, Site, State
from tests.faults.storage import CannotPlay
from tests.faults.terminal import Terminal
from tests.faults.world import OURS, PERSON, CaseWorld

LOOK = 1.0  # seconds between two looks; each costs the Prefect server some
SETTLED = 1.5  # seconds without any change
NEWS = (
    "CRASHED",
    "SCHEDULED",
    "RUNNING",
    "CANCELLED",
    "FAILED",
)  # the states of a run after its death is noticed
FREED = 90.0  # seconds in which a dead holder's lane must be free: the lease ends, and another run looks
FORGOTTEN = (
    180.0  # likewise if the server has forgotten the lease: edgecap waits two minutes before it frees a slot
)
ASKED = 10.0  # seconds in which an interrupted command asks its question, if it has one


class TooLong(Exception):
    """Something did not happen in time."""


class Stage:
    """A case that is being played; a `drive` gets it."""

    def __init__(self, case: Case, site: Site, world: CaseWorld) -> None:
        self.case = case
        self.site = site
        self.world = world
        self.runs: list[str] = []
        self.kills: list[float] = []
        self.cancels: list[float] = []
        self.wrong: list[str] = []
        self.terminal: Terminal | None = None
        self.then: Callable[[], None] | None = None  # after the edge accepts and before it answers
        self.deadline = time.monotonic() + case.limit
        self._freed: dict[float, float] = {}

    def start(self, *, tags: tuple[str, ...] = (), queue: str = "", archive: str = "", **more: Any) -> str:
        """Start a run of the case's kind, where the case says."""
        usual: dict[str, Any] = {"type": self.case.kind, "time_limit": 10}
        if self.case.kind == "full":
            usual |= {"colo": "ord02", "time_limit": 40}
        request = {**usual, **self.case.request, **more}
        steps = list(self.case.steps) if not self.runs else []
        match self.case.who:
            case "terminal" | "script":
                run_id = self._in_terminal(request, steps)
            case "warm":
                run_id = self._in_warm_process(request, steps)
            case _:
                parameters = {"archive": archive} if archive else {}
                run_id = self.site.start_run(request, steps, list(tags), queue, parameters)
        self.runs.append(run_id)
        return run_id

    def _in_terminal(self, request: dict[str, Any], steps: list[Step]) -> str:
        words = ["capture", request["type"], "--seconds", str(request["time_limit"])]
        words += ["--colo", request["colo"]] if "colo" in request else []
        words += self.case.words
        since = datetime.now(UTC) - timedelta(seconds=1)
        self.terminal, key = self.site.start_terminal(words, steps, tty=self.case.who == "terminal")
        run_id = ""
        while not run_id:
            if self.terminal.over or time.monotonic() > self.deadline:
                raise TooLong(f"the command started no run: {self.terminal.said.strip()[-300:]}")
            time.sleep(LOOK / 2)
            run_id = self.site.run_of(key, since)
        return run_id

    def _in_warm_process(self, request: dict[str, Any], steps: list[Step]) -> str:
        run_id = self.site.start_warm(request, steps)
        self.wait(lambda: self.site.state(run_id).type not in ("SCHEDULED", "PENDING"), "the run to be taken")
        # Prefect gives the run to one only, and a worker that looked at the same moment may be faster.
        if not self.site.is_warm(run_id):
            self.wrong.append("a worker was faster than the warm process")
        return run_id

    def cancel(self, how: str) -> None:
        """Cancel the first run "in the UI", by "edgecap cancel", or by "Ctrl-C"."""
        self.cancels.append(time.time())
        match how:
            case "in the UI":
                self.site.cancel(self.runs[0])
            case "edgecap cancel":
                self.command("cancel", self.runs[0])
            case "Ctrl-C":
                self.interrupt("y")
            case other:
                raise AssertionError(other)

    def interrupt(self, answer: str) -> None:
        """Press Ctrl-C and answer a question; the cancel counts from the answer."""
        assert self.terminal
        self.terminal.interrupt()
        deadline = time.monotonic() + ASKED
        while "[Y/n]" not in self.terminal.said and time.monotonic() < deadline and not self.terminal.over:
            time.sleep(0.1)
        if "[Y/n]" in self.terminal.said:
            if self.cancels:
                self.cancels[-1] = time.time()
            self.terminal.type(f"{answer}\n")

    def command(self, *words: str, code: int | None = 0) -> str:
        """Run a command of edgecap to its end, and return what it says."""
        terminal = self.site.edgecap(words)
        try:
            self.wait(lambda: terminal.over, f"the end of edgecap {words[0]}")
        finally:
            terminal.close()
        if code is not None and terminal.process.returncode != code:
            said = " ".join(terminal.said.split())[-300:]
            self.wrong.append(f"edgecap {words[0]} ended with {terminal.process.returncode}: {said}")
        return terminal.said

    def wait(self, until: Callable[[], object], what: str) -> None:
        """Wait until something is true, at most as long as the case may last."""
        while not until():
            if time.monotonic() > self.deadline:
                raise TooLong(f"in {self.case.limit:.0f} s this did not come: {what}")
            self.watch_lane()
            time.sleep(LOOK)

    def reached(self, number: int = 0) -> None:
        """Wait until the first run waits at a step."""
        self.wait(lambda: len(self.site.struck(self.runs[0])) > number, "the point where the run shall wait")

    def in_state(self, *names: str) -> None:
        """Wait until the first run is in a state of one of these names or types."""
        self.wait(
            lambda: {(now := self.site.state(self.runs[0])).name, now.type} & set(names), f"state {names}"
        )

    def watch_lane(self) -> None:
        """Note for each kill when the slot was free."""
        for kill in self.all_kills():
            if kill in self._freed:
                continue
            if self.site.holders(self.case.kind, self.world.lanes) == 0:
                self._freed[kill] = time.time() - kill

    def all_kills(self) -> list[float]:
        """When each process of its runs was killed."""
        own = []
        if self.runs and any(step.deadly for step in self.case.steps):
            own = self.site.struck(self.runs[0], deadly=True)
        return sorted([*self.kills, *own])

    def freed(self) -> list[float | None]:
        """For each kill, the seconds until the slot was free."""
        return [self._freed.get(kill) for kill in self.all_kills()]

    def finish(self) -> None:
        """Wait until everything has ended by itself."""
        while not self._over():
            if time.monotonic() > self.deadline:
                raise TooLong(f"it did not end by itself within {self.case.limit:.0f} s")
            self.watch_lane()
            time.sleep(LOOK)
        self.watch_lane()
        time.sleep(SETTLED)
        self.watch_lane()

    def _over(self) -> bool:
        states = [self.site.state(run_id) for run_id in self.runs]
        for state in states:
            if state.type not in OVER and not (self.case.given_up and state.type == "CRASHED"):
                return False
        if len(self.all_kills()) < self.case.deaths:
            return False
        if self.world.is_awaited():
            return False
        free = {event["capture_id"] for event in self.world.states("full") if event.get("lane") == "free"}
        names = self.world.names()
        for capture_id in self.world.accepted():
            if self.case.kind == "full" and capture_id not in free:
                return False
            entry = any(name.endswith(f"_{capture_id}/manifest.json") for name in names)
            ended = any(name.endswith("/ended.json") for name in names)
            if not entry and not ended and not any(state.type == "FAILED" for state in states):
                return False
        return True

    def watch_edge(self, event: dict[str, Any]) -> None:
        """The edge calls this before it sends an answer."""
        if not self.runs or event["event"] != "request" or not event["path"].endswith("/pcaps"):
            return
        if event["method"] != "POST" or event["outcome"] != "accepted" or event.get("caller") != OURS:
            return
        if self.case.on_accept and not self.kills:
            at = self.site.kill(self.runs[0], worker=self.case.on_accept == "both")
            self.kills += [at] if at else []
        then, self.then = self.then, None
        if then:
            then()


def play(case: Case, site: Site, store: ObjectStore, folder: Path) -> Result:
    """Play one case to its end and judge it."""
    result = Result(case)
    began = time.monotonic()
    try:
        with CaseWorld(case.place, folder, store, site.config) as world:
            site.watch_anew()
            stage = Stage(case, site, world)
            world.log.watcher = stage.watch_edge
            world.trouble(*case.faults)
            try:
                if case.drive:
                    case.drive(stage)
                else:
                    stage.start()
                stage.finish()
            except (TooLong, httpx.HTTPError) as error:
                result.violations.append(" ".join(f"{error}".split()) or type(error).__name__)
            result.violations += stage.wrong
            result.seconds = time.monotonic() - began
            world.log.watcher = None
            try:
                _judge(result, stage)
            finally:
                if stage.terminal:
                    stage.terminal.close()
                site.give_up(stage.runs)
    except CannotPlay as reason:
        result.skipped = str(reason)
    return result


def _judge(result: Result, stage: Stage) -> None:
    case, world, site = stage.case, stage.world, stage.site
    runs = [RunSeen(run_id, site.history(run_id)) for run_id in stage.runs]
    kills = stage.all_kills()
    begins = [state.at.timestamp() for state in runs[0].history if state.type == "RUNNING"] if runs else []
    back = [next((at - kill for at in begins if at > kill), None) for kill in kills]
    # On a busy machine a process needs a minute to start; what counts is that the death was noticed.
    news = [state.at.timestamp() for state in runs[0].history if state.type in NEWS] if runs else []
    noticed = [next((at - kill for at in news if at > kill), None) for kill in kills]
    evidence = world.evidence(
        runs,
        stage.freed(),
        cancels=stage.cancels,
        noticed=noticed,
        noticed_within=case.noticed_within,
        freed_within=FORGOTTEN if case.flavour == "memory" else FREED,
    )
    result.violations += judge(evidence)
    outcomes = [outcome_of(run, evidence) for run in runs]
    result.outcome = _summed(outcomes)
    result.violations += [
        f"expected {case.expect!r}, and it {'is'} {outcome!r}"
        for outcome in outcomes
        if not re.fullmatch(case.expect, outcome, re.DOTALL)
    ]
    result.accepted = len(evidence.accepted)
    if case.accepts is not None and result.accepted != case.accepts:
        result.violations.append(f"{result.accepted} captures were accepted instead of {case.accepts}")
    # A fault that never happened proves nothing.
    result.violations += [f"the fault {kind} never struck" for kind in world.unspent()]
    if world.proxy and not world.proxy.went_off:
        result.violations.append("the proxy did no harm")
    if len(kills) < case.deaths:
        result.violations.append(f"{len(kills)} of {case.deaths} deaths happened")
    entries = {manifest["entry_id"] for manifest in evidence.manifests().values()}
    captures = [event["capture_id"] for event in evidence.accepted]
    result.archived = sum(capture_id in entries for capture_id in captures)
    result.failed = sum(
        capture_id not in entries and has_reason(evidence, capture_id) for capture_id in captures
    )
    result.kills = len(kills)
    result.freed = [seconds for seconds in evidence.freed if seconds is not None]
    result.run_ids = stage.runs
    for run in runs:
        result.lives += _lives(run.history)
        result.history.append(
            " ".join(f"{state.at:%H:%M:%S} {state.type}({state.name})" for state in run.history)
        )
    if len(runs) == 1:
        result.back = [seconds for seconds in back if seconds is not None]
    if result.violations:
        result.history += [_told(event) for event in evidence.events if _telling(event, case.kind)][-40:]
        if stage.terminal:
            result.history += ["terminal: " + " ".join(stage.terminal.said.split())[-400:]]
        result.history += [
            f"{state.name}: {state.message[:300]}" for run in runs for state in run.history[-1:]
        ]


def _telling(event: dict[str, Any], kind: str) -> bool:
    """Whether a line of the edge's log helps to understand what went wrong."""
    if event["event"] == "request":
        known = event.get("caller") in (OURS, PERSON, None)
        return known and event["method"] != "GET" and "ownership" not in event["path"]
    return event["event"] in ("state", "stop", "captured") and event.get("type") == kind


def _told(event: dict[str, Any]) -> str:
    named = ("method", "outcome", "status", "caller", "fault", "type", "after", "lane", "capture_id", "why")
    said = " ".join(f"{event[name]}" for name in named if event.get(name) is not None)
    return f"edge {event['wall'][11:19]} {event['event']} {said}"


def _lives(history: list[State]) -> int:
    before, count = "", 0
    for state in history:
        count += state.type == "RUNNING" and before != "RUNNING"
        before = state.type
    return count


def _summed(outcomes: list[str]) -> str:
    """Such as `6 x archived`."""
    different = list(dict.fromkeys(outcomes))
    return "; ".join(
        f"{outcomes.count(each)} x {each}" if outcomes.count(each) > 1 else each for each in different
    )
