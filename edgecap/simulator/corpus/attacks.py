"""Attacks and scans, thirty-four kinds: an event of each makes the packets of a moment, answers too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from edgecap.simulator.corpus.hosts import Forger, Host, neighbours, real
from edgecap.simulator.corpus.packets import Made, other, payload
from edgecap.simulator.corpus.services import query
from edgecap.simulator.traffic.frames import ACK, FIN, PSH, RST, SYN, Payload
from edgecap.simulator.traffic.payloads import mss_option, syn_options

_TCP, _UDP, _ICMP = 6, 17, 1
_URG = 0x20
_REFLECTORS = 1_500


class Attack:
    """One attack: who sends to whom, in one of several styles.

    Args:
        rng: source of all randomness.
        target: the address under attack.
        seconds: how long the capture is.
    """

    def __init__(self, rng: Random, target: Host, seconds: float) -> None:
        self.rng, self.target, self.seconds = rng, target, seconds
        self.port = rng.choice((80, 443, 443, 22, 8_080, 25_565, 30_120))
        self.forger = Forger(rng, rng.choice(("random", "plausible", "bots")))
        self.reflectors = [real(rng) for _ in range(rng.randrange(60, _REFLECTORS))]
        self.reflected_to = rng.choice((0, 80, 443, self.port, rng.randrange(1_024, 65_536)))
        self.options = rng.choice((Payload(b"", 0), mss_option(1460), syn_options(1460)))
        self.size = rng.choice((0, 64, 512, 1_024, 1_400))
        self.source = real(rng)
        self.near = neighbours(target)
        self.step = rng.randrange(1_000)

    def made(
        self, frame: bytes, protocol: int, *, port: int = 0, inbound: bool = True, after: float = 0.0
    ) -> Made:
        """A packet at a random time, which a scan or a flood does not care for."""
        return Made(self.rng.random() * self.seconds + after, frame, inbound, protocol, port)


Event = Callable[[Attack], list[Made]]


@dataclass(frozen=True, slots=True)
class AttackKind:
    """A kind of attack.

    Attributes:
        event: makes the packets of a moment.
        vector: the kind of vector that is right.
        service: of an amplification.
        flags: TCP flags that a filter for it might name.
    """

    event: Event
    vector: str
    service: str = ""


def _tcp_flood(flags: int, size: int = 0, *, answer: int = 0, one_port: float = 0.9) -> Event:
    def event(attack: Attack) -> list[Made]:
        rng, source = attack.rng, attack.forger.host()
        port = attack.port if rng.random() < one_port else rng.randrange(1, 65_536)
        ports = (rng.randrange(1_024, 65_536), port)
        options = attack.options if flags == SYN else Payload(b"", 0)
        acknowledged = rng.getrandbits(32) if flags & ACK else 0
        there = source.to(attack.target)
        frame = there.tcp(
            *ports, rng.getrandbits(32), acknowledged, flags, payload=payload(size), options=options,
            ident=rng.getrandbits(16),
        )  # fmt: skip
        made = [attack.made(frame, _TCP, port=port)]
        if answer and rng.random() < 0.4:
            back = attack.target.to(source).tcp(*ports[::-1], 1, 1, answer)
            made.append(Made(made[0].time + 0.001, back, inbound=False, protocol=_TCP, port=port))
        return made

    return event


def _syn_ack(attack: Attack) -> list[Made]:
    rng, source = attack.rng, attack.rng.choice(attack.reflectors)
    service = rng.choice((80, 443, 443, 22, 179))
    port = attack.reflected_to or rng.randrange(1_024, 65_536)
    frame = source.to(attack.target).tcp(
        service, port, rng.getrandbits(32), 1, SYN | ACK, options=syn_options(1460)
    )
    first = attack.made(frame, _TCP, port=port)
    repeats = [Made(first.time + wait, frame, True, _TCP, port) for wait in (1, 3, 7) if rng.random() < 0.5]
    return [first, *repeats]


def _udp_random(attack: Attack) -> list[Made]:
    rng, source = attack.rng, attack.forger.host()
    ports = rng.randrange(1_024, 65_536), rng.randrange(1, 65_536)
    said = payload(attack.size or rng.randrange(1, 1_400))
    return [attack.made(source.to(attack.target).udp(*ports, said), _UDP, port=ports[1])]


def _udp_one_port(attack: Attack) -> list[Made]:
    rng, source = attack.rng, attack.forger.host()
    said = payload(attack.size or 1_024)
    frame = source.to(attack.target).udp(rng.randrange(1_024, 65_536), attack.port, said)
    return [attack.made(frame, _UDP, port=attack.port)]


def _fragments(attack: Attack) -> list[Made]:
    source = attack.forger.host()
    offset = attack.rng.randrange(1, 8_000)
    size = attack.rng.choice((8, 24, 256, 1_480))
    return [attack.made(other(source, attack.target, _UDP, size, fragment=offset), _UDP)]


def _icmp(attack: Attack) -> list[Made]:
    source = attack.forger.host()
    size = attack.size or 56
    frame = source.to(attack.target).icmp(8, 0, 1, attack.rng.getrandbits(16), payload(size))
    made = [attack.made(frame, _ICMP)]
    if attack.rng.random() < 0.2:
        back = attack.target.to(source).icmp(0, 0, 1, 1, payload(size))
        made.append(Made(made[0].time + 0.001, back, inbound=False, protocol=_ICMP, port=0))
    return made


def _protocol(*numbers: int) -> Event:
    def event(attack: Attack) -> list[Made]:
        number = attack.rng.choice(numbers) if numbers else attack.rng.choice(_ODD_PROTOCOLS)
        source = attack.forger.host()
        body = payload(attack.size or 64)
        if number == 47:
            inner = other(Host(attack.rng.randbytes(4), 64), Host(attack.rng.randbytes(4), 64), _UDP, 60)[14:]
            plain = other(source, attack.target, 47, 4 + len(inner))
            frame = plain[:34] + b"\0\0\x08\0" + inner
        else:
            frame = other(source, attack.target, number, len(body.data) or 8)
        return [attack.made(frame, number)]

    return event


_ODD_PROTOCOLS = [each for each in range(60, 250) if each not in (88, 89, 103, 112, 115, 124, 132, 136)]


def _carpet(event: Event) -> Event:
    def spread(attack: Attack) -> list[Made]:
        main, attack.target = attack.target, attack.rng.choice(attack.near)
        made = event(attack)
        attack.target = main
        return made

    return spread


def amplified(port: int, least: int, most: int, *, fragments: int = 0) -> Event:
    """Answers of so many bytes from a port, in fragments if they are longer than a packet."""

    def event(attack: Attack) -> list[Made]:
        rng, source = attack.rng, attack.rng.choice(attack.reflectors)
        to = attack.reflected_to or rng.randrange(1, 65_536)
        size = rng.randrange(least, most + 1)
        if fragments:
            answer = query("example.net", answer=True, size=size)
            frames = source.to(attack.target).udp_fragments(port, to, answer, ident=rng.getrandbits(16))
        else:
            frames = [source.to(attack.target).udp(port, to, payload(size), ident=rng.getrandbits(16))]
        return [attack.made(frame, _UDP, port=to) for frame in frames]

    return event


def _torture(attack: Attack) -> list[Made]:
    rng = attack.rng
    resolvers = attack.reflectors
    source = rng.choice(resolvers) if attack.forger.style != "random" else attack.forger.host()
    label = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(rng.randrange(8, 16)))
    name = f"{label}.victim.example"
    port = rng.randrange(1_024, 65_536)
    made = [attack.made(source.to(attack.target).udp(port, 53, query(name)), _UDP, port=53)]
    if rng.random() < 0.5:
        answer = attack.target.to(source).udp(53, port, query(name, answer=True, code=3))
        made.append(Made(made[0].time + 0.001, answer, inbound=False, protocol=_UDP, port=53))
    return made


def _slow(attack: Attack) -> list[Made]:
    """A connection that sends a byte of a header every few seconds, for the whole capture."""
    rng = attack.rng
    source = attack.source if rng.random() < 0.8 else real(rng)
    ports = rng.randrange(1_024, 65_536), attack.port
    there, back = source.to(attack.target), attack.target.to(source)
    time = rng.random() * 2
    made = [
        Made(time, there.tcp(*ports, 1, 0, SYN, options=syn_options(1460)), True, _TCP, attack.port),
        Made(
            time + 0.01,
            back.tcp(*ports[::-1], 1, 2, SYN | ACK, options=syn_options(1460)),
            False,
            _TCP,
            attack.port,
        ),
        Made(time + 0.02, there.tcp(*ports, 2, 2, ACK), True, _TCP, attack.port),
    ]
    while (time := time + 2 + rng.random() * 6) < attack.seconds:
        made.append(
            Made(time, there.tcp(*ports, 2, 2, PSH | ACK, payload=payload(10)), True, _TCP, attack.port)
        )
        made.append(Made(time + 0.01, back.tcp(*ports[::-1], 2, 2, ACK), False, _TCP, attack.port))
    return made


def _scan(flags: int, *, upright: bool) -> Event:
    def event(attack: Attack) -> list[Made]:
        rng = attack.rng
        attack.step += 1
        host = attack.target if upright else attack.near[attack.step % len(attack.near)]
        port = 1 + attack.step * 7 % 65_000 if upright else (22, 445, 3_389)[attack.step // 254 % 3]
        ports = (rng.randrange(32_768, 61_000), port)
        made = [
            attack.made(attack.source.to(host).tcp(*ports, rng.getrandbits(32), 0, flags), _TCP, port=port)
        ]
        if rng.random() < 0.5 and flags & SYN:
            back = host.to(attack.source).tcp(*ports[::-1], 0, 1, RST | ACK)
            made.append(Made(made[0].time + 0.001, back, inbound=False, protocol=_TCP, port=port))
        return made

    return event


def _udp_scan(attack: Attack) -> list[Made]:
    attack.step += 1
    port = 1 + attack.step * 11 % 65_000
    frame = attack.source.to(attack.target).udp(51_234, port, payload(0))
    return [attack.made(frame, _UDP, port=port)]


def _sweep(attack: Attack) -> list[Made]:
    attack.step += 1
    number = attack.step
    host = Host(bytes([203, 0, 112 + number // 254 % 8, 1 + number % 254]), 62)
    return [attack.made(attack.source.to(host).icmp(8, 0, 9, number & 0xFFFF, payload(0)), _ICMP)]


def _protocol_scan(attack: Attack) -> list[Made]:
    attack.step += 1
    host = attack.near[attack.step // 256 % len(attack.near)]
    return [attack.made(other(attack.source, host, attack.step % 256, 8), attack.step % 256)]


def _memcached(attack: Attack) -> list[Made]:
    return amplified(11_211, 1_400, 1_428)(attack)


_XMAS = FIN | PSH | _URG
ATTACKS: dict[str, AttackKind] = {
    "syn-flood": AttackKind(_tcp_flood(SYN, answer=SYN | ACK), "syn-flood"),
    "ack-flood": AttackKind(_tcp_flood(ACK, answer=RST), "tcp-ack-flood"),
    "psh-ack-flood": AttackKind(_tcp_flood(PSH | ACK, 512, answer=RST), "tcp-data-flood"),
    "fin-flood": AttackKind(_tcp_flood(FIN | ACK, answer=RST), "tcp-fin-flood"),
    "rst-flood": AttackKind(_tcp_flood(RST), "tcp-rst-flood"),
    "xmas-flood": AttackKind(_tcp_flood(_XMAS), "tcp-odd-flood"),
    "null-flood": AttackKind(_tcp_flood(0), "tcp-odd-flood"),
    "syn-ack-reflection": AttackKind(_syn_ack, "syn-ack-reflection"),
    "udp-random-ports": AttackKind(_udp_random, "udp-flood"),
    "udp-one-port": AttackKind(_udp_one_port, "udp-flood"),
    "fragment-flood": AttackKind(_fragments, "fragment-flood"),
    "icmp-flood": AttackKind(_icmp, "icmp-flood"),
    "gre-flood": AttackKind(_protocol(47), "protocol-flood"),
    "esp-flood": AttackKind(_protocol(50), "protocol-flood"),
    "ip-protocol-flood": AttackKind(_protocol(), "protocol-flood"),
    "carpet-syn": AttackKind(_carpet(_tcp_flood(SYN)), "syn-flood"),
    "carpet-udp": AttackKind(_carpet(_udp_random), "udp-flood"),
    "carpet-dns": AttackKind(_carpet(amplified(53, 1_000, 1_400)), "amplification", "dns"),
    "dns-amplification": AttackKind(amplified(53, 2_000, 4_000, fragments=1), "amplification", "dns"),
    "ntp-amplification": AttackKind(amplified(123, 440, 440), "amplification", "ntp"),
    "snmp-amplification": AttackKind(amplified(161, 700, 1_400), "amplification", "snmp"),
    "ssdp-amplification": AttackKind(amplified(1_900, 250, 450), "amplification", "ssdp"),
    "cldap-amplification": AttackKind(amplified(389, 1_200, 1_460), "amplification", "cldap"),
    "memcached-amplification": AttackKind(_memcached, "amplification", "memcached"),
    "chargen-amplification": AttackKind(amplified(19, 300, 1_024), "amplification", "chargen"),
    "ws-discovery-amplification": AttackKind(amplified(3_702, 600, 1_400), "amplification", "ws-discovery"),
    "coap-amplification": AttackKind(amplified(5_683, 500, 1_000), "amplification", "coap"),
    "dvr-amplification": AttackKind(amplified(37_810, 500, 900), "amplification", "dvr dhcpdiscover"),
    "water-torture": AttackKind(_torture, "dns-random-names"),
    "low-and-slow": AttackKind(_slow, "low-and-slow"),
    "syn-scan": AttackKind(_scan(SYN, upright=True), "scan"),
    "syn-sweep": AttackKind(_scan(SYN, upright=False), "scan"),
    "xmas-scan": AttackKind(_scan(_XMAS, upright=True), "scan"),
    "udp-scan": AttackKind(_udp_scan, "scan"),
    "icmp-sweep": AttackKind(_sweep, "scan"),
    "protocol-scan": AttackKind(_protocol_scan, "scan"),
}
"""By name."""
