"""Logpush: rows of the dataset `network_analytics_logs`, one a sampled packet, in batches in a bucket."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

from edgecap.errors import EdgecapError
from edgecap.redact import redact
from edgecap.requests import rfc3339
from edgecap.simulator.analytics.fields import network_of
from edgecap.simulator.analytics.headers import header_fields
from edgecap.simulator.analytics.rows import Row
from edgecap.simulator.analytics.sampling import Sampler
from edgecap.simulator.clock import Clock
from edgecap.simulator.log import EdgeLog
from edgecap.simulator.traffic import colos
from edgecap.simulator.traffic.times import MILLISECOND, SECOND, nanoseconds
from edgecap.simulator.variants import Variant
from edgecap.stores import Store

BATCH = timedelta(seconds=30)
BEHIND = timedelta(
    seconds=30
)  # with a batch's own length, rows are about a minute late, as the real ones are
_AGAIN = timedelta(seconds=10)
_LOOK = 0.2  # real seconds
_BUSY = 20.0  # sampled packets a second of a city, above which it samples a tenth of them
_COARSER = 10
_FEW = frozenset(
    {
        "AttackID",
        "AttackVector",
        "ColoCode",
        "Datetime",
        "DestinationPort",
        "IPDestinationAddress",
        "IPProtocolName",
        "IPSourceAddress",
        "IPTotalLength",
        "MitigationReason",
        "MitigationSystem",
        "Outcome",
        "RuleID",
        "SampleInterval",
        "SourceASN",
        "SourceCountry",
        "SourcePort",
    }
)
_BARE = frozenset({"Datetime", "ColoCode", "IPDestinationAddress", "IPSourceAddress", "Outcome"})


class Logpush:
    """Pushes batches when they are due. Only one thread at a time may call `tick`.

    Args:
        sampler: of the edge's packets.
        store: the bucket, opened at the destination's folder.
        variant: times and fields.
        clock: the edge's.
        log: records every file.
        folder: for files on their way.
        one_in: one of this many packets is a row; of a busy city's a tenth of those.
    """

    def __init__(
        self,
        sampler: Sampler,
        store: Store,
        *,
        variant: Variant,
        clock: Clock,
        log: EdgeLog,
        folder: Path,
        one_in: int,
    ) -> None:
        self._sampler = sampler
        self._store = store
        self._variant = variant
        self._clock = clock
        self._log = log
        self._folder = folder
        self._one_in = one_in
        # Batches begin at whole half minutes.
        length = BATCH // timedelta(seconds=1)
        self._next = datetime.fromtimestamp(clock.now().timestamp() // length * length, UTC)
        self._again: datetime | None = None
        self._pool: Executor | None = None
        self._pushing: Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Logpush to {self._store.uri} from {self._next:%Y-%m-%dT%H:%M:%SZ} on>"

    def push_with(self, pool: Executor) -> None:
        """Push in `pool`, so that captures need not wait for it."""
        self._pool = pool

    def tick(self, now: datetime) -> datetime:
        """Push the batches that are due; returns when the next one is."""
        if self._pushing is not None:
            if not self._pushing.done():
                return now + timedelta(seconds=_LOOK * self._clock.speed)
            pushed, self._pushing = self._pushing, None
            pushed.result()
        if now >= self._due():
            if self._pool is not None:
                self._pushing = self._pool.submit(self._push_due, now)
                return now + timedelta(seconds=_LOOK * self._clock.speed)
            self._push_due(now)
        return self._due()

    def _due(self) -> datetime:
        return self._again or self._next + BATCH + BEHIND

    def _push_due(self, now: datetime) -> None:
        self._again = None
        while now >= self._due():
            try:
                self._push(self._next, self._next + BATCH)
            except EdgecapError as error:
                self._log.write("trouble", what=redact(str(error)))
                self._again = now + _AGAIN
                return
            self._next += BATCH

    def _push(self, start: datetime, end: datetime) -> None:
        rows = self._rows(nanoseconds(start), nanoseconds(end))
        if not rows:
            return
        lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
        ending = blake2b(lines.encode(), digest_size=4).hexdigest()
        key = f"{start:%Y%m%d}/{start:%Y%m%dT%H%M%SZ}_{end:%Y%m%dT%H%M%SZ}_{ending}.log.gz"
        path = self._folder / f"{ending}.log.gz"
        path.write_bytes(gzip.compress(lines.encode(), compresslevel=1, mtime=0))
        try:
            self._store.put(key, path)
        finally:
            path.unlink()
        times = {"start": rfc3339(start), "end": rfc3339(end)}
        self._log.write("logpush", bucket=self._store.uri, key=key, rows=len(rows), **times)

    def _rows(self, start: int, end: int) -> list[dict[str, Any]]:
        found: dict[tuple[str, int], list[Row]] = defaultdict(list)
        length = 10 * SECOND
        for row in self._sampler.rows(start, end, one_in=self._one_in):
            found[row.colo, row.time_ns // length].append(row)
        rows = [pair for sampled in found.values() for pair in self._thinned(sampled, length)]
        rows.sort(key=lambda pair: pair[0].time_ns)
        return [self._fields(row, interval) for row, interval in rows]

    def _thinned(self, rows: list[Row], length: int) -> Iterator[tuple[Row, int]]:
        """The rows of a city with their sample interval, which changes with the volume."""
        if len(rows) * SECOND <= _BUSY * length:
            yield from ((row, row.weight) for row in rows)
            return
        most = (1 << 64) // (self._one_in * _COARSER)
        yield from ((row, row.weight * _COARSER) for row in rows if row.mark < most)

    def _fields(self, row: Row, interval: int) -> dict[str, Any]:
        values = _row_fields(row)
        values |= header_fields(row.packet.data)
        metro = self._variant.analytics_codes == "metro"
        values["ColoCode"] = colos.METRO_CODES.get(row.colo, row.colo) if metro else row.colo
        values["Datetime"] = _TIMES[self._variant.logpush_time](row.time_ns)
        values["SampleInterval"] = interval
        if not row.rule and self._variant.logpush_sampler == "dosd":
            values["MitigationSystem"] = "dosd"
        chosen = {"few": _FEW, "bare": _BARE}.get(self._variant.logpush_fields)
        return {name: values[name] for name in sorted(values) if chosen is None or name in chosen}


def _row_fields(row: Row) -> dict[str, Any]:
    """All fields that are not of the packet's headers."""
    number, name, country = network_of(row.headers.source)
    rule, outcome = row.rule, "drop" if row.rule else "pass"
    return {
        "AttackCampaignID": "",
        "AttackID": rule.attack_id if rule else "",
        "AttackVector": rule.vector if rule else "",
        "ColoCity": colos.PLACES[row.colo][0],
        "ColoCountry": colos.PLACES[row.colo][1],
        "ColoGeoHash": "",
        "ColoName": row.server.partition("-")[0],
        "DestinationASN": 64511,
        "DestinationASNName": "EXAMPLE-CUSTOMER",
        "DestinationCountry": "US",
        "Direction": "ingress",
        "MitigationReason": row.reason,
        "MitigationScope": "local" if rule and rule.system == "dosd" else "",
        "MitigationSystem": rule.system if rule else "",
        "Outcome": outcome,
        "ProtocolState": "",
        "RuleID": rule.id if rule else "",
        "RuleName": rule.name if rule else "",
        "RulesetID": rule.ruleset if rule else "",
        "RulesetOverrideID": "",
        "SourceASN": number,
        "SourceASNName": name,
        "SourceCountry": country,
        "SourceGeoHash": "",
        "Verdict": outcome,
    }


def _as_text(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns // SECOND, UTC):%Y-%m-%dT%H:%M:%SZ}"


_TIMES: dict[str, Callable[[int], int | str]] = {
    "seconds": lambda time_ns: time_ns // SECOND,
    "milliseconds": lambda time_ns: time_ns // MILLISECOND,
    "nanoseconds": lambda time_ns: time_ns,
    "rfc3339": _as_text,
}
