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
KINDS = ["transport", "ipip", "sixin", "gre", "gre-ethernet", "gre-mpls", "gre-erspan1", "gre-erspan2"]
KINDS += ["gre-erspan3", "gre-erspan3-platform", "gre-pptp", "etherip", "mpls-in-ip"]
OVER_UDP = {"vxlan": 240, "geneve": 241, "geneve-options": 241, "gtp-u": 242, "gtp-u-extended": 242}
OVER_UDP |= {"teredo": 243, "mpls-in-udp": 244, "l2tp": 246, "gre-in-udp": 247}
KINDS += OVER_UDP
MPLS, PPPOE, PROVIDER_BRIDGE, NSH = 244, 245, 248, 249
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
    kind = draw(st.sampled_from(KINDS)) if depth else "transport"
    if kind == "transport":
        return protocol, transport(draw, protocol, layer, expected)
    number = {"ipip": 4, "sixin": 41, "etherip": 97, "mpls-in-ip": 137, **OVER_UDP}.get(kind, 47)
    expected.tunnel = expected.tunnel or number
    version = {"ipip": 4, "sixin": 6, "teredo": 6}.get(kind) or draw(st.sampled_from([4, 6]))
    body = ip(draw, version, depth - 1, expected)
    ether_type = struct.pack("!H", 0x0800 if version == 4 else 0x86DD)
    if kind in OVER_UDP:
        return 17, over_udp(kind, layer, body, ether_type)
    if kind == "etherip":
        return number, b"\x30\0" + bytes(12) + ether_type + body
    if kind == "mpls-in-ip":
        return number, labelled(body)
    if number != 47 or kind != "gre":
        return number, within_gre(kind, body, ether_type) if number == 47 else body
    flags = draw(st.sampled_from([0, 0x8000, 0x2000, 0x1000, 0xB000]))
    return 47, struct.pack("!H", flags) + ether_type + bytes(4 * flags.bit_count()) + body


def within_gre(kind: str, body: bytes, ether_type: bytes) -> bytes:
    """A packet in something else in GRE."""
    ethernet = bytes(12) + ether_type + body
    ppp = (b"\0\x21" if ether_type == b"\x08\0" else b"\0\x57") + body
    return {
        "gre-ethernet": b"\x20\0\x65\x58" + bytes(4) + ethernet,
        "gre-mpls": b"\0\0\x88\x47" + labelled(body),
        "gre-erspan1": b"\0\0\x88\xbe" + ethernet,
        "gre-erspan2": b"\x10\0\x88\xbe" + bytes(3) + b"\x01\x10\x01" + bytes(6) + ethernet,
        "gre-erspan3": b"\x10\0\x22\xeb" + bytes(3) + b"\x01\x20\x01" + bytes(10) + ethernet,
        "gre-erspan3-platform": b"\x10\0\x22\xeb"
        + bytes(4)
        + b"\x20"
        + bytes(10)
        + b"\x01"
        + bytes(8)
        + ethernet,
        "gre-pptp": b"\x30\x81\x88\x0b" + struct.pack("!HHII", len(ppp), 7, 1, 1) + ppp,
    }[kind]


def over_udp(kind: str, layer: dict, body: bytes, ether_type: bytes) -> bytes:
    """A packet in a tunnel over UDP."""
    port, head = {
        "vxlan": (4789, b"\x08" + bytes(7) + bytes(12) + ether_type),
        "geneve": (6081, b"\0\0\x65\x58" + bytes(4) + bytes(12) + ether_type),
        "geneve-options": (6081, b"\x02\0" + ether_type + bytes(4) + bytes(8)),
        "gtp-u": (2152, struct.pack("!BBHI", 0x30, 255, len(body), 7)),
        "gtp-u-extended": (2152, struct.pack("!BBHI", 0x34, 255, len(body) + 8, 7) + b"\0\0\0\x85\x01\0\0\0"),
        "teredo": (3544, b"\0\0" + bytes(6)),
        "l2tp": (1701, b"\0\x02\0\x01\0\x01\xff\x03\0" + (b"\x21" if ether_type == b"\x08\0" else b"\x57")),
        "mpls-in-udp": (6635, b"\0\x01\x01\x40"),
        "gre-in-udp": (4754, b"\0\0" + ether_type),
    }[kind]
    layer.update(source_port=50_000, destination_port=port, ports=1, payload=len(head) + len(body))
    return struct.pack("!HHHH", 50_000, port, 8 + len(head) + len(body), 0) + head + body


