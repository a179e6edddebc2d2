"""What an entry's packets are made into: merged, filtered, counted, compared; on real stores."""

import hashlib
import io
import subprocess
from datetime import UTC, datetime, timedelta

import arro3.io
import pytest

import edgecap.captures.derive as module
from edgecap.archive import baseline
from edgecap.archive.commit import put_file
from edgecap.archive.journal_records import Intent
from edgecap.archive.layout import RAW, entry_prefix
from edgecap.archive.manifest import UNSUMMARISED, FileRecord
from edgecap.archive.summaries import read_summary
from edgecap.archive.verify import verify_entry
from edgecap.captures.derive import derive, derive_for
from edgecap.captures.fetching import Fetching
from edgecap.captures.identity import intent_id
from edgecap.captures.keep import keep
from edgecap.cloudflare.models import Capture
from edgecap.errors import StoreFull, StoreMissing
from edgecap.packets.inspect import Inspector
from edgecap.packets.verdict.conditions import Conditions
from edgecap.requests import Filter, SimpleRequest
from edgecap.settings import StoreLocation
from edgecap.simulator.traffic.pcapfile import PcapWriter
from edgecap.simulator.traffic.select import sample
from edgecap.simulator.traffic.synthetic import SyntheticTraffic
from edgecap.stores import open_store

START = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
TRAFFIC = SyntheticTraffic(7, attacks=())
SERIES = "capture/simple-every-10-min"


@pytest.fixture(params=["folder", "s3"])
def store(request, place_of):
    return open_store(place_of(request.param))


def recorded(server, seconds=2, link_type=1, start=START):
    """A file as Cloudflare leaves it: what one server saw."""
    out = io.BytesIO()
    writer = PcapWriter(out, link_type)
    for packet in TRAFFIC.packets(start, start + timedelta(seconds=seconds), colo="ORD"):
        if packet.server == server:
            writer.write(packet)
    return out.getvalue()


def job(number=1, submitted=START, kind="full"):
    answer = {"id": f"{number:032x}", "submitted": submitted, "status": "success", "type": kind}
    return Capture.model_validate(answer if kind == "simple" else {**answer, "colo_name": "ORD"})


def put_raw(store, capture, files):
    """The files where `fetch` leaves them, with its records of them."""
    records = []
    for name, data in files.items():
        digest = hashlib.sha256(data).hexdigest()
        prefix = entry_prefix(capture)
        kept = put_file(store, prefix, RAW + name, data, size=len(data), sha256=digest)
        inspector = Inspector()
        inspector.feed(data)
        more = {"found": inspector.finish(), "source_key": f"{name.split('.')[0]}/pcap_1.pcap"}
        records.append(FileRecord.of(kept, size=len(data), sha256=digest, **more))
    return records


def archived(store, capture, raw, derived, intent=None):
    return keep(store, capture, Fetching(tuple(raw)), intent, derived=derived)


def fetch(store, entry, role, path):
    [file] = [file for file in entry.manifest.files if file.role == role]
    with store.open(entry.prefix + file.name) as reader, path.open("wb") as out:
        for chunk in reader:
            out.write(chunk)
    return path


def test_servers_files_become_one_that_says_where_each_packet_was_seen(store, tmp_path):
    """tshark counts as many packets of each interface as capinfos counts in that server's file."""
    capture = job()
    raw = put_raw(store, capture, {f"ord02-s{n}.pcap": recorded(f"ord02-s{n}") for n in (1, 2, 3)})
    derived = derive(store, entry_prefix(capture), raw)
    entry = archived(store, capture, raw, derived)
    assert verify_entry(store, entry) == []
    assert sorted(file.role for file in entry.manifest.files) == ["flows", "merged", *["raw"] * 3, "summary"]
    assert (entry.manifest.flags, entry.manifest.state) == ((), "complete")
    merged = fetch(store, entry, "merged", tmp_path / "merged.pcapng")
    fields = ["-T", "fields", "-e", "frame.interface_name"]
    seen = subprocess.run(["tshark", "-r", merged, *fields], capture_output=True, text=True, check=True)
    names = seen.stdout.split()
    for file in raw:
        server = file.name.removeprefix(RAW).removesuffix(".pcap")
        assert names.count(f"{server}/pcap_1.pcap") == file.packets > 0
    summary = read_summary(store, entry)
    assert summary.packets == len(names) == entry.manifest.totals.packets
    assert [each.packets for each in summary.files] == [file.packets for file in raw]
    flows = arro3.io.read_parquet(fetch(store, entry, "flows", tmp_path / "f")).read_all()
    assert sum(value.as_py() for value in flows["packets"]) <= summary.packets
    assert flows.num_rows == summary.flows.records


