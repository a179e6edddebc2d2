from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.errors import InvalidRequest
from edgecap.simulator.traffic import SyntheticTraffic, colos

CHECKED = [
    argument
    for name in ("ip.check_checksum", "tcp.check_checksum", "udp.check_checksum")
    for argument in ("-o", f"{name}:TRUE")
]
CALM = SyntheticTraffic(3, rate=40)
DAY = 86_400_000_000
spans = st.tuples(st.integers(0, 30 * DAY), st.integers(0, 1_500_000), st.integers(0, 1_500_000))


def moment(microseconds: int) -> datetime:
    return datetime.fromisoformat("2026-11-01T00:00:00Z") + timedelta(microseconds=microseconds)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, synthetic, some_day, save):
    """Two seconds of ordinary traffic and of each attack at a data centre."""
    packets = [
        packet
        for minute in (0, 1, 6, 11)
        for packet in synthetic.packets(
            some_day + timedelta(minutes=minute, seconds=30),
            some_day + timedelta(minutes=minute, seconds=32),
            colo="ord02",
        )
    ]
    return save(tmp_path_factory.mktemp("synthetic") / "ord02.pcap", packets), packets


def test_wireshark_finds_nothing_malformed_and_every_checksum_right(recorded, tshark):
    path, packets = recorded
    bad = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0"
    bad += " || icmp.checksum.status == 0 || icmpv6.checksum.status == 0"
    assert tshark("-r", path, *CHECKED, "-Y", bad) == []
    good = "tcp.checksum.status == 1 || udp.checksum.status == 1 || icmp || icmpv6 || ip.flags.mf == 1"
    assert len(tshark("-r", path, *CHECKED, "-Y", good)) == len(packets)


def test_wireshark_sees_every_protocol_over_ipv4_and_ipv6(recorded, tshark):
    path, _ = recorded
    lines = tshark("-r", path, "-T", "fields", "-e", "frame.protocols")
    names = Counter(":".join(line.split(":")[2:4]) for line in lines)
    stacks = Counter(":".join(line.split(":")[2:5]) for line in lines)
    for protocol in ("ip:tcp", "ipv6:tcp", "ip:udp", "ipv6:udp", "ip:icmp", "ipv6:icmpv6"):
        assert names[protocol] > 10, protocol
    for stack in ("tcp:tls", "udp:dns", "udp:quic"):
        assert stacks[f"ip:{stack}"] > 5, stack
        assert stacks[f"ipv6:{stack}"] > 5, stack
    assert stacks["ip:tcp:http"] > 2
    assert stacks["ip:udp:ntp"] > 1000


def test_contents_dissect_as_what_they_are(recorded, tshark):
    path, _ = recorded
    for shown in (
        "tls.handshake.type == 1 && tls.handshake.extensions_server_name",
        "tls.handshake.type == 2",
        "dns.flags.response == 0 && dns.qry.type == 28 && udp.dstport == 53",
        "dns.flags.response == 1 && dns.a && udp.srcport == 53",
        "dns.flags.response == 1 && dns.count.answers > 10",
        "quic.long.packet_type == 0 && quic.version == 1",
        "quic.header_form == 0",
        "icmp.type == 8 && ip.dst == 203.0.113.7",
        "icmpv6.type == 128",
        "http.request.method == GET",
        "ntp.priv.reqcode == 42",
        "tcp.flags.syn == 1 && tcp.flags.ack == 1 && tcp.srcport == 443",
        "tcp.flags.fin == 1",
        "tcp.flags.reset == 1",
    ):
        assert len(tshark("-r", path, "-Y", shown)) >= 3, shown


def test_only_packets_to_the_customer_are_seen(recorded, tshark):
    path, packets = recorded
    inbound = "(ip.dst == 203.0.113.0/24 && !(ip.src == 203.0.113.0/24)) || ipv6.dst == 2001:db8:203::/48"
    assert len(tshark("-r", path, "-Y", inbound)) == len(packets)
    ours = "ipv6.src == 2001:db8:203::/48"
    assert tshark("-r", path, "-Y", ours) == []


def test_sizes_reach_full_frames_and_no_further(recorded):
    sizes = Counter(len(packet.data) for _, packets in [recorded] for packet in packets)
    assert max(sizes) == 1514
    assert sizes[1514] > 50
    assert min(sizes) < 70


