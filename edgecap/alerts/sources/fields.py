"""Fields of a payload by name: the first usable one of several names, and notes on unusable values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar

from edgecap.alerts.sources import values
from edgecap.alerts.sources.payload import CUT, MOST_TEXT
from edgecap.alerts.sources.values import Unit
from edgecap.units import plural

MOST_ADDRESSES = 64  # of one kind in an alert; a reflection attack can name thousands
MOST_NOTES = 64
MOST_TARGETS = 1000  # addresses of a field; for more, what is around them counts
_NO_TIME = ("ongoing", "none", "null", "never", "-", "n/a")  # what products write in place of an end
_ADDRESSES = ("ip", "ip_address", "address", "addr", "prefix", "cidr", "subnet", "network", "value")
_SHOWN = 60  # characters of a useless value that a note shows

_T = TypeVar("_T")


class Fields:
    """A JSON object, read tolerantly. A value that cannot be used becomes a note.

    Args:
        data: the object; anything else has no fields.
        notes: where notes go. Objects within one payload share it.
        path: prefix of field names in notes, such as `data.`.
    """

    def __init__(self, data: object, notes: list[str], path: str = "") -> None:
        self._data: Mapping[str, Any] = data if isinstance(data, dict) else {}
        self._notes = notes
        self._path = path

    def __contains__(self, name: str) -> bool:
        return not _empty(self._data.get(name))

    def get(self, name: str) -> Any:
        """The value as it is, or None."""
        return self._data.get(name)

    def inner(self, name: str) -> Fields:
        """The object under `name`; without fields if there is none."""
        value = self._data.get(name)
        if not _empty(value) and not isinstance(value, dict):
            self.note(name, value, "object")
        return Fields(value, self._notes, f"{self._path}{name}.")

    def text(self, *names: str) -> str:
        """The first that is text or a number."""
        return self._first(names, "text", lambda value: values.text(value) or None) or ""

    def line(self, *names: str) -> str:
        """The same, on one line."""
        return values.line(self.text(*names))

    def port(self, *names: str) -> int | None:
        """The first that is a port, 1 to 65535. 0 means that there is none, and gets no note."""
        return self._first(names, "port", values.port, silent=lambda value: values.number(value) == 0)

    def protocol(self, *names: str) -> int | None:
        """The first that is an IP protocol by number or name."""
        return self._first(names, "IP protocol", values.protocol)

    def moment(self, *names: str) -> datetime | None:
        """The first that is a time, UTC. A zero time or `ongoing` means none, and gets no note."""
        return self._first(
            names,
            "time",
            values.moment,
            silent=lambda value: (
                values.number(value) == 0
                or values.text(value).startswith("0001-")
                or values.text(value).lower() in _NO_TIME
            ),
        )

    def rate(self, unit: Unit, *names: str, factor: float | None = 1.0) -> float | None:
        """The first that is a rate in `unit`; a bare number counts times `factor`, or not if that is None.

        A rate in another unit gets no note: Cloudflare's `max_rate` comes in the unit that fits the attack.
        """

        def wanted(value: object) -> float | None:
            found = values.rate(value)
            if found is None or found[1] not in (unit, ""):
                return None
            scale = 1.0 if found[1] else factor
            return None if scale is None else found[0] * scale

        return self._first(names, "rate", wanted, silent=lambda value: values.rate(value) is not None)

    def addresses(self, *names: str, silent: Collection[str] = ()) -> tuple[tuple[str, ...], int | None]:
        """All addresses in the first field that has any, and the port beside them if they agree on one.

        Of more than 1000, none is left out: the networks that hold them all count. What is no address gets a
        note, except in the fields of `silent`.
        """
        for name in names:
            written = self._data.get(name)
            items = [_address_of(item) for item in values.several(written)]
            if isinstance(written, str) and CUT.search(written):
                items = values.several(CUT.sub("", written))[:-1]  # the last may be half an address
                self._say(f"{name} is longer than {MOST_TEXT:,} characters; the rest is left out")
            found: dict[str, int | None] = {}
            for item in items:
                if each := values.address(item):
                    found.setdefault(*each)
                elif name not in silent and not _unspecified(item):
                    self.note(name, item, "IP address")
            if isinstance(written, list) and len(written) > values.MOST_ITEMS:
                self._say(f"{name} has {len(written):,} items; the first {values.MOST_ITEMS:,} are read")
            if found:
                ports = set(found.values())
                kept = tuple(found)
                if len(kept) > MOST_TARGETS:
                    kept = values.networks_around(kept, MOST_TARGETS)
                    together = plural(len(kept), "network")
                    self._say(f"{name} names {len(found):,} addresses; they are taken together as {together}")
                return kept, ports.pop() if len(ports) == 1 else None
        return (), None

    def ports(self, *names: str) -> tuple[int, ...]:
        """All ports in the first field that has any."""
        for name in names:
            items = [values.port(item) for item in values.several(self._data.get(name))]
            if found := tuple(dict.fromkeys(item for item in items if item))[:MOST_ADDRESSES]:
                return found
        return ()

    def colos(self, *names: str) -> tuple[str, ...]:
        """All data centres in the first field that has any."""
        for name in names:
            items = values.several(self._data.get(name))
            for item in items:
                if values.colo(item) is None:
                    self.note(name, item, "data centre")
            found = dict.fromkeys(each for item in items if (each := values.colo(item)))
            if found:
                return tuple(found)[:MOST_ADDRESSES]
        return ()

    def labels(self, *names: str) -> dict[str, str]:
        """The fields that are plain text or numbers, by name: only `names`, or all of them."""
        wanted = names or tuple(self._data)
        return {name: found for name in wanted if (found := values.line(self._data.get(name)))}

    def note(self, name: str, value: object, what: str) -> None:
        """Note that the field could not be used."""
        shown = values.line(value) or type(value).__name__
        shown = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."
        self._say(f"{name} {shown!r} is not a valid {what}; ignored")

    def _say(self, line: str) -> None:
        line = f"{self._path}{line}"
        if line not in self._notes and len(self._notes) < MOST_NOTES:
            self._notes.append(line)

    def _first(
        self,
        names: tuple[str, ...],
        what: str,
        read: Callable[[object], _T | None],
        *,
        silent: Callable[[object], bool] = lambda _: False,
    ) -> _T | None:
        for name in names:
            value = self._data.get(name)
            if _empty(value):
                continue
            found = read(value)
            if found is not None:
                return found
            if not silent(value):
                self.note(name, value, what)
        return None


def _address_of(item: object) -> object:
    """The address in an object such as `{"ip": "203.0.113.7", "port": 53}`; anything else unchanged."""
    if not isinstance(item, dict):
        return item
    written = next((item[name] for name in _ADDRESSES if isinstance(item.get(name), str)), None)
    if written is None:
        return item
    beside = values.port(item.get("port"))
    address = values.address(written)
    if address is None or beside is None or "/" in address[0]:
        return written
    return f"[{address[0]}]:{beside}"


def _empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value in ([], {})


def _unspecified(value: object) -> bool:
    """Whether it is one of the ways to write that no address is known."""
    return values.text(value) in ("", "0.0.0.0", "::", "0.0.0.0/0", "::/0", "any", "unknown")  # noqa: S104 - read, not bound
