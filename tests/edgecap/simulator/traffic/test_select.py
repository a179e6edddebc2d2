"""The filter is held against tshark and tcpdump, which read the same frames from a file."""

import struct
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.errors import InvalidRequest
from edgecap.requests import Filter
from edgecap.simulator.traffic import Packet, compile_filter, matches, sample, take
from edgecap.simulator.traffic.frames import Payload, Route, address

MACS = b"\2\0\0\0\0\1\2\0\0\0\0\2"
SOME = Route(address("198.51.100.9"), address("203.0.113.7"), macs=MACS)
SOME6 = Route(address("2001:db8:51::9"), address("2001:db8:203::7"), macs=MACS)
ARP = MACS + bytes.fromhex("08060001080006040001020000000002c6336409000000000000cb007107")


def tagged(frame: bytes, *tags: str) -> bytes:
    """The frame with VLAN tags, the outermost first, each as `type:id`."""
    inner = b"".join(bytes.fromhex(kind) + struct.pack("!H", int(number)) for kind, number in
                     (tag.split(":") for tag in tags))  # fmt: skip
    return frame[:12] + inner + frame[12:]


def extended(frame: bytes, *kinds: int) -> bytes:
    """The IPv6 frame with these extension headers, empty or padded, before its transport."""
    chain, behind = b"", [*kinds[1:], frame[20]]
    for kind, following in zip(kinds, behind, strict=True):
        if kind == 44:
            chain += struct.pack("!BBHI", following, 0, 0, 7)
        elif kind == 51:
            chain += struct.pack("!BBHIIQ", following, 3, 0, 1, 1, 1)
        elif kind == 43:
            chain += struct.pack("!BBBBI", following, 0, 253, 0, 0)
        else:
            chain += struct.pack("!BBBB4s", following, 0, 1, 4, b"")
    length = struct.pack("!H", len(frame) - 54 + len(chain))
    return frame[:18] + length + bytes([kinds[0]]) + frame[21:54] + chain + frame[54:]


def optioned(frame: bytes) -> bytes:
    """The IPv4 frame with eight bytes of IP options."""
    length = struct.pack("!H", len(frame) - 14 + 8)
    return frame[:14] + b"\x47\0" + length + frame[18:34] + b"\1" * 8 + frame[34:]


def frames_of_all_kinds() -> list[bytes]:
    plain = []
    for route in (SOME, SOME6):
        plain += [
            route.tcp(40000, 443, 1, 1, 0x10),
            route.udp(53, 40000, Payload.of(bytes(20))),
            route.icmp(128 if route.six else 8, 0, 443, 53),
            *route.udp_fragments(53, 443, Payload.of(b"\1\xbb\1\xbb" * 900), ident=9),
        ]
    mapped = [tagged(frame, "8100:7") for frame in plain]
    doubled = [tagged(frame, "88a8:7", "8100:9") for frame in plain]
    six = [frame for frame in plain if frame[12:14] == b"\x86\xdd" and frame[20] != 44]
    chains = [(0,), (60,), (43,), (51,), (44,), (0, 60), (0, 43, 44, 60), (60, 51, 60)]
    walked = [extended(frame, *chain) for frame in six for chain in chains]
    odd = [ARP, optioned(plain[0]), optioned(plain[1]), plain[0][:34], plain[0][:38]]
    return plain + mapped + doubled + walked + [tagged(frame, "8100:7") for frame in walked] + odd


@dataclass
class Seen:
    """What tshark says of a packet."""

    source: str
    destination: str
    protocols: set[int]
    ports: tuple[str, str]