def test_ten_seconds_at_ord_bring_thousands_of_packets_to_every_server(synthetic, some_day):
    start = some_day + timedelta(minutes=3)
    seen = Counter(
        packet.server for packet in synthetic.packets(start, start + timedelta(seconds=10), colo="ORD")
    )
    assert set(seen) == set(synthetic.servers("ord"))
    assert min(seen.values()) > 1500


def test_traffic_that_is_not_spread_is_at_twelve_cities(synthetic, some_day):
    start = some_day + timedelta(minutes=3)
    seen = {packet.server for packet in synthetic.packets(start, start + timedelta(seconds=2))}
    assert seen == set(colos.USUAL_WEIGHTS)
    assert len({colos.city(server) for server in seen}) == 12
    assert not list(synthetic.packets(start, start + timedelta(seconds=2), colo="MAD"))


def test_conversations_are_over_before_they_are_cut_off(synthetic, some_day):
    """No flow outlives the seconds that are looked back for it: every made packet has a place."""
    server = "ord01-s1"
    for second in range(60):
        at = int(some_day.timestamp()) + second
        parts = synthetic._make(server, at)
        assert len(parts[-1]) < len(parts[0])
        for ago, part in enumerate(parts):
            assert all((packet.time_ns // 10**9) - at == ago for packet in part)


@given(spans)
@settings(max_examples=40, deadline=None)
def test_the_same_window_asked_twice_of_two_objects_is_the_same(span):
    begin, length, _ = span
    window = (moment(begin), moment(begin + length))
    other = SyntheticTraffic(3, rate=40)
    assert list(CALM.packets(*window, colo="ord01")) == list(other.packets(*window, colo="ord01"))


@given(spans, st.integers(0, 1_500_000))
@settings(max_examples=40, deadline=None)
def test_overlapping_windows_agree_and_neighbours_join(span, cut):
    begin, length, more = span
    end, cut = begin + length + more, begin + min(cut, length + more)
    whole = list(CALM.packets(moment(begin), moment(end), colo="AMS"))
    first = list(CALM.packets(moment(begin), moment(cut), colo="AMS"))
    second = list(CALM.packets(moment(cut), moment(end), colo="AMS"))
    assert first + second == whole
    assert all(before.time_ns <= after.time_ns for before, after in pairwise(whole))
    lower, upper = (int((moment(at) - moment(0)).total_seconds() * 10**6) for at in (begin, end))
    zero = int(moment(0).timestamp()) * 10**9
    assert all(lower * 1000 <= packet.time_ns - zero < upper * 1000 for packet in whole)


@given(spans, st.sampled_from(["SIN", "ord02", "lhr01", "XYZ"]))
@settings(max_examples=15, deadline=None)
def test_a_place_sees_its_part_of_everything(span, colo):
    window = (moment(span[0]), moment(span[0] + span[1]))
    here = set(colos.servers(colo))
    everything = CALM.packets(*window)
    assert [packet for packet in everything if packet.server in here] == list(
        CALM.packets(*window, colo=colo)
    )


def test_another_seed_is_other_traffic(some_day):
    window = (some_day, some_day + timedelta(seconds=1))
    one, two = (
        [packet.data for packet in SyntheticTraffic(seed, rate=40).packets(*window, colo="SYD")]
        for seed in (1, 2)
    )
    assert one != two


@pytest.mark.parametrize("rate", [5, 100, 600])
def test_the_rate_is_what_was_asked_for(rate, some_day):
    traffic = SyntheticTraffic(rate=rate, attacks=())
    count = sum(1 for _ in traffic.packets(some_day, some_day + timedelta(seconds=40), colo="ORD"))
    assert count / 40 / len(traffic.servers("ORD")) == pytest.approx(rate, rel=0.15)


def test_after_close_the_same_packets_come_again(some_day):
    traffic = SyntheticTraffic(rate=40)
    window = (some_day, some_day + timedelta(seconds=1))
    before = list(traffic.packets(*window))
    traffic.close()
    assert list(traffic.packets(*window)) == before
    assert repr(traffic) == "<SyntheticTraffic [seed 1, 40 packets/s, 3 attacks]>"


def test_a_time_without_zone_is_refused(synthetic):
    naive = datetime(2026, 11, 23)
    with pytest.raises(InvalidRequest, match="has no time zone"):
        synthetic.packets(naive, naive)
