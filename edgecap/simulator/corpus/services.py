"""Ordinary services: a conversation of each, with both of its directions."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from edgecap.simulator.corpus.hosts import Host, neighbours, real
from edgecap.simulator.corpus.packets import Made, other, payload
from edgecap.simulator.traffic.frames import ACK, FIN, PSH, RST, SYN, Payload
from edgecap.simulator.traffic.payloads import syn_options, timestamps

Conversation = list[Made]
_SEGMENT = 1460  # bytes of payload and options
_OPTIONS = syn_options(_SEGMENT)
_UNIX_TTL = 64
_TCP, _UDP, _ICMP, _ESP = 6, 17, 1, 50
_WORDS = ("www", "mail", "api", "shop", "cdn", "img", "login", "static", "ns1", "m", "app", "blog")
_ZONES = ("example.com", "example.net", "example.org")


def query(name: str, number: int = 1, *, answer: bool = False, code: int = 0, size: int = 0) -> Payload:
    """A DNS message about a name; an answer may be filled up to a size."""
    flags = 0x8180 | code if answer else 0x0100
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split(".")) + b"\0"
    body = struct.pack("!HHHHHH", number, flags, 1, int(answer), 0, 0) + labels + b"\0\1\0\1"
    return Payload.of(body + bytes(max(0, size - len(body))))


def _tcp(
    rng: Random,
    start: float,
    client: Host,
    server: Host,
    port: int,
    turns: list[tuple[bool, int]],
    *,
    gap: float,
) -> Conversation:
    """A connection: handshake, then segments of a side with so many bytes, acknowledged; its end."""
    there, back = client.to(server), server.to(client)
    source = rng.randrange(32_768, 61_000)
    made: Conversation = []
    time = start
    # Both sides send timestamps in each segment if both can: Windows cannot by default, nor can some servers.
    stamped = client.ttl <= _UNIX_TTL and client.address[3] % 20 and server.address[3] % 5
    plain = timestamps(client.address[3]) if stamped else Payload(b"", 0)

    def send(inbound: bool, flags: int, size: int = 0, options: Payload = plain) -> None:
        nonlocal time
        route, ports = (there, (source, port)) if inbound else (back, (port, source))
        size = min(size, _SEGMENT - len(plain.data))
        frame = route.tcp(
            *ports, 1, 1, flags, payload=payload(size), options=options, ident=rng.getrandbits(16)
        )
        made.append(Made(time, frame, inbound, _TCP, port))
        time += gap * rng.random()

    send(True, SYN, options=_OPTIONS)
    send(False, SYN | ACK, options=_OPTIONS)
    send(True, ACK)
    for inbound, size in turns:
        send(inbound, PSH | ACK if size < 1_400 else ACK, size)
        if rng.random() < 0.6:
            send(not inbound, ACK)
    if rng.random() < 0.85:
        send(True, FIN | ACK)
        send(False, FIN | ACK)
        send(True, ACK)
    elif rng.random() < 0.5:
        send(True, RST)
    return made


def exchange(
    rng: Random,
    start: float,
    client: Host,
    server: Host,
    ports: tuple[int, int],
    turns: list[tuple[bool, Payload]],
    *,
    gap: float,
) -> Conversation:
    """Datagrams both ways between two ports, `gap` seconds apart at most."""
    there, back = client.to(server), server.to(client)
    made: Conversation = []
    time = start
    for inbound, said in turns:
        route, pair = (there, ports) if inbound else (back, ports[::-1])
        made.append(Made(time, route.udp(*pair, said, ident=rng.getrandbits(16)), inbound, _UDP, ports[1]))
        time += gap * rng.random()
    return made


def web(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """A visit of a web site."""
    turns = [(True, 517), (False, 1460), (False, 1460), (True, 80)]
    for _ in range(rng.randrange(1, 6)):
        turns += [(True, rng.randrange(200, 900)), *[(False, 1460)] * rng.randrange(1, 8)]
    return _tcp(rng, start, client, server, 443, turns, gap=0.05)


def download(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """A client downloads much: nearly all of what it sends acknowledges."""
    turns = [(True, 517), (False, 1460), (True, 300), *[(False, 1460)] * rng.randrange(60, 160)]
    return _tcp(rng, start, client, server, 443, turns, gap=0.02)


def upload(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """A client uploads much."""
    turns = [(True, 517), (False, 1460), *[(True, 1460)] * rng.randrange(40, 120), (False, 200)]
    return _tcp(rng, start, client, server, 443, turns, gap=0.02)


def name_server(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """Queries to a name server of a few zones."""
    turns = []
    for _ in range(rng.randrange(1, 4)):
        popular = _WORDS[int(rng.random() ** 2 * len(_WORDS))]
        name = f"{popular}{rng.randrange(30) if rng.random() < 0.3 else ''}.{rng.choice(_ZONES)}"
        turns += [(True, query(name)), (False, query(name, answer=True, size=rng.randrange(80, 400)))]
    return exchange(rng, start, client, server, (rng.randrange(1_024, 65_536), 53), turns, gap=0.02)


def resolver(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """The customer's resolver asks a name server; `client` is that name server."""
    name = f"{rng.choice(_WORDS)}{rng.randrange(500)}.site{rng.randrange(4_000)}.example"
    said = query(name), query(name, answer=True, size=int(60 + 380 * rng.random() ** 2))
    port = rng.randrange(1_024, 65_536)
    return exchange(rng, start, client, server, (53, port), [(False, said[0]), (True, said[1])], gap=0.1)