def test_doing_it_again_changes_nothing(store):
    """After a crash between the files and the manifest, the second life finds the same bytes."""
    capture = job()
    raw = put_raw(store, capture, {"ord02-s1.pcap": recorded("ord02-s1")})
    first = derive(store, entry_prefix(capture), raw, conditions=Conditions(sampled=True))
    keys = [info.key for info in store.list()]
    again = derive(store, entry_prefix(capture), raw, conditions=Conditions(sampled=True))
    assert first == again
    assert [info.key for info in store.list()] == keys


def test_the_residual_filter_is_applied_here_and_the_originals_stay(store, tmp_path):
    """tcpdump's own filter finds the same packets in the original."""
    capture = job()
    data = recorded("ord02-s1")
    raw = put_raw(store, capture, {"ord02-s1.pcap": data})
    expression = "udp and src port 53"
    entry = archived(store, capture, raw, derive(store, entry_prefix(capture), raw, expression=expression))
    assert verify_entry(store, entry) == []
    (tmp_path / "raw.pcap").write_bytes(data)
    count = ["tcpdump", "-r", tmp_path / "raw.pcap", "--count", expression]
    said = subprocess.run(count, capture_output=True, text=True, check=True)
    wanted = int((said.stdout + said.stderr).split(" packet")[0].split()[-1])
    residual = entry.manifest.residual
    assert (residual.kept, residual.packets, residual.expression) == (wanted, raw[0].packets, expression)
    assert 0 < residual.kept < residual.packets == entry.manifest.totals.packets
    summary = read_summary(store, entry)
    assert (summary.packets, summary.residual.packets) == (wanted, raw[0].packets)


def test_a_file_without_packets_is_kept_and_flagged(store):
    """An entry without a readable packet has a summary that says so, and no merged file."""
    capture = job()
    raw = put_raw(store, capture, {"a.pcap": b"<html>", "b.pcap": recorded("ord02-s1")[:20]})
    entry = archived(store, capture, raw, derive(store, entry_prefix(capture), raw))
    assert {file.role for file in entry.manifest.files} == {"raw", "summary"}
    summary = read_summary(store, entry)
    assert summary.verdict == "No packets."
    assert "an HTML page" in summary.files[0].damage


def test_a_cut_file_is_summarized_up_to_there(store):
    capture = job()
    data = recorded("ord02-s1")
    raw = put_raw(store, capture, {"a.pcap": data[:-7]})
    entry = archived(store, capture, raw, derive(store, entry_prefix(capture), raw))
    summary = read_summary(store, entry)
    assert summary.packets == raw[0].packets > 0
    assert summary.files[0].damage.startswith("from byte ")
    assert "truncated" in entry.manifest.flags


def test_a_filter_unknown_to_a_link_type_costs_only_the_summary(store):
    capture = job()
    raw = put_raw(store, capture, {"a.pcap": recorded("ord02-s1", link_type=101)})
    derived = derive(store, entry_prefix(capture), raw, expression="ether host 2:0:0:0:0:1")
    entry = archived(store, capture, raw, derived)
    assert verify_entry(store, entry) == []
    assert UNSUMMARISED in entry.manifest.flags
    assert "link type 101" in entry.manifest.trouble
    assert read_summary(store, entry) is None


def test_one_file_of_another_link_type_costs_only_itself(store):
    """The filter is applied to the others, and what was left out is said."""
    capture = job()
    files = {"a.pcap": recorded("ord02-s1"), "b.pcap": recorded("ord02-s2", link_type=101)}
    raw = put_raw(store, capture, files)
    derived = derive(store, entry_prefix(capture), raw, expression="ether host 2:0:0:0:1:0")
    entry = archived(store, capture, raw, derived)
    assert (derived.trouble, UNSUMMARISED in entry.manifest.flags) == ("", False)
    summary = read_summary(store, entry)
    assert [bool(each.damage) for each in summary.files] == [False, True]
    assert "link type 101" in summary.files[1].damage


def test_no_matching_packets_differ_from_no_packets(store):
    capture = job()
    raw = put_raw(store, capture, {"a.pcap": recorded("ord02-s1")})
    derived = derive(store, entry_prefix(capture), raw, expression="tcp port 9")
    assert derived.verdict == f"None of {raw[0].packets:,} packets matches the filter."


