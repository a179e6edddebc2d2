"""What each flow is, as numbers of `NAMES`; and whether it has an opposite flow: all flows at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecap.packets.columns import Rows
from edgecap.packets.verdict.kind import Kind
from edgecap.packets.verdict.services import AMPLIFIERS

NAMES = tuple(Kind)
"""Kinds by number."""
NUMBER = {kind: number for number, kind in enumerate(NAMES)}
PAYLOAD, BARE_SYN, NO_OPTIONS = 1, 2, 4
_FIN, _SYN, _RST, _PSH, _ACK, _URG = (1 << bit for bit in range(6))
_MEANT = _FIN | _SYN | _RST | _PSH | _ACK | _URG
_ICMP, _TCP, _UDP, _ICMP6 = 1, 6, 17, 58
_ECHO, _ECHO_REPLY, _ECHO6, _ECHO_REPLY6 = 8, 0, 128, 129
_ODD_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def _tcp_kinds() -> NDArray[np.uint8]:
    """The kind of a TCP flow by its flags, and by whether it has payload (plus 64)."""
    table = np.zeros(128, "u1")
    for flags in range(64):
        for payload in (0, 1):
            table[flags + 64 * payload] = NUMBER[_tcp_kind(flags, payload=bool(payload))]
    return table


def _tcp_kind(flags: int, *, payload: bool) -> Kind:
    if not flags & (_SYN | _ACK | _RST) or flags == _MEANT:
        return Kind.ODD
    if flags & _SYN and not flags & _ACK:
        # A refused connection has SYN and RST; a SYN with FIN, or with URG, is none.
        return Kind.ODD if flags & (_FIN | _URG | _PSH) else Kind.CONNECTION if flags & _RST else Kind.SYN
    if flags & _SYN:
        return Kind.SYN_ACK if flags == _SYN | _ACK else Kind.CONNECTION
    if flags & _RST:
        return Kind.RST if not flags & ~(_RST | _ACK) else Kind.DATA
    if flags & _FIN:
        return Kind.FIN if flags == _FIN | _ACK and not payload else Kind.DATA
    return Kind.DATA if payload else Kind.ACK


_TCP_KINDS = _tcp_kinds()
_REFLECTS = np.zeros(65_536, bool)
_REFLECTS[list(AMPLIFIERS)] = True
_MUTUAL = np.zeros(65_536, bool)
_ANY_SIZE = np.zeros(65_536, bool)
_ANY_SIZE[[port for port, each in AMPLIFIERS.items() if each.usual >= 1_500]] = True  # noqa: PLR2004
_HIGH = 10_000
_COMMON = np.zeros(256, bool)
_COMMON[[2, 4, 41, 47, 50, 51, 88, 89, 103, 112, 115, 132]] = True
OTHER_PROTOCOLS = 255
"""The stream's port of all IP protocols that are rare."""
_MUTUAL[[port for port, each in AMPLIFIERS.items() if each.mutual]] = True


def kinds_of(flows: Rows) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """The number of each flow's kind, and the stream's port.

    A flow from one of the ports that reflection abuses is a reply, unless it is a question: to the same port
    of a service that uses it at both ends, or from a high port to another of these ports.
    """
    # Copied out of the records, since each column is read many times.
    protocol, ports = np.ascontiguousarray(flows["protocol"]), flows["ports"] == 1
    source = np.ascontiguousarray(flows["source_port"])
    destination = np.ascontiguousarray(flows["destination_port"])
    kind = np.full(len(flows), NUMBER[Kind.PROTOCOL], "u1")
    port = np.where(kind == NUMBER[Kind.PROTOCOL], protocol, 0).astype("u2")
    later = (flows["fragments"] > 0) & ~ports
    tcp, udp = protocol == _TCP, protocol == _UDP
    flags = (flows["tcp_flags"] & _MEANT) | ((flows["signs"] & PAYLOAD) << 6)
    kind[tcp] = _TCP_KINDS[flags[tcp]]
    kind[udp] = NUMBER[Kind.UDP]
    # Both ends may have such a port by chance: clients ask from high ones, and seldom play two games.
    asks = _REFLECTS[destination] & (
        ((destination < _HIGH) & (source >= _HIGH))
        | (_MUTUAL[destination] & (destination == source))
        | ((destination >= _HIGH) & (source >= _HIGH) & _ANY_SIZE[source])
    )
    reply = udp & ports & _REFLECTS[source] & ~asks
    kind[reply] = NUMBER[Kind.REPLY]
    icmp4, icmp6 = protocol == _ICMP, protocol == _ICMP6
    kind[icmp4 | icmp6] = NUMBER[Kind.ICMP]
    kind[ports & ((icmp4 & (source == _ECHO)) | (icmp6 & (source == _ECHO6)))] = NUMBER[Kind.ECHO]
    replies = ports & ((icmp4 & (source == _ECHO_REPLY)) | (icmp6 & (source == _ECHO_REPLY6)))
    kind[replies] = NUMBER[Kind.ECHO_REPLY]
    kind[later] = NUMBER[Kind.FRAGMENT]
    port[tcp | udp | icmp4 | icmp6 | later] = 0
    port[(kind == NUMBER[Kind.PROTOCOL]) & ~_COMMON[port & 255]] = OTHER_PROTOCOLS
    port[reply] = source[reply]
    return kind, port


def hashed(*parts: NDArray[Any]) -> NDArray[np.uint64]:
    """A number for each row of the parts, which are of any integer type."""
    mixed = np.zeros(len(parts[0]), "u8")
    for part in parts:
        mixed ^= part.astype("u8")
        mixed *= _ODD_MULTIPLIER
        mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    return mixed


def opposites(
    flows: Rows, sources: NDArray[np.uint64], destinations: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """For each flow, the index of its opposite flow, or -1.

    Args:
        flows: `FLOW` records.
        sources: a number for each source address.
        destinations: likewise.
    """
    icmp = (flows["protocol"] == _ICMP) | (flows["protocol"] == _ICMP6)
    # Types and codes of ICMP are no ports: an echo and its reply have the same key.
    source_port = np.where(icmp, 0, flows["source_port"])
    destination_port = np.where(icmp, 0, flows["destination_port"])
    one, other = hashed(sources, source_port), hashed(destinations, destination_port)
    key = hashed(one + other, flows["protocol"])
    order = np.argsort(key)
    same = (key[order][1:] == key[order][:-1]) & (one[order][1:] == other[order][:-1])
    opposite = np.full(len(flows), -1, "i8")
    at = np.flatnonzero(same)
    opposite[order[at]] = order[at + 1]
    opposite[order[at + 1]] = order[at]
    return opposite
