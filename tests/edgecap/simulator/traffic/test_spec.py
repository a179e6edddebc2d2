from datetime import timedelta
from pathlib import Path

import pytest

from edgecap.errors import ConfigError
from edgecap.simulator.traffic import (
    CountedTraffic,
    LiveTraffic,
    Packet,
    ReplayTraffic,
    SyntheticTraffic,
    open_traffic,
)


def test_synthetic_takes_the_seed(some_day):
    traffic = open_traffic("synthetic", seed=5)
    assert isinstance(traffic, SyntheticTraffic)
    assert repr(traffic).startswith("<SyntheticTraffic [seed 5,")


def test_replay_takes_several_files(tmp_path: Path, save):
    paths = [
        save(tmp_path / name, [Packet(at, bytes(60), "x")]) for at, name in ((1, "a.pcap"), (2, "b.pcap"))
    ]
    traffic = open_traffic(f"replay:{paths[0]},{paths[1]}")
    assert isinstance(traffic, ReplayTraffic)
    assert repr(traffic) == "<ReplayTraffic a.pcap, b.pcap [2 packets, looping]>"
    traffic.close()


def test_live_takes_an_interface_or_says_which_right_it_needs():
    """A user has the right to capture packets only if somebody gave it to Python."""
    refused, traffic = "", None
    try:
        traffic = open_traffic("live:lo")
    except ConfigError as error:
        refused = str(error)
    if traffic is None:
        assert "CAP_NET_RAW (lo)" in refused
    else:
        assert isinstance(traffic, LiveTraffic)
        traffic.close()


def test_synthetic_takes_one_attack_instead_of_its_timetable(some_day):
    traffic = open_traffic("synthetic:syn_flood,2026-11-23T06:31:00Z,90")
    [(attack, begins, ends)] = traffic.attacks(some_day, some_day + timedelta(days=1))
    assert (attack.kind, str(begins), str(ends - begins)) == (
        "syn_flood",
        "2026-11-23 06:31:00+00:00",
        "0:01:30",
    )


def test_several_attacks_may_have_fields_of_their_own(some_day):
    traffic = open_traffic(
        "synthetic:syn_flood,2026-11-23T06:31:00Z,90,places=3,id=abc;"
        "ntp_amplification,2026-11-23T06:40:00Z,30,target=203.0.113.9,port=80,rate=9,dropped=1",
        spread=True,
        mitigate=True,
    )
    assert isinstance(traffic, CountedTraffic)
    first, second = [attack for attack, _, _ in traffic.attacks(some_day, some_day + timedelta(days=1))]
    assert (first.places, first.id, first.target) == (3, "abc", "203.0.113.7")
    assert (second.target, second.port, second.rate, second.dropped) == ("203.0.113.9", 80, 9.0, 1.0)


@pytest.mark.parametrize("option", ["spread", "mitigate"])
def test_only_synthetic_traffic_is_spread_or_mitigated(option):
    assert isinstance(open_traffic("synthetic", **{option: True}), CountedTraffic)
    with pytest.raises(ConfigError, match="only synthetic traffic"):
        open_traffic("live:lo", **{option: True})


@pytest.mark.parametrize(
    "spec",
    [
        "x",
        "syn_flood",
        "flood,2026-11-23T06:31:00Z,9",
        "syn_flood,now,9",
        "syn_flood,2026-11-23T06:31:00,9",
        "syn_flood,2026-11-23T06:31:00Z,0",
        "syn_flood,2026-11-23T06:31:00Z,nan",
        "syn_flood,2026-11-23T06:31:00Z,9,colour=red",
        "syn_flood,2026-11-23T06:31:00Z,9,places=many",
        "syn_flood,2026-11-23T06:31:00Z,9,target=home",
        "syn_flood,2026-11-23T06:31:00Z,9;",
    ],
)
def test_an_invalid_attack_is_refused(spec):
    with pytest.raises(ConfigError, match="is not an attack"):
        open_traffic(f"synthetic:{spec}")


@pytest.mark.parametrize(
    "spec", ["", "synthetics", "replay", "replay:", "replay:,", "live:", "pcap", "Synthetic"]
)
def test_anything_else_is_refused(spec):
    with pytest.raises(ConfigError, match=r"unknown traffic|no file to replay"):
        open_traffic(spec)