@pytest.fixture(scope="module")
def judged(tmp_path_factory, synthetic, some_day, save, tshark):
    """Packets of all kinds, the file with them, and tshark's fields for each."""
    start = some_day + timedelta(minutes=6, seconds=40)
    ordinary = list(synthetic.packets(start, start + timedelta(seconds=1), colo="SIN"))
    made = [
        Packet(1_795_415_646_000_000_000 + number, frame, "x")
        for number, frame in enumerate(frames_of_all_kinds())
    ]
    packets = ordinary + made
    path = save(tmp_path_factory.mktemp("select") / "all.pcap", packets)
    fields = ("ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "ip.proto", "ipv6.nxt", "ipv6.hopopts.nxt",
              "ipv6.dstopts.nxt", "ipv6.routing.nxt", "ipv6.fraghdr.nxt", "ah.next_header", "tcp.srcport",
              "udp.srcport", "tcp.dstport", "udp.dstport")  # fmt: skip
    arguments = [part for field in fields for part in ("-e", field)]
    whole = ("-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE")
    lines = tshark("-r", path, *whole, "-T", "fields", *arguments)
    assert len(lines) == len(packets)
    seen = []
    for line in lines:
        four_source, six_source, four_target, six_target, *numbers, t1, u1, t2, u2 = line.split("\t")
        chain = {int(number) for cell in numbers for number in cell.split(",") if number}
        seen.append(Seen(four_source or six_source, four_target or six_target, chain, (t1 or u1, t2 or u2)))
    return packets, path, seen


addresses = st.sampled_from(
    [
        "198.51.100.9",
        "203.0.113.7",
        "203.0.113.53",
        "192.0.2.5",
        "2001:db8:51::9",
        "2001:db8:203::7",
        "2001:db8:203::53",
    ]
)
networks = st.sampled_from(
    [
        "203.0.113.0/24",
        "198.51.100.0/25",
        "198.51.100.8/31",
        "0.0.0.0/0",
        "2001:db8:203::/48",
        "::/0",
        "203.0.113.53/32",
    ]
)
ports = st.sampled_from([53, 80, 443, 40000, 53127, 0, 65535])
filters = st.builds(
    Filter,
    source_address=st.none() | addresses | networks,
    destination_address=st.none() | addresses | networks,
    source_port=st.none() | ports,
    destination_port=st.none() | ports,
    protocol=st.none() | st.sampled_from([1, 6, 17, 58, 47]),
)


def inside(text: str, wanted: str | None) -> bool:
    if wanted is None:
        return True
    return bool(text) and ip_address(text) in ip_network(wanted)


@given(filters)
@settings(max_examples=150, deadline=None)
def test_a_filter_chooses_what_tsharks_fields_say(judged, wanted):
    packets, _, seen = judged
    keep = compile_filter(wanted)
    for packet, fields in zip(packets, seen, strict=True):
        expected = (
            inside(fields.source, wanted.source_address)
            and inside(fields.destination, wanted.destination_address)
            and wanted.source_port in (None, int(fields.ports[0] or -1))
            and wanted.destination_port in (None, int(fields.ports[1] or -1))
            and (wanted.protocol is None or wanted.protocol in fields.protocols)
        )
        assert keep(packet.data) == expected, fields


# Whole, untagged, without IP options and extension headers: what tcpdump's language can say exactly.
SIMPLE = "((ip and greater 40 and ip[0] & 0xf = 5) or (ip6 and greater 54"
SIMPLE += "".join(f" and ip6[6] != {kind}" for kind in (0, 43, 44, 51, 60)) + "))"


def is_simple(frame: bytes) -> bool:
    if frame[12:14] == b"\x86\xdd":
        return frame[20] not in (0, 43, 44, 51, 60) and len(frame) >= 54
    return frame[12:15] == b"\x08\0\x45" and len(frame) >= 40


@given(filters)
@settings(max_examples=40, deadline=None)
def test_a_filter_chooses_what_tcpdump_chooses(judged, tcpdump, wanted):
    packets, path, _ = judged
    parts = []
    for way, short in (("source", "src"), ("destination", "dst")):
        value, port = getattr(wanted, f"{way}_address"), getattr(wanted, f"{way}_port")
        if value is not None:
            parts.append(f"{short} {'net' if '/' in value else 'host'} {value}")
        if port is not None:
            parts.append(f"(tcp or udp) and {short} port {port}")
    if wanted.protocol is not None:
        parts.append(f"(ip proto {wanted.protocol} or ip6 proto {wanted.protocol})")
    lines = tcpdump("-r", path, "-nn", "-tt", "--nano", " and ".join([SIMPLE, *parts]))
    keep = compile_filter(wanted)
    ours = [packet for packet in packets if is_simple(packet.data) and keep(packet.data)]
    assert [line.split()[0] for line in lines] == [
        f"{packet.time_ns // 10**9}.{packet.time_ns % 10**9:09}" for packet in ours
    ]


