"""Filters of a node: `coloCode_in: [...]`, `datetime_geq: ...`, `AND`, `OR`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from edgecap.simulator.analytics.fields import Dimension
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
_TARGET, _TIME = "ipDestinationAddress", "datetime"
# By an operator, whether its time is rounded up to a whole second, and what is added then, to be the first
# second of the window, or the one after its last.
_FIRST = {"_geq": (True, 0), "_gt": (False, 1), "": (True, 0)}
_AFTER = {"_lt": (True, 0), "_leq": (False, 1), "": (False, 1)}


class WrongFilter(Exception):
    """A filter has a value of the wrong kind."""


def compile_filter(wanted: Mapping[str, Any], dimensions: Mapping[str, Dimension]) -> Test:
    """A function that tells whether a row of the filter's window passes the filter.

    Args:
        wanted: the filter.
        dimensions: by name.

    Raises:
        WrongFilter: a value is of the wrong kind.
    """
    asked = {name: value for name, value in wanted.items() if value is not None and not _bounds(name)}
    tests = [_test(name, value, dimensions) for name, value in asked.items()]
    return lambda row: all(test(row) for test in tests)


def window_of(wanted: Mapping[str, Any], least: int, most: int) -> tuple[int, int]:
    """The window that the filter's conditions for `datetime` are, within bounds.

    A row's `datetime` is in whole seconds, and so is the window.

    Args:
        wanted: the filter.
        least: seconds since 1970 UTC.
        most: seconds since 1970 UTC.

    Returns:
        The first second, and the one after the last.

    Raises:
        WrongFilter: a time cannot be read.
    """
    start, end = least, most
    for name, value in _all(wanted):
        if _bounds(name):
            time_ns = nanoseconds(_moment(value))
            operator = name.removeprefix(_TIME)
            if operator in _FIRST:
                start = max(start, _seconds(time_ns, *_FIRST[operator]))
            if operator in _AFTER:
                end = min(end, _seconds(time_ns, *_AFTER[operator]))
    return start, end


def targets_of(wanted: Mapping[str, Any]) -> frozenset[str] | None:
    """The only destinations that can pass the filter; None: any."""
    found: frozenset[str] | None = None
    for name, value in _all(wanted):
        if name in (_TARGET, f"{_TARGET}_in"):
            these = frozenset([value] if isinstance(value, str) else value)
            found = these if found is None else found & these
    return found


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


def _seconds(time_ns: int, up: bool, more: int) -> int:
    return (-(-time_ns // SECOND) if up else time_ns // SECOND) + more


def _bounds(name: str) -> bool:
    """Whether a condition at the top is a bound of the window."""
    return name.startswith(_TIME) and name.removeprefix(_TIME) in _FIRST.keys() | _AFTER.keys()


def _test(name: str, value: Any, dimensions: Mapping[str, Dimension]) -> Test:
    if name in ("AND", "OR"):
        tests = [_nested(part, dimensions) for part in value]
        every = all if name == "AND" else any
        return lambda row: every(test(row) for test in tests)
    plain, mark, rest = name.rpartition("_")
    field, operator = (plain, mark + rest) if mark else (name, "")
    dimension, holds = dimensions[field], OPERATORS[operator]
    if dimension.kind == "Time":
        wanted: Any = [_moment(each) for each in value] if operator in LISTS else _moment(value)
    else:
        wanted = value
    of = dimension.of
    if dimension.kind == "Time":
        return lambda row: holds(_moment(of(row)), wanted)
    return lambda row: holds(of(row), wanted)


def _nested(wanted: Mapping[str, Any], dimensions: Mapping[str, Dimension]) -> Test:
    tests = [_test(name, value, dimensions) for name, value in wanted.items() if value is not None]
    return lambda row: all(test(row) for test in tests)


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise WrongFilter(f"cannot parse {value!r} as Time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
