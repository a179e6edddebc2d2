"""Captures from the request to the packets, under every variant."""

import gzip
import re
import subprocess
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.requests import Filter
from edgecap.simulator.captures import NO_PACKETS
from edgecap.simulator.traffic import Attack, SyntheticTraffic, compile_filter, sample
from edgecap.simulator.variants import VARIANTS

HTTPS = {"protocol": 6, "destination_port": 443}
NOTHING = {"source_address": "240.9.9.9"}


def moment(text):
    return datetime.fromisoformat(text)


def capinfos(path, *flags):
    """What Wireshark's own tool says of a file, by column."""
    table = subprocess.run(
        ["capinfos", "-T", "-m", "-M", *flags, str(path)], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return dict(zip(table[0].split(","), table[1].split(","), strict=True))


def delivered(world):
    """All files of captures in the bucket, by key."""
    root = world.folder()
    return {
        str(path.relative_to(root)): path
        for path in root.rglob("*")
        if path.is_file() and "pcap_" in path.name
    }


def plain(path, tmp_path):
    """The file without its compression."""
    content = path.read_bytes()
    target = tmp_path / f"{path.parent.name}-{path.name}.plain"
    target.write_bytes(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    return target


def expected(world, wanted, start, end, colo="ORD"):
    """Packets by server, straight from the traffic."""
    matching = compile_filter(Filter(**wanted))
    counts = {}
    for packet in world.edge.traffic.packets(start, end, colo=colo):
        if matching(packet.data):
            counts[packet.server] = counts.get(packet.server, 0) + 1
    return counts


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_full_capture_passes_the_variant_s_states_and_delivers_files(
    variant, make_world, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    world = make_world(variant)
    world.register()
    variant = world.edge.variant
    answer = world.full(filter_v1=HTTPS, time_limit=20)
    assert answer.status_code == 200, answer.text
    capture_id = answer.json()["result"]["id"]
    seen = [answer.json()["result"]["status"]]
    while seen[-1] not in ("success", "complete"):
        world.advance(0.5)
        status = world.status(capture_id)
        if status not in ("", seen[-1]):
            seen.append(status)
        assert len(seen) < 20
    assert seen == [state for state, _ in variant.full_steps]
    events = [e for e in world.edge.log.events("state") if e["capture_id"] == capture_id]
    assert [event["after"] for event in events] == seen
    if not variant.files_after:
        assert delivered(world), "files are there when the state is final"
    else:
        assert not delivered(world)
    world.advance(30)

    capture = world.edge.captures[capture_id]
    counts = expected(world, HTTPS, capture.started, capture.started + timedelta(seconds=20))
    files = delivered(world)
    opened = {key: capinfos(plain(path, tmp_path), "-c", "-l", "-E") for key, path in files.items()}
    packets = sorted(int(info["Number of packets"]) for info in opened.values())
    servers = len(world.edge.traffic.servers("ORD"))
    assert packets == sorted([*counts.values(), *[0] * (servers - len(counts) if variant.empty_files else 0)])
    assert len(counts) > 2
    for key, path in files.items():
        assert capture_id in key
        compressed = path.read_bytes()[:2] == b"\x1f\x8b"
        assert compressed == (variant.gzip != "no")
        assert key.endswith(".gz") == (variant.gzip == "named")
    forms = {
        "server": rf"ord0\d-s\d/pcap_{capture_id}\.pcap",
        "date": rf"\d{{8}}/ord0\d-s\d/pcap_{capture_id}\.pcap\.gz",
        "flat": rf"pcap_{capture_id}(_\d+)?\.pcap",
    }
    assert all(re.fullmatch(forms[variant.key_scheme], key) for key in files)
    final = world.call("GET", f"/{capture_id}").json()["result"]
    assert final["packets_captured"] == sum(counts.values())
    logged = [e for e in world.edge.log.events("delivery") if e["outcome"] == "delivered"]
    assert {event["key"] for event in logged} == set(files)
    assert not list(tmp_path.glob(f"edgecap-simulator-*/{capture_id}/*")), (
        "nothing is left on the edge's disk"
    )


def test_a_simple_capture_looks_back_over_all_data_centres_sampled_and_cut(each, tmp_path):
    world = each
    end = world.now - timedelta(hours=3, microseconds=654_321)
    answer = world.simple(offset_time=end.isoformat(), time_limit=20)
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    final = world.finish(result["id"])
    assert final["status"] == world.edge.variant.simple_steps[-1][0]
    assert moment(final["submitted"]) == world.edge.captures[result["id"]].submitted
    download = world.download(result["id"])
    assert download.headers["content-type"] == "application/vnd.tcpdump.pcap"
    path = tmp_path / "simple.pcap"
    path.write_bytes(download.content)
    info = capinfos(path, "-c", "-l", "-E")
    end = moment(result["offset_time"])
    window = (end - timedelta(seconds=20), end)
    chosen = list(sample(world.edge.traffic.packets(*window), 10, 1))
    assert int(info["Number of packets"]) == len(chosen) > 50
    assert info["Packet size limit"] == "160"
    assert len({packet.server[:3] for packet in chosen}) > 5
    fields = subprocess.run(
        ["tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.cap_len"],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    times, lengths = [float(t) for t in fields[::2]], [int(n) for n in fields[1::2]]
    assert max(lengths) == 160
    assert window[0].timestamp() <= min(times) <= max(times) < window[1].timestamp()


@pytest.mark.parametrize(
    ("variant", "digits"), [("documented", 6), ("conflict", 3), ("lagging", 0), ("talkative", 6)]
)
def test_offset_time_is_echoed_as_exactly_as_the_variant_keeps_it(make_world, variant, digits):
    world = make_world(variant)
    asked = (world.now - timedelta(minutes=1)).replace(microsecond=987_654)
    echoed = moment(world.simple(offset_time=asked.isoformat()).json()["result"]["offset_time"])
    assert echoed == asked.replace(microsecond=int(f"{asked.microsecond:06}"[:digits].ljust(6, "0")))


def test_without_offset_time_a_simple_capture_ends_when_it_was_asked_for(world):
    result = world.simple().json()["result"]
    assert moment(result["offset_time"]) == world.now == moment(result["submitted"])


def test_a_full_capture_without_packets_fails_with_the_documented_message(each):
    capture_id = each.full(filter_v1=NOTHING).json()["result"]["id"]
    final = each.finish(capture_id)
    assert (final["status"], final["error_message"]) == ("failed", NO_PACKETS)
    assert NO_PACKETS == (
        "No packets matched the filter in the time limit given. Please modify the filter or try again."
    )
    assert not delivered(each)
    assert each.full().status_code == 200, "the lane is free again"


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_a_simple_capture_without_packets_ends_as_the_variant_says(make_world, variant, tmp_path):
    world = make_world(variant)
    capture_id = world.simple(filter_v1=NOTHING).json()["result"]["id"]
    final = world.finish(capture_id)
    download = world.download(capture_id)
    if world.edge.variant.simple_without_packets == "failed":
        assert (final["status"], final["error_message"]) == ("failed", NO_PACKETS)
        assert download.status_code == world.edge.variant.not_ready.status
    else:
        assert len(download.content) == 24, "a header and nothing more"


def test_packet_limit_ends_a_full_capture_as_soon_as_it_is_reached(world):
    world.register()
    capture_id = world.full(packet_limit=50, time_limit=3600).json()["result"]["id"]
    world.advance(30)
    final = world.call("GET", f"/{capture_id}").json()["result"]
    assert (final["status"], final["packets_captured"]) == ("success", 50)
    assert world.edge.log.events("captured")[0]["why"] == "packet_limit"
    assert sum(e["packets"] for e in world.edge.log.events("delivery")) == 50


def test_byte_limit_is_not_exceeded_and_ends_a_full_capture(world, tmp_path):
    world.register()
    capture_id = world.full(byte_limit=20_000, time_limit=3600).json()["result"]["id"]
    assert world.finish(capture_id)["status"] == "success"
    infos = [capinfos(path, "-c", "-d") for path in delivered(world).values()]
    size = sum(int(info["Data size (bytes)"]) for info in infos)
    assert 20_000 - 1600 < size <= 20_000
    assert world.edge.log.events("captured")[0]["why"] == "byte_limit"


def test_a_full_capture_without_a_byte_limit_has_the_api_s_maximum(make_world, monkeypatch):
    """A forgotten one would fill the customer's bucket, and the memory of a test's S3 server, for a day."""
    monkeypatch.setattr("edgecap.simulator.lifecycle.BYTE_LIMIT", 20_000)
    world = make_world()
    world.register()
    capture_id = world.full(time_limit=86_400).json()["result"]["id"]
    answer = world.finish(capture_id)
    assert answer["status"] == "success"
    assert "byte_limit" not in answer
    assert world.edge.log.events("captured")[0]["why"] == "byte_limit"


def test_it_holds_no_more_than_it_may_and_takes_no_captures_meanwhile(make_world):
    def full(most):
        """A world in which a full capture has filled what the edge may hold, the capture, and its bytes."""
        variant = replace(VARIANTS["documented"], lane_until="captured")
        world = make_world(hold_at_most=most, variant=variant)
        world.register()
        capture_id = world.full(time_limit=3600).json()["result"]["id"]
        while not (captured := world.edge.log.events("captured")):
            world.advance(0.5)
        assert captured[0]["why"] == "hold_at_most"
        return world, capture_id, captured[0]["bytes"]

    _, _, size = full(30_000)
    assert 25_000 < size <= 30_000
    world, first, held = full(size)
    assert held == size
    refused = world.full(time_limit=5)
    assert refused.status_code == 503
    assert "bytes of packets, and takes no more" in refused.json()["errors"][0]["message"]
    # Delivered, they are held no longer.
    assert world.finish(first)["status"] == "success"
    assert world.full(time_limit=5).status_code == 200


def test_made_up_attacks_end_when_they_are_told_to(make_world):
    attack = Attack("syn_flood", datetime(2026, 11, 23, 6, 33, tzinfo=UTC), timedelta(days=1))
    world = make_world(traffic=SyntheticTraffic(7, rate=12.0, attacks=[attack]))
    world.advance(10)
    assert world.raw("POST", "/_edge/attacks/end").json() == {"end": "2026-11-23T06:34:17.000000Z"}
    later = world.now + timedelta(seconds=1)
    assert world.edge.traffic.attacks(later, later + timedelta(hours=1)) == []
    world.advance(2)
    assert world.raw("POST", "/_edge/attacks/end").json() == {"end": None}


def test_full_packets_are_whole_and_of_the_time_and_place_asked_for(world):
    world.register()
    capture_id = world.full(colo_name="ams01", time_limit=10).json()["result"]["id"]
    world.finish(capture_id)
    started = world.edge.captures[capture_id].started
    data = {}
    for packet in world.edge.traffic.packets(started, started + timedelta(seconds=10), colo="ams01"):
        data.setdefault(packet.server, []).append(packet)
    files = delivered(world)
    assert set(files) == {f"{server}/pcap_{capture_id}.pcap" for server in data}
    for server, packets in data.items():
        content = files[f"{server}/pcap_{capture_id}.pcap"].read_bytes()
        assert len(content) == 24 + sum(16 + len(packet.data) for packet in packets)
        assert packets[-1].data == content[-len(packets[-1].data) :]


def test_a_data_centre_can_be_called_colo_in_requests(world):
    world.register()
    body = {"type": "full", "system": "magic-transit", "time_limit": 5, "colo": "ord02"}
    answer = world.call("POST", "", {**body, "destination_conf": world.destination})
    assert answer.json()["result"]["colo_name"] == "ord02"


def test_stop_keeps_what_was_captured_and_the_status_follows_later(each):
    capture_id = each.full(time_limit=300).json()["result"]["id"]
    while each.status(capture_id) != "running":
        each.advance(1)
    each.advance(5)
    asked = each.now
    answer = each.call("PUT", f"/{capture_id}/stop")
    assert (answer.status_code, answer.content) == (204, b"")
    now = each.call("GET", f"/{capture_id}").json()["result"]
    assert now["status"] == "running"
    assert moment(now["stop_requested"]) == asked
    assert each.call("PUT", f"/{capture_id}/stop").status_code == 204, "asking twice is no error"
    final = each.finish(capture_id)
    assert final["status"] in ("success", "complete")
    assert final["packets_captured"] > 0
    assert delivered(each)
    assert moment(final["stop_requested"]) == asked
    capture = each.edge.captures[capture_id]
    assert capture.until == asked + timedelta(seconds=each.edge.variant.stop_takes)


def test_a_capture_stopped_before_it_ran_has_no_packets(make_world):
    world = make_world("conflict")
    world.register()
    capture_id = world.full(time_limit=3600).json()["result"]["id"]
    assert world.call("PUT", f"/{capture_id}/stop").status_code == 204
    world.seconds += 60  # nobody looked meanwhile
    assert world.edge.tick() is None or world.status(capture_id) in ("failed", "conversion_running")
    assert world.finish(capture_id)["status"] in ("failed", "complete")


def test_finished_and_simple_captures_cannot_be_stopped(world):
    world.register()
    simple = world.simple().json()["result"]["id"]
    full = world.full(time_limit=1).json()["result"]["id"]
    assert world.call("PUT", f"/{simple}/stop").status_code == 400
    world.finish(full)
    answer = world.call("PUT", f"/{full}/stop")
    assert (answer.status_code, answer.json()["success"]) == (400, False)


def test_unfinished_and_full_captures_cannot_be_downloaded(world):
    world.register()
    simple = world.simple().json()["result"]["id"]
    full = world.full(time_limit=1).json()["result"]["id"]
    unfinished = world.call("GET", f"/{simple}/download")
    world.finish(full)
    for answer in (unfinished, world.call("GET", f"/{full}/download")):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, 1004)
    assert world.call("GET", f"/{simple}/download").status_code == 200


def test_a_bucket_that_vanishes_meanwhile_fails_the_capture(world):
    world.register()
    capture_id = world.full().json()["result"]["id"]
    (world.buckets.root / "caps").rename(world.buckets.root / "gone")
    (world.buckets.root / "caps").write_text("in the way")
    final = world.finish(capture_id)
    assert final["status"] == "failed"
    assert final["error_message"].startswith("Could not write to destination_conf")


def test_no_two_captures_take_the_same_time_and_a_seed_repeats_them(make_world):
    def durations(seed):
        world = make_world(seed=seed)
        ids = []
        for _ in range(3):
            ids.append(world.simple(time_limit=1).json()["result"]["id"])
            world.advance(61, 61)
        return [world.edge.captures[i].steps for i in ids]

    first = durations(5)
    assert len(set(first)) == 3
    assert durations(5) == first != durations(6)


def test_the_list_holds_the_latest_fifty_in_the_variants_order(make_world):
    for variant in VARIANTS:
        world = make_world(variant, simple_spacing=1.0)
        ids = []
        for _ in range(52):
            world.seconds += 1
            ids.append(world.simple(time_limit=1).json()["result"]["id"])
        world.seconds += 10
        listed = [capture["id"] for capture in world.call("GET", "").json()["result"]]
        latest = ids[:1:-1]
        order = world.edge.variant.list_order
        if order == "shuffled":
            assert sorted(listed) == sorted(latest)
            assert listed not in (latest, latest[::-1])
        else:
            assert listed == (latest if order == "newest" else latest[::-1])


def test_a_lagging_list_shows_a_capture_later_than_its_id_does(make_world):
    world = make_world("lagging")
    capture_id = world.simple().json()["result"]["id"]
    world.advance(4)
    assert world.call("GET", "").json()["result"] == []
    assert world.call("GET", f"/{capture_id}").status_code == 200
    world.advance(2)
    assert [capture["id"] for capture in world.call("GET", "").json()["result"]] == [capture_id]


def test_each_account_sees_only_its_own(world):
    capture_id = world.simple().json()["result"]["id"]
    theirs = {"account": "f" * 32, "headers": {"authorization": f"Bearer {'s' * 40}"}}
    assert world.call("GET", "", **theirs).json()["result"] == []
    assert world.call("GET", f"/{capture_id}", **theirs).status_code == 404
    body = {"type": "simple", "system": "magic-transit", "time_limit": 1, "packet_limit": 1}
    assert world.call("POST", "", body, **theirs).status_code == 200, "lanes are per account"
