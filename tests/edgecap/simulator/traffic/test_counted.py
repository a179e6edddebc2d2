"""Counted traffic: what is counted, what is captured and what is dropped are the same packets."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.simulator.traffic import Attack, CountedTraffic, colos
from edgecap.simulator.traffic.dissect import headers
from edgecap.simulator.traffic.times import nanoseconds

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FLOOD = Attack("syn_flood", NOON + timedelta(seconds=3), timedelta(seconds=40), places=4)
ATTACKS = (
    FLOOD,
    Attack("dns_amplification", NOON + timedelta(seconds=8.5), timedelta(seconds=30), target="203.0.113.9"),
    Attack("ntp_amplification", NOON, timedelta(seconds=60), target="203.0.113.80", port=80, places=30),
)


def make(seed=7, **options):
    return CountedTraffic(seed, **{"rate": 12.0, "attacks": ATTACKS, "mitigate": True, **options})


@pytest.fixture(scope="module")
def traffic():
    return make()


def counted(traffic, start, end):
    """Of every server and rule, the number of packets, and their bytes, without making one."""
    found = Counter()
    for source in traffic.sources(nanoseconds(start), nanoseconds(end)):
        columns = traffic.columns(source, nanoseconds(start), nanoseconds(end))
        bits = source.recipes.bits[columns.shape]
        for server, rule, size in zip(columns.server, columns.rule, bits, strict=True):
            named = source.rules[rule - 1].system if rule else "pass"
            found[colos.ALL_SERVERS[server], named, "packets"] += 1
            found[colos.ALL_SERVERS[server], named, "bits"] += int(size)
    return found


@given(
    begin=st.floats(-5, 60), length=st.floats(0.001, 4), colo=st.sampled_from([None, "ORD", "fra01", "MAD"])
)
@settings(max_examples=25, deadline=None)
def test_captured_and_dropped_packets_together_are_all_packets(traffic, begin, length, colo):
    start = NOON + timedelta(seconds=begin)
    end = start + timedelta(seconds=length)
    expected = counted(traffic, start, end)
    here = traffic.servers(colo) if colo else colos.ALL_SERVERS
    seen = Counter()
    for packet in traffic.everything(start, end, colo=colo):
        named = packet.dropped_by.system if packet.dropped_by else "pass"
        seen[packet.server, named, "packets"] += 1
        seen[packet.server, named, "bits"] += (len(packet.data) - 14) * 8
    assert seen == Counter({key: count for key, count in expected.items() if key[0] in here})
    passed = list(traffic.packets(start, end, colo=colo))
    assert len(passed) == sum(
        count for key, count in seen.items() if key[1] == "pass" and key[2] == "packets"
    )
    assert [packet.time_ns for packet in passed] == sorted(packet.time_ns for packet in passed)


@given(begin=st.floats(0, 50), middle=st.floats(0, 1), length=st.floats(0.1, 3))
@settings(max_examples=15, deadline=None)
def test_two_windows_beside_each_other_are_the_one_window(traffic, begin, middle, length):
    start, end = NOON + timedelta(seconds=begin), NOON + timedelta(seconds=begin + length)
    cut = start + (end - start) * middle
    whole = list(traffic.everything(start, end, colo="ORD"))
    parts = [*traffic.everything(start, cut, colo="ORD"), *traffic.everything(cut, end, colo="ORD")]
    assert parts == whole
    assert list(make().everything(start, end, colo="ORD")) == whole


def test_ordinary_packets_arrive_at_all_thirty_cities():
    traffic = make(attacks=(), rate=60.0)
    seen = Counter(
        colos.city(packet.server) for packet in traffic.packets(NOON, NOON + timedelta(seconds=10))
    )
    assert set(seen) == set(colos.CITIES)
    assert seen.most_common(1)[0][0] == "ORD"
    assert seen.most_common(1)[0][1] > 5 * seen.most_common()[-1][1]


def test_the_total_is_that_of_traffic_which_is_not_spread():
    spread, usual = make(rate=50.0, attacks=()), make(rate=50.0, attacks=(), spread=False)
    window = NOON, NOON + timedelta(seconds=60)
    totals = [sum(counted(each, *window).values()) for each in (spread, usual)]
    assert totals[0] == pytest.approx(totals[1], rel=0.1)
    servers = {server for server, *_ in counted(usual, *window)}
    assert servers == set(colos.USUAL_WEIGHTS)


def test_each_attack_reaches_as_many_cities_as_it_says(traffic):
    start, end = NOON + timedelta(seconds=10), NOON + timedelta(seconds=20)
    for target, places in (("203.0.113.7", 4), ("203.0.113.80", 30)):
        [source] = [
            source
            for source in traffic.sources(nanoseconds(start), nanoseconds(end))
            if source.attack and source.attack.target == target
        ]
        columns = traffic.columns(source, nanoseconds(start), nanoseconds(end))
        assert len({colos.city(colos.ALL_SERVERS[server]) for server in columns.server}) == places


def test_shares_change_slowly(traffic):
    [ordinary, *_] = traffic.sources(nanoseconds(NOON), nanoseconds(NOON) + 1)
    step = int(NOON.timestamp()) // 10
    now, soon, later = (ordinary.spread.at(step + ahead) for ahead in (0, 1, 90))
    assert abs(now - soon).max() < 0.01
    assert abs(now - later).max() > 0.02
    for shares in (now, soon, later):
        assert shares.sum() == pytest.approx(1)


def test_nothing_of_an_attack_is_dropped_in_its_first_seconds(traffic):
    start = FLOOD.start
    early = list(traffic.everything(start, start + timedelta(seconds=3)))
    assert {packet.dropped_by.system for packet in early if packet.dropped_by} <= {"magic-firewall"}
    late = [
        packet
        for packet in traffic.everything(start + timedelta(seconds=20), start + timedelta(seconds=22))
        if headers(packet.data).destination_port == 443 and packet.data[23] == 6
    ]
    systems = Counter(packet.dropped_by.system if packet.dropped_by else "pass" for packet in late)
    assert systems["dosd"] > systems["flowtrackd"] > 0
    assert systems["dosd"] > 0.7 * systems.total()


def test_an_attack_can_be_dropped_whole():
    attack = Attack("ntp_amplification", NOON, timedelta(seconds=40), port=80, places=3, dropped=1.0)
    traffic = make(attacks=[attack], rate=0.0)
    assert list(traffic.packets(NOON, NOON + timedelta(seconds=4)))
    assert not list(traffic.packets(NOON + timedelta(seconds=12), NOON + timedelta(seconds=40)))
    assert list(traffic.everything(NOON + timedelta(seconds=12), NOON + timedelta(seconds=14)))


def test_without_mitigation_nothing_is_dropped():
    traffic = make(mitigate=False)
    window = NOON + timedelta(seconds=30), NOON + timedelta(seconds=32)
    assert list(traffic.packets(*window)) == list(traffic.everything(*window))


def test_ended_attacks_leave_the_past_as_it_was():
    traffic = make()
    window = NOON + timedelta(seconds=10), NOON + timedelta(seconds=20)
    before = counted(traffic, *window)
    end = traffic.end_attacks(NOON + timedelta(seconds=20.5))
    assert end == NOON + timedelta(seconds=21)
    assert counted(traffic, *window) == before
    assert not any(
        source.attack
        for source in traffic.sources(nanoseconds(end) + 3 * 10**9, nanoseconds(end) + 4 * 10**9)
    )
    assert not [
        packet
        for packet in traffic.everything(end + timedelta(milliseconds=1), end + timedelta(seconds=2))
        if headers(packet.data).destination == b"\xcb\0\x71\x50" and headers(packet.data).source_port == 123
    ]
