"""Payloads of the synthetic flows: TLS, HTTP, DNS, NTP and QUIC bytes that dissect as such.

Large contents come from a pool that is made once, with checksums, because random bytes for each packet would
take most of the time. Nothing is really encrypted: the bytes after a TLS or QUIC header are random.
"""

from __future__ import annotations

import struct
from random import Random

from edgecap.simulator.traffic.frames import NOTHING, Payload

_HOSTS = ("www.example.com", "shop.example.com", "api.example.com", "img.example.net", "mail.example.org")
_NAMES = ("example.com", *_HOSTS, "_dmarc.example.com", "ns1.example.com", "cdn.example.net")
_PATHS = ("/", "/index.html", "/api/v1/items", "/assets/app.js", "/login", "/images/logo.png")
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "curl/8.14.1")
_DNS_A, _DNS_TXT, _DNS_AAAA, _DNS_ANY, _DNS_MX = 1, 16, 28, 255, 15
_VARIANTS = 8
_BULK = 56_000
_BIG_ANSWER_STRINGS = 11
_NTP_ITEMS, _NTP_ITEM_BYTES = 6, 72
_QUIC_ADDED = 16  # bytes of authentication tag at the end of each QUIC packet


class Payloads:
    """The pool. The same seed gives the same bytes.

    Attributes:
        hellos: a browser's TLS ClientHello, 517 bytes.
        finished: the client's next messages: ChangeCipherSpec and Finished.
        requests: a client's request in a TLS record.
        gets: HTTP/1.1 requests in the clear.
        uploads: by segment size, streams of segments as a client uploads them through TLS.
        downloads: by segment size, streams of segments as a server answers through TLS, ServerHello first.
        questions: DNS queries without their two-byte id.
        answers: DNS responses without their two-byte id.
        big_answers: the same, of about 2,800 bytes, for amplification.
        monlists: NTP mode 7 answers of 440 bytes, for amplification.
        initials: QUIC Initial packets, 1,200 bytes.
        handshakes: QUIC Handshake packets.
        short: QUIC packets with a short header, of several sizes.
        echo: 56 bytes as `ping` sends.
        junk: random bytes of several sizes.
    """

    def __init__(self, seed: int) -> None:
        rng = Random(f"payloads/{seed}")
        several = range(_VARIANTS)
        self.hellos = [Payload.of(_client_hello(rng, rng.choice(_HOSTS))) for _ in several]
        self.finished = [Payload.of(b"\x14\3\3\0\1\1" + _record(23, rng.randbytes(53))) for _ in several]
        self.requests = [
            Payload.of(_record(23, rng.randbytes(rng.randrange(180, 900)))) for _ in range(4 * _VARIANTS)
        ]
        self.gets = [Payload.of(_get(host, path)) for host in _HOSTS for path in _PATHS]
        self.uploads: dict[int, list[list[Payload]]] = {}
        self.downloads: dict[int, list[list[Payload]]] = {}
        for size in (1440, 1460):
            self.uploads[size] = [_segments(_records(rng), size) for _ in several]
            self.downloads[size] = [_segments(_server_hello(rng) + _records(rng), size) for _ in several]
        kinds = (_DNS_A, _DNS_AAAA, _DNS_TXT, _DNS_MX)
        self.questions = [Payload.of(_question(name, kind)) for name in _NAMES for kind in kinds]
        self.answers = [Payload.of(_answer(rng, name, _DNS_A)) for name in _NAMES]
        self.answers += [Payload.of(_answer(rng, name, _DNS_AAAA)) for name in _NAMES]
        self.big_answers = [Payload.of(_answer(rng, "example.net", _DNS_ANY)) for _ in several]
        self.monlists = [Payload.of(_monlist(rng, number)) for number in several]
        self.initials = [Payload.of(_quic_long(rng, 0xC0, 1200)) for _ in several]
        self.handshakes = [Payload.of(_quic_long(rng, 0xE0, 96)) for _ in several]
        sizes = (33, 35, 42, 60, 130, 400, 900, 1250, 1350, 1350)
        self.short = [
            Payload.of(bytes([0x40 | rng.getrandbits(5)]) + rng.randbytes(size - 1)) for size in sizes
        ]
        self.echo = Payload.of(rng.randbytes(16) + bytes(range(0x10, 0x38)))
        self.junk = [Payload.of(rng.randbytes(size)) for size in (64, 180, 320, 750, 1200, 1472)]


def syn_options(size: int) -> Payload:
    """TCP options of a SYN: this maximum segment size, window scale 8, selective acknowledgements."""
    return Payload.of(struct.pack("!BBHBBBBBBBB", 2, 4, size, 1, 3, 3, 8, 1, 1, 4, 2))


def timestamps(value: int) -> Payload:
    """TCP options of a segment: timestamps (RFC 7323), as Linux and Apple's systems send in each."""
    return Payload.of(struct.pack("!BBBBII", 1, 1, 8, 10, value & 0xFFFFFFFF, 1))


