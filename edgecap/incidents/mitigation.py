"""Captures that are quiet because the edge dropped the packets before they could be captured.

A capture sees only what the edge lets through. Where it has no packets and the edge dropped most of what came
in its time, nothing of it is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgecap.alerts.policy.decision import Planned
from edgecap.analytics.dropped import Dropped
from edgecap.incidents.record import Part
from edgecap.requests import SimpleRequest
from edgecap.units import percent, short

MOST = 0.5  # of the packets: if the edge dropped more, it explains that a capture is quiet
_SAMPLES = 3  # dropped packets that were sampled; fewer may be chance
_NO_PACKETS = re.compile(r"\bno packets?\b", re.IGNORECASE)
_CLOCKS = timedelta(seconds=5)

Window = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Mitigation:
    """What the edge did with the packets to the targets in the time of a capture. Packets are estimates.

    Attributes:
        targets: whose packets.
        passed: packets that it let through, in all data centres.
        dropped: packets that it dropped.
        by: what dropped them, such as `dosd`; empty if that is not known.
    """

    targets: tuple[str, ...]
    passed: float
    dropped: float
    by: str = ""

    @property
    def share(self) -> float:
        """Which part was dropped, 0 to 1."""
        everything = self.passed + self.dropped
        return self.dropped / everything if everything else 0.0

    @property
    def words(self) -> str:
        """Such as `the edge dropped 98.7% of the packets to 203.0.113.7 in its time, about 12 M (dosd)`."""
        to = self.targets[0] if len(self.targets) == 1 else f"{self.targets[0]} and others"
        share = "all" if not self.passed else percent(self.share) + " of the"
        by = f" ({self.by})" if self.by else ""
        return f"the edge dropped {share} packets to {to} in its time, about {short(self.dropped)}{by}"


def mitigation_in(dropped: Dropped, window: Window | None) -> Mitigation | None:
    """What the edge did in a window of time; None if that is not known, or it dropped next to nothing.

    Args:
        dropped: of the incident.
        window: a capture's time, aware; None for all of the incident's.
    """
    passed, gone = dropped.passed.value, dropped.dropped.value
    if window is not None and dropped.series:
        passed, gone = _within(dropped, window)
    each = gone and _weight(dropped)
    if not gone or gone < _SAMPLES * each:
        return None
    systems = ", ".join(
        group.name for group in dropped.by("system")[:3] if group.name and group.dropped.value
    )
    return Mitigation(dropped.targets, passed, gone, systems)


def _within(dropped: Dropped, window: Window) -> tuple[float, float]:
    """The sums of the steps that a window touches."""
    series = dropped.series
    assert series is not None, "its caller has looked"
    begins, ends = window[0] - _CLOCKS, window[1] + _CLOCKS
    first = int((begins - series.start).total_seconds() // series.seconds)
    last = int((ends - series.start).total_seconds() // series.seconds)
    inside = slice(max(0, first), max(0, last + 1))
    return sum(series.passed[inside]), sum(series.dropped[inside])


def _weight(dropped: Dropped) -> float:
    """About how many packets a sample stands for."""
    whole = dropped.passed.value + dropped.dropped.value
    return whole / dropped.samples if dropped.samples else 1.0


def planned_window(planned: Planned, decided: datetime | None, ended: datetime | None) -> Window | None:
    """When a capture was to look; a full one may have had to wait, so it counts up to the attack's end.

    Args:
        planned: the capture.
        decided: when it was decided, aware.
        ended: when the attack ended; None if not known.
    """
    request = planned.request
    length = timedelta(seconds=request.time_limit)
    if isinstance(request, SimpleRequest):
        ends = request.offset_time or planned.not_before or decided
        return (ends - length, ends) if ends and ends.tzinfo else None
    begins = planned.not_before or decided
    if begins is None:
        return None
    return begins, max(begins + length, ended or begins)


def found_nothing(part: Part) -> bool:
    """Whether a capture ran, and no packet matched."""
    if part.state == "archived":
        return part.packets == 0
    return part.state == "missing" and bool(part.capture_id) and bool(_NO_PACKETS.search(part.reason))


def with_mitigation(
    parts: Iterable[Part],
    plans: dict[tuple[str, int], Planned],
    dropped: Dropped | None,
    *,
    decided: datetime | None,
    ended: datetime | None,
) -> list[Part]:
    """The captures, those as `mitigated` that have no packets because the edge dropped them.

    Args:
        parts: the captures.
        plans: what was planned, by phase and number.
        dropped: what the edge dropped; None if that is not known.
        decided: when the captures were decided, aware.
        ended: when the attack ended.
    """
    made = []
    for part in parts:
        planned = plans.get((part.phase, part.number))
        if dropped and planned and part.state == "missing" and found_nothing(part):
            found = mitigation_in(dropped, planned_window(planned, decided, ended))
            if found and found.share >= MOST:
                made.append(part.model_copy(update={"state": "mitigated", "reason": found.words}))
                continue
        made.append(part)
    return made