def quic(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """A visit over HTTP/3."""
    turns = [(True, payload(1200)), (False, payload(1200)), (True, payload(90))]
    for _ in range(rng.randrange(4, 40)):
        small = (True, payload(rng.choice((33, 35, 42, 60, 400))))
        turns += [small if rng.random() < 0.4 else (False, payload(1250))]
    return exchange(rng, start, client, server, (rng.randrange(1_024, 65_536), 443), turns, gap=0.03)


def vpn(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """A tunnel of WireGuard, OpenVPN or IPsec behind NAT."""
    port = (51_820, 1_194, 4_500)[server.address[3] % 3]
    source = port if port == 4_500 or rng.random() < 0.2 else rng.randrange(1_024, 65_536)
    sizes = (96, 128, 148, 300, 900, 1_420, 1_420)
    turns = [(rng.random() < 0.45, payload(rng.choice(sizes))) for _ in range(rng.randrange(20, 120))]
    return exchange(rng, start, client, server, (source, port), turns, gap=0.05)


def voip(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """A call: SIP, then RTP of 172 bytes each way."""
    made = exchange(
        rng, start, client, server, (5_060, 5_060), [(True, payload(700)), (False, payload(500))], gap=0.1
    )
    ports = 2 * rng.randrange(5_000, 16_000), 2 * rng.randrange(5_000, 16_000)
    turns = [(at % 2 == 0, payload(172)) for at in range(rng.randrange(60, 300))]
    return made + exchange(rng, start + 0.3, client, server, ports, turns, gap=0.02)


def game(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """A player at a game server: small packets at a steady pace."""
    port = (27_015, 30_120, 7_777, 25_565)[server.address[3] % 4]
    turns = []
    for at in range(rng.randrange(60, 240)):
        size = rng.randrange(40, 90) if at % 2 == 0 else rng.randrange(80, 600)
        turns.append((at % 2 == 0, payload(size)))
    source = 27_005 if port == 27_015 and rng.random() < 0.5 else rng.randrange(1_024, 65_536)
    return exchange(rng, start, client, server, (source, port), turns, gap=0.04)


def long_lived(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """IMAP, MQTT or a web socket: a connection that is kept, and now and then says something."""
    port = (993, 8_883, 443)[server.address[3] % 3]
    turns = [(rng.random() < 0.5, rng.randrange(20, 120)) for _ in range(rng.randrange(3, 14))]
    return _tcp(rng, start, client, server, port, turns, gap=6.0)


def time_server(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """A client of an NTP server."""
    source = 123 if rng.random() < 0.4 else rng.randrange(1_024, 65_536)
    return exchange(
        rng, start, client, server, (source, 123), [(True, payload(48)), (False, payload(48))], gap=0.05
    )


def monitoring(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """Pings, and what answers them."""
    there, back = client.to(server), server.to(client)
    made: Conversation = []
    for count in range(rng.randrange(2, 20)):
        time = start + count
        asked = there.icmp(8, 0, 7, count, payload(56), ident=rng.getrandbits(16))
        made.append(Made(time, asked, inbound=True, protocol=_ICMP, port=0))
        answer = back.icmp(0, 0, 7, count, payload(56), ident=rng.getrandbits(16))
        made.append(Made(time + 0.02, answer, inbound=False, protocol=_ICMP, port=0))
    return made


def site_to_site(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """ESP between a few sites."""
    peer = Host(bytes([91, 3, 7, 1 + client.address[3] % 6]), client.ttl)
    made: Conversation = []
    for count in range(rng.randrange(20, 100)):
        inbound = rng.random() < 0.5
        ends = (peer, server) if inbound else (server, peer)
        frame = other(*ends, _ESP, rng.choice((84, 132, 420, 1_400, 1_400)))
        made.append(Made(start + count * 0.02, frame, inbound, _ESP, 0))
    return made


def noise(rng: Random, start: float, client: Host, server: Host) -> Conversation:
    """Internet background noise that reaches any network: scanners, a few packets each."""
    port = rng.choice(
        (22, 23, 23, 80, 443, 445, 2_323, 3_389, 5_060, 5_555, 6_379, 8_080, rng.randrange(1, 65_536))
    )
    options = Payload(b"", 0) if rng.random() < 0.6 else _OPTIONS
    made: Conversation = []
    for at, each in enumerate(rng.sample(neighbours(server), rng.randrange(1, 4))):
        frame = client.to(each).tcp(
            rng.randrange(1_024, 65_536), port, rng.getrandbits(32), 0, SYN, options=options
        )
        made.append(Made(start + at * 0.4, frame, inbound=True, protocol=_TCP, port=port))
    return made


SERVICES: dict[str, Callable[[Random, float, Host, Host], Conversation]] = {
    each.__name__: each
    for each in (
        web, download, upload, name_server, resolver, quic, vpn, voip, game, long_lived, time_server,
        monitoring, site_to_site, noise,
    )
}  # fmt: skip
"""By name; each makes a conversation that begins at a time."""
QUIET = frozenset({"monitoring", "time_server", "noise", "site_to_site"})
"""Services that are never so busy that one packet in a thousand is much."""
CLIENTS = {"voip": 40, "resolver": 1_500, "monitoring": 12, "site_to_site": 6, "game": 200, "vpn": 300}
"""How many clients a service has at most; 3,000 unless said here."""


def clients_of(service: str, rng: Random) -> list[Host]:
    """The clients of a service."""
    most = CLIENTS.get(service, 3_000)
    return [real(rng) for _ in range(rng.randrange(max(3, most // 5), most + 1))]
