"""Format numbers and times for people: short, with units, always the same way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
_THOUSAND = 1000
_TENTH = 0.001  # shares below it are shown as less than 0.1%
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def short(number: float, unit: str = "") -> str:
    """`number` with three digits and a decimal prefix.

    >>> short(1_234_567, "pps"), short(950), short(0.25, "bit/s")
    ('1.23 Mpps', '950', '0.25 bit/s')
    """
    size, prefix = float(number), 0
    # A size that rounds up to a thousand gets the next prefix.
    while abs(size) >= _THOUSAND - 0.5 and prefix < len(_PREFIXES) - 1:
        size /= _THOUSAND
        prefix += 1
    digits = 0 if abs(size) >= 99.95 or (not prefix and size == int(size)) else 1 if abs(size) >= 9.995 else 2  # noqa: PLR2004 - three digits
    text = f"{size:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text} {_PREFIXES[prefix]}{unit}".rstrip()


def size(number: float) -> str:
    """Bytes, such as `1.46 MB`; a thousand to a kilobyte, as links are measured."""
    return short(number, "B")


def packet_rate(number: float) -> str:
    """Packets a second, such as `412 kpps`."""
    return short(number, "pps")


def bit_rate(number: float) -> str:
    """Bits a second, such as `3.1 Gbit/s`."""
    return short(number, "bit/s")


def percent(share: float) -> str:
    """A share of 0 to 1, such as `97.3%`; never 0% of what is there, nor 100% of what lacks something."""
    if 0 < share < _TENTH:
        return "<0.1%"
    if 1 - _TENTH < share < 1:
        return ">99.9%"
    return f"{share:.1%}"


def duration(seconds: float) -> str:
    """How long, such as `250 ms`, `1.5 s`, `2 min 30 s`, `1 h 5 min` or `3 d 4 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 or not seconds else "<1 ms"  # noqa: PLR2004 - a millisecond
    if seconds < _MINUTE and round(seconds, 1) < _MINUTE:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    for unit, name, part, part_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // part
            return f"{whole // unit} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{whole} s"


def stamp(moment: datetime | None, *, nothing: str = "-") -> str:
    """Date and time to the nearest second, such as `2026-11-23 06:34:06 UTC`."""
    return f"{_to_second(moment):%Y-%m-%d %H:%M:%S} UTC" if moment else nothing


def clock(moment: datetime, *, step: float = 1.0) -> str:
    """The time of day, UTC, as fine as `step` seconds need: `06:34`, `06:34:06`, `06:34:06.25`.

    Seconds are the nearest, as everywhere.
    """
    moment = moment.astimezone(UTC)
    if step >= _MINUTE:
        return f"{moment:%H:%M}"
    if step >= 1:
        return f"{_to_second(moment):%H:%M:%S}"
    return f"{moment:%H:%M:%S}.{moment.microsecond:06}".rstrip("0").removesuffix(".")


def period(first: datetime | None, last: datetime | None) -> str:
    """From when until when, UTC; the date of the end only if it is another day."""
    if first is None or last is None:
        return "-"
    first, last = _to_second(first), _to_second(last)
    end = f"{last:%H:%M:%S}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return f"{first:%Y-%m-%d %H:%M:%S} to {end} UTC"


def _to_second(moment: datetime) -> datetime:
    """For formats without fractions, UTC.

    Cut off, two times that are milliseconds apart would differ by a second: the end of a look back has
    microseconds that tell its intent, and a packet may come just before a whole second.
    """
    return moment.astimezone(UTC) + timedelta(milliseconds=500)


def plural(count: int, one: str, many: str = "") -> str:
    """Such as `1 file`, `2 files`, `3 entries`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Such as `a`, `a and b`, or `a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