@given(filters, st.integers(0, 90))
def test_a_cut_frame_never_matches_more_and_never_raises(wanted, length):
    """Cutting a frame may hide its ports or its addresses, and nothing else."""
    keep = compile_filter(wanted)
    for frame in frames_of_all_kinds():
        if wanted != Filter() and keep(frame[:length]):
            assert keep(frame) or wanted.protocol in (0, 43, 44, 51, 60)


@given(st.binary(max_size=120), st.sampled_from([0, 1, 12, 101, 108, 113, 228, 229, 276, 105]), filters)
def test_no_bytes_make_the_filter_raise(frame, link_type, wanted):
    assert compile_filter(wanted, link_type)(frame) in (True, False)


@pytest.mark.parametrize(
    ("link_type", "head"),
    [
        (0, bytes.fromhex("02000000")),
        (101, b""),
        (113, bytes.fromhex("0000000100060200000000010000") + b"\x08\0"),
        (276, b"\x08\0" + bytes(18)),
    ],
)
def test_other_link_types_are_read_too(link_type, head):
    frame = head + SOME.tcp(40000, 443, 1, 1, 2)[14:]
    exact = Filter(
        source_address="198.51.100.9",
        destination_address="203.0.113.7",
        source_port=40000,
        destination_port=443,
        protocol=6,
    )
    assert matches(frame, exact, link_type)
    assert not matches(frame, Filter(destination_port=80), link_type)


def test_an_empty_filter_keeps_even_what_is_not_ip():
    assert matches(ARP, Filter())
    assert not matches(ARP, Filter(destination_address="203.0.113.7"))


def test_an_invalid_address_is_refused():
    with pytest.raises(InvalidRequest, match=r"'nobody' is not an IP address \(filter_v1.source_address\)"):
        compile_filter(Filter(source_address="nobody"))


@given(st.integers(2, 60), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_sampling_keeps_its_share_and_the_same_packets_in_any_window(judged, one_in, seed):
    packets = [Packet(number * 1000, frame.data, "ord01-s1") for number, frame in enumerate(judged[0] * 20)]
    kept = list(sample(packets, one_in, seed))
    spread = (len(packets) / one_in) ** 0.5
    assert abs(len(kept) - len(packets) / one_in) < 6 * spread
    part = packets[100:900]
    assert list(sample(part, one_in, seed)) == [
        packet for packet in kept if 100_000 <= packet.time_ns < 900_000
    ]
    assert list(sample(packets, one_in, seed + 1)) != kept


def test_one_in_one_is_everything(judged):
    assert list(sample(judged[0], 1, 9)) == judged[0]


@given(
    st.lists(st.integers(0, 100), max_size=30),
    st.none() | st.integers(0, 40),
    st.none() | st.integers(0, 1500),
)
def test_limits_keep_the_longest_beginning_that_is_within_them(sizes, packet_limit, byte_limit):
    packets = [Packet(number, bytes(size), "x") for number, size in enumerate(sizes)]
    kept = list(take(iter(packets), packet_limit, byte_limit))
    assert kept == packets[: len(kept)]
    most = len(packets) if packet_limit is None else packet_limit
    assert len(kept) <= most
    room = float("inf") if byte_limit is None else byte_limit
    assert sum(len(packet.data) for packet in kept) <= room
    if len(kept) < min(len(packets), most):
        assert sum(sizes[: len(kept) + 1]) > room


def test_no_packet_is_asked_for_beyond_the_limit():
    source = iter([Packet(number, b"", "x") for number in range(5)])
    assert len(list(take(source, 3))) == 3
    assert next(source).time_ns == 3