def test_files_in_another_order_make_the_same(store):
    """A retried run may see at once what came late before."""
    capture = job()
    raw = put_raw(store, capture, {f"ord02-s{n}.pcap": recorded(f"ord02-s{n}") for n in (1, 2, 3)})
    first = derive(store, entry_prefix(capture), raw)
    assert derive(store, entry_prefix(capture), raw[::-1]) == first


def test_a_full_disk_is_a_failure_that_can_be_tried_again(small_disk):
    """A megabyte holds the raw file and not what is made of it; nothing half-made stays."""
    store = open_store(StoreLocation(uri=f"file:{small_disk}"))
    capture = job()
    data = recorded("ord02-s1", seconds=8)
    raw = put_raw(store, capture, {"a.pcap": data[: 600 << 10]})
    with pytest.raises(StoreFull):
        derive(store, entry_prefix(capture), raw)
    assert [info.key.rpartition("/")[2] for info in store.list()] == ["a.pcap"]
    assert list(store.staging().iterdir()) == []


@pytest.mark.parametrize("step", ["local_files", "_make", "_put"])
def test_a_folder_that_vanishes_meanwhile_is_reported_and_not_made_again(tmp_path, monkeypatch, step):
    """A run waits for a disk that was unmounted; for a file that is missing it would not."""
    root = tmp_path / "archive"
    root.mkdir()
    store = open_store(StoreLocation(uri=f"file:{root}"))
    capture = job()
    raw = put_raw(store, capture, {"a.pcap": recorded("ord02-s1")})
    known = getattr(module, step)

    def unmounted(*given, **named):
        root.rename(tmp_path / "away")
        return known(*given, **named)

    monkeypatch.setattr(module, step, unmounted)
    with pytest.raises(StoreMissing, match="the folder does not exist"):
        derive(store, entry_prefix(capture), raw)
    assert not root.exists()
    (tmp_path / "away").rename(root)
    monkeypatch.undo()
    derived = derive(store, entry_prefix(capture), raw)
    assert [file.role for file in derived.files] == ["merged", "flows", "summary"]