def labelled(body: bytes) -> bytes:
    """A packet behind two MPLS labels."""
    return b"\0\x01\0\x40\0\x02\x01\x40" + body


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


def wrapped(draw, body: bytes, ether_type: bytes, ppp: bytes, expected: Expected) -> tuple[bytes, bytes]:
    """What an Ethernet frame carries in front of IP, if anything, and its type."""
    kind = draw(st.sampled_from(["", "", "mpls", "pppoe", "bridge", "nsh", "snap"]))
    ethernet = bytes(12) + ether_type + body
    number, found = {
        "": (0, (body, ether_type)),
        "snap": (0, (b"\xaa\xaa\x03\0\0\0" + ether_type + body, b"\0\x40")),
        "mpls": (MPLS, (labelled(body), b"\x88\x47")),
        "pppoe": (PPPOE, (b"\x11\0\0\1" + struct.pack("!H", len(body) + 2) + ppp + body, b"\x88\x64")),
        "bridge": (PROVIDER_BRIDGE, (bytes(4) + ethernet, b"\x88\xe7")),
        "nsh": (NSH, (b"\x0f\xc2\x02\x03" + bytes(4) + ethernet, b"\x89\x4f")),
    }[kind]
    expected.tunnel = number or expected.tunnel
    return found


@st.composite
def frames(draw, depth: int = 2, most_tags: int = 3, *, plain: bool = False):
    """A frame of any link type that is taken apart: link type, bytes, what should be found.

    If `plain`, nothing but tags stands between the link's header and IP, and libpcap knows the link type.
    """
    body, expected = draw(ip_packets(depth))
    ether_type = b"\x08\x00" if expected.layers[0]["version"] == 4 else b"\x86\xdd"
    ppp = b"\0\x21" if ether_type == b"\x08\x00" else b"\0\x57"
    others = [9, 50, 104, 107, 109, 117, 204, 51, 10, 100] if not plain else []
    link = draw(st.sampled_from([1, 1, 101, 113, 276, 0, *others]))
    if link in (1, 113):
        if not plain:
            body, ether_type = wrapped(draw, body, ether_type, ppp, expected)
        for tag in draw(st.lists(st.integers(0, 4095), max_size=most_tags)):
            expected.vlans.insert(0, tag)
            body = struct.pack("!H", 0xE000 | tag) + ether_type + body
            ether_type = draw(st.sampled_from([b"\x81\x00", b"\x88\xa8"]))
    nlpid = b"\xcc" if ppp[1] == 0x21 else b"\x8e"
    snap = b"\xaa\xaa\x03\0\0\0" + ether_type
    if link == 51:
        expected.tunnel = PPPOE
    head = {
        9: draw(st.sampled_from([ppp, ppp[1:], b"\xff\x03" + ppp, b"\x0f\0" + ether_type])),
        50: b"\xff\x03" + ppp,
        104: b"\x0f\0" + ether_type,
        107: draw(
            st.sampled_from([b"\x18\x41\x03" + nlpid, b"\x18\x41" + ether_type, b"\x18\0\0\x41" + ether_type])
        ),
        109: bytes(12),
        117: bytes([61]) + bytes(63),
        204: b"\0" + ppp,
        51: b"\x11\0\0\1" + struct.pack("!H", len(body) + 2) + ppp,
        10: bytes(13) + snap,
        100: snap,
        1: bytes(range(12)) + ether_type,
        101: b"",
        113: bytes(14) + ether_type,
        276: ether_type + bytes(18),
        0: (2).to_bytes(4, "little") if ether_type == b"\x08\x00" else (24).to_bytes(4, "little"),
    }[link]
    return link, head + body, expected
