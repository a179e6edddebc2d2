"""A filter is compiled for the file that it is applied to, and says why nothing matches."""

import struct
import subprocess

import pytest

from edgecap.errors import InvalidRequest
from edgecap.packets.packet_filter import PacketFilter
from edgecap.packets.reader import PacketReader
from tests.edgecap.packets.files import Dripping, pcap

INNER = bytes.fromhex("4500001c00010000401100000a0101010a0202020457003500080000")
ETHERNET = bytes(12)
SIX = b"\x60" + bytes(3) + b"\0\x08\x11\x40" + bytes(15) + b"\x01" + bytes(15) + b"\x02" + bytes(8)


def outer(protocol: int, body: bytes) -> bytes:
    """An IPv4 packet from 198.51.100.9 to 203.0.113.9."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0)
    return head + bytes([198, 51, 100, 9, 203, 0, 113, 9]) + body


def vxlan(frame: bytes) -> bytes:
    return struct.pack("!HHHH", 5_555, 4789, 16 + len(frame), 0) + b"\x08" + bytes(7) + frame


IN_ETHERNET = ETHERNET + b"\x08\0" + INNER
WRAPPED = {
    "vlan": ETHERNET + b"\x81\0\0\x05\x08\0" + INNER,
    "mpls": ETHERNET + b"\x88\x47\0\x06\x41\x40" + INNER,
    "pppoe": ETHERNET + b"\x88\x64\x11\0\0\x01\0\x1e\0\x21" + INNER,
    "gre": ETHERNET + b"\x08\0" + outer(47, b"\0\0\x08\0" + INNER),
    "ipip": ETHERNET + b"\x08\0" + outer(4, INNER),
    "vxlan": ETHERNET + b"\x08\0" + outer(17, vxlan(IN_ETHERNET)),
}
WRITTEN = {"vlan": "vlan", "mpls": "mpls", "pppoe": "pppoes"}


def kept(expression: str, data: bytes, *, inner=False) -> tuple[int, str]:
    """How many packets match, and the hint."""
    sieve = PacketFilter(expression, "a.pcap", inner=inner)
    reader = PacketReader(Dripping(data, 1 << 20))
    count = sum(len(sieve.keep(batch, reader.interfaces).rows) for batch in reader)
    return count, sieve.hint


def by_tcpdump(expression: str, data: bytes, path) -> int:
    path.write_bytes(data)
    run = subprocess.run(["tcpdump", "-nr", path, expression], check=True, capture_output=True, text=True)
    return len(run.stdout.splitlines())


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("family", [24, 28, 30])
@pytest.mark.parametrize("link_type", [0, 108])
def test_loopback_s_address_family_is_read_in_the_file_s_order(tmp_path, order, family, link_type):
    network = ">" if link_type == 108 else order
    packets = [(0, struct.pack(network + "I", family) + SIX, 90)] * 3
    packets += [(0, struct.pack(network + "I", 2) + INNER, 90)]
    data = pcap(packets, order=order, link_type=link_type)
    for expression in ("ip6", "ip", "udp", "dst host ::2"):
        assert kept(expression, data)[0] == by_tcpdump(expression, data, tmp_path / "a.pcap")
    assert kept("ip6", data) == (3, "")


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
@pytest.mark.parametrize("filler", ["", " " * 300])
def test_a_direction_that_no_file_has_is_refused_as_by_tcpdump(direction, filler):
    with pytest.raises(InvalidRequest, match="not supported on Ethernet when reading savefiles"):
        kept(direction + filler, pcap([(0, IN_ETHERNET, 90)]))


def test_a_direction_that_a_cooked_file_has_is_matched(tmp_path):
    packets = [(0, struct.pack("!HHH8sH", kind, 1, 6, bytes(8), 0x0800) + INNER, 90) for kind in (0, 4, 4)]
    data = pcap(packets, link_type=113)
    assert kept("outbound", data)[0] == by_tcpdump("outbound", data, tmp_path / "a.pcap") == 2


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_filter_that_matches_inside_only_says_so(tmp_path, kind):
    data = pcap([(0, WRAPPED[kind], 200)] * 3)
    count, hint = kept("host 10.1.1.1", data)
    assert count == by_tcpdump("host 10.1.1.1", data, tmp_path / "a.pcap") == 0
    assert hint.startswith(f"3 packets match inside ({kind}): use --inner")
    written = f"{WRITTEN.get(kind)} and (host 10.1.1.1)"
    assert (f"write '{written}'" in hint) == (kind in WRITTEN)
    if kind in WRITTEN:
        assert kept(written, data)[0] == 3
    assert kept("host 10.1.1.1", data, inner=True) == (3, "")
    assert kept("udp dst port 53 and len < 190", data, inner=True) == (3, "")
    assert kept("host 198.51.100.9", data, inner=True) == (0, "")


def test_a_filter_that_nothing_matches_at_all_has_no_hint():
    assert kept("host 192.0.2.77", pcap([(0, each, 200) for each in WRAPPED.values()])) == (0, "")
    assert kept("tcp", pcap([(0, IN_ETHERNET, 200)])) == (0, "")


def test_a_filter_that_matches_something_has_no_hint():
    data = pcap([(0, each, 200) for each in (*WRAPPED.values(), IN_ETHERNET)])
    assert kept("host 10.1.1.1", data) == (1, "")


def test_a_packet_without_a_tunnel_is_its_own_innermost():
    data = pcap([(0, IN_ETHERNET, 90), (0, ETHERNET + b"\x08\x06" + bytes(28), 90)])
    assert kept("host 10.1.1.1", data, inner=True) == (1, "")
    assert kept("", data, inner=True)[0] == 1


def test_what_only_a_frame_has_cannot_be_asked_of_the_inside():
    with pytest.raises(InvalidRequest, match=r"inside, which is raw IP.*a\.pcap"):
        kept("ether src 02:00:00:00:00:01", pcap([(0, IN_ETHERNET, 90)]), inner=True)
