"""Summaries of real captures say what tshark and capinfos say; what nobody else says is right as well."""

import re
import subprocess
from collections import Counter, defaultdict
from functools import cache

import pytest

from edgecap.packets.columns import Interface
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.native import text
from edgecap.packets.reader import open_packets
from edgecap.packets.summarize import summarize
from tests.edgecap.packets.files import DATA, REAL, SECOND, tshark
from tests.edgecap.packets.reference import batch_of

PROGRAMS = sorted((DATA / "programs").iterdir())
NOON = 1_795_000_000 * SECOND
NO_FRAGMENTS = ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]


@cache
def summary_of(path):
    """The summary, and all flow records."""
    flows = []
    tally = FlowTable(lambda records: flows.extend(records.copy()))
    with open_packets(path) as reader:
        for batch in reader:
            tally.feed(batch, reader.interfaces)
    tally.finish()
    return summarize(tally), flows


@cache
def taps(path):
    """The lines of all tables that tshark prints of a file, in one run."""
    names = ("conv,ip", "conv,ipv6", "io,phs", "endpoints,ip", "endpoints,ipv6")
    run = subprocess.run(
        [
            "tshark",
            "-n",
            "-q",
            "-r",
            str(path),
            *NO_FRAGMENTS,
            *(word for name in names for word in ("-z", name)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
class TestBesideTshark:
    def test_conversations_have_the_same_packets(self, path):
        """conv,ip and conv,ipv6: packets each way."""
        theirs = {}
        for line in taps(path):
            if "<->" in line:
                one, _, two, back, *rest = line.split()
                there = rest[2]  # behind the bytes and their unit
                theirs |= {(two, one): int(back), (one, two): int(there)}
        ours = Counter()
        for flow in summary_of(path)[1]:
            ends = text.addresses(flow.tobytes(), 0, 16, 2)
            ours[tuple(ends)] += int(flow["packets"])
        assert ours == theirs

    def test_the_protocols_have_the_same_packets_and_bytes(self, path):
        """io,phs: the hierarchy of protocols."""
        theirs = defaultdict(lambda: [0, 0])
        for line in taps(path):
            found = re.match(r"\s*(\S+)\s+frames:(\d+) bytes:(\d+)", line)
            if found and found[1] in ("ip", "ipv6", "tcp", "udp"):
                theirs[found[1]][0] += int(found[2])
                theirs[found[1]][1] += int(found[3])
        summary = summary_of(path)[0]
        ours = {each.name.replace("ipv4", "ip"): [each.packets, each.bytes] for each in summary.versions}
        ours |= {each.name: [each.packets, each.bytes] for each in summary.protocols}
        assert ours == theirs

    def test_the_endpoints_have_the_same_packets_on_either_side(self, path):
        """endpoints,ip and endpoints,ipv6: packets sent and received."""
        sent, received = {}, {}
        for line in taps(path):
            found = re.match(r"(\S+[.:]\S+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", line)
            if found:
                sent[found[1]] = int(found[4]), int(found[5])
                received[found[1]] = int(found[6]), int(found[7])
        summary = summary_of(path)[0]
        assert {each.address: (each.packets, each.bytes) for each in summary.sources.top} == sent
        assert {each.address: (each.packets, each.bytes) for each in summary.destinations.top} == received


@pytest.mark.parametrize("path", [*REAL, *PROGRAMS], ids=lambda path: path.stem)
def test_packets_bytes_and_duration_are_those_of_capinfos(path):
    run = subprocess.run(["capinfos", "-McdulL", path], capture_output=True, text=True, check=True)
    said = {key: value for key, _, value in (line.partition(":") for line in run.stdout.splitlines())}
    summary = summary_of(path)[0]
    assert summary.packets == int(said["Number of packets"])
    assert summary.bytes == int(said["Data size"].split()[0])
    assert summary.seconds == pytest.approx(float(said["Capture duration"].split()[0]), abs=1e-6)


@pytest.mark.parametrize("path", [REAL[2], REAL[4], *PROGRAMS], ids=lambda path: path.stem)
def test_tcp_flags_sizes_and_hops_are_those_that_tshark_reads(path):
    fields = tshark(path, "frame.len", "tcp.flags", "ip.ttl", "ipv6.hlim", "icmp.type")
    summary = summary_of(path)[0]
    sizes = [int(size) for size, *_ in fields]
    assert (summary.sizes.smallest, summary.sizes.largest) == (min(sizes), max(sizes))
    assert [each.packets for each in summary.sizes.buckets] == [
        sum(each.least <= size <= (each.most or size) for size in sizes) for each in summary.sizes.buckets
    ]
    # What an ICMP error quotes was not sent.
    flags = Counter(int(each, 16) for _, each, *_, icmp in fields if each and not icmp)
    assert {each.number: each.packets for each in summary.tcp_flags} == flags
    # Of packets with one IP header there is only one that can be meant.
    hops = Counter(int(ttl or limit) for _, _, ttl, limit, _ in fields if f"{ttl}{limit}".isdigit())
    assert all(each.packets >= hops[each.ttl] for each in summary.ttls.top)
    if path in PROGRAMS:  # without tunnels
        assert all(each.packets == hops[each.ttl] for each in summary.ttls.top)
        assert summary.ttls.distinct == len(hops)


def test_a_query_of_dig_is_seen_as_dns():
    """Its six answers come from UDP port 53, which reflection attacks abuse; no more is made of it."""
    summary = summary_of(DATA / "programs" / "dig.pcap")[0]
    (to,) = [each for each in summary.destination_ports.top if each.port == 53]
    assert (to.protocol, to.service, to.packets) == ("udp", "dns", 6)
    (answers,) = summary.amplification
    assert (answers.service, answers.packets) == ("dns", 6)
    assert summary.flows.records == 12
    ids = Counter(each.community_id for each in summary.flows.top)
    assert set(ids.values()) == {2}  # a question and its answer share theirs


def test_a_scan_of_nmap_is_seen_port_by_port():
    summary, flows = summary_of(DATA / "programs" / "nmap.pcap")
    assert {int(flow["destination_port"]) for flow in flows} >= set(range(1, 201))
    assert {each.name: each.packets for each in summary.tcp_flags} == {"SYN": 200, "RST+ACK": 200}
    assert summary.destination_ports.distinct in (201, 202)
    assert all(each.packets == 1 for each in summary.destination_ports.top[2:])


def counted(*packets):
    """The summary of Ethernet packets: time, bytes on the wire."""
    tally = FlowTable()
    tally.feed(batch_of([(time, b"", wire, 1) for time, wire in packets], [1]), [Interface(1, 0)])
    tally.finish()
    return summarize(tally)


def test_the_peak_is_the_busiest_second_wherever_it_begins():
    quiet = [(NOON + second * SECOND, 100) for second in range(10)]
    burst = [(NOON + 3 * SECOND + 700_000_000 + number * 5_000_000, 1_000) for number in range(100)]
    rates = counted(*quiet, *burst).rates
    assert rates.packets == pytest.approx(110 / 9, abs=0.001)
    assert rates.bits == pytest.approx((10 * 100 + 100 * 1_000) * 8 / 9, abs=0.01)
    assert (rates.peak_packets, rates.peak_seconds) == (101, 1)
    assert rates.peak_bits == 8 * (100 * 1_000 + 100)
    begin = rates.peak_at.timestamp() - NOON / SECOND
    assert 3.1 < begin <= 3.7


def test_the_peak_of_a_subsecond_capture_is_over_its_own_length():
    rates = counted((NOON, 100), (NOON + 20_000_000, 100), (NOON + 50_000_000, 100)).rates
    assert rates.peak_seconds == 0.01
    assert rates.packets == 60


@pytest.mark.parametrize("times", [(), (NOON,), (NOON, NOON)])
def test_without_a_duration_there_are_no_rates(times):
    summary = counted(*((time, 60) for time in times))
    assert summary.rates.packets == summary.rates.peak_packets == summary.seconds == 0
    assert summary.packets == len(times)


def test_a_timeline_has_round_steps_that_begin_at_round_times():
    summary = counted(*((NOON + 123_456_789 + number * 37_000_000_000, 60) for number in range(200)))
    timeline = summary.timeline
    assert timeline.seconds == 50
    assert timeline.start.timestamp() % 50 == 0
    assert timeline.start <= summary.first
    assert 0 < len(timeline.packets) <= 240
