"""Synthetic flows of ordinary traffic, one function each, as the edge sees them: inbound only.

Every function adds `(time, frame)` pairs to `scene.out` for one flow that starts within the scene's second
and ends within `LONGEST` seconds after that second's start.
"""

from __future__ import annotations

from random import Random

from edgecap.simulator.traffic.frames import ACK, FIN, PSH, RST, SYN, Payload, Route, address
from edgecap.simulator.traffic.payloads import Payloads, syn_options
from edgecap.simulator.traffic.times import MICROSECOND, MILLISECOND, SECOND

LONGEST = 3
"""Maximum seconds from the start of a flow's first second to the flow's end."""

WEB, WEB6 = address("203.0.113.7"), address("2001:db8:203::7")
DNS, DNS6 = address("203.0.113.53"), address("2001:db8:203::53")
_INSIDE, _INSIDE6 = address("203.0.113.0")[:3], address("2001:db8:203::")[:15]
_OUTSIDE = (address("198.51.100.0")[:3], address("192.0.2.0")[:3])
_OUTSIDE6 = address("2001:db8:51::")[:6]
_SIX = 0.3  # share of flows over IPv6
_HOPS = (47, 49, 51, 53, 56, 57, 113, 115, 119, 121)
_MSS, _MSS6 = 1460, 1440
_OPTIONS = {size: syn_options(size) for size in (_MSS, _MSS6)}
_SCANNED = (22, 23, 445, 3389, 5060, 8080)


class Scene:
    """One second of one server, while its packets are made.

    Args:
        rng: source of all randomness; with an `identity`, of a flow's shape only: its number of packets,
            their sizes and gaps, what they carry and to which address.
        payloads: the pool.
        start: start of the second, nanoseconds since 1970 UTC.
        macs: destination and source MAC, 12 bytes.
        identity: source of a flow's outside address, client port and numbers; by default also `rng`.
        at: when its flow begins, nanoseconds since 1970 UTC; by default at random within the second.
    """

    __slots__ = ("_at", "_macs", "identity", "out", "payloads", "rng", "start")

    def __init__(
        self,
        rng: Random,
        payloads: Payloads,
        start: int,
        macs: bytes,
        *,
        identity: Random | None = None,
        at: int | None = None,
    ) -> None:
        self.rng = rng
        self.identity = identity or rng
        self.payloads = payloads
        self.start = start
        self._macs = macs
        self._at = at
        self.out: list[tuple[int, bytes]] = []

    def route(self, inside: bytes | None, inside6: bytes | None) -> Route:
        """A route from an outside host to a machine of the customer: the given address, or any for None."""
        rng = self.rng
        pick = rng.random()
        hops = _HOPS[int(pick * 1000) % len(_HOPS)]
        if pick < _SIX:
            target = inside6 or _INSIDE6 + bytes([100 + rng.getrandbits(6)])
            source = _OUTSIDE6 + self.identity.getrandbits(80).to_bytes(10, "big")
            label = self.identity.getrandbits(20)
            return Route(source, target, macs=self._macs, hops=hops, flow_label=label)
        target = inside or _INSIDE + bytes([100 + rng.getrandbits(6)])
        return Route(outside(self.identity), target, macs=self._macs, hops=hops)

    def begin(self) -> int:
        """When the flow begins, nanoseconds since 1970 UTC."""
        if self._at is not None:
            return self._at
        return self.start + int(self.rng.random() * SECOND)


def outside(rng: Random) -> bytes:
    """A random outside IPv4 address."""
    bits = rng.getrandbits(9)
    return _OUTSIDE[bits & 1] + bytes([(bits >> 1) % 254 + 1])


def port(rng: Random) -> int:
    """A random client port."""
    return 32768 + int(rng.random() * 28232)


def visit(scene: Scene) -> None:
    """A client visits the web site: handshake, request, acknowledgements, often an upload."""
    rng, who, pool, out = scene.rng, scene.identity, scene.payloads, scene.out
    route = scene.route(WEB, WEB6)
    secure = rng.random() < 0.8  # noqa: PLR2004 - most of the web
    ports = (port(who), 443 if secure else 80)
    size = _MSS6 if route.six else _MSS
    ours, theirs = who.getrandbits(32), who.getrandbits(32)
    trip = 5 * MILLISECOND + int(rng.random() * 75 * MILLISECOND)
    ident = who.getrandbits(15)
    time = scene.begin()
    out.append((time, route.tcp(*ports, ours, 0, SYN, options=_OPTIONS[size], ident=ident)))
    time += trip
    ours, theirs = ours + 1 & 0xFFFFFFFF, theirs + 1 & 0xFFFFFFFF
    out.append((time, route.tcp(*ports, ours, theirs, ACK, ident=ident + 1)))
    time += 300 * MICROSECOND
    turns = (rng.choice(pool.hellos), rng.choice(pool.finished), rng.choice(pool.requests))
    for said in turns if secure else (rng.choice(pool.gets),):
        ident += 2
        out.append((time, route.tcp(*ports, ours, theirs, PSH | ACK, payload=said, ident=ident)))
        ours = ours + len(said.data) & 0xFFFFFFFF
        theirs = theirs + (1500 if secure else 0) & 0xFFFFFFFF
        time += trip
    if secure and rng.random() < 0.35:  # noqa: PLR2004 - share of visits with an upload
        stream = rng.choice(pool.uploads[size])
        time, ours = _stream(
            scene, route, ports, (ours, theirs), stream[: 4 + rng.getrandbits(4)], time, trip
        )
    for _ in range(3 + rng.getrandbits(4)):
        theirs = theirs + 2 * size & 0xFFFFFFFF
        ident += 1
        out.append((time, route.tcp(*ports, ours, theirs, ACK, window=501, ident=ident)))
        time += 40 * MICROSECOND + int(rng.random() * 8 * MILLISECOND)
    if rng.random() < 0.1:  # noqa: PLR2004 - some browsers reset the connection
        out.append((time, route.tcp(*ports, ours, 0, RST, window=0)))
        return
    out.append((time, route.tcp(*ports, ours, theirs, FIN | ACK, window=501, ident=ident + 1)))
    ours, theirs = ours + 1 & 0xFFFFFFFF, theirs + 1 & 0xFFFFFFFF
    out.append((time + trip, route.tcp(*ports, ours, theirs, ACK, window=501, ident=ident + 2)))


