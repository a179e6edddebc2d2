"""Keep the packets that match an expression; each link type gets its own program, as in tcpdump."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecap.errors import InvalidRequest
from edgecap.filters.bpf import ETHERNET, RAW, Program
from edgecap.packets.columns import Batch, Interface, Rows
from edgecap.packets.headers import dissect
from edgecap.packets.names import tunnel_name
from edgecap.units import plural

_TRIED = 10_000  # packets that are also tried inside, while none matches
# How pcap-filter steps inside, for what it can.
_PREFIXES = {"vlan": "vlan", "mpls": "mpls", "pppoe": "pppoes"}


class PacketFilter:
    """Applies an expression to batches of one file.

    Args:
        expression: in pcap-filter's language.
        where: the file's name in errors.
        inner: apply it to the innermost IP packet, behind tags, labels and tunnels. A packet without IP does
            not match then.
    """

    def __init__(self, expression: str, where: str, *, inner: bool = False) -> None:
        self._expression = expression
        self._where = where
        self._inner = inner
        self._programs: dict[tuple[int, bool], Program] = {}
        self._by_interface: list[Program] = []
        self._matched = False
        self._tried = 0
        self._inside: Counter[str] = Counter()  # what the packets are in that match inside only
        self._example: tuple[bytes, Interface] | None = None

    def __repr__(self) -> str:
        return f"<PacketFilter {self._expression!r} [{len(self._programs)} link types]>"

    def keep(self, batch: Batch, interfaces: Sequence[Interface]) -> Batch:
        """The matching packets of a batch.

        Args:
            batch: from a reader.
            interfaces: that reader's, by the numbers in the batch's rows.

        Raises:
            InvalidRequest: libpcap rejects the expression for their link type.
        """
        self.check(interfaces)
        data = batch.data
        if self._inner:
            kept = self._within(batch, dissect(batch, interfaces))
        else:
            programs = self._by_interface
            kept = [
                programs[interface].matches(data[start : start + captured], wire)
                for _, start, captured, wire, interface in batch.rows.tolist()
            ]
        mask = np.array(kept, bool)
        if not self._matched:
            self._matched = bool(mask.any())
            if not self._matched and not self._inner:
                self._try_inside(batch, interfaces)
        return replace(batch, rows=batch.rows[mask])

    def check(self, interfaces: Sequence[Interface]) -> None:
        """Compile for new interfaces; without any, for Ethernet, so that errors show.

        Raises:
            InvalidRequest: as `keep`.
        """
        if not interfaces and not self._programs:
            self._program(Interface(ETHERNET, 0))
        for each in interfaces[len(self._by_interface) :]:
            self._by_interface.append(self._program(each))

    @property
    def hint(self) -> str:
        """Why nothing matched although addresses inside do, and what to write; empty if that is not so."""
        if self._matched or not self._inside or self._example is None:
            return ""
        packets = self._inside.total()
        kinds = ", ".join(self._inside)
        ways = ["use --inner"]
        packet, interface = self._example
        prefix = _PREFIXES.get(next(iter(self._inside)))
        if prefix:
            written = f"{prefix} and ({self._expression.strip()})"
            try:
                if Program(written, interface.link_type, big_endian=interface.big_endian).matches(packet):
                    ways.append(f"write {written!r}")
            except InvalidRequest:
                pass
        of = f" of the first {self._tried:,}" if self._tried >= _TRIED else ""
        verb = "matches" if packets == 1 else "match"
        return f"{plural(packets, 'packet')}{of} {verb} inside ({kinds}): {', or '.join(ways)}"

    def _program(self, interface: Interface) -> Program:
        link_type = RAW if self._inner else interface.link_type
        key = link_type, interface.big_endian
        if key not in self._programs:
            try:
                self._programs[key] = Program(self._expression, link_type, big_endian=interface.big_endian)
            except InvalidRequest as error:
                of = "inside, which is raw IP" if self._inner else f"for packets of link type {link_type}"
                raise InvalidRequest(
                    f"{error.what} ({of})", field=error.field, where=self._where, hint=error.hint
                ) from None
        return self._programs[key]

    def _within(self, batch: Batch, headers: Rows) -> list[bool]:
        """Which packets match inside."""
        data = batch.data
        found = (headers["outer"]["version"] > 0).tolist()
        places = headers["inside"].tolist()
        programs = self._by_interface
        return [
            is_ip
            and programs[interface].matches(data[start + inside : start + captured], max(wire - inside, 0))
            for (_, start, captured, wire, interface), inside, is_ip in zip(
                batch.rows.tolist(), places, found, strict=True
            )
        ]

    def _try_inside(self, batch: Batch, interfaces: Sequence[Interface]) -> None:
        """While nothing has matched, note packets that would match inside."""
        rows = batch.rows[: _TRIED - self._tried]
        if not len(rows):
            return
        self._tried += len(rows)
        headers = dissect(replace(batch, rows=rows), interfaces)
        wrapped = (headers["tunnel"] > 0) | (headers["vlan"] > 0)
        if not wrapped.any():
            return
        some = replace(batch, rows=rows[wrapped])
        headers = headers[wrapped]
        inside = PacketFilter(self._expression, self._where, inner=True)
        try:
            inside.check(interfaces)
        except InvalidRequest:
            return
        mask: NDArray[Any] = np.array(inside._within(some, headers), bool)
        for header in headers[mask]:
            tunnel = int(header["tunnel"])
            self._inside["vlan" if header["vlan"] else tunnel_name(tunnel)] += 1
        if self._example is None and mask.any():
            place = int(np.flatnonzero(mask)[0])
            self._example = some.packet(place), interfaces[int(some.rows[place]["interface"])]
