"""The judge of `lane_world`: what the edge got and did, and what the journal says of it, is as it must be.

At most one capture is accepted for an intent, none beside another of its lane, no run is overtaken, and every
run gets to its end.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edgecap.captures.queue import GRACE
from edgecap.cloudflare.models import PAGE
from edgecap.requests import FullRequest
from edgecap.settings import Timing
from edgecap.simulator.variants import FINISHED
from tests.edgecap.captures.lane_runs import Run

MINUTE = timedelta(minutes=1)


@dataclass
class Post:
    """A POST of ours as the edge got it; `event` is from its log."""

    run: Run
    event: dict[str, Any]
    late: bool = False  # it was under way for so long that others had the lane meanwhile

    @property
    def accepted_id(self):
        return self.event["capture_id"] if self.event["outcome"] == "accepted" else None


class Judge:
    """What it sees wrong while it happens is kept until `check` raises it.

    Args:
        world: whose runs, people and edge they are.
    """

    def __init__(self, world):
        self.world = world
        self.posts: list[Post] = []
        self.violations: list[str] = []
        self.looked: dict[Run, datetime] = {}  # at the list
        self.moved = False  # since it was last checked

    def turn(self, run, since, seen):
        """No waiting run is overtaken by one of lower priority, unless that one is urgent."""
        now = self.world.machine_now()
        if now - since >= timedelta(seconds=Timing().urgent_after):
            return
        for other, wakes, jumps in seen:
            due = now - GRACE <= wakes <= now + GRACE
            if other.priority < run.priority and due and jumps == self.world.jumps and not other.over:
                self.violations.append(
                    f"run {run.number} ({run.priority.name}) overtook {other.number} ({other.priority.name})"
                )

    def start(self, run, started):
        record = self.world.record(run)
        if record is None or record.capture_id != started.capture.id:
            self.violations.append(f"run {run.number} got {started.capture.id}, the journal says {record}")

    def post(self, run, event, before, *, late):
        """A POST of a run has reached the edge, where these captures were before."""
        post = Post(run, event, late)
        self.posts.append(post)
        self._judge_post(post, before)

    def _judge_post(self, post, before):
        kind, now = post.run.kind, self.world.now()
        others = [capture for capture in before if capture["type"] == kind]
        if kind == "simple":
            blockers = [c for c in others if now - datetime.fromisoformat(c["submitted"]) < MINUTE]
        else:
            blockers = [c for c in others if c["status"] not in FINISHED]
        listed = {c["id"] for c in sorted(before, key=lambda c: c["submitted"])[-PAGE:]}  # if none lags
        ours = [c["id"] for c in blockers if c["id"] not in self.world.people and c["id"] in listed]
        if post.late or {p.accepted_id for p in self.posts if p.late} & set(ours):
            return  # no run could know that it was still under way
        if post.accepted_id:
            if ours:
                self.violations.append(f"{kind} capture of run {post.run.number} accepted beside {ours}")
            # A person's that we could see, even if the edge would let us start.
            hidden = timedelta(seconds=self.world.variant.list_lag)
            looked = self.looked.get(post.run, now)
            seen = [c["id"] for c in blockers if datetime.fromisoformat(c["submitted"]) + hidden < looked]
            if seen:
                self.violations.append(f"{kind} capture of run {post.run.number} accepted beside {seen}")
        elif post.event.get("reason") in (
            self.world.variant.too_soon.message,
            self.world.variant.busy.message,
        ):
            if len(ours) == len(blockers):
                self.violations.append(f"POST of run {post.run.number} refused because of {ours}")
        elif not post.event.get("fault"):
            self.violations.append(f"POST of run {post.run.number} refused: {post.event.get('reason')}")

    def check(self):
        """Raise AssertionError unless everything that the edge and the journal say is as it must be."""
        assert not self.violations, "\n".join(self.violations)
        if not self.moved:
            return
        self.moved = False
        accepted = [line for line in self.world.edge.log.events("request") if _created(line)]
        assert [line["capture_id"] for line in accepted] == [
            p.accepted_id for p in self.posts if p.accepted_id
        ]
        taken: dict[str, Run] = {}
        records = {run: self.world.record(run) for run in self.world.runs}
        for alike in self.alike():
            ids = [post.accepted_id for post in self.posts if post.run in alike and post.accepted_id]
            names = [run.number for run in alike]
            repeats = sum(bool(records[run] and records[run].intent.repeats) for run in alike)
            assert len(ids) <= len(alike) + repeats, (
                f"{len(ids)} captures were accepted for the intents of runs {names}"
            )
            for run in alike:
                if (record := records[run]) and record.capture_id:
                    assert record.capture_id in ids, f"run {run.number} has {record.capture_id} of {ids}"
                    assert record.capture_id not in taken, f"{record.capture_id} belongs to two intents"
                    taken[record.capture_id] = run

    def check_ends(self):
        """The same, and that everybody got to the end, after all the time that it takes."""
        self.check()
        for alike in self.alike():
            for run in alike:
                oldest = self.world.now() - timedelta(hours=24)
                if run.unknown:
                    assert run.kind == "full" or self.world.record(run).intent.repeats
                    continue
                assert run.started or (run.too_old and run.intent.request.offset_time < oldest), (
                    f"run {run.number} never ends: {run}"
                )
            if any(run.unknown or self.world.record(run).intent.repeats for run in alike):
                continue  # its outcome is unknown
            accepted = sum(bool(post.accepted_id) for post in self.posts if post.run in alike)
            assert accepted == sum(bool(run.started) for run in alike)

    def alike(self) -> list[list[Run]]:
        """Runs in groups that the API's answers cannot tell apart; mostly one each."""
        slack = timedelta(seconds=2) if self.world.variant.offset_digits == 0 else timedelta(milliseconds=2)
        groups: list[list[Run]] = []
        for run in self.world.runs:
            near = [group for group in groups if any(_alike(run, other, slack) for other in group)]
            groups = [group for group in groups if group not in near]
            groups.append([run, *(other for group in near for other in group)])
        return groups


def _created(line):
    return line["method"] == "POST" and line["path"].endswith("/pcaps") and line["outcome"] == "accepted"


def _alike(one, other, slack):
    a, b = one.intent.request, other.intent.request
    if a.type != b.type or a.time_limit != b.time_limit or a.filter != b.filter:
        return False
    if isinstance(a, FullRequest):
        return a.colo == b.colo and one.archive == other.archive
    return abs(a.offset_time - b.offset_time) < slack
