"""What the edge dropped of a target's packets, as Cloudflare's GraphQL API tells: one question for all of it.

The node of Magic Transit has packets that passed beside those that were dropped, in samples. Documented is
one in 10,000; the sums are scaled up already, so the intervals follow from that number.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, Final

from edgecap.analytics.client import Analytics, Answer
from edgecap.analytics.dropped import (
    DIMENSIONS,
    MOST_GROUPS,
    NONE,
    OF_DROPPED,
    Dimension,
    Dropped,
    Group,
    Grouping,
    Series,
)
from edgecap.analytics.nodes import ALL_TRAFFIC, DESTINATION, MINUTE, OUTCOME
from edgecap.analytics.values import (
    addresses_of,
    lies_in,
    limit_in,
    minute_of,
    moment_text,
    plain_number,
    quoted,
)
from edgecap.errors import AnalyticsUnavailable
from edgecap.packets.verdict.intervals import Estimate, count

SAMPLING: Final = 10_000  # of this node (Cloudflare's node reference)
WITHIN = 30.0  # seconds for an answer; nothing but a message and a page waits for it
ROWS_MOST = 1_000  # of a grouping
SERIES_MOST = 5_000
_TRIES = 8  # with other names, or without what the schema does not know
_STEPS = {"datetimeMinute": 60.0, "datetimeFiveMinutes": 300.0}
_TOTAL, _SERIES = "total", "series"
_DIMENSIONS: Final[dict[Dimension, tuple[str, ...]]] = {
    "system": ("mitigationSystem",),
    "reason": ("mitigationReason",),
    "rule": ("ruleId", "ruleName"),
    "vector": ("attackVector",),
    "network": ("sourceAsn", "sourceAsnName"),
    "country": ("sourceCountry",),
    "colo": ("coloCode",),
}
"""The dimensions of the schema: the value, and what it is called."""


async def ask_drops(
    analytics: Analytics,
    targets: Sequence[str],
    since: datetime,
    until: datetime,
    *,
    now: datetime,
    within: float = WITHIN,
) -> Dropped:
    """Ask what passed and what was dropped of the packets to some targets.

    Args:
        analytics: of the account.
        targets: addresses and networks of destinations.
        since: when the window begins, aware.
        until: when it ends.
        now: the time, aware.
        within: seconds for the answer.

    Raises:
        AnalyticsUnavailable: there is no answer in time, or none that can be used.
        AnalyticsRefused: the credentials may not read this.
        ValueError: a target is neither an address nor a network.
    """
    question = _Question(analytics, tuple(targets), since, until)
    answer = await question.ask(within)
    return _Reading(question, answer, now).dropped()


@dataclass(slots=True)
class _Part:
    """One grouping of the question.

    Attributes:
        dimensions: this module's or the schema's names of what rows are told apart by, beside the outcome.
        limit: rows at most.
    """

    dimensions: tuple[str, ...]
    limit: int


class _Question:
    def __init__(
        self, analytics: Analytics, targets: tuple[str, ...], since: datetime, until: datetime
    ) -> None:
        self.analytics = analytics
        self.targets = targets
        self.since = since
        self.until = until
        self.networks = [ip_network(each, strict=False) for each in targets]
        self.addresses = addresses_of(self.networks)
        self.parts: dict[str, _Part] = {
            _TOTAL: _Part((), ROWS_MOST),
            _SERIES: _Part((MINUTE,), SERIES_MOST),
        }
        self.parts |= {by: _Part(names, ROWS_MOST) for by, names in _DIMENSIONS.items()}
        self.notes: list[str] = []

    @property
    def by_destination(self) -> bool:
        """Whether the answer is asked for by address, since a filter cannot name them all."""
        return bool(self.networks) and self.addresses is None

    def name(self, dimension: str) -> str:
        """The schema's name of a dimension."""
        return self.analytics.names.dimension(ALL_TRAFFIC, dimension)

    def _text(self) -> str:
        where = [
            f"datetime_geq: {quoted(moment_text(self.since))}",
            f"datetime_lt: {quoted(moment_text(self.until))}",
        ]
        if self.addresses:
            where.append(f"{self.name(DESTINATION)}_in: [{', '.join(map(quoted, self.addresses))}]")
        node = self.analytics.names.node(ALL_TRAFFIC)
        more = (DESTINATION,) if self.by_destination else ()
        asked = (
            f"{alias}: {node}(filter: {{{', '.join(where)}}}, limit: {part.limit}, "
            f"orderBy: [sum_packets_DESC]) {{ dimensions {{ "
            f"{' '.join(self.name(each) for each in (OUTCOME, *part.dimensions, *more))} }} "
            f"sum {{ packets bits }} }}"
            for alias, part in self.parts.items()
        )
        return (
            f"{{ viewer {{ accounts(filter: {{accountTag: {quoted(self.analytics.account_tag)}}}) "
            f"{{ {' '.join(asked)} }} }} }}"
        )

    async def ask(self, within: float) -> Answer:
        """Ask, again without what the schema does not know."""
        ends = time.monotonic() + within
        for _ in range(_TRIES):
            left = ends - time.monotonic()
            if left <= 0:
                raise AnalyticsUnavailable(f"Network Analytics did not answer within {within:g} s")
            answer = await self.analytics.query(self._text(), within=left)
            if answer.rows(_TOTAL) is not None or not answer.errors:
                return answer
            if not self._simplified(answer.errors):
                break
        reason = "; ".join(answer.errors) or "no reason is given"
        raise AnalyticsUnavailable(f"Network Analytics answered without the rows: {reason}")

    def _simplified(self, errors: Sequence[str]) -> bool:
        """Whether another question may be answered: with other names, lower limits, or fewer dimensions."""
        lower = limit_in(errors)
        if lower and any(part.limit > lower for part in self.parts.values()):
            for part in self.parts.values():
                part.limit = min(part.limit, lower)
            return True
        if self.analytics.names.learn(errors, ALL_TRAFFIC):
            return True
        words = {word for message in errors for word in re.findall(r"\w+", message)}
        unknown = [
            alias
            for alias, part in self.parts.items()
            if words & {self.name(each) for each in part.dimensions}
        ]
        for alias in unknown:
            del self.parts[alias]
            self.notes.append(f"the schema has no numbers by {_told(alias)}")
        return bool(unknown)