def mss_option(size: int) -> Payload:
    """TCP options of a bare SYN, as flooding tools send it."""
    return Payload.of(struct.pack("!BBH", 2, 4, size)) if size else NOTHING


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("!BHH", kind, 0x0303, len(content)) + content


def _extension(kind: int, content: bytes) -> bytes:
    return struct.pack("!HH", kind, len(content)) + content


def _client_hello(rng: Random, host: str) -> bytes:
    name = host.encode()
    extensions = b"".join(
        (
            _extension(0, struct.pack("!HBH", len(name) + 3, 0, len(name)) + name),
            _extension(10, bytes.fromhex("0006001d00170018")),
            _extension(13, bytes.fromhex("000a0403080404010503080b")),
            _extension(16, b"\0\x0c\2h2\x08http/1.1"),
            _extension(43, b"\4\3\4\3\3"),
            _extension(45, b"\1\1"),
            _extension(51, bytes.fromhex("0024001d0020") + rng.randbytes(32)),
        )
    )
    ciphers = bytes.fromhex("130113021303c02bc02fc02cc030")
    start = b"\3\3" + rng.randbytes(32) + b"\x20" + rng.randbytes(32)
    start += struct.pack("!H", len(ciphers)) + ciphers + b"\1\0"
    padding = 512 - 4 - len(start) - 2 - len(extensions) - 4
    extensions += _extension(21, bytes(padding))
    body = start + struct.pack("!H", len(extensions)) + extensions
    return struct.pack("!BHH", 22, 0x0301, len(body) + 4) + b"\1" + len(body).to_bytes(3, "big") + body


def _server_hello(rng: Random) -> bytes:
    extensions = _extension(43, b"\3\4") + _extension(51, bytes.fromhex("001d0020") + rng.randbytes(32))
    body = b"\3\3" + rng.randbytes(32) + b"\x20" + rng.randbytes(32) + b"\x13\1\0"
    body += struct.pack("!H", len(extensions)) + extensions
    return _record(22, b"\2" + len(body).to_bytes(3, "big") + body) + b"\x14\3\3\0\1\1"


def _records(rng: Random) -> bytes:
    out = bytearray()
    while len(out) < _BULK:
        out += _record(23, rng.randbytes(rng.choice((1200, 4096, 16_000))))
    return bytes(out)


def _segments(stream: bytes, size: int) -> list[Payload]:
    return [Payload.of(stream[at : at + size]) for at in range(0, len(stream), size)]


def _get(host: str, path: str) -> bytes:
    agent = _AGENTS[len(host + path) % len(_AGENTS)]
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\r\n".encode()


def _name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _question(name: str, kind: int) -> bytes:
    extended = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
    return struct.pack("!HHHHH", 0x0100, 1, 0, 0, 1) + _name(name) + struct.pack("!HH", kind, 1) + extended


def _answer(rng: Random, name: str, kind: int) -> bytes:
    if kind == _DNS_A:
        data = [(kind, b"\xc0\0\2" + bytes([rng.randrange(1, 255)])) for _ in range(rng.randrange(1, 4))]
    elif kind == _DNS_AAAA:
        data = [(kind, bytes.fromhex("20010db8000100000000000000") + rng.randbytes(3))]
    else:
        texts = [b"\xf0" + rng.randbytes(120).hex().encode() for _ in range(_BIG_ANSWER_STRINGS)]
        data = [(_DNS_TXT, text) for text in texts]
    head = struct.pack("!HHHHH", 0x8180, 1, len(data), 0, 0) + _name(name) + struct.pack("!HH", kind, 1)
    return head + b"".join(struct.pack("!HHHIH", 0xC00C, is_, 1, 300, len(text)) + text for is_, text in data)


def _monlist(rng: Random, number: int) -> bytes:
    # Mode 7 (private), version 2, response, more to come; implementation XNTPD, request MON_GETLIST_1.
    head = struct.pack("!BBBBHH", 0xD7, number, 3, 42, _NTP_ITEMS, _NTP_ITEM_BYTES)
    return head + b"".join(
        struct.pack("!IIII", rng.getrandbits(16), rng.getrandbits(16), 0, rng.getrandbits(12))
        + bytes([198, 51, 100, rng.randrange(1, 255), 192, 0, 2, rng.randrange(1, 255)])
        + struct.pack("!IHBB", 0, rng.randrange(1024, 65536), 3, 4)
        + bytes(_NTP_ITEM_BYTES - 32)
        for _ in range(_NTP_ITEMS)
    )


def _quic_long(rng: Random, first: int, size: int) -> bytes:
    # Version 1, connection ids of 8 and 0 bytes, no token in an Initial; the length is a two-byte varint.
    head = bytes([first | rng.getrandbits(2)]) + b"\0\0\0\1\x08" + rng.randbytes(8) + b"\0"
    head += b"\0" if first == 0xC0 else b""  # noqa: PLR2004 - an Initial, the only one with a token
    rest = size - len(head) - 2
    return head + struct.pack("!H", 0x4000 | rest) + rng.randbytes(rest - _QUIC_ADDED) + rng.randbytes(16)
