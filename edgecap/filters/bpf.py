"""libpcap's own compiler and interpreter of filter expressions, through the binding that includes it."""

from __future__ import annotations

import cypcap

from edgecap.errors import InvalidRequest
from edgecap.filters.numbers import numbered

ETHERNET = 1
_SNAPLEN = 262_144
_OPTIMIZED = 2_000  # characters; libpcap's optimizer takes seconds for twice that, and minutes for more
# Link types for which the number in a file (LINKTYPE_) and libpcap's (DLT_) differ.
_COMPILED_AS = {14: 12, 101: 12}  # raw IP


class Program:
    """A filter expression, compiled for one link type.

    Args:
        expression: in pcap-filter syntax. Empty: every packet.
        link_type: the `LINKTYPE_` number of the packets.

    Raises:
        InvalidRequest: libpcap rejects the expression; the error has its message.
    """

    def __init__(self, expression: str, link_type: int = ETHERNET) -> None:
        if "\0" in expression:
            raise _refused("it holds a zero byte", expression)  # libpcap would stop reading there
        try:
            self._program = cypcap.compile(
                _COMPILED_AS.get(link_type, link_type),
                _SNAPLEN,
                numbered(expression),
                optimize=len(expression) <= _OPTIMIZED,
                netmask=cypcap.NETMASK_UNKNOWN,
            )
        except cypcap.Error as error:
            said = str(error.args[-1]) if error.args else str(error)
            raise _refused(said, expression) from None
        self._header = cypcap.Pkthdr(ts=0, caplen=0, len=0)

    def matches(self, packet: bytes, wire: int | None = None) -> bool:
        """Whether a packet matches the expression.

        Args:
            packet: its captured bytes.
            wire: its original length; by default all bytes were captured.
        """
        self._header.caplen = len(packet)
        self._header.len = len(packet) if wire is None else wire
        found: bool = self._program.offline_filter(self._header, packet)
        return found


def _refused(said: str, expression: str) -> InvalidRequest:
    return InvalidRequest(
        f"the filter is not valid: {said}",
        field=repr(expression),
        hint="write it as for tcpdump (man pcap-filter)",
    )