class _Reading:
    """The rows of an answer as one model."""

    def __init__(self, question: _Question, answer: Answer, now: datetime) -> None:
        self._question = question
        self._answer = answer
        self._now = now
        self._unusable = 0
        self._notes = [
            *question.notes,
            *(f"beside the rows, the answer says: {each}" for each in answer.errors),
        ]

    def dropped(self) -> Dropped:
        """All of it."""
        question = self._question
        sums, bits = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        for _, outcome, packets, size in self._rows(_TOTAL):
            sums[outcome] += packets
            bits[outcome] += size
        series, groupings = self._series(), tuple(self._groupings())
        if self._unusable:
            self._notes.append(f"{self._unusable} rows have no number of packets")
        return Dropped(
            source="analytics",
            asked=self._now,
            targets=question.targets,
            since=question.since,
            until=question.until,
            sampling=f"1 in {SAMPLING:,}, as Cloudflare documents this node",
            samples=round(sum(sums) / SAMPLING),
            passed=_estimate(sums[0]),
            dropped=_estimate(sums[1]),
            other=_estimate(sums[2]) if sums[2] else NONE,
            passed_bits=bits[0],
            dropped_bits=bits[1],
            groupings=groupings,
            series=series,
            notes=tuple(self._notes),
        )

    def _rows(self, alias: str) -> Iterator[tuple[Mapping[str, Any], int, float, float]]:
        """Dimensions, outcome (0 passed, 1 dropped, 2 another), packets, bits."""
        question = self._question
        part = question.parts.get(alias)
        rows = self._answer.rows(alias)
        if part is None:
            return
        if rows is None:
            self._notes.append(f"the answer has no numbers by {_told(alias)}")
            return
        if len(rows) >= part.limit:
            self._notes.append(
                f"of the numbers by {_told(alias)} there are only the {part.limit:,} largest rows"
            )
        for row in rows:
            dimensions, sums = row.get("dimensions"), row.get("sum")
            packets = plain_number(sums.get("packets")) if isinstance(sums, dict) else None
            if not isinstance(dimensions, dict) or not isinstance(sums, dict) or packets is None:
                self._unusable += 1
                continue
            if question.by_destination and not lies_in(
                dimensions.get(question.name(DESTINATION)), question.networks
            ):
                continue
            outcome = str(dimensions.get(question.name(OUTCOME)) or "").lower()
            place = 1 if outcome.startswith("drop") else 0 if outcome.startswith("pass") else 2
            yield dimensions, place, packets, plain_number(sums.get("bits")) or 0.0

    def _series(self) -> Series | None:
        question, name = self._question, self._question.name(MINUTE)
        seconds = _STEPS.get(name, 300.0)
        counted: dict[datetime, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for dimensions, outcome, packets, _ in self._rows(_SERIES):
            moment = minute_of(dimensions.get(name))
            if moment and outcome < 2:  # noqa: PLR2004 - passed or dropped
                counted[moment][outcome] += packets
        if not counted:
            return None
        start = datetime.fromtimestamp(question.since.timestamp() // seconds * seconds, UTC)
        steps = int((question.until - start).total_seconds() // seconds) + 1
        passed, dropped = [0.0] * steps, [0.0] * steps
        for moment, (through, gone) in counted.items():
            step = int((moment - start).total_seconds() // seconds)
            if 0 <= step < steps:
                passed[step] += through
                dropped[step] += gone
        return Series(start=start, seconds=seconds, passed=tuple(passed), dropped=tuple(dropped))

    def _groupings(self) -> Iterator[Grouping]:
        for by, names in _DIMENSIONS.items():
            sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
            titles: dict[str, str] = {}
            for dimensions, outcome, packets, _ in self._rows(by):
                value = _text_of(dimensions.get(names[0]))
                if by == "network" and value.isdigit():
                    value = f"AS{value}" if value != "0" else ""
                if outcome == 1 or (outcome == 0 and by not in OF_DROPPED):
                    sums[value][outcome] += packets
                    titles[value] = titles.get(value) or _text_of(dimensions.get(names[-1]))
            if not any(sums):
                continue
            order = sorted(sums, key=lambda name: (-sums[name][1], -sums[name][0], name))
            yield Grouping(
                by=by,
                groups=tuple(
                    Group(
                        name=name,
                        title=titles[name] if len(names) > 1 else "",
                        passed=_estimate(sums[name][0]),
                        dropped=_estimate(sums[name][1]),
                    )
                    for name in order[:MOST_GROUPS]
                ),
                more=max(0, len(order) - MOST_GROUPS),
            )


def _estimate(packets: float) -> Estimate:
    return count(packets / SAMPLING, sampled=True, sampling=SAMPLING)


def _text_of(value: object) -> str:
    return (
        " ".join(str(value).split()) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    )


def _told(alias: str) -> str:
    """What a grouping is by, for people."""
    if alias in (_TOTAL, _SERIES):
        return "outcome" if alias == _TOTAL else "time"
    return next(name for by, name in DIMENSIONS.items() if by == alias)
