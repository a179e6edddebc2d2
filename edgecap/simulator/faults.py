"""Faults to inject, at the start and at run time."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from edgecap.errors import ConfigError

ANSWER_KINDS = frozenset({"latency", "rate_limit", "error", "reset", "late", "truncate", "garbage"})
FILE_KINDS = frozenset({"late_file", "missing_file", "flip_byte"})
_BEFORE = frozenset({"rate_limit", "error", "late"})


class Fault(BaseModel):
    """One kind of fault, and when it strikes."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal[
        "latency",
        "rate_limit",
        "error",
        "reset",
        "late",
        "truncate",
        "garbage",
        "late_file",
        "missing_file",
        "flip_byte",
    ] = Field(
        description="latency: the answer waits. rate_limit: 429. error: 5xx. reset: the connection breaks, "
        "no answer. late: the same, and the request arrives later. truncate: the body breaks off. "
        "garbage: a body that is no envelope. late_file, missing_file, flip_byte: a file of a full capture "
        "comes late, never, or with one bit changed"
    )
    method: str = Field("*", description="HTTP method, or *")
    path: str = Field(
        "*", description="Pattern for the path, such as */pcaps; for files, for the key in the bucket"
    )
    count: int | None = Field(1, ge=1, description="How often it strikes; empty: always")
    probability: float = Field(1.0, gt=0, le=1, description="Chance to strike a match")
    value: float | None = Field(
        None,
        ge=0,
        description="latency: real seconds (1). rate_limit: seconds in retry-after (30). "
        "error: status (503). truncate: part of the body that is sent (0.5). "
        "late, late_file: seconds (30). flip_byte: offset (any)",
    )
    after: bool | None = Field(
        None, description="Whether the request takes effect; by default rate_limit and error: no, others: yes"
    )
    _struck: int = PrivateAttr(default=0)

    @property
    def takes_effect(self) -> bool:
        """Whether the edge executes the request before the fault strikes."""
        return self.kind not in _BEFORE if self.after is None else self.after

    @property
    def struck(self) -> int:
        """How often it has struck."""
        return self._struck

    def amount(self, default: float) -> float:
        """The fault's value, or the default for it."""
        return default if self.value is None else self.value

    def strike(self) -> None:
        """Count one strike."""
        self._struck += 1

    @property
    def spent(self) -> bool:
        """Whether it will not strike again."""
        return self.count is not None and self._struck >= self.count


class Faults:
    """The plan of faults. Safe to use from many threads.

    Args:
        plan: the initial faults.
        seed: for probabilities.
    """

    def __init__(self, plan: Iterable[Fault] = (), *, seed: int = 1) -> None:
        self._plan = list(plan)
        self._lock = threading.Lock()
        self._dice = random.Random(seed)  # noqa: S311 - reproducible for a seed

    def __repr__(self) -> str:
        return f"<Faults [{len([f for f in self._plan if not f.spent])} active]>"

    def add(self, fault: Fault) -> None:
        """Add a fault."""
        with self._lock:
            self._plan.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._plan.clear()

    def state(self) -> list[dict[str, Any]]:
        """All faults, with the number of strikes of each."""
        with self._lock:
            return [{**fault.model_dump(), "struck": fault.struck} for fault in self._plan]

    def for_answer(self, method: str, path: str) -> list[Fault]:
        """The faults that strike this call; counts a strike for each."""
        return self._strike(ANSWER_KINDS, method, path)

    def for_file(self, key: str) -> list[Fault]:
        """The faults that strike this file of a full capture; counts a strike for each."""
        return self._strike(FILE_KINDS, "*", key)

    def roll(self, below: int) -> int:
        """A number from 0 to below - 1."""
        with self._lock:
            return self._dice.randrange(below)

    def _strike(self, kinds: frozenset[str], method: str, path: str) -> list[Fault]:
        with self._lock:
            struck = [
                fault
                for fault in self._plan
                if fault.kind in kinds
                and not fault.spent
                and ("*" in (fault.method, method) or fault.method.upper() == method)
                and fnmatchcase(path, fault.path)
                and (fault.probability >= 1 or self._dice.random() < fault.probability)
            ]
            for fault in struck:
                fault.strike()
            return struck


def parse_fault(text: str) -> Fault:
    """Parse a fault from the command line.

    Args:
        text: the kind, then fields: `reset,method=POST,path=*/pcaps,count=1`.

    Raises:
        ConfigError: a field or value is wrong.
    """
    kind, *rest = text.split(",")
    values: dict[str, Any] = {"kind": kind.strip()}
    for part in rest:
        name, _, value = part.partition("=")
        values[name.strip()] = None if value.strip() in ("", "always") else value.strip()
    try:
        return Fault.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ConfigError(
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            where=f"fault {text}",
            hint="write it such as reset,method=POST,path=*/pcaps,count=1",
        ) from None
