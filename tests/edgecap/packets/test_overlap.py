"""The sampling of samples, from a full capture of the same time: the tests make both, and know it."""

import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.packets.overlap import overlap
from edgecap.requests import Filter
from edgecap.simulator.traffic.pcapfile import PcapWriter
from edgecap.simulator.traffic.select import compile_filter, sample
from edgecap.simulator.traffic.synthetic import SyntheticTraffic

START = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
TRAFFIC = SyntheticTraffic(7, attacks=())


@pytest.fixture
def written(tmp_path):
    def write(name, packets, cut=262_144):
        path = tmp_path / name
        with path.open("wb") as file:
            writer = PcapWriter(file, 1, cut)
            for packet in packets:
                writer.write(packet)
        return path

    return write


def packets(begin=0, end=8, colo=None):
    return list(TRAFFIC.packets(START + timedelta(seconds=begin), START + timedelta(seconds=end), colo=colo))


@pytest.mark.parametrize("one_in", [3, 10])
def test_samples_of_all_places_and_all_packets_of_one(written, one_in):
    """The truth is in the interval; counts of the two captures would be far off."""
    everywhere, here = packets(), packets(colo="ORD")
    kept = list(sample(everywhere, one_in))
    found = overlap([written("samples.pcap", kept, 160)], [written("full.pcap", here)])
    assert found.sampling.low <= one_in <= found.sampling.high
    assert found.sampling.high < 2 * found.sampling.low
    assert len(here) / len(kept) < found.sampling.low


def test_only_packets_that_both_could_hold_count(written):
    """Of another time, and outside of the samples' filter."""
    wanted = Filter(protocol=6)
    lets_through = compile_filter(wanted)
    kept = [each for each in sample(packets(2, 8), 3) if lets_through(each.data)]
    files = [written("samples.pcap", kept, 160)], [written("full.pcap", packets(colo="ORD"))]
    found = overlap(*files, wanted)
    assert found.sampling.low <= 3 <= found.sampling.high
    assert overlap(*files).sampling.low > 3


def test_routers_change_a_packet_on_its_way(written):
    """TTL, service class and checksum differ between the two."""

    def routed(packet):
        if packet.data[12:14] != b"\x08\0":
            return packet
        head = bytearray(packet.data)
        head[15], head[22] = 0x20, head[22] - 1
        head[24:26] = struct.pack("!H", 0xBEEF)
        return replace(packet, data=bytes(head))

    kept = [routed(each) for each in sample(packets(), 5)]
    found = overlap([written("samples.pcap", kept, 160)], [written("full.pcap", packets(colo="ORD"))])
    assert found.sampling.low <= 5 <= found.sampling.high


def test_packets_that_are_all_alike_do_not_count(written):
    """A flood of one packet comes through every place: it would look as if few were kept here."""
    here, alike = packets(colo="ORD"), packets(colo="ORD")[0]
    flood = [replace(alike, time_ns=alike.time_ns + at * 1000) for at in range(3_000)]
    elsewhere = [*sample(packets(), 5), *flood]
    found = overlap([written("samples.pcap", elsewhere, 160)], [written("full.pcap", [*here, *flood])])
    assert found.sampling.low <= 5 <= found.sampling.high
    assert found.packets < len(here) + 100


def test_captures_with_nothing_in_common_tell_nothing(written):
    kept = list(sample(packets(), 3))
    full = written("full.pcap", packets(20, 28, colo="ORD"))
    assert overlap([written("samples.pcap", kept, 160)], [full]) is None
    assert overlap([written("few.pcap", kept[:10], 160)], [full]) is None
