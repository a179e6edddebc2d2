"""Frames of any layers, with what a reader should find in them: built and read by nothing of the project."""

import struct
from dataclasses import dataclass, field

from hypothesis import strategies as st

TCP, UDP, ICMP, ESP, SCTP, OTHER = 6, 17, 1, 50, 132, 200


@dataclass
class Expected:
    """What `HEADERS` should say."""

    layers: list[dict] = field(default_factory=list)  # outermost first
    vlans: list[int] = field(default_factory=list)
    tunnel: int = 0
    spi: int = 0


addresses4 = st.sampled_from(
    [b"\xcb\x00\x71\x07", b"\xc6\x33\x64\x09", b"\x0a\x00\x00\x01", b"\xcb\x00\x71\x08"]
)
addresses6 = st.sampled_from(
    [b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01", b"\x20\x01\x0d\xb8" + bytes(11) + b"\x02"]
)
ports = st.sampled_from([53, 54, 80, 443, 0, 65_535])
transports = st.sampled_from([UDP, SCTP, TCP, ICMP, ESP, OTHER, SCTP, TCP, UDP])


def transport(draw, protocol: int, layer: dict, expected: Expected) -> bytes:
    source, destination = draw(ports), draw(ports)
    if protocol in (TCP, UDP, SCTP):
        layer.update(source_port=source, destination_port=destination, ports=1)
    if protocol == TCP:
        layer["tcp_flags"] = flags = draw(st.integers(0, 255))
        layer["tcp_words"] = 5
        return struct.pack("!HHIIBBHHH", source, destination, 1, 2, 0x50, flags, 1024, 0, 0)
    if protocol == UDP:
        return struct.pack("!HHHH", source, destination, 8, 0)
    if protocol == SCTP:
        return struct.pack("!HHII", source, destination, 0, 0)
    if protocol == ICMP:
        layer.update(icmp_type=8, icmp_code=draw(st.integers(0, 3)))
        return struct.pack("!BBHHH", 8, layer["icmp_code"], 0, 1, 1)
    if protocol == ESP:
        expected.spi = draw(st.integers(1, 0xFFFF_FFFF))
        return struct.pack("!II", expected.spi, 1) + bytes(8)
    return bytes(8)


def inside(draw, depth: int, expected: Expected, protocol: int, layer: dict) -> tuple[int, bytes]:
    """The protocol number and bytes of what an IP header carries."""
    kind = (
        draw(st.sampled_from(["transport", "ipip", "sixin", "gre", "gre-ethernet"])) if depth else "transport"
    )
    if kind == "transport":
        return protocol, transport(draw, protocol, layer, expected)
    number = {"ipip": 4, "sixin": 41}.get(kind, 47)
    expected.tunnel = expected.tunnel or number
    version = {"ipip": 4, "sixin": 6}.get(kind) or draw(st.sampled_from([4, 6]))
    body = ip(draw, version, depth - 1, expected)
    if number != 47:
        return number, body
    flags = draw(st.sampled_from([0, 0x8000, 0x2000, 0x1000, 0xB000]))
    options = bytes(4 * flags.bit_count())
    ether_type = 0x0800 if version == 4 else 0x86DD
    if kind == "gre":
        return 47, struct.pack("!HH", flags, ether_type) + options + body
    return 47, struct.pack("!HH", flags, 0x6558) + options + bytes(12) + struct.pack("!H", ether_type) + body


def ip(draw, version: int, depth: int, expected: Expected) -> bytes:
    """An IP packet with up to `depth` tunnels in it."""
    layer = {"version": version, "ttl": draw(st.integers(0, 255)), "tos": draw(st.integers(0, 255))}
    expected.layers.append(layer)
    protocol = draw(transports)
    fragment = draw(st.sampled_from([0, 0, 0, 1, 2]))
    layer["fragment"] = fragment
    if fragment == 2:
        number, body = protocol, b"later bytes of it"
    else:
        number, body = inside(draw, depth, expected, protocol, layer)
    layer["protocol"] = number
    addresses = addresses4 if version == 4 else addresses6
    source, destination = draw(addresses), draw(addresses)
    mapped = bytes(10) + b"\xff\xff" if version == 4 else b""
    layer["source"], layer["destination"] = mapped + source, mapped + destination
    where = {0: 0, 1: 0, 2: 185}[fragment]
    if version == 4:
        options = draw(st.sampled_from([b"", b"\x01" * 4, b"\x01" * 40]))
        layer["options"] = int(bool(options))
        size = 20 + len(options)
        layer["length"] = size + len(body)
        flags = 0x2000 if fragment else draw(st.sampled_from([0, 0x4000]))
        words = (0x40 | size // 4, layer["tos"], size + len(body), 1, flags | where, layer["ttl"], number, 0)
        return struct.pack("!BBHHHBBH", *words) + source + destination + options + body
    if fragment:
        body, number = struct.pack("!BBHI", number, 0, where << 3 | int(fragment == 1), 1) + body, 44
    for extension in draw(st.lists(st.sampled_from([60, 43, 0]), max_size=2)):
        # A routing header without segments left, and options that are all padding.
        filler = b"\x00\x00" if extension == 43 else b"\x01\x04"
        body, number = bytes([number, 0]) + filler + bytes(4) + body, extension
    layer["options"] = int(number != layer["protocol"])
    layer["length"] = 40 + len(body)
    head = struct.pack("!IHBB", 6 << 28 | layer["tos"] << 20, len(body), number, layer["ttl"])
    return head + source + destination + body


@st.composite
def ip_packets(draw, depth: int = 2):
    """An IP packet, and what should be found in it."""
    expected = Expected()
    return ip(draw, draw(st.sampled_from([4, 6])), depth, expected), expected


@st.composite
def frames(draw, depth: int = 2, most_tags: int = 3):
    """A frame of any link type that is taken apart: link type, bytes, what should be found."""
    body, expected = draw(ip_packets(depth))
    ether_type = b"\x08\x00" if expected.layers[0]["version"] == 4 else b"\x86\xdd"
    link = draw(st.sampled_from([1, 1, 101, 113, 276, 0]))
    if link in (1, 113):
        for tag in draw(st.lists(st.integers(0, 4095), max_size=most_tags)):
            expected.vlans.insert(0, tag)
            body = struct.pack("!H", 0xE000 | tag) + ether_type + body
            ether_type = draw(st.sampled_from([b"\x81\x00", b"\x88\xa8"]))
    head = {
        1: bytes(range(12)) + ether_type,
        101: b"",
        113: bytes(14) + ether_type,
        276: ether_type + bytes(18),
        0: (2).to_bytes(4, "little") if ether_type == b"\x08\x00" else (24).to_bytes(4, "little"),
    }[link]
    return link, head + body, expected
