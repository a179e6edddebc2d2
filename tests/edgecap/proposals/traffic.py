"""Captures for these tests: a server's ordinary traffic, and attacks on it, as files."""

import struct
from ipaddress import ip_address
from random import Random

from tests.edgecap.packets.files import SECOND, pcap

TARGET = "203.0.113.7"
START = 1_795_000_000
ACK, SYN, PSH_ACK, FIN_ACK = 0x10, 0x02, 0x18, 0x11


def ethernet(source: str, destination: str, protocol: int, body: bytes, *, ttl=55, fragment=0) -> bytes:
    ends = ip_address(source).packed + ip_address(destination).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, fragment, ttl, protocol, 0)
    return bytes(12) + b"\x08\x00" + head + ends + body


def udp(source: str, source_port: int, port: int, payload: bytes, *, to=TARGET, ttl=55) -> bytes:
    head = struct.pack("!HHHH", source_port, port, 8 + len(payload), 0)
    return ethernet(source, to, 17, head + payload, ttl=ttl)


def tcp(
    source: str,
    source_port: int,
    port: int,
    flags: int,
    *,
    options=b"",
    payload=b"",
    to=TARGET,
    window=64_000,
):
    head = struct.pack("!HHIIBBHHH", source_port, port, 1, 1, (20 + len(options)) << 2, flags, window, 0, 0)
    return ethernet(source, to, 6, head + options + payload)


def client(random: Random) -> str:
    return f"198.51.{random.randrange(256)}.{random.randrange(1, 255)}"


def visit(random: Random) -> list[bytes]:
    """A visit of the web server: a SYN with the options that systems send, requests, ACKs, FIN."""
    ends = client(random), random.randrange(32_768, 61_000), 443
    turns = [(PSH_ACK, 300)] * random.randrange(2, 4) + [(ACK, 0)] * random.randrange(4, 7)
    random.shuffle(turns)
    rest = [
        tcp(*ends, flags, options=bytes(12), payload=bytes(size)) for flags, size in [*turns, (FIN_ACK, 0)]
    ]
    return [tcp(*ends, SYN, options=bytes(20)), *rest]


def questions(random: Random) -> bytes:
    """A DNS question to the server."""
    return udp(client(random), random.randrange(1024, 65_536), 53, random.randbytes(random.randrange(30, 60)))


def ntp_answer(random: Random) -> bytes:
    return udp(client(random), 123, random.randrange(1024, 65_536), b"\x17\x00\x03\x2a" + bytes(436))


def bare_syn(random: Random) -> bytes:
    return tcp(client(random), random.randrange(1024, 65_536), 443, SYN, window=1024)


def same_syn(random: Random) -> bytes:
    """Of a flood that looks like any client's SYN."""
    return tcp(client(random), random.randrange(32_768, 61_000), 443, SYN, options=bytes(20))


def later_fragment(random: Random) -> bytes:
    return ethernet(client(random), TARGET, 17, bytes(1400), fragment=185)


def one_payload(random: Random) -> bytes:
    """Of a flood of the name server, with sizes and ports like questions."""
    filler = random.randbytes(random.randrange(26, 56))
    return udp(client(random), random.randrange(1024, 65_536), 53, b"\xde\xad\xbe\xef" + filler)


def few_sources(random: Random) -> bytes:
    return udp(f"192.0.2.{random.randrange(1, 4)}", random.randrange(1024, 65_536), 53, random.randbytes(40))


def ping(random: Random) -> bytes:
    return ethernet(client(random), TARGET, 1, struct.pack("!BBHHH", 8, 0, 0, 1, 1) + bytes(32))


def carpet(random: Random) -> bytes:
    return udp(
        client(random),
        53,
        random.randrange(1024, 65_536),
        bytes(900),
        to=f"203.0.113.{random.randrange(256)}",
    )


def usual(count: int, seed: int = 1):
    """Ordinary packets: web and DNS."""
    random, frames = Random(seed), []
    while len(frames) < count:
        frames += visit(random) if random.random() < 0.2 else [questions(random)]
    return frames[:count]


def mixed(kinds, *, attack=3000, others=1500, seed=2):
    """Attack packets of these kinds, among ordinary ones."""
    random = Random(seed)
    frames = [make(random) for make in kinds for _ in range(attack)] + usual(others, seed + 1)
    random.shuffle(frames)
    return frames


def write(path, frames, *, start=START, seconds=60):
    """A file of these frames, evenly over the time."""
    step = seconds * SECOND // max(len(frames), 1)
    path.write_bytes(pcap([(start * SECOND + n * step, frame, len(frame)) for n, frame in enumerate(frames)]))
    return path
