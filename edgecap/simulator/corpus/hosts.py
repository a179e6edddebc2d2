"""Addresses and times to live: of real hosts, and of forged sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random

from edgecap.simulator.traffic.frames import Route

MACS = b"\2\0\0\0\1\1\2\0\0\0\2\1"
_STARTS = (64, 64, 64, 128, 128, 255)  # of common systems
_NETWORKS = 3_000  # /16 in which there are clients, of 55,000


@dataclass(frozen=True, slots=True)
class Host:
    """A host as its packets show it.

    Attributes:
        address: 4 bytes.
        ttl: on arrival.
    """

    address: bytes
    ttl: int

    def to(self, other: Host) -> Route:
        """The route of packets to another host."""
        return Route(self.address, other.address, macs=MACS, hops=self.ttl)


def target(rng: Random) -> Host:
    """A machine of the customer; its own packets have left it a few hops ago."""
    return Host(bytes([203, 0, 113, rng.randrange(1, 255)]), 62)


@lru_cache(maxsize=64)
def neighbours(host: Host) -> list[Host]:
    """The machines of its /24."""
    return [Host(host.address[:3] + bytes([last]), 62) for last in range(1, 255)]


def real(rng: Random) -> Host:
    """A host somewhere: in one of the networks in which clients are."""
    network = Random(rng.randrange(_NETWORKS))
    first = network.choice(
        (1, 2, 5, 24, 31, 37, 46, 62, 73, 77, 81, 84, 86, 91, 94, 109, 151, 178, 185, 188, 212)
    )
    address = bytes([first, network.randrange(256), rng.randrange(256), rng.randrange(1, 255)])
    return Host(address, rng.choice(_STARTS) - rng.randrange(6, 24))


def population(rng: Random, count: int) -> list[Host]:
    """So many real hosts."""
    return [real(rng) for _ in range(count)]


class Forger:
    """Sources of an attack that lies about them, in one of the styles that tools have.

    Args:
        rng: source of all randomness.
        style: `random` (any 32 bits), `plausible` (addresses that hosts may have), `bots` (the truth).
    """

    def __init__(self, rng: Random, style: str) -> None:
        self._rng = rng
        self.style = style
        origins = {"random": 1, "plausible": rng.choice((1, 3, 40)), "bots": 800}[style]
        self._origins = [rng.choice(_STARTS) - rng.randrange(6, 24) for _ in range(origins)]
        self._made_up = style == "random" and rng.random() < 0.3
        self._bots = population(rng, origins) if style == "bots" else []

    def host(self) -> Host:
        """The source of the next packet."""
        rng = self._rng
        if self._bots:
            return rng.choice(self._bots)
        if self.style == "plausible":
            return Host(real(rng).address, rng.choice(self._origins))
        ttl = rng.randrange(30, 256) if self._made_up else rng.choice(self._origins)
        return Host(rng.getrandbits(32).to_bytes(4, "big"), ttl)
