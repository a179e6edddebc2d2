"""Real programs talk over `lo`, and what was captured is held against what they did."""

import os
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgecap.errors import ConfigError
from edgecap.requests import Filter
from edgecap.simulator.traffic import LiveTraffic, Packet, compile_filter
from edgecap.simulator.traffic.times import nanoseconds
from tests.raw_sockets import live_traffic
from tests.stand_ins import JsonHandler, serving

FAST = ("-i", "0.01")
IPV6_ADDRESSES = Path("/proc/net/if_inet6")
BODY = bytes(range(256)) * 2000


@pytest.fixture
def live(raw_sockets) -> Iterator[LiveTraffic]:
    with live_traffic("lo") as traffic:
        yield traffic


class Answer(JsonHandler):
    def do_GET(self):
        self.say(BODY)


@pytest.fixture
def web_port() -> Iterator[int]:
    with serving(Answer) as server:
        yield server.server_port


def now() -> datetime:
    return datetime.now(UTC)


def by_time(packet: Packet) -> tuple[int, bytes]:
    return packet.time_ns, packet.data


def chosen(packets: Iterator[Packet], wanted: Filter) -> list[Packet]:
    keep = compile_filter(wanted)
    return [packet for packet in packets if keep(packet.data)]


def test_each_ping_and_each_answer_is_there_once(live, ping):
    start = now()
    ping("-c5", *FAST, "127.0.9.1")
    end = now()
    seen = chosen(live.packets(start, end), Filter(protocol=1))
    seen = [packet for packet in seen if b"\x7f\0\x09\1" in packet.data[26:34]]
    assert [packet.data[34] for packet in seen] == [8, 0] * 5
    assert all(nanoseconds(start) <= packet.time_ns < nanoseconds(end) for packet in seen)
    assert len({packet.server for packet in seen}) == 1
    assert seen[0].server in live.servers("ORD")


def test_a_past_window_is_the_same_whenever_it_is_requested(live, ping):
    start = now()
    ping("-c3", *FAST, "127.0.9.2")
    end = now()
    first = list(live.packets(start, end))
    ping("-c3", *FAST, "127.0.9.2")
    assert list(live.packets(start, end)) == first
    assert first
    parts = [packet for colo in ("ord01", "ord02", "ord03") for packet in live.packets(start, end, colo=colo)]
    assert sorted(parts, key=by_time) == sorted(first, key=by_time)
    assert list(live.packets(start, end, colo="AMS")) == []


def test_an_http_exchange_is_captured_whole(live, web_port, tmp_path, save, tshark):
    """tshark puts the answer together again from the captured frames."""
    start = now()
    with urllib.request.urlopen(f"http://127.0.0.1:{web_port}/hello") as answer:
        assert answer.read() == BODY
    mine = chosen(live.packets(start, now()), Filter(protocol=6, source_address="127.0.0.1"))
    ports = (web_port.to_bytes(2, "big"),)
    mine = [packet for packet in mine if packet.data[34:36] in ports or packet.data[36:38] in ports]
    path = save(tmp_path / "http.pcap", mine)
    decode = ("-d", f"tcp.port=={web_port},http")
    tshark("-q", "-r", path, *decode, "--export-objects", f"http,{tmp_path / 'out'}")
    assert (tmp_path / "out" / "hello").read_bytes() == BODY
    assert tshark("-r", path, "-Y", "tcp.analysis.lost_segment") == []
    assert len({packet.server for packet in mine}) == 1


def test_ipv6_is_captured_as_well(live, ping):
    if not IPV6_ADDRESSES.is_file() or " lo\n" not in IPV6_ADDRESSES.read_text():
        pytest.skip("this machine has no IPv6 on lo")
    start = now()
    ping("-c3", *FAST, "::1")
    kinds = Counter(packet.data[54] for packet in chosen(live.packets(start, now()), Filter(protocol=58)))
    assert kinds[128] >= 3
    assert kinds[129] >= 3


def test_history_is_bounded_by_packets_and_by_bytes(raw_sockets, ping):
    with live_traffic("lo", history_packets=4) as few, live_traffic("lo", history_bytes=300_000) as small:
        start = now()
        ping("-c10", *FAST, "-s50000", "127.0.9.3")
        end = now() + timedelta(minutes=1)
        assert len(list(few.packets(start, end))) == 4
        kept = sum(len(packet.data) for packet in small.packets(start, end))
        assert 200_000 < kept <= 300_000


def test_history_is_bounded_by_time(raw_sockets, ping):
    """The clock here jumps a minute with each packet, and three minutes are kept."""
    minutes = iter(range(10_000))
    start = datetime(2026, 11, 23, tzinfo=UTC)
    with live_traffic(
        "lo", history_seconds=180, clock=lambda: start + timedelta(minutes=next(minutes))
    ) as live:
        ping("-c10", *FAST, "127.0.9.4")
        kept = [packet.time_ns for packet in live.packets(start, start + timedelta(days=30))]
    assert len(kept) == 4
    assert kept[-1] - kept[0] == 180 * 10**9


def test_it_says_what_it_holds_and_forgets_when_closed(raw_sockets, ping):
    live = live_traffic("lo")
    start = now()
    ping("-c3", *FAST, "127.0.9.5")
    assert list(live.packets(start, now()))
    assert "<LiveTraffic lo [" in repr(live)
    live.close()
    assert repr(live) == "<LiveTraffic lo [closed]>"
    assert list(live.packets(start, now())) == []


def test_an_unknown_interface_is_refused_with_the_ones_there_are(raw_sockets):
    with pytest.raises(ConfigError, match=r"the interface 'nope0' cannot be captured from.*give one of .*lo"):
        live_traffic("nope0")


def test_an_unknown_city_is_refused():
    with pytest.raises(ConfigError, match="unknown data centre 'XYZ'"):
        LiveTraffic("lo", city="XYZ")


def test_a_missing_right_is_said_in_one_line(raw_sockets, tmp_path):
    """The same, as a user who may not capture."""
    code = (
        "import os; from edgecap.simulator.traffic import LiveTraffic\n"
        "from edgecap.errors import ConfigError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: LiveTraffic('lo')\n"
        "except ConfigError as error: print(error)\n"
    )
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == (
        "capturing live packets needs the right CAP_NET_RAW (lo); "
        "run as root, or choose synthetic or replayed traffic\n"
    ), done.stderr
