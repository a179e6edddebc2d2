"""Counting agrees with a slow and obvious reference, also when tables are too small and times are wild."""

import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.packets.columns import Interface
from edgecap.packets.flow_table import FLOW, Addresses, FlowTable
from edgecap.packets.summarize import summarize
from edgecap.packets.summary import Summary
from tests.edgecap.packets.frames import frames
from tests.edgecap.packets.reference import Reference, batch_of

LINKS = [0, 1, 9, 10, 12, 14, 50, 51, 100, 101, 104, 107, 108, 109, 113, 117, 147, 204, 228, 229, 276]
LINKS += [70_000]
LAST = (1 << 63) - 1
NOON = 1_795_000_000_000_000_000
PAIRS = ("version", "protocol", "tunnel", "tcp_flags", "icmp4", "icmp6", "ether", "link")

whole = frames().map(lambda frame: frame[:2])
cut = st.tuples(whole, st.integers(0, 60)).map(lambda made: (made[0][0], made[0][1][: made[1]]))
garbage = st.tuples(st.sampled_from(LINKS), st.binary(max_size=80))
times = st.one_of(
    st.integers(NOON, NOON + 5_000_000_000),
    st.integers(-3, 3),
    st.sampled_from([-LAST, LAST, -LAST + 1, 0, NOON, NOON + 30 * 365 * 86_400 * 10**9]),
    st.integers(-LAST, LAST),
)


@st.composite
def batches(draw):
    """Batches of some frames that come again and again, as (links of their file, packets)."""
    pool = draw(st.lists(st.one_of(whole, whole, cut, garbage), min_size=1, max_size=8))
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    moments = draw(st.lists(times, min_size=1, max_size=6))
    out = []
    for size in draw(st.lists(st.integers(0, 25), max_size=5)):
        packets = []
        for link, data in rng.choices(pool, k=size):
            wire = len(data) + rng.choice([0, 0, 1, 1500, 0xFFFF_FFFF - len(data)])
            packets.append((rng.choice(moments), data, wire, link))
        out.append((rng.sample(LINKS, len(LINKS)), packets))
    return out


def tallied(given_batches, room=None):
    """A finished tally, every flow record it gave, and the reference."""
    records, reference = [], Reference()
    more = {"room": room} if room else {}
    tally = FlowTable(lambda flows: records.append(flows.copy()), **more)
    for links, packets in given_batches:
        tally.feed(batch_of(packets, links), [Interface(link, 0) for link in links])
        for packet in packets:
            reference.add(packet)
    tally.finish()
    return tally, np.concatenate([np.empty(0, FLOW), *records]), reference


def assert_counts(tally, reference):
    """All that does not depend on a table's room."""
    counts = tally.counts
    assert (counts["packets"], counts["wire"], counts["captured"]) == (
        reference.packets,
        reference.wire,
        reference.captured,
    )
    for name in PAIRS:
        for part, expected in (("packets", reference.kinds[name]), ("bytes", reference.sizes[name])):
            seen = counts[name][part]
            assert {int(at): int(seen[at]) for at in np.flatnonzero(seen)} == {
                number: value for number, value in expected.items() if value
            }, name
    for name in ("vlan", "ttl", "size"):
        assert {int(at): int(counts[name][at]) for at in np.flatnonzero(counts[name])} == reference.single[
            name
        ]
    for name in ("fragments", "later", "options", "cut"):
        assert counts[name] == reference.sums[name], name
    if reference.packets:
        assert (counts["first"], counts["last"]) == (min(reference.times), max(reference.times))
        assert (counts["smallest"], counts["largest"]) == (min(reference.wires), max(reference.wires))
    for protocol, sides in tally.ports.items():
        for side, counted in enumerate(sides):
            seen = {int(port): int(counted.bytes[port]) for port in np.flatnonzero(counted.packets)}
            assert seen == reference.ports[side][protocol]