class TestSeries:
    """Captures of one schedule are compared with the ones before them."""

    @pytest.fixture
    def take(self, store):
        def taken(number, *, series=SERIES, time_limit=60, files=None, target=None, part=()):
            at = START + timedelta(minutes=10 * number)
            capture = job(number, at, "simple")
            wanted = Filter(destination_address=target)
            request = SimpleRequest(time_limit=time_limit, offset_time=at, filter=wanted)
            intent = Intent(
                intent_id=intent_id(part[0], part[1], str(part[2])) if part else f"i{number}",
                incident=part[0] if part else None,
                request=request,
                account="default",
                archive="default",
                body={},
                decided=at,
                series=series,
            )
            raw = put_raw(store, capture, files or {"all.pcap": recorded("ord02-s1", start=at)})
            derived = derive_for(store, capture, raw, intent)
            entry = archived(store, capture, raw, derived, intent)
            return read_summary(store, entry)

        return taken

    def test_the_last_ten_of_the_same_schedule_that_asked_for_the_same(self, take):
        assert take(1).difference is None
        take(2, series="capture/other")
        take(3, time_limit=30)
        take(4, files={"all.pcap": b"no packets"})
        for number in range(5, 16):
            found = take(number).difference
        assert found.captures == tuple(f"{number:032x}" for number in range(14, 4, -1))
        assert found.series == SERIES

    def test_a_verdict_is_compared_with_the_schedule_else_with_quiet_hours(self, take):
        """How long it looked back does not matter for rates."""
        first = take(1)
        assert first.baseline is None
        assert any("usual rate of such packets is not known" in line for line in first.caveats)
        take(2, series="capture/other", time_limit=30)
        found = take(3).baseline
        assert (found.kind, found.captures) == ("schedule", (f"{1:032x}",))
        assert take(4, series="").baseline is None  # an attack of the last hour may go on
        found = take(9, series="").baseline
        assert (found.kind, found.captures) == ("target", tuple(f"{each:032x}" for each in (2, 1)))
        assert "with its filter, taken an hour or more before it" in found.words
        assert take(10, series="").strength == "nothing"
        assert take(11, series="", target="203.0.113.9").baseline is None

    def test_captures_of_an_incident_are_compared_with_those_before_its_attack(self, take):
        """Those during it were taken while the attack went on, and say nothing usual, now and later."""
        incident = "ab" * 16
        take(1, series="", part=(incident, "before", 1))
        take(2, series="", part=(incident, "during", 1))
        found = take(3, series="", part=(incident, "during", 2)).baseline
        assert (found.kind, found.captures) == ("incident", (f"{1:032x}",))
        assert take(12, series="").baseline is None

    def test_what_may_be_an_attack_is_usual_only_if_it_always_was(self, take, monkeypatch):
        """A service that always looks so becomes nothing; an attack of the last hours does not."""
        doubtful = take(1, series="").model_copy(update={"strength": "possible"})
        monkeypatch.setattr(baseline, "read_summary", lambda *_: doubtful)
        assert take(19, series="").baseline is None
        assert take(38, series="").baseline.captures == (f"{1:032x}",)

    def test_an_unreadable_manifest_costs_only_itself(self, store, take):
        for number in (1, 2, 3):
            take(number)
        prefix = entry_prefix(job(2, START + timedelta(minutes=20), "simple"))
        store.delete(prefix + "manifest.json")
        store.put(prefix + "manifest.json", b"{}")
        assert take(4).difference.captures == (f"{3:032x}", f"{1:032x}")

    def test_a_new_talker_shows(self, take):
        """The same traffic, and then a flood from one address."""
        for number in (1, 2):
            take(number)
        data = recorded("ord02-s1", start=START + timedelta(minutes=30))
        lone = next(
            packet for packet in TRAFFIC.packets(START, START + timedelta(seconds=5)) if packet.data[23] == 17
        )
        flood = bytearray(lone.data)
        flood[26:30] = bytes([100, 64, 9, 9])
        out = io.BytesIO()
        writer = PcapWriter(out, 1)
        stamp = int((START + timedelta(minutes=30)).timestamp() * 1e9)
        for number in range(3000):
            writer.write(type(lone)(stamp + number * 1000, bytes(flood), "s"))
        summary = take(3, files={"all.pcap": data, "flood.pcap": out.getvalue()})
        changes = {(change.kind, change.what) for change in summary.difference.changes}
        assert ("new-source", "100.64.9.9") in changes
        assert ("mix", "udp") in changes
        assert "Differs from the 2 captures before" in summary.difference.verdict


class TestOverlap:
    """Simple captures are sampled 1 in 4 here, which only the tests know."""

    @pytest.fixture
    def take(self, store):
        def taken(number, kind, *, minutes=0):
            capture = job(number, START + timedelta(minutes=minutes, seconds=number), kind)
            whole = list(TRAFFIC.packets(START, START + timedelta(seconds=12)))
            out = io.BytesIO()
            writer = PcapWriter(out, 1, 160 if kind == "simple" else 65_535)
            here = TRAFFIC.packets(START, START + timedelta(seconds=12), colo="ORD")
            for packet in here if kind == "full" else sample(whole, 4):
                writer.write(packet)
            raw = put_raw(store, capture, {f"{kind}.pcap": out.getvalue()})
            return read_summary(store, archived(store, capture, raw, derive_for(store, capture, raw, None)))

        return taken

    def test_the_sampling_follows_from_a_full_capture_of_that_time(self, take):
        assert take(1, "simple").conditions.sampling is None
        take(2, "full")
        found = take(3, "simple")
        estimate = found.conditions.sampling_estimate
        assert estimate.low <= 4 <= estimate.high
        assert found.conditions.sampling == estimate.value
        assert "full capture 00000000" in found.conditions.sampling_from
        assert any("The packets are samples, 1 in " in line and "(95 %)" in line for line in found.caveats)
        assert found.rates.packets_estimate.value == pytest.approx(
            estimate.value * found.packets / found.seconds
        )

    def test_a_full_capture_tells_that_of_simple_ones_before_it(self, take):
        take(1, "simple")
        (found,) = take(2, "full").sampled_captures
        assert found.capture == f"{1:032x}"
        assert found.sampling.low <= 4 <= found.sampling.high
        assert found.line.startswith("Simple capture 00000000 kept 1 in ")

    def test_a_full_capture_of_another_time_tells_nothing(self, take, monkeypatch):
        take(1, "full")
        later = SyntheticTraffic(8, attacks=())
        monkeypatch.setitem(globals(), "TRAFFIC", later)
        assert take(2, "simple").conditions.sampling is None
