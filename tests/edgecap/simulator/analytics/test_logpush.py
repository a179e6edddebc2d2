"""Logpush's files: where they are, when, and what their rows say."""

import gzip
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.errors import ConfigError
from edgecap.simulator.analytics.headers import header_fields
from edgecap.simulator.analytics.truth import tally
from edgecap.simulator.traffic import Attack, CountedTraffic, PcapWriter, SyntheticTraffic
from edgecap.simulator.traffic.frames import SYN, Payload, Route, address
from edgecap.simulator.traffic.times import nanoseconds
from edgecap.simulator.variants import make_variant
from tests.edgecap.packets.files import tshark
from tests.edgecap.simulator.analytics.conftest import TARGET
from tests.edgecap.simulator.conftest import START

FIELDS = {
    "ip.len": "IPTotalLength",
    "ip.id": "IPv4Identification",
    "ip.ttl": "IPTTL",
    "ip.checksum": "IPv4Checksum",
    "ip.src": "IPSourceAddress",
    "ip.frag_offset": "IPFragmentOffset",
    "ipv6.src": "IPSourceAddress",
    "ipv6.flow": "IPv6FlowLabel",
    "ipv6.hlim": "IPTTL",
    "tcp.srcport": "SourcePort",
    "tcp.dstport": "DestinationPort",
    "tcp.seq_raw": "TCPSequenceNumber",
    "tcp.ack_raw": "TCPAcknowledgementNumber",
    "tcp.flags": "TCPFlags",
    "tcp.window_size_value": "TCPWindowSize",
    "tcp.checksum": "TCPChecksum",
    "tcp.options.mss_val": "TCPMSS",
    "tcp.options.wscale.shift": "TCPWindowScale",
    "udp.srcport": "SourcePort",
    "udp.dstport": "DestinationPort",
    "udp.checksum": "UDPChecksum",
    "icmp.type": "ICMPType",
    "icmp.checksum": "ICMPChecksum",
    "icmpv6.type": "ICMPType",
}
"""tshark's names of fields, and Logpush's."""
DESTINATION = "s3://logs/network?region=us-east-1"


def pushed(world):
    """All rows in the bucket by the file's key."""
    folder = world.buckets.root / "logs" / "network"
    return {
        str(path.relative_to(folder)): [
            json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()
        ]
        for path in sorted(folder.rglob("*.gz"))
    }


@pytest.fixture
def make_pushing(make_queried):
    """A function that makes an edge which pushes into a bucket; `bucket=False` leaves that out."""

    def make(variant="documented", *, bucket=True, **options):
        world = make_queried(variant, logpush=DESTINATION, **options).world
        if bucket:
            (world.buckets.make("logs") / "network").mkdir()
        return world

    return make


@pytest.fixture
def pushing(make_pushing):
    return make_pushing()


def pushed_by(make_pushing, **choices):
    """The rows of the first file that a variant pushes."""
    world = make_pushing(make_variant("documented", choices), analytics_one_in=200)
    world.advance(60, 5)
    [rows] = pushed(world).values()
    assert rows
    return rows


def test_a_batch_comes_half_a_minute_after_its_end(pushing):
    pushing.advance(53)
    assert pushed(pushing) == {}
    pushing.advance(1)
    [(key, rows)] = pushed(pushing).items()
    assert key.startswith("20261123/20261123T063400Z_20261123T063430Z_")
    assert rows
    pushing.advance(30)
    assert len(pushed(pushing)) == 2
    [first, _] = pushing.edge.log.events("logpush")
    assert (first["key"], first["rows"]) == (key, len(rows))


def test_rows_stand_for_the_packets_they_are_sampled_from(make_pushing):
    pushing = make_pushing(analytics_one_in=5)
    pushing.advance(60, 10)
    rows = [row for part in pushed(pushing).values() for row in part]
    weights = Counter()
    for row in rows:
        weights[row["Outcome"], row["MitigationSystem"]] += row["SampleInterval"]
    start = datetime(2026, 11, 23, 6, 34, tzinfo=UTC)
    end = start + timedelta(seconds=30 * len(pushed(pushing)))
    seen = 0
    exact = tally(pushing.edge.traffic, nanoseconds(start), nanoseconds(end), by=("outcome", "system"))
    for known in exact:
        if known["packets"] > 1500:
            seen += 1
            estimate = weights[known["outcome"], known["system"]]
            assert estimate == pytest.approx(known["packets"], rel=0.25)
    assert seen >= 3
    assert {row["SampleInterval"] for row in rows} == {5, 50}  # a busy city samples fewer
    times = [row["Datetime"] for row in rows]
    assert all(nanoseconds(start) <= time < nanoseconds(end) for time in times)


