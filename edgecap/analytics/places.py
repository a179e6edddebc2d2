"""Which data centres carry the packets to a target now, as Network Analytics tells."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any

from edgecap.analytics.client import Analytics, Answer
from edgecap.analytics.nodes import ALL_TRAFFIC, COLO, DESTINATION, INTERVAL, MINUTE, OUTCOME
from edgecap.analytics.values import (
    Network,
    addresses_of,
    lies_in,
    limit_in,
    minute_of,
    moment_text,
    plain_number,
    quoted,
)
from edgecap.errors import AnalyticsUnavailable
from edgecap.requests import COLO as COLO_FORM

LAG = timedelta(minutes=10)  # the newest rows may be so late: that is not documented
CLOCKS_APART = timedelta(seconds=30)  # this machine's and Cloudflare's, at most, before it matters
SHORTEST = timedelta(minutes=2)  # of traffic that is looked at: rows have whole minutes
SAMPLING = 10_000  # packets for which a row of this node stands (Cloudflare's node reference)
ENOUGH = 300  # sampled packets: with them, a share of a third is known to 3 %
ROWS_MOST = 3000  # of an answer by minute: 30 data centres have 1,200 in 20 minutes
ADDRESS_ROWS_MOST = 10_000  # of an answer by address
_TRIES = 5  # with other names, or with a smaller limit
_DROPPED = "drop"


@dataclass(frozen=True, slots=True)
class Share:
    """What one data centre carries of a target's packets: estimates, from samples.

    Attributes:
        colo: the data centre or the city, as the answer names it.
        passed: packets that the edge let through. Only these can be captured.
        dropped: packets that the edge dropped.
        interval: how many packets a sampled one stands for.
    """

    colo: str
    passed: float
    dropped: float
    interval: float = SAMPLING

    @property
    def samples(self) -> float:
        """The sampled packets behind both numbers."""
        return (self.passed + self.dropped) / self.interval


@dataclass(frozen=True, slots=True)
class Carried:
    """What the data centres carry of a target's packets, the most passed packets first.

    Attributes:
        shares: one for each data centre; empty if no row was found.
        since: where the rows begin that were counted, aware, UTC.
        until: where they end.
        asked: when it was asked.
        notes: what was not usable, in words.
    """

    shares: tuple[Share, ...]
    since: datetime
    until: datetime
    asked: datetime
    notes: tuple[str, ...] = ()

    @property
    def behind(self) -> timedelta:
        """How old the newest rows are."""
        return max(timedelta(), self.asked - self.until)


async def carried(
    analytics: Analytics,
    targets: Sequence[str],
    *,
    now: datetime,
    window: timedelta,
    within: float,
    whole: bool = False,
) -> Carried:
    """Ask which data centres carry the packets to some targets.

    Counted are the newest minutes that have enough sampled packets: an attack moves. At least `SHORTEST`, at
    most `window`.

    Args:
        analytics: of the account.
        targets: addresses and networks; none for everything that the account gets.
        now: the time, aware, by this machine. If Cloudflare's clock shows another, that counts.
        window: of traffic, at most.
        within: seconds for the answer.
        whole: count all of the window.

    Raises:
        AnalyticsUnavailable: there is no answer in time, or none that can be used.
        AnalyticsRefused: the credentials may not read this.
        ValueError: a target is neither an address nor a network.
    """
    networks = [ip_network(each, strict=False) for each in targets]
    names = addresses_of(networks)
    question = _Question(now - window, now, names or ())
    if networks and names is None:
        question.by, question.limit = DESTINATION, ADDRESS_ROWS_MOST
    elif not whole:
        question.by, question.since = MINUTE, now - window - LAG
    ends = time.monotonic() + within
    answer = await _ask(analytics, question, within)
    ahead = analytics.server_date - now if analytics.server_date else timedelta()
    if abs(ahead) > CLOCKS_APART:  # then the question was about another time
        now, question.since, question.until = now + ahead, question.since + ahead, now + ahead
        answer = await _ask(analytics, question, ends - time.monotonic())
    rows = answer.rows(ALL_TRAFFIC)
    if rows is None:
        raise AnalyticsUnavailable(
            f"Network Analytics answered without the rows: {'; '.join(answer.errors) or 'no reason is given'}"
        )
    counts = _Counts()
    node = {
        each: analytics.names.dimension(ALL_TRAFFIC, each) for each in (COLO, OUTCOME, DESTINATION, MINUTE)
    }
    for row in rows:
        counts.add(row, node, networks if question.by == DESTINATION else [])
    notes = [f"beside the rows, the answer says: {each}" for each in answer.errors]
    if len(rows) >= question.limit:
        notes.append(f"the answer has only the {question.limit:,} largest rows")
    return counts.carried(now, window, by_minute=question.by == MINUTE, notes=notes)


@dataclass(slots=True)
class _Question:
    since: datetime
    until: datetime
    addresses: Sequence[str]
    by: str = ""  # a further dimension that rows are told apart by
    limit: int = ROWS_MOST

    def text(self, analytics: Analytics) -> str:
        """The query. Its values stand in it: the names of the variables' types are not documented."""
        dimension = {
            each: analytics.names.dimension(ALL_TRAFFIC, each)
            for each in (COLO, OUTCOME, DESTINATION, MINUTE)
        }
        wanted = [dimension[each] for each in (COLO, OUTCOME, self.by) if each]
        interval = f" avg {{ {INTERVAL} }}" if analytics.names.knows(ALL_TRAFFIC, INTERVAL) else ""
        where = [
            f"datetime_geq: {quoted(moment_text(self.since))}",
            f"datetime_lt: {quoted(moment_text(self.until))}",
        ]
        if self.addresses:
            listed = ", ".join(map(quoted, self.addresses))
            where.append(f"{dimension[DESTINATION]}_in: [{listed}]")
        return (
            f"{{ viewer {{ accounts(filter: {{accountTag: {quoted(analytics.account_tag)}}}) {{ "
            f"{ALL_TRAFFIC}(filter: {{{', '.join(where)}}}, limit: {self.limit}, "
            f"orderBy: [sum_packets_DESC]) {{ dimensions {{ {' '.join(wanted)} }} "
            f"sum {{ packets }}{interval} }} }} }} }}"
        )


