"""Packets with all that a filter looks at, and the facts about them. Nothing of the project makes them."""

import io
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import strategies as st

from edgecap.packets.reader import PacketReader
from edgecap.proposals.table import PacketTable
from tests.edgecap.packets.files import SECOND, pcap

TCP, UDP, ICMP, ICMP6, GRE, ESP = 6, 17, 1, 58, 47, 50
ADDRESSES = {
    4: ["203.0.113.7", "203.0.113.8", "198.51.100.9", "198.51.101.9", "192.0.2.255"],
    6: ["2001:db8::7", "2001:db8::8", "2001:db8:1::9", "2001:db8:ffff::1"],
}
PORTS = [0, 53, 54, 123, 443, 1023, 1024, 50_000, 65_535]
TTLS = [1, 50, 51, 64, 255]
WINDOWS = [0, 512, 1024, 65_535]
PAYLOADS = [b"", b"\x17", b"\x17\x00\x03\x2a", b"\x17\x00\x03\x2b\x00", b"\x00" * 8, b"\xff" * 30]


@dataclass(frozen=True)
class Facts:
    """What is in a packet. None: the packet has no such field."""

    version: int
    protocol: int  # of IPv6, the first next header
    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    length: int
    ttl: int
    fragment: int  # 0 whole, 1 first, 2 later
    extended: bool  # with IPv6 extension headers
    source_port: int | None = None
    destination_port: int | None = None
    flags: int | None = None
    window: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    payload: bytes | None = None  # of UDP
    ip: bytes = b""  # the whole packet, as raw fields see it
    header: int = 20  # bytes of the IP header


def checksum(data: bytes) -> int:
    """The Internet checksum."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@st.composite
def ip_packets(draw, versions=(4, 6)):
    """An IP packet and its facts."""
    version = draw(st.sampled_from(versions))
    protocol = draw(st.sampled_from([TCP, UDP, UDP, TCP, ICMP if version == 4 else ICMP6, GRE, ESP]))
    source, destination = (draw(st.sampled_from(ADDRESSES[version])) for _ in range(2))
    ttl, fragment = draw(st.sampled_from(TTLS)), draw(st.sampled_from([0, 0, 0, 1, 2]))
    body, facts = (b"later bytes of it", {}) if fragment == 2 else carried(draw, protocol)
    common = {
        "version": version,
        "source": ip_address(source),
        "destination": ip_address(destination),
        "ttl": ttl,
        "fragment": fragment,
    }
    ends = ip_address(source).packed + ip_address(destination).packed
    if version == 4:
        options = draw(st.sampled_from([b"", b"", b"\x01" * 4, b"\x01" * 40]))
        size = 20 + len(options)
        where = {0: draw(st.sampled_from([0, 0x4000])), 1: 0x2000, 2: draw(st.sampled_from([1, 0x20B9]))}[
            fragment
        ]
        head = [0x40 | size // 4, 0, size + len(body), 7, where, ttl, protocol, 0]
        first = struct.pack("!BBHHHBBH", *head) + ends + options
        head[-1] = checksum(first)
        whole = struct.pack("!BBHHHBBH", *head) + ends + options + body
        return whole, Facts(
            **common, protocol=protocol, length=len(whole), extended=False, ip=whole, header=size, **facts
        )
    number = protocol
    if fragment:
        body = struct.pack("!BBHI", number, 0, {1: 1, 2: 185 << 3}[fragment], 7) + body
        number = 44
    elif draw(st.booleans()) and draw(st.booleans()):
        body, number = bytes([number, 0, 1, 4]) + bytes(4) + body, 60
    whole = struct.pack("!IHBB", 6 << 28, len(body), number, ttl) + ends + body
    extended = number != protocol
    if extended:
        facts = {}
    return whole, Facts(
        **common, protocol=number, length=len(whole), extended=extended, ip=whole, header=40, **facts
    )


def carried(draw, protocol: int):
    """What is behind an IP header, and its facts."""
    source, destination = draw(st.sampled_from(PORTS)), draw(st.sampled_from(PORTS))
    ports = {"source_port": source, "destination_port": destination}
    if protocol == TCP:
        flags, window = (
            draw(st.sampled_from([2, 0x12, 0x10, 0x18, 4, 0x29, 0, 0xFF])),
            draw(st.sampled_from(WINDOWS)),
        )
        size = draw(st.sampled_from([20, 24]))
        head = struct.pack("!HHIIBBHHH", source, destination, 1, 2, size << 2, flags, window, 0, 0)
        return head + bytes(size - 20), {**ports, "flags": flags, "window": window}
    if protocol == UDP:
        payload = draw(st.sampled_from(PAYLOADS))
        return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload, {
            **ports,
            "payload": payload,
        }
    if protocol in (ICMP, ICMP6):
        kind, code = draw(st.sampled_from([0, 3, 8, 128])), draw(st.sampled_from([0, 1, 13]))
        return struct.pack("!BBHHH", kind, code, 0, 1, 1), {"icmp_type": kind, "icmp_code": code}
    return bytes(range(16)), {}


@st.composite
def frames(draw, *, cut=False):
    """An Ethernet frame with an IP packet, its facts, and how many of its bytes were captured."""
    whole, facts = draw(ip_packets())
    ether_type = b"\x08\x00" if facts.version == 4 else b"\x86\xdd"
    frame = bytes(range(12)) + ether_type + whole
    frame += bytes([draw(st.sampled_from([0, 0x17]))]) * max(0, 60 - len(frame))  # Ethernet pads short ones
    captured = len(frame)
    if cut:  # behind the IP header
        captured = draw(st.integers(14 + facts.header, len(frame)))
    return frame, facts, captured


def table_of(packets, link_type=1) -> PacketTable:
    """The columns of some packets, given as bytes and captured length."""
    data = pcap(
        [
            (SECOND * 1_795_000_000 + n, each[:captured], len(each))
            for n, (each, captured) in enumerate(packets)
        ],
        link_type=link_type,
    )
    reader = PacketReader(io.BytesIO(data))
    return PacketTable.together([PacketTable.of(batch, reader.interfaces) for batch in reader])
