"""Keep the packets that match an expression; each link type gets its own program, as in tcpdump."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgecap.errors import InvalidRequest
from edgecap.filters.bpf import ETHERNET, Program
from edgecap.packets.columns import Batch, Interface


class PacketFilter:
    """Applies an expression to batches of one file.

    Args:
        expression: in pcap-filter's language.
        where: the file's name in errors.
    """

    def __init__(self, expression: str, where: str) -> None:
        self._expression = expression
        self._where = where
        self._programs: dict[int, Program] = {}
        self._by_interface: list[Program] = []

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
        programs = self._by_interface
        kept = [
            programs[interface].matches(data[start : start + captured], wire)
            for _, start, captured, wire, interface in batch.rows.tolist()
        ]
        return replace(batch, rows=batch.rows[np.array(kept, bool)])

    def check(self, interfaces: Sequence[Interface]) -> None:
        """Compile for new interfaces; without any, for Ethernet, so that errors show.

        Raises:
            InvalidRequest: as `keep`.
        """
        if not interfaces and not self._programs:
            self._program(ETHERNET)
        for each in interfaces[len(self._by_interface) :]:
            self._by_interface.append(self._program(each.link_type))

    def _program(self, link_type: int) -> Program:
        if link_type not in self._programs:
            try:
                self._programs[link_type] = Program(self._expression, link_type)
            except InvalidRequest as error:
                raise InvalidRequest(
                    f"{error.what} (for packets of link type {link_type})",
                    field=error.field,
                    where=self._where,
                    hint=error.hint,
                ) from None
        return self._programs[link_type]
