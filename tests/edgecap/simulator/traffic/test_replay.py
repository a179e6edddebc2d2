import os
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.errors import ConfigError
from edgecap.simulator.traffic import Packet, ReplayTraffic, colos
from edgecap.simulator.traffic.times import nanoseconds

EPOCH = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, synthetic, some_day, save):
    """Three seconds of a data centre, which come from the file moved to other times and servers."""
    packets = list(synthetic.packets(some_day, some_day + timedelta(seconds=3), colo="syd01"))
    return save(tmp_path_factory.mktemp("replay") / "syd.pcap", packets), packets


@pytest.fixture(scope="module")
def looping(recorded):
    traffic = ReplayTraffic([recorded[0]], epoch=EPOCH)
    yield traffic
    traffic.close()


def test_one_round_is_the_recording_moved_to_the_epoch(recorded, looping):
    packets = recorded[1]
    round_ = looping.packets(EPOCH, EPOCH + timedelta(seconds=2.9))
    moved = nanoseconds(EPOCH) - packets[0].time_ns
    expected = [(packet.time_ns + moved, packet.data) for packet in packets]
    assert [(packet.time_ns, packet.data) for packet in round_] == [
        (at, data) for at, data in expected if at < nanoseconds(EPOCH) + 2_900_000_000
    ]


def test_it_loops_for_ever_and_was_not_there_before_its_epoch(recorded, looping):
    count = len(recorded[1])
    later = EPOCH + timedelta(days=3)
    week = sum(1 for _ in looping.packets(later, later + timedelta(seconds=30)))
    assert week == pytest.approx(10 * count, rel=0.05)
    assert list(looping.packets(EPOCH - timedelta(hours=1), EPOCH)) == []


def test_without_an_epoch_any_window_has_packets(recorded):
    traffic = ReplayTraffic([recorded[0]])
    for year in (1999, 2026, 2100):
        start = datetime(year, 1, 1, tzinfo=UTC)
        assert next(traffic.packets(start, start + timedelta(seconds=5)), None) is not None
    traffic.close()


def test_without_looping_it_plays_once_at_its_own_time(recorded, some_day):
    path, packets = recorded
    traffic = ReplayTraffic([path], loop=False)
    played = list(traffic.packets(some_day - timedelta(days=1), some_day + timedelta(days=1)))
    assert [(packet.time_ns, packet.data) for packet in played] == [
        (packet.time_ns, packet.data) for packet in packets
    ]
    late = some_day + timedelta(seconds=3)
    assert list(traffic.packets(late, late + timedelta(hours=1))) == []
    assert repr(traffic) == f"<ReplayTraffic syd.pcap [{len(packets)} packets]>"
    traffic.close()


@given(st.integers(0, 20_000_000), st.integers(0, 4_000_000), st.integers(0, 4_000_000))
@settings(max_examples=50, deadline=None)
def test_windows_join_and_are_in_order(looping, begin, length, more):
    start, cut, end = (
        EPOCH + timedelta(microseconds=at) for at in (begin, begin + length, begin + length + more)
    )
    whole = list(looping.packets(start, end))
    assert [*looping.packets(start, cut), *looping.packets(cut, end)] == whole
    times = [packet.time_ns for packet in whole]
    assert times == sorted(times)
    assert all(nanoseconds(start) <= at < nanoseconds(end) for at in times)


def test_flows_are_spread_over_the_city_and_places_see_their_part(looping):
    window = (EPOCH, EPOCH + timedelta(seconds=2.9))
    everything = list(looping.packets(*window))
    assert {packet.server for packet in everything} == set(colos.servers("ORD"))
    here = set(colos.servers("ord03"))
    assert [packet for packet in everything if packet.server in here] == list(
        looping.packets(*window, colo="ord03")
    )
    assert list(looping.packets(*window, colo="AMS")) == []
    assert looping.servers("AMS")


def test_several_files_are_merged_by_time(tmp_path, recorded, save):
    _, packets = recorded
    paths = [save(tmp_path / "odd.pcap", packets[1::2]), save(tmp_path / "even.pcap", packets[::2])]
    traffic = ReplayTraffic(paths, loop=False, city=None)
    played = list(traffic.packets(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)))
    assert [packet.time_ns for packet in played] == [packet.time_ns for packet in packets]
    assert {packet.data for packet in played} == {packet.data for packet in packets}
    assert len({packet.server for packet in played}) > len(colos.servers("ORD"))
    traffic.close()


def test_a_recording_of_one_packet_loops(tmp_path, save):
    path = save(tmp_path / "one.pcap", [Packet(5, bytes(60), "x")])
    traffic = ReplayTraffic([path], epoch=EPOCH)
    assert sum(1 for _ in traffic.packets(EPOCH, EPOCH + timedelta(milliseconds=10))) == 10
    traffic.close()


def test_files_of_different_link_types_are_refused(tmp_path, save, recorded):
    other = save(tmp_path / "raw.pcap", [Packet(5, bytes(60), "x")], 101)
    with pytest.raises(ConfigError, match="different link types, 1 and 101"):
        ReplayTraffic([recorded[0], other])


def test_nothing_to_replay_and_nowhere_to_replay_are_refused(recorded):
    with pytest.raises(ConfigError, match="no file to replay"):
        ReplayTraffic([])
    with pytest.raises(ConfigError, match="unknown data centre 'XYZ'"):
        ReplayTraffic([recorded[0]], city="XYZ")


def test_tcpdump_s_recording_of_a_ping_is_replayed(tmp_path, raw_sockets, tcpdump, tshark, ping):
    """Requests and answers of one ping come to one server, in order, with tcpdump's gaps between them."""
    path = tmp_path / "lo.pcap"
    through = [] if os.getuid() == 0 else ["sudo", "-n"]
    with path.open("wb") as taken:
        program = subprocess.Popen(
            [*through, "tcpdump", "-i", "lo", "-U", "-w", "-", "-c", "6", "icmp and host 127.0.7.3"],
            stdout=taken, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    try:
        assert program.stderr is not None
        while "listening on" not in program.stderr.readline():
            assert program.poll() is None
        ping("-c3", "-i", "0.05", "127.0.7.3")
        assert program.wait(240) == 0
    finally:
        with suppress(PermissionError):  # it is root's, and ends by itself
            program.kill()
        program.communicate(timeout=240)
    traffic = ReplayTraffic([path], epoch=EPOCH)
    played = list(traffic.packets(EPOCH, EPOCH + timedelta(milliseconds=90)))
    recorded_times = tshark("-r", path, "-T", "fields", "-e", "frame.time_relative")
    expected = [round(float(at) * 1e6) for at in recorded_times if float(at) < 0.09]
    assert [round((packet.time_ns - nanoseconds(EPOCH)) / 1000) for packet in played] == expected
    assert len({packet.server for packet in played}) == 1
    assert [packet.data[34] for packet in played[:2]] == [8, 0]
    traffic.close()