def test_rows_have_their_rules_places_and_headers(pushing):
    pushing.advance(60, 5)
    rows = [row for part in pushed(pushing).values() for row in part]
    flood = [row for row in rows if row["IPDestinationAddress"] == TARGET]
    dropped = next(row for row in flood if row["MitigationSystem"] == "dosd")
    assert (dropped["Outcome"], dropped["Verdict"], dropped["AttackVector"]) == ("drop", "drop", "SYN Flood")
    assert len(dropped["AttackID"]) == len(dropped["RuleID"]) == 32
    assert dropped["MitigationReason"] in ("BLOCKED", "RATE_LIMITED")
    assert (dropped["TCPFlags"], dropped["TCPFlagsString"], dropped["IPProtocolName"]) == (2, "SYN", "TCP")
    assert dropped["ColoName"].startswith(dropped["ColoCode"].lower())
    tcp = [row for row in flood if row["MitigationSystem"] == "flowtrackd"]
    assert all(row["RuleID"] == row["AttackID"] == "" for row in tcp)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("seconds", 1_795_415_640),
        ("milliseconds", 1_795_415_640_000),
        ("nanoseconds", 1_795_415_640_000_000_000),
        ("rfc3339", "2026-11-23T06:34:00Z"),
    ],
)
def test_times_are_written_as_the_customer_chose(make_pushing, choice, expected):
    rows = pushed_by(make_pushing, logpush_time=choice)
    times = [row["Datetime"] for row in rows]
    assert times == sorted(times)
    if isinstance(expected, int):
        assert 0 <= times[0] - expected < 2 * expected / 1_795_415_640
    else:
        assert times[0][:-2] == expected[:-2]


@pytest.mark.parametrize(("choice", "least", "most"), [("all", 40, 80), ("few", 10, 20), ("bare", 5, 5)])
def test_rows_have_the_fields_that_the_customer_chose(make_pushing, choice, least, most):
    rows = pushed_by(make_pushing, logpush_fields=choice)
    assert all(least <= len(row) <= most for row in rows)
    assert all({"Datetime", "IPDestinationAddress", "Outcome"} <= set(row) for row in rows)


def test_a_packet_that_passed_may_name_the_system_that_sampled_it(make_pushing):
    rows = pushed_by(make_pushing, logpush_sampler="dosd")
    assert {row["MitigationSystem"] for row in rows if row["Outcome"] == "pass"} == {"dosd"}
    assert "flowtrackd" in {row["MitigationSystem"] for row in rows if row["Outcome"] == "drop"}


def test_a_bucket_that_fails_gets_its_files_later(make_pushing):
    world = make_pushing(bucket=False, analytics_one_in=200)
    world.advance(70, 2)
    assert world.edge.log.events("logpush") == []
    assert world.edge.log.events("trouble")
    (world.buckets.make("logs") / "network").mkdir()
    world.advance(60, 2)
    starts = [event["start"] for event in world.edge.log.events("logpush")]
    assert starts[:2] == ["2026-11-23T06:34:00.000000Z", "2026-11-23T06:34:30.000000Z"]
    assert len(set(starts)) == len(starts) == len(pushed(world))


def test_uncounted_traffic_has_no_rows_to_push(make_world):
    with pytest.raises(ConfigError, match="only spread or mitigated traffic"):
        make_world(traffic=SyntheticTraffic(7, rate=1.0, attacks=()), logpush=DESTINATION)


def test_header_fields_are_what_tshark_reads(tmp_path):
    attacks = [
        Attack(kind, START - timedelta(seconds=1), timedelta(seconds=9), rate=3.0, port=80)
        for kind in ("syn_flood", "dns_amplification", "ntp_amplification")
    ]
    traffic = CountedTraffic(7, rate=60.0, attacks=attacks)
    packets = list(traffic.everything(START, START + timedelta(seconds=1)))
    path = tmp_path / "packets.pcap"
    with path.open("wb") as file:
        writer = PcapWriter(file, traffic.link_type)
        for packet in packets:
            writer.write(packet)
    options = ("-o", "ip.defragment:FALSE", "-o", "tcp.relative_sequence_numbers:FALSE")
    lines = tshark(path, *FIELDS, options=options)
    assert len(lines) == len(packets)
    compared = Counter()
    for packet, line in zip(packets, lines, strict=True):
        ours = header_fields(packet.data)
        for (theirs, name), value in zip(FIELDS.items(), line, strict=True):
            if value:
                compared[theirs] += 1
                expected = value if name == "IPSourceAddress" else int(value, 0)
                assert ours[name] == expected, (theirs, ours)
    assert set(compared) == set(FIELDS)


def test_all_options_of_tcp_are_read():
    options = bytes.fromhex("020405b40402080a0000000a0000000b01030307050a000000010000000200")
    options += bytes(-len(options) % 4)
    route = Route(address("198.51.100.7"), address("203.0.113.7"), macs=bytes(12))
    fields = header_fields(route.tcp(1234, 443, 1, 0, SYN, window=512, options=Payload.of(options)))
    assert fields["TCPOptions"] == "2,4,8,1,3,5"
    assert (fields["TCPMSS"], fields["TCPSACKPermitted"], fields["TCPWindowScale"]) == (1460, 1, 7)
    assert (fields["TCPTimestampValue"], fields["TCPTimestampECR"]) == (10, 11)
    assert fields["TCPSACKBlocks"] == "1,2"