def download(scene: Scene) -> None:
    """A machine of the customer downloads something: the server's SYN-ACK, data, FIN."""
    rng, who, pool = scene.rng, scene.identity, scene.payloads
    route = scene.route(None, None)
    ports = (443, port(who))
    size = _MSS6 if route.six else _MSS
    server, client = who.getrandbits(32), who.getrandbits(32)
    trip = 5 * MILLISECOND + int(rng.random() * 60 * MILLISECOND)
    time = scene.begin()
    scene.out.append((time, route.tcp(*ports, server, client, SYN | ACK, options=_OPTIONS[size])))
    server, client = server + 1 & 0xFFFFFFFF, client + 518 & 0xFFFFFFFF
    stream = rng.choice(pool.downloads[size])
    segments = stream[: 2 + int(rng.random() * (len(stream) - 2))]
    time, server = _stream(scene, route, ports, (server, client), segments, time + trip, trip)
    scene.out.append((time, route.tcp(*ports, server, client, FIN | ACK, window=501)))


def _stream(
    scene: Scene,
    route: Route,
    ports: tuple[int, int],
    numbers: tuple[int, int],
    segments: list[Payload],
    time: int,
    trip: int,
) -> tuple[int, int]:
    """Segments in bursts of ten, one per round trip. Returns the end time and the next sequence number."""
    sequence, acknowledged = numbers
    add, tcp = scene.out.append, route.tcp
    ident = scene.identity.getrandbits(15)
    gap = 12 * MICROSECOND + int(scene.rng.random() * 200 * MICROSECOND)
    for number, segment in enumerate(segments, 1):
        flags = ACK if number % 10 else PSH | ACK
        add((time, tcp(*ports, sequence, acknowledged, flags, window=501, payload=segment, ident=ident)))
        sequence = sequence + len(segment.data) & 0xFFFFFFFF
        ident += 1
        time += gap if number % 10 else trip
    return time + trip, sequence


def dns_question(scene: Scene) -> None:
    """A client queries the customer's name server."""
    rng, who = scene.rng, scene.identity
    route = scene.route(DNS, DNS6)
    question = _with_id(who, rng.choice(scene.payloads.questions))
    scene.out.append((scene.begin(), route.udp(port(who), 53, question, ident=who.getrandbits(16))))


def dns_answer(scene: Scene) -> None:
    """A name server outside answers the customer's resolver."""
    rng, who = scene.rng, scene.identity
    route = scene.route(DNS, DNS6)
    answer = _with_id(who, rng.choice(scene.payloads.answers))
    scene.out.append((scene.begin(), route.udp(53, port(who), answer, ident=who.getrandbits(16))))


def _with_id(who: Random, message: Payload) -> Payload:
    number = who.getrandbits(16)
    return Payload(number.to_bytes(2, "big") + message.data, number + message.total)


def quic(scene: Scene) -> None:
    """A client uses HTTP/3: Initial, Handshake, then mostly small packets with a short header."""
    rng, who, pool, out = scene.rng, scene.identity, scene.payloads, scene.out
    route = scene.route(WEB, WEB6)
    source = port(who)
    trip = 5 * MILLISECOND + int(rng.random() * 75 * MILLISECOND)
    time = scene.begin()
    out.append((time, route.udp(source, 443, rng.choice(pool.initials))))
    time += trip
    out.append((time, route.udp(source, 443, rng.choice(pool.handshakes))))
    for _ in range(3 + rng.getrandbits(4)):
        time += 100 * MICROSECOND + int(rng.random() * 20 * MILLISECOND)
        said = pool.short[int(rng.random() * rng.random() * len(pool.short))]
        out.append((time, route.udp(source, 443, said)))


def ping(scene: Scene) -> None:
    """A client pings the web server: one to three echo requests."""
    rng, who = scene.rng, scene.identity
    route = scene.route(WEB, WEB6)
    number, time = who.getrandbits(16), scene.begin()
    for count in range(1, 2 + int(rng.random() * 3)):
        kind = 128 if route.six else 8
        frame = route.icmp(kind, 0, number, count, scene.payloads.echo, ident=who.getrandbits(16))
        scene.out.append((time, frame))
        time += 600 * MILLISECOND + int(rng.random() * MILLISECOND)


def pong(scene: Scene) -> None:
    """The answer to a customer's own ping."""
    who = scene.identity
    route = scene.route(None, None)
    frame = route.icmp(129 if route.six else 0, 0, who.getrandbits(16), 1, scene.payloads.echo)
    scene.out.append((scene.begin(), frame))


def scan(scene: Scene) -> None:
    """Internet background noise: a SYN to a closed port."""
    rng, who = scene.rng, scene.identity
    route = scene.route(_INSIDE + bytes([1 + int(rng.random() * 254)]), None)
    ports = (port(who), rng.choice(_SCANNED))
    scene.out.append((scene.begin(), route.tcp(*ports, who.getrandbits(32), 0, SYN, window=1024)))
