"""What generators of the corpus make: frames with a time and what filters ask of them."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from edgecap.simulator.corpus.hosts import MACS, Host
from edgecap.simulator.traffic.frames import Payload

_POOL = Random("corpus")
_BYTES = _POOL.randbytes(9_000)


class Made(NamedTuple):
    """One packet.

    Attributes:
        time: seconds from the beginning of the capture.
        frame: the whole frame.
        inbound: whether it goes to the customer.
        protocol: IP protocol.
        port: the port at the customer; 0 for none.
    """

    time: float
    frame: bytes
    inbound: bool
    protocol: int
    port: int


def payload(size: int) -> Payload:
    """So many bytes; a payload of a size is made once."""
    found = _SIZES.get(size)
    if found is None:
        found = _SIZES[size] = Payload.of(_BYTES[:size])
    return found


_SIZES: dict[int, Payload] = {}


def other(source: Host, destination: Host, protocol: int, size: int, *, fragment: int = 0) -> bytes:
    """An IPv4 packet of another protocol, or a later fragment at an offset of so many units of 8 bytes."""
    length = 20 + size
    head = bytearray(20)
    head[0] = 0x45
    head[2:4] = length.to_bytes(2, "big")
    head[4:6] = _POOL.randbytes(2)
    head[6:8] = fragment.to_bytes(2, "big")
    head[8], head[9] = source.ttl, protocol
    head[12:16], head[16:20] = source.address, destination.address
    total = sum(int.from_bytes(head[at : at + 2], "big") for at in range(0, 20, 2))
    check = 0xFFFF - (total % 0xFFFF or 0xFFFF)
    head[10:12] = check.to_bytes(2, "big")
    return MACS + b"\x08\x00" + bytes(head) + _BYTES[:size]
