"""A case of the matrix, and its result."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.faults.play import Stage

LIMIT = 600.0  # seconds for a case to end by itself, however busy the machine is
UPKEEP_LIMIT = (
    1200.0  # likewise, where nothing but the schedule of `reconcile`, every 10 minutes, is sure to run
)

GENTLE = ("wait", "hold", "forks")  # a run goes on without the server that forked its process

Drive = Callable[["Stage"], None]


@dataclass(frozen=True)
class Step:
    """What happens to one process of a run, at the `nth` call of a function of a module, or at its return.

    The module `start` stands for the first moment of the process.
    `do` is "kill" for the process, "worker", "both" for the worker and then the process, "client" for the one
    that stands for a forked process, "forks" for the fork server, "wait" until told to go on, or "hold": the
    same while the rest of the process goes on.
    """

    module: str
    name: str
    when: str = "enter"
    nth: int = 1
    do: str = "kill"

    @property
    def deadly(self) -> bool:
        """Whether it kills the run's process, or what looks after it."""
        return self.do not in GENTLE


@dataclass(frozen=True)
class Place:
    """Where and how a case plays.

    Attributes:
        archive: "folder", "s3", "small disk" or "disk" (a file system that can be made read-only).
        variant: a key of `VARIANTS`.
        changes: fields of the variant to change.
        speed: of the edge's clock.
        ahead: seconds by which the edge's clock is ahead at the start.
        proxied: whether the bucket is reached through a proxy that can be told to do harm.
        archive_proxied: likewise for an archive on S3.
        second: whether the account has another archive, called "other", with another bucket.
        dashboard: whether people write to a bucket of their own.
    """

    archive: str = "folder"
    variant: str = "documented"
    changes: dict[str, Any] = field(default_factory=dict)
    speed: float = 30.0
    ahead: float = 0.0
    proxied: bool = False
    archive_proxied: bool = False
    second: bool = False
    dashboard: bool = False


@dataclass(frozen=True)
class Case:
    """One line of the matrix.

    Attributes:
        group: what it is about, such as `crash while polling`.
        detail: what is special about it.
        kind: "simple" or "full".
        place: where it plays.
        expect: a pattern that the outcome of each of its runs must match.
        accepts: the exact number of edgecap's captures that the edge must accept; None where it depends on
            the moment.
        request: further fields of the request.
        steps: what happens to the processes of its run, one after the other.
        on_accept: "kill" the run's process, or "both", after the edge accepts and before it answers.
        faults: trouble that the edge makes.
        drive: what else happens; it starts the runs.
        given_up: whether the run ends as crashed.
        limit: seconds.
        who: what its run works in: a "worker"'s process, a "terminal" (also "script", without a tty), or the
            "warm" process.
        flavour: of the site, one of `FLAVOURS`.
        noticed_within: seconds in which the death of a run must be noticed.
        words: more of the command, for a terminal.
        long: whether it lasts an hour in which little happens.
    """

    group: str
    detail: str
    kind: str
    place: Place
    expect: str = "archived"
    accepts: int | None = 1
    request: dict[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    on_accept: str = ""
    faults: tuple[str, ...] = ()
    drive: Drive | None = None
    given_up: bool = False
    limit: float = LIMIT
    who: str = "worker"
    flavour: str = "sqlite"
    noticed_within: float | None = None
    words: tuple[str, ...] = ()
    long: bool = False

    @property
    def name(self) -> str:
        """Unique in the matrix."""
        parts = [self.group, self.kind, self.place.archive, self.place.variant, self.detail]
        parts.append("" if self.who == "worker" else self.who)
        parts.append({"postgres": "PostgreSQL", "memory": "leases in memory"}.get(self.flavour, ""))
        return " / ".join(filter(None, parts))

    @property
    def deaths(self) -> int:
        """How often its run's process is killed by a step, or by the edge's answer."""
        return sum(step.deadly for step in self.steps) + bool(self.on_accept)

    @property
    def definition(self) -> str:
        """A hash that changes if the case changes, or the code of its `drive`."""
        parts = [
            repr(getattr(self, each.name)) for each in fields(self) if each.name not in ("drive", "limit")
        ]
        text = "\n".join([*parts, text_of(self.drive)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def text_of(value: Any) -> str:
    """A function as text: its source and its arguments."""
    if isinstance(value, functools.partial):
        given = [text_of(each) for each in (*value.args, *value.keywords, *value.keywords.values())]
        return "\n".join([text_of(value.func), *given])
    if inspect.isfunction(value):
        return inspect.getsource(value)
    return repr(value)


@dataclass
class Result:
    """The result of a case.

    Attributes:
        outcome: of its runs, in words.
        violations: rules that were broken, and expectations that were not met.
        skipped: why it could not be played.
        lives: processes that worked on its runs.
        kills: processes of runs that were killed.
        back: for each kill, seconds until the run resumed.
        freed: for each kill, seconds until nobody held the lane's slot.
        seconds: from its start to its end.
        accepted: captures that the edge accepted of edgecap.
        archived: entries of them.
        failed: captures that failed with a reason.
        history: the states of its runs, to look at when something is wrong.
        run_ids: its runs, as Prefect has them.
        commit: of the code that was played.
        at: when it was over, UTC.
    """

    case: Case
    outcome: str = ""
    violations: list[str] = field(default_factory=list)
    skipped: str = ""
    lives: int = 0
    kills: int = 0
    back: list[float] = field(default_factory=list)
    freed: list[float] = field(default_factory=list)
    seconds: float = 0.0
    accepted: int = 0
    archived: int = 0
    failed: int = 0
    history: list[str] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    commit: str = ""
    at: str = ""

    def record(self) -> str:
        """One line of JSON for the file of results; with the history only if something is wrong."""
        left_out = {"case"} if self.violations else {"case", "history"}
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in left_out}
        return json.dumps({"name": self.case.name, "definition": self.case.definition, **values})

    @classmethod
    def read(cls, case: Case, record: dict[str, Any]) -> Result:
        """The result in such a line."""
        known = {each.name for each in fields(cls)} - {"case"}
        return cls(case, **{name: value for name, value in record.items() if name in known})