async def _ask(analytics: Analytics, question: _Question, within: float) -> Answer:
    """Ask, again with other names as long as the schema does not know one."""
    ends = time.monotonic() + within
    answer = Answer(None)
    for _ in range(_TRIES):
        left = ends - time.monotonic()
        if left <= 0:
            raise AnalyticsUnavailable(f"Network Analytics did not answer within {within:g} s")
        answer = await analytics.query(question.text(analytics), within=left)
        if answer.rows(ALL_TRAFFIC) is not None or not answer.errors:
            break
        lower = limit_in(answer.errors)
        if 0 < lower < question.limit:
            question.limit = lower
        elif not analytics.names.learn(answer.errors, ALL_TRAFFIC):
            break
    return answer


class _Counts:
    """Packets by data centre, minute and outcome."""

    def __init__(self) -> None:
        # Passed and dropped packets, and the sampled ones behind them.
        self._packets: dict[tuple[str, datetime | None], list[float]] = defaultdict(lambda: [0.0] * 3)
        self._unusable = 0

    def add(self, row: Mapping[str, Any], names: Mapping[str, str], networks: Sequence[Network]) -> None:
        """Count a row, unless it is about an address outside of `networks`."""
        dimensions, total = row.get("dimensions"), row.get("sum")
        if not isinstance(dimensions, dict) or not isinstance(total, dict):
            self._unusable += 1
            return
        colo, packets = dimensions.get(names[COLO]), plain_number(total.get("packets"))
        if networks and not lies_in(dimensions.get(names[DESTINATION]), networks):
            return
        if not isinstance(colo, str) or not COLO_FORM.fullmatch(colo.strip()) or packets is None:
            self._unusable += 1
            return
        is_dropped = str(dimensions.get(names[OUTCOME]) or "").lower().startswith(_DROPPED)
        sums = self._packets[_place(colo.strip()), minute_of(dimensions.get(names[MINUTE]))]
        sums[is_dropped] += packets
        average = row.get("avg")
        interval = plain_number(average.get(INTERVAL)) if isinstance(average, dict) else None
        sums[2] += packets / (interval or SAMPLING)

    def carried(self, now: datetime, window: timedelta, *, by_minute: bool, notes: list[str]) -> Carried:
        """The sums over the newest rows that are enough; over all of them if they have no minutes."""
        if self._unusable:
            notes.append(f"{self._unusable} rows name no data centre that can be captured, or no packets")
        until, span = now, window
        if by_minute and (minutes := [minute for _, minute in self._packets if minute]):
            until, span = min(max(minutes) + timedelta(minutes=1), now), min(SHORTEST, window)
        while span < window and sum(each.samples for each in self._since(until - span)) < ENOUGH:
            span = min(2 * span, window)
        shares = sorted(self._since(until - span), key=_order)
        return Carried(tuple(shares), until - span, until, now, tuple(notes))

    def _since(self, moment: datetime) -> Iterator[Share]:
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0] * 3)
        for (colo, minute), counts in self._packets.items():
            if minute is None or minute >= moment:
                for at, count in enumerate(counts):
                    sums[colo][at] += count
        return (
            Share(colo, passed, dropped, (passed + dropped) / samples if samples else SAMPLING)
            for colo, (passed, dropped, samples) in sums.items()
        )


def _place(colo: str) -> str:
    """As the PCAPs API's documentation writes it: `ORD` for a city, `ord02` for a data centre."""
    return colo.upper() if colo.isalpha() else colo.lower()


def _order(share: Share) -> tuple[float, float, str]:
    return -share.passed, -share.dropped, share.colo


def totals(shares: Sequence[Share]) -> Share:
    """The sum of shares; its data centre is empty."""
    return Share("", sum(each.passed for each in shares), sum(each.dropped for each in shares))


def without(shares: Sequence[Share], colos: Sequence[str]) -> tuple[Share, ...]:
    """The shares of other data centres than these."""
    left_out = {colo.lower() for colo in colos}
    return tuple(replace(each) for each in shares if each.colo.lower() not in left_out)
