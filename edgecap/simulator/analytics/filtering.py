"""Filters of a node: `coloCode_in: [...]`, `datetime_geq: ...`, `AND`, `OR`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from edgecap.simulator.analytics.fields import DIMENSIONS
from edgecap.simulator.analytics.rows import Row
from edgecap.simulator.traffic.times import SECOND, nanoseconds

Test = Callable[[Row], bool]
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "": eq,
    "_neq": ne,
    "_gt": gt,
    "_geq": ge,
    "_lt": lt,
    "_leq": le,
    "_in": lambda value, wanted: value in wanted,
    "_notin": lambda value, wanted: value not in wanted,
    "_like": lambda value, wanted: fnmatchcase(str(value), str(wanted).replace("%", "*")),
}
"""What may follow a dimension's name, and what it tests."""
LISTS = frozenset({"_in", "_notin"})
_ANY = "ipDestinationAddress"


class WrongFilter(Exception):
    """A filter has a value of the wrong kind."""


def compile_filter(wanted: Mapping[str, Any]) -> Test:
    """A function that tells whether a row passes a filter.

    Raises:
        WrongFilter: a value is of the wrong kind.
    """
    tests = [_test(name, value) for name, value in wanted.items() if value is not None]
    return lambda row: all(test(row) for test in tests)


def window_of(wanted: Mapping[str, Any], least: int, most: int) -> tuple[int, int]:
    """The widest window that passes the filter, within bounds; nanoseconds since 1970 UTC.

    Raises:
        WrongFilter: a time cannot be read.
    """
    start, end = least, most
    for name, value in _all(wanted):
        if name in ("datetime_geq", "datetime_gt", "datetime"):
            start = max(start, seconds_of(value) * SECOND)
        if name in ("datetime_leq", "datetime"):
            end = min(end, (seconds_of(value) + 1) * SECOND)
        elif name == "datetime_lt":
            # A row's time is in whole seconds.
            end = min(end, seconds_of(value, up=True) * SECOND)
    return start, end


def targets_of(wanted: Mapping[str, Any]) -> frozenset[str] | None:
    """The only destinations that can pass the filter; None: any."""
    found: frozenset[str] | None = None
    for name, value in _all(wanted):
        if name in (_ANY, f"{_ANY}_in"):
            these = frozenset([value] if isinstance(value, str) else value)
            found = these if found is None else found & these
    return found


def seconds_of(value: Any, *, up: bool = False) -> int:
    """A filter's time in seconds since 1970 UTC, rounded down, or up.

    Raises:
        WrongFilter: it is not a time in RFC 3339.
    """
    time_ns = nanoseconds(_moment(value))
    return -(-time_ns // SECOND) if up else time_ns // SECOND


def _all(wanted: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """The conditions that every row must meet: those at the top, and those of `AND`."""
    for name, value in wanted.items():
        if value is None:
            continue
        if name == "AND":
            for part in value:
                yield from _all(part)
        elif name != "OR":
            yield name, value


def _test(name: str, value: Any) -> Test:
    if name in ("AND", "OR"):
        tests = [compile_filter(part) for part in value]
        every = all if name == "AND" else any
        return lambda row: every(test(row) for test in tests)
    plain, mark, rest = name.rpartition("_")
    field, operator = (plain, mark + rest) if mark else (name, "")
    dimension, holds = DIMENSIONS[field], OPERATORS[operator]
    if dimension.kind == "Time":
        wanted: Any = [_moment(each) for each in value] if operator in LISTS else _moment(value)
    else:
        wanted = value
    of = dimension.of
    if dimension.kind == "Time":
        return lambda row: holds(_moment(of(row)), wanted)
    return lambda row: holds(of(row), wanted)


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise WrongFilter(f"cannot parse {value!r} as Time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
