"""Headers are read and checksums are added up here in another way than the module makes them."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.simulator.traffic.frames import Payload, Route

MACS = b"\2\0\0\0\0\1\2\0\0\0\0\2"
four, sixteen = (st.binary(min_size=size, max_size=size) for size in (4, 16))
ends = st.one_of(st.tuples(four, four), st.tuples(sixteen, sixteen))
routes = st.builds(lambda pair, hops: Route(*pair, macs=MACS, hops=hops), ends, st.integers(1, 255))
ports, words = st.integers(0, 65535), st.integers(0, 2**32 - 1)
contents = st.one_of(st.binary(max_size=300), st.sampled_from([b"\xff\xff" * 8, b"\0" * 7, b"\xff"]))


def folded(data: bytes) -> int:
    """RFC 1071, word by word, with the carry brought round each time."""
    total = 0
    for (word,) in struct.iter_unpack("!H", data + b"\0" * (len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


def network(frame: bytes) -> tuple[int, bytes]:
    """The transport protocol and its bytes behind the pseudo header; checks the IP header."""
    kind, packet = frame[12:14], frame[14:]
    if kind == b"\x08\0":
        assert packet[0] == 0x45
        assert struct.unpack("!H", packet[2:4])[0] == len(packet)
        assert folded(packet[:20]) == 0xFFFF
        pseudo = packet[12:20] + struct.pack("!HH", packet[9], len(packet) - 20)
        return packet[9], pseudo + packet[20:]
    assert kind == b"\x86\xdd"
    assert packet[0] >> 4 == 6
    assert struct.unpack("!H", packet[4:6])[0] == len(packet) - 40
    return packet[6], packet[8:40] + struct.pack("!II", len(packet) - 40, packet[6]) + packet[40:]


@given(routes, ports, ports, words, words, contents, st.sampled_from([b"", b"\2\4\5\xb4", b"\1" * 8]))
def test_tcp_checksums_hold_for_any_segment(route, source, target, sequence, acknowledged, content, options):
    frame = route.tcp(
        source, target, sequence, acknowledged, 0x18, options=Payload.of(options), payload=Payload.of(content)
    )
    protocol, covered = network(frame)
    assert protocol == 6
    assert folded(covered) == 0xFFFF
    segment = frame[-(20 + len(options) + len(content)) :]
    assert struct.unpack("!HHII", segment[:12]) == (source, target, sequence, acknowledged)
    assert segment[12] >> 4 == 5 + len(options) // 4
    assert frame.endswith(options + content)


@given(routes, ports, ports, contents)
def test_udp_checksums_hold_and_are_never_zero(route, source, target, content):
    frame = route.udp(source, target, Payload.of(content))
    protocol, covered = network(frame)
    assert protocol == 17
    assert folded(covered) == 0xFFFF
    datagram = frame[-(8 + len(content)) :]
    assert struct.unpack("!HHH", datagram[:6]) == (source, target, 8 + len(content))
    assert datagram[6:8] != b"\0\0"


@given(routes, st.integers(0, 255), ports, ports, contents)
def test_icmp_checksums_hold_and_only_icmpv6_covers_the_addresses(route, kind, first, second, content):
    frame = route.icmp(kind, 0, first, second, Payload.of(content))
    protocol, covered = network(frame)
    assert protocol == (58 if route.six else 1)
    assert folded(covered if route.six else frame[34:]) == 0xFFFF


@given(routes, ports, ports, st.integers(1, 65535), st.integers(1500, 6000), st.integers(576, 1500))
@settings(max_examples=40)
def test_fragments_join_to_the_datagram(route, source, target, ident, size, mtu):
    content = Payload.of(bytes(number % 251 for number in range(size)))
    frames = route.udp_fragments(source, target, content, ident=ident, mtu=mtu)
    assert len(frames) > 1
    joined = bytearray()
    for number, frame in enumerate(frames):
        assert len(frame) <= 14 + mtu
        network(frame)
        if route.six:
            assert frame[20] == 44
            following, flags = struct.unpack("!BxH", frame[54:58])
            assert following == 17
            offset, more, piece = flags & 0xFFF8, flags & 1, frame[62:]
        else:
            flags = struct.unpack("!H", frame[20:22])[0]
            offset, more, piece = (flags & 0x1FFF) * 8, flags >> 13, frame[34:]
        assert offset == len(joined)
        assert more == (number < len(frames) - 1)
        joined += piece
    assert struct.unpack("!HHH", joined[:6]) == (source, target, 8 + size)
    pseudo = route.source + route.destination + struct.pack("!II", len(joined), 17)
    assert folded(pseudo + joined) == 0xFFFF
