"""Synthetic attacks with a start and an end: SYN floods and amplification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Literal

from edgecap.errors import InvalidRequest
from edgecap.simulator.traffic.conversations import WEB, outside
from edgecap.simulator.traffic.frames import SYN, Payload, Route, address
from edgecap.simulator.traffic.payloads import Payloads, mss_option
from edgecap.simulator.traffic.times import MICROSECOND, SECOND, UNIX_EPOCH, nanoseconds, span

Kind = Literal["syn_flood", "dns_amplification", "ntp_amplification"]
_MSS = mss_option(1460)
_TARGET = "203.0.113.7"


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack, once or recurring.

    Attributes:
        kind: `syn_flood` (spoofed sources), `dns_amplification` (large ANY answers, fragmented) or
            `ntp_amplification` (monlist answers of 440 bytes).
        start: aware; its (first) start.
        duration: its duration.
        every: time from one start to the next, before and after `start`; None: it happens once.
        target: the attacked customer address; IPv4.
        port: the port that a SYN flood hits, or that reflectors answer to.
        rate: packets a second at each server of a busy city; quieter cities get less, as for all traffic.
        until: aware; no attack after it. None: no limit.
        id: 32 hexadecimal digits, as notifications and analytics name it; empty: one made of its other
            fields, another for each recurrence.
        places: the number of cities that it reaches if traffic is spread; None: by chance, from one to all.
        dropped: the part of it that DDoS protection drops if there is mitigation, 0 to 1; None: by chance.
    """

    kind: Kind
    start: datetime
    duration: timedelta
    every: timedelta | None = None
    target: str = _TARGET
    port: int = 443
    rate: float = 240.0
    until: datetime | None = None
    id: str = ""
    places: int | None = None
    dropped: float | None = None

    def __post_init__(self) -> None:
        """Reject an impossible attack.

        Raises:
            InvalidRequest: the start has no time zone, the duration is not positive, it recurs before it
                ends, or the target is not an IPv4 address.
        """
        nanoseconds(self.start)
        if self.duration <= timedelta(0):
            raise InvalidRequest("an attack needs a positive duration", field="duration")
        if self.every is not None and self.every < self.duration:
            raise InvalidRequest(
                "an attack recurs before it ends",
                field="every",
                hint="make it no less than duration",
            )
        try:
            size = len(address(self.target))
        except ValueError:
            size = 0
        if size != len(WEB):
            raise InvalidRequest(f"{self.target!r} is not an IPv4 address", field="target")

    def spans(self, start: int, end: int) -> list[tuple[int, int]]:
        """Its intervals within `start <= t < end`, clipped to it; nanoseconds since 1970 UTC."""
        first, length = nanoseconds(self.start), span(self.duration)
        if self.every is None:
            beginnings = [first]
        else:
            period = span(self.every)
            earliest = (start - length - first) // period
            latest = (end - first) // period
            beginnings = [first + count * period for count in range(earliest, latest + 1)]
        if self.until is not None:
            end = min(end, nanoseconds(self.until))
        cut = [(max(begin, start), min(begin + length, end)) for begin in beginnings]
        return [(begin, finish) for begin, finish in cut if begin < finish]


def timetable(epoch: datetime = UNIX_EPOCH) -> tuple[Attack, ...]:
    """The default attacks: one every five minutes, each of 90 seconds.

    From `epoch` on, every fifteen minutes: a SYN flood at minute 1, DNS amplification at minute 6, NTP
    amplification at minute 11. So every look-back of five minutes sees one.
    """
    lasting, every = timedelta(seconds=90), timedelta(minutes=15)
    return (
        Attack("syn_flood", epoch + timedelta(minutes=1), lasting, every),
        Attack("dns_amplification", epoch + timedelta(minutes=6), lasting, every, port=53127),
        Attack("ntp_amplification", epoch + timedelta(minutes=11), lasting, every, port=80),
    )


def occurrences(
    attacks: Sequence[Attack], start: datetime, end: datetime
) -> list[tuple[Attack, datetime, datetime]]:
    """The attacks that overlap `start <= t < end`, with their full start and end, in order of time."""
    lower, upper = nanoseconds(start), nanoseconds(end)
    found = []
    for attack in attacks:
        length = span(attack.duration)
        for begin, _ in attack.spans(lower - length, upper + length):
            for whole, finish in attack.spans(begin, begin + length):
                if whole == begin and begin < upper and finish > lower:
                    found.append((attack, _moment(begin), _moment(finish)))
    return sorted(found, key=lambda each: each[1])


def _moment(time_ns: int) -> datetime:
    return UNIX_EPOCH + timedelta(microseconds=time_ns // MICROSECOND)


def strike(
    attack: Attack, rng: Random, payloads: Payloads, second: int, weight: float, macs: bytes
) -> list[tuple[int, bytes]]:
    """The attack's packets at one server in the second that begins at `second` ns."""
    make = _MAKERS[attack.kind]
    out = []
    for begin, finish in attack.spans(second, second + SECOND):
        wanted = attack.rate * weight * (finish - begin) / SECOND
        left = int(wanted) + (rng.random() < wanted % 1)
        while left > 0:
            time = begin + int(rng.random() * (finish - begin))
            for frame in make(attack, rng, rng, payloads, macs):
                out.append((time, frame))
                time = min(time + 12 * MICROSECOND, finish - 1)
                left -= 1
    return out


def shot(attack: Attack, rng: Random, who: Random, payloads: Payloads, macs: bytes) -> list[bytes]:
    """One packet of the attack, or the fragments of one.

    Args:
        attack: the attack.
        rng: source of what it carries, and so of the number and sizes of its frames.
        who: source of its addresses and numbers.
        payloads: the pool.
        macs: destination and source MAC, 12 bytes.
    """
    return _MAKERS[attack.kind](attack, rng, who, payloads, macs)


def _syn(attack: Attack, _: Random, rng: Random, __: Payloads, macs: bytes) -> list[bytes]:
    route = Route(outside(rng), address(attack.target), macs=macs, hops=32 + rng.getrandbits(6))
    source, number = 1024 + int(rng.random() * 64512), rng.getrandbits(32)
    ident = rng.getrandbits(16)
    return [route.tcp(source, attack.port, number, 0, SYN, window=65535, options=_MSS, ident=ident)]


def _dns(attack: Attack, rng: Random, who: Random, payloads: Payloads, macs: bytes) -> list[bytes]:
    route = Route(outside(who), address(attack.target), macs=macs, hops=48 + who.getrandbits(4))
    number, message = who.getrandbits(16), rng.choice(payloads.big_answers)
    answer = Payload(number.to_bytes(2, "big") + message.data, number + message.total)
    return route.udp_fragments(53, attack.port, answer, ident=who.getrandbits(16))


def _ntp(attack: Attack, rng: Random, who: Random, payloads: Payloads, macs: bytes) -> list[bytes]:
    route = Route(outside(who), address(attack.target), macs=macs, hops=48 + who.getrandbits(4))
    return [route.udp(123, attack.port, rng.choice(payloads.monlists))]


_MAKERS: dict[str, Callable[[Attack, Random, Random, Payloads, bytes], list[bytes]]] = {
    "syn_flood": _syn,
    "dns_amplification": _dns,
    "ntp_amplification": _ntp,
}
