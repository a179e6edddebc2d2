"""Which sampled packets an answer can have by now: rows come late, and may be rewritten hours later."""

from __future__ import annotations

from functools import lru_cache

from edgecap.simulator.analytics.rows import Row
from edgecap.simulator.traffic.marks import Marks, named, part_of_one
from edgecap.simulator.traffic.times import SECOND
from edgecap.simulator.variants import Variant

_MINUTE = 60 * SECOND
_UNSETTLED = 0.3  # part of the rows that are missing until all are rewritten
_SILENT = 0.25  # part of the cities that are missing from an incomplete answer


class Visibility:
    """Decides for each row.

    Args:
        variant: how late rows are, and whether they are rewritten.
        delay: seconds that every row needs.
    """

    def __init__(self, variant: Variant, delay: float) -> None:
        self._variant = variant
        self._delay = int(delay * SECOND)

    def __repr__(self) -> str:
        return f"<Visibility [{self._delay / SECOND:g} s behind]>"

    def latest(self, now: int) -> int:
        """The end of what can be visible; nanoseconds since 1970 UTC, as all times here."""
        return now - self._delay - int(self._variant.analytics_lag[0] * SECOND)

    def visible(self, row: Row, now: int) -> bool:
        """Whether an answer at `now` can have the row."""
        low, high = self._variant.analytics_lag
        minute = row.time_ns // _MINUTE
        age = now - row.time_ns - self._delay
        if high and age < (low + (high - low) * _part(f"lag/{row.colo}/{minute}")) * SECOND:
            return False
        settled = age >= self._variant.analytics_rewritten * SECOND
        if not settled and _part(f"unsettled/{row.colo}/{minute}") < _UNSETTLED:
            return False
        return not (self._variant.analytics_incomplete and self.silent(row.colo))

    @staticmethod
    def silent(colo: str) -> bool:
        """Whether an incomplete answer lacks this city's rows."""
        return _part(f"silent/{colo}") < _SILENT


@lru_cache(maxsize=65_536)
def _part(name: str) -> float:
    mark: Marks = named(name).reshape(1)
    return float(part_of_one(mark)[0])
