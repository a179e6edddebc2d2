from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.errors import InvalidRequest
from edgecap.requests import Filter
from edgecap.simulator.traffic import Attack, SyntheticTraffic, compile_filter
from edgecap.simulator.traffic.times import nanoseconds

SECOND = timedelta(seconds=1)
DAY = datetime(2026, 11, 23, tzinfo=UTC)
KINDS = ("syn_flood", "dns_amplification", "ntp_amplification")
is_syn_flood = compile_filter(Filter(destination_address="203.0.113.9", destination_port=443, protocol=6))


@pytest.mark.parametrize("kind", KINDS)
def test_an_attack_begins_and_ends_when_it_was_told_to(kind, some_day):
    """All its packets lie between its bounds, and they fill the time between."""
    begin, lasting = some_day + timedelta(seconds=2.25), timedelta(seconds=3.5)
    attack = Attack(kind, begin, lasting, target="203.0.113.9", rate=100)
    traffic = SyntheticTraffic(rate=0, attacks=[attack])
    times = [packet.time_ns for packet in traffic.packets(some_day, some_day + 10 * SECOND, colo="ORD")]
    first, last = nanoseconds(begin), nanoseconds(begin + lasting)
    assert first <= min(times) < first + 50_000_000
    assert last - 50_000_000 < max(times) < last
    assert len(times) == pytest.approx(100 * 3.5 * len(traffic.servers("ORD")), rel=0.1)


def test_ordinary_traffic_is_the_same_with_and_without_attack(some_day):
    window = (some_day, some_day + 2 * SECOND)
    attack = Attack("syn_flood", some_day, SECOND, target="203.0.113.9")
    calm, hit = (SyntheticTraffic(5, rate=40, attacks=attacks) for attacks in ([], [attack]))
    rest = [packet for packet in hit.packets(*window, colo="IAD") if not is_syn_flood(packet.data)]
    quiet = [packet for packet in calm.packets(*window, colo="IAD") if not is_syn_flood(packet.data)]
    assert rest == quiet


def test_a_flood_has_many_sources_and_no_handshake(synthetic, some_day):
    start = some_day + timedelta(minutes=1, seconds=10)
    flood = compile_filter(Filter(destination_address="203.0.113.7", destination_port=443, protocol=6))
    hits = [
        packet.data
        for packet in synthetic.packets(start, start + 3 * SECOND, colo="ORD")
        if flood(packet.data)
    ]
    syns = [data for data in hits if data[47] == 0x02 and len(data) == 58]
    assert len(syns) > 1000
    assert len({data[26:30] for data in syns}) > 300


def test_amplification_comes_from_many_reflectors_to_one_target(synthetic, some_day):
    for minute, port in ((6, 53), (11, 123)):
        start = some_day + timedelta(minutes=minute, seconds=10)
        packets = synthetic.packets(start, start + 2 * SECOND, colo="ORD")
        answers = compile_filter(Filter(destination_address="203.0.113.7", source_port=port, protocol=17))
        hits = [packet.data for packet in packets if answers(packet.data)]
        assert len({data[26:30] for data in hits}) > 100
        assert len({data[36:38] for data in hits}) == 1


@given(st.integers(0, 86_400 * 7))
@settings(deadline=None)
def test_whenever_someone_looks_back_five_minutes_there_was_an_attack(second):
    traffic = SyntheticTraffic(rate=1)
    now = DAY + timedelta(seconds=second)
    assert traffic.attacks(now - timedelta(minutes=5), now)


def test_attacks_are_listed_with_their_own_bounds(synthetic, some_day):
    listed = synthetic.attacks(some_day + timedelta(seconds=100), some_day + timedelta(minutes=12))
    minutes = [(attack.kind, begin - some_day, end - begin) for attack, begin, end in listed]
    lasting = timedelta(seconds=90)
    assert minutes == [
        (kind, timedelta(minutes=minute), lasting) for kind, minute in zip(KINDS, (1, 6, 11), strict=True)
    ]


def test_listed_bounds_are_where_the_packets_are(synthetic, some_day):
    (attack, begin, end), *_ = synthetic.attacks(some_day, some_day + timedelta(minutes=4))
    wanted = compile_filter(
        Filter(destination_address=attack.target, destination_port=attack.port, protocol=6)
    )
    counts = Counter(
        (packet.time_ns - nanoseconds(begin)) // 10**9
        for around in (begin, end)
        for packet in synthetic.packets(around - 2 * SECOND, around + 2 * SECOND, colo="ord02")
        if wanted(packet.data) and len(packet.data) == 58
    )
    assert set(counts) == {0, 1, 88, 89}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration": timedelta(0)}, "needs a positive duration"),
        ({"every": timedelta(milliseconds=5)}, "recurs before it ends"),
        ({"target": "2001:db8::1"}, "is not an IPv4 address"),
        ({"target": "nobody"}, "is not an IPv4 address"),
    ],
)
def test_an_impossible_attack_is_refused(changes, message, some_day):
    with pytest.raises(InvalidRequest, match=message):
        Attack(**{"kind": "syn_flood", "start": some_day, "duration": SECOND, **changes})


def test_ending_an_attack_stops_it_and_keeps_its_past(some_day):
    """Also of one that recurs: those that were before are there, and no more will come."""
    attack = Attack("syn_flood", some_day, 60 * SECOND, 300 * SECOND, target="203.0.113.9")
    traffic = SyntheticTraffic(5, rate=0, attacks=[attack])
    now = some_day + timedelta(seconds=310.4)
    passed = (some_day, now)
    before = list(traffic.packets(*passed, colo="ORD"))
    assert traffic.end_attacks(now) == some_day + 311 * SECOND
    assert list(traffic.packets(*passed, colo="ORD")) == before
    last = max(packet.time_ns for packet in traffic.packets(now, now + timedelta(hours=1), colo="ORD"))
    assert nanoseconds(some_day + 310 * SECOND) < last < nanoseconds(some_day + 311 * SECOND)
    assert traffic.attacks(now, now + SECOND)[0][1:] == (some_day + 300 * SECOND, some_day + 311 * SECOND)
    assert traffic.end_attacks(now + 60 * SECOND) is None