def assert_timeline(tally, reference):
    """Every packet is in the bin that its time belongs to."""
    width, base = int(tally.counts["width"]), int(tally.counts["base"])
    expected = defaultdict(Counter)
    for time, wire, protocol in reference.kind_of:
        step = expected[time // width - base]
        step["packets"] += 1
        step["bytes"] += wire
        step["tcp"] += protocol == 6
        step["udp"] += protocol == 17
        step["icmp"] += protocol in (1, 58)
    found = {
        at: {name: int(row[name]) for name in row.dtype.names}
        for at, row in enumerate(tally.bins())
        if row["packets"]
    }
    assert found == {at: dict(step) for at, step in expected.items()}


def flows_of(records):
    """Records added up by their keys."""
    found = {}
    for row in records:
        names = ("source_port", "destination_port", "protocol", "version", "tunnel", "ports")
        key = (bytes(row["source"]), bytes(row["destination"]), *(int(row[name]) for name in names))
        values = [int(row[name]) for name in ("packets", "bytes", "first", "last", "fragments", "tcp_flags")]
        values += [int(row["ttl_low"]), int(row["ttl_high"])]
        if key in found:
            old = found[key]
            values = [
                old[0] + values[0],
                old[1] + values[1],
                min(old[2], values[2]),
                max(old[3], values[3]),
                old[4] + values[4],
                old[5] | values[5],
                min(old[6], values[6]),
                max(old[7], values[7]),
            ]
        found[key] = values
    return found


def flows_expected(reference):
    return {
        key: [
            flow.packets,
            flow.bytes,
            min(flow.times),
            max(flow.times),
            flow.fragments,
            flow.tcp_flags,
            min(flow.ttls),
            max(flow.ttls),
        ]
        for key, flow in reference.flows.items()
    }


@settings(max_examples=80)
@given(batches())
def test_counts_flows_addresses_and_the_timeline_are_those_of_the_reference(given_batches):
    tally, records, reference = tallied(given_batches)
    assert_counts(tally, reference)
    assert_timeline(tally, reference)
    assert tally.exact_flows
    assert len(records) == tally.records == len(reference.flows)
    assert flows_of(records) == flows_expected(reference)
    for side, addresses in enumerate((tally.sources, tally.destinations)):
        expected = reference.addresses(side)
        assert addresses.exact
        assert addresses.distinct() == len(expected)
        top = addresses.top(100)
        assert {
            bytes(row["address"]): (row["packets"], row["bytes"], row["flows"]) for row in top
        } == expected
        most = sorted((each[0] for each in expected.values()), reverse=True)
        assert [int(row["packets"]) for row in top] == most


@settings(max_examples=60)
@given(batches(), st.integers(1, 5))
def test_tables_that_overflow_lose_nothing_of_the_totals_and_say_so(given_batches, room):
    """Flows come in records that add up; addresses may be forgotten, and are then not called exact."""
    tally, records, reference = tallied(given_batches, room)
    assert_counts(tally, reference)
    assert_timeline(tally, reference)
    assert len(records) == tally.records
    assert flows_of(records) == flows_expected(reference)
    assert tally.exact_flows == (tally.drains <= 1)
    assert tally.exact_flows or len(records) > room
    for side, addresses in enumerate((tally.sources, tally.destinations)):
        expected = reference.addresses(side)
        assert addresses.exact == (len(expected) <= room)
        # So few are counted well by the estimate too: it errs by a collision in 4,096 places at most.
        assert abs(addresses.distinct() - len(expected)) <= 1
        for row in addresses.top(100):
            packets, size, _ = expected[bytes(row["address"])]
            assert row["packets"] <= packets
            assert row["bytes"] <= size
            if addresses.exact:
                assert (row["packets"], row["bytes"]) == (packets, size)


@settings(max_examples=60)
@given(batches(), st.sampled_from([2, 1 << 18]))
def test_a_summary_of_anything_adds_up_and_reads_back(given_batches, room):
    tally, records, reference = tallied(given_batches, room)
    summary = summarize(tally)
    assert Summary.model_validate_json(summary.model_dump_json()) == summary
    timeline = summary.timeline
    assert sum(timeline.packets) == summary.packets == reference.packets
    assert sum(timeline.bytes) == summary.bytes == reference.wire
    assert len(timeline.packets) <= 240
    steps = zip(timeline.tcp, timeline.udp, timeline.icmp, timeline.other, timeline.packets, strict=True)
    assert all(sum(parts) == packets and min(parts) >= 0 for *parts, packets in steps)
    assert sum(each.packets for each in summary.versions) == summary.packets
    assert sum(each.packets for each in summary.sizes.buckets) == summary.packets
    assert summary.flows.records == len(records)
    assert all(each.first <= each.last for each in summary.flows.top)
    if reference.packets and timeline.start:
        start = round(timeline.start.timestamp() * 1e3)
        assert start <= min(reference.times) // 1_000_000
    # Rounded to a thousandth.
    assert (summary.rates.peak_packets - 0.0005) * summary.rates.peak_seconds <= summary.packets


def at(*moments):
    """A tally of packets at these times."""
    packets = [(time, b"", 60, 1) for time in moments]
    tally, _, reference = tallied([([1], packets)])
    assert_timeline(tally, reference)
    return tally


@pytest.mark.parametrize(
    ("moments", "width_ms"),
    [
        ((NOON,), 1),
        ((NOON, NOON + 131_071_000_000), 1),  # as many milliseconds as there are bins
        ((NOON, NOON + 131_072_000_000), 2),
        ((NOON + 131_071_000_000, NOON), 1),  # backwards, and it still fits
        ((NOON, NOON + 200_000_000_000, NOON - 86_400_000_000_000), 1_000),
        ((-1, 0), 1),
        ((NOON, NOON - 20 * 365 * 86_400 * 10**9), 10_000_000),
        ((LAST, -LAST), 200_000_000),
        ((-LAST, LAST, 0, NOON), 200_000_000),
    ],
)
def test_the_timeline_widens_as_little_as_it_must(moments, width_ms):
    """Twenty years, or all of 584, are a timeline like any other."""
    assert at(*moments).counts["width"] == width_ms * 1_000_000


def test_times_that_jump_to_and_fro_cost_no_more_than_others():
    """The width is raised a few dozen times at most, whatever the order."""
    rng = random.Random(5)
    tally = at(*(rng.choice([-1, 1]) * rng.randrange(1 << rng.randrange(1, 63)) for _ in range(3_000)))
    assert tally.counts["level"] < 30


@pytest.mark.parametrize("distinct", [50, 3_000, 9_000, 14_000, 200_000])
def test_the_estimate_of_forgotten_addresses_is_within_bounds(distinct):
    """1.04 over the root of 4,096 is its standard error: 1.6 per cent; four of them hold always."""
    addresses = Addresses(destination=False, seed=1234, room=40)
    flows = np.zeros(distinct, FLOW)
    flows["source"][:, 12:] = np.arange(distinct, dtype=">u4").view("u1").reshape(-1, 4)
    flows["packets"] = 1
    for part in np.array_split(flows, 7):
        addresses.gather(part)
        addresses.gather(part)  # the same again changes nothing
    assert not addresses.exact
    assert abs(addresses.distinct() / distinct - 1) < 0.065


def test_top_sources_are_found_although_thousands_are_forgotten():
    """An address that is always large survives every forgetting with all of its packets."""
    addresses = Addresses(destination=True, seed=99, room=64)
    rng = np.random.default_rng(3)
    for _ in range(40):
        flows = np.zeros(500, FLOW)
        flows["destination"][:, 8:] = rng.integers(0, 256, (500, 8))
        flows["packets"] = 1
        flows["packets"][0], flows["bytes"][0] = 1_000, 9
        flows["destination"][0] = 7
        addresses.gather(flows)
    (top,) = addresses.top(1)
    assert bytes(top["address"]) == bytes([7] * 16)
    assert (top["packets"], top["bytes"], top["flows"]) == (40_000, 360, 40)


def test_a_tally_and_its_addresses_say_what_they_hold():
    tally = at(NOON, NOON)
    assert repr(tally) == "<FlowTable [2 packets, 0 flows]>"
    addresses = Addresses(destination=True, seed=1, room=2)
    flows = np.zeros(3, FLOW)
    flows["destination"][:, 0] = [1, 2, 3]
    addresses.gather(flows)
    assert repr(addresses) == "<Addresses [2 held, not exact]>"


def test_flows_of_a_table_that_overflows_are_estimated():
    """Six packets each of 3,000 flows, one after the other: never two of a flow in one table."""
    tcp = bytes.fromhex("450000280000000040060000") + bytes([198, 51, 100, 9]) + bytes([203, 0, 113, 7])
    tally = FlowTable(room=256)
    for round_ in range(6):
        rows = [
            (at * 10**6 + round_, tcp + at.to_bytes(2, "big") + bytes(9) + b"\x10" + bytes(6), 90, 101)
            for at in range(3_000)
        ]
        tally.feed(batch_of(rows, [101]), [Interface(101, 0)])
    tally.finish()
    summary = summarize(tally)
    assert (summary.flows.exact, summary.flows.records) == (False, 18_000)
    assert 2_700 < summary.flows.distinct < 3_300
    assert [each.kind for each in summary.vectors] == ["tcp-odd-flood"]  # without any flags
