"""The evidence of a case: the edge's log, the archive's plain bytes, the states of runs."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

GZIP = b"\x1f\x8b"


class StateSeen(Protocol):
    """A state of a run."""

    type: str
    message: str
    at: datetime


@dataclass(frozen=True)
class Delivery:
    """A file that the edge delivered: in the bucket under `key`, or as a download (no key)."""

    key: str
    data: bytes
    packets: int

    @property
    def plain(self) -> bytes:
        """Its bytes, unpacked."""
        return gzip.decompress(self.data) if self.data.startswith(GZIP) else self.data


@dataclass(frozen=True)
class RunSeen:
    """A run and its states in order."""

    run_id: str
    history: Sequence[StateSeen]

    @property
    def last(self) -> StateSeen:
        """Its last state."""
        return self.history[-1]


@dataclass(frozen=True)
class Evidence:
    """Everything that the judge reads.

    Attributes:
        events: the edge's log.
        ours: what the edge calls edgecap.
        lag: seconds for which the edge's list does not show a new capture.
        speed: of the edge's clock.
        archive: every file of the archive under its final name.
        other: likewise of a second archive on the same account.
        deliveries: what the edge delivered, by the capture's id.
        lost: captures of which the edge never delivered a file.
        runs: those of the case.
        freed: for each kill, after how many seconds nobody held the lane's slot; None if that was never seen.
        cancels: when somebody cancelled our captures, in seconds since 1970.
        noticed: for each kill, after how many seconds the run had another state; None if it never had.
        noticed_within: the most that these may be; None if the case does not check it.
        freed_within: seconds in which a dead holder's lane must be free again.
    """

    events: Sequence[Mapping[str, Any]]
    ours: str = "edgecap"
    lag: float = 0.0
    speed: float = 1.0
    archive: Mapping[str, bytes] = field(default_factory=dict)
    deliveries: Mapping[str, Sequence[Delivery]] = field(default_factory=dict)
    lost: frozenset[str] | set[str] = frozenset()
    runs: Sequence[RunSeen] = ()
    freed: Sequence[float | None] = ()
    other: Mapping[str, bytes] = field(default_factory=dict)
    cancels: Sequence[float] = ()
    noticed: Sequence[float | None] = ()
    noticed_within: float | None = None
    freed_within: float = 90.0

    def posts(self, outcome: str) -> list[Mapping[str, Any]]:
        """All requests for captures that were `accepted` or `refused`, by anybody, in order."""
        return [
            event
            for event in self.events
            if event["event"] == "request"
            and event["method"] == "POST"
            and event["path"].endswith("/pcaps")
            and event["outcome"] == outcome
        ]

    @property
    def accepted(self) -> list[Mapping[str, Any]]:
        """Our requests that were accepted."""
        return [event for event in self.posts("accepted") if event.get("caller") == self.ours]

    @property
    def files(self) -> dict[str, bytes]:
        """The files of both archives; ids keep them apart."""
        return {**self.archive, **self.other}

    def manifests(self) -> dict[str, dict[str, Any]]:
        """Every manifest that is valid JSON, by its key."""
        return {
            key: json.loads(data)
            for key, data in self.files.items()
            if key.startswith("captures/") and key.endswith("/manifest.json")
        }

    def endings(self) -> dict[str, dict[str, Any]]:
        """How intents ended by the journal, both by the capture's id and by the run's."""
        found = {}
        for key, data in self.files.items():
            if match := re.fullmatch(r"intents/([^/]+)/ended\.json", key):
                accepted = self.files.get(f"intents/{match[1]}/accepted.json")
                intent = json.loads(self.files[f"intents/{match[1]}/intent.json"])
                run_id = intent["run"].partition(" ")[0]
                found[run_id] = json.loads(data)
                captures = [event for event in self.accepted if asks(intent, event["body"])]
                for capture_id in {event["capture_id"] for event in captures}:
                    found.setdefault(capture_id, json.loads(data))
                if accepted:
                    found[json.loads(accepted)["capture_id"]] = json.loads(data)
        return found


def intents(evidence: Evidence) -> dict[str, dict[str, Any]]:
    """The intents that the journals hold, by folder."""
    found = {}
    for key, data in evidence.files.items():
        if key.startswith("intents/") and key.endswith("/intent.json"):
            with suppress(ValueError):  # another rule reports that it is torn
                found[key.removesuffix("intent.json")] = json.loads(data)
    return found


def repeats(evidence: Evidence) -> int:
    """How many windows were requested again by the journal, since the result of a POST was unknown."""
    return sum(bool(intent.get("repeats")) for intent in intents(evidence).values())


def asks(intent: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether an intent's body is the posted one, apart from the destination, which is not journalled."""
    posted = {name: value for name, value in body.items() if name != "destination_conf"}
    return bool(intent.get("body") == posted)
