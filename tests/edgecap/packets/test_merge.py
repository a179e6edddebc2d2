"""Merged files hold every packet of their sources, by time, and say where it came from."""

import gzip
import os
import random
import resource
import subprocess
import tracemalloc
from collections import Counter
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.errors import InvalidRequest, ObjectChanged, ObjectExists, ObjectMissing, StoreFull
from edgecap.files.unzstd import zstd
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.inspect import inspect_file
from edgecap.packets.merge import MergeSource, merge
from edgecap.packets.reader import open_packets
from tests.edgecap.packets.files import (
    REAL,
    SECOND,
    block,
    enhanced,
    interface,
    packets_of,
    pcap,
    pcapng,
    section,
    tshark,
)

START = 1_795_000_000 * SECOND
FIELDS = ("frame.time_epoch", "frame.cap_len", "frame.len", "frame.md5_hash")
WITH_HASHES = ("-o", "frame.generate_md5_hash:TRUE")


def multiset(path) -> Counter:
    """What tshark sees of a file, without the order."""
    return Counter(map(tuple, tshark(path, *FIELDS, options=WITH_HASHES)))


def packets_in(path):
    with open_packets(path) as reader:
        return packets_of(reader)


def put(folder, files: dict[str, bytes]) -> list[MergeSource]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [MergeSource(folder / name) for name in files]


def test_wireshark_sees_the_same_packets_in_ours_and_in_those_of_mergecap(tmp_path):
    ours, theirs = tmp_path / "ours.pcapng", tmp_path / "theirs.pcapng"
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in REAL}
    done = merge([MergeSource(path, "ord02-s1") for path in REAL], ours)
    subprocess.run(["mergecap", "-w", str(theirs), *map(str, REAL)], check=True, capture_output=True)
    assert done.packets == 5 * 81
    assert multiset(ours) == multiset(theirs) == sum((multiset(path) for path in REAL), Counter())
    count = subprocess.run(["capinfos", "-Mc", str(ours)], check=True, capture_output=True, text=True)
    assert "Number of packets:   405" in count.stdout
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in REAL} == before


def test_an_interface_says_server_and_file_and_keeps_link_type_and_nanoseconds(tmp_path):
    target = tmp_path / "merged.pcapng"
    named = [MergeSource(path, f"ord0{place}-s1") for place, path in enumerate(REAL)]
    done = merge(named, target)
    assert [each.interfaces for each in done.sources] == [(0,), (1,), (2,), (3,), (4,)]
    seen = Counter(name for (name,) in tshark(target, "frame.interface_name"))
    assert seen == {f"ord0{place}-s1/{path.name}": 81 for place, path in enumerate(REAL)}
    with open_packets(target) as reader:
        packets_of(reader)
        link_types = [each.link_type for each in reader.interfaces]
    assert link_types == [113, 276, 1, 1, 1]
    nano = {time for time, *_ in packets_in(REAL[4])}
    assert any(time % 1_000 for time in nano)
    assert nano <= {time for time, *_ in packets_in(target)}


files_of_packets = st.lists(
    st.tuples(
        st.sampled_from(
            [
                lambda packets: pcap(packets, nano=True),
                lambda packets: pcap(packets, nano=True, order=">", link_type=101),
                lambda packets: pcapng(packets, link_type=113),
                lambda packets: gzip.compress(pcapng(packets, order=">")),
                lambda packets: zstd.compress(pcap(packets, nano=True)),
            ]
        ),
        st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=40), st.integers(0, 1_500)), max_size=12),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60)
@given(files=files_of_packets, ordered=st.booleans())
def test_any_files_give_all_their_packets_in_order(tmp_path_factory, files, ordered):
    folder = tmp_path_factory.mktemp("merge")
    contents = {}
    for place, (make, packets) in enumerate(files):
        ready = sorted(packets, key=itemgetter(0)) if ordered else packets
        contents[f"{place}"] = make(ready)
    sources = put(folder, contents)
    done = merge(sources, folder / "merged.pcapng")
    expected = [packet for each in sources for packet in packets_in(each.path)]
    merged = packets_in(folder / "merged.pcapng")
    if ordered:
        assert merged == sorted(expected, key=itemgetter(0))  # stable: equals keep the order of the sources
    assert Counter(merged) == Counter(expected)
    assert done.packets == len(expected)
    assert done.size == (folder / "merged.pcapng").stat().st_size
    assert [each.inspection for each in done.sources] == [inspect_file(each.path) for each in sources]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*contents, "merged.pcapng"])


def test_large_and_many_chunks_are_put_together(tmp_path):
    random.seed(7)
    contents, everything = {}, []
    for place in range(3):
        packets = sorted(
            (START + random.randrange(SECOND), random.randbytes(random.choice([0, 1, 60, 1500, 9000])), 9000)
            for _ in range(3000)
        )
        everything += packets
        contents[f"{place}.pcap"] = pcap(packets, nano=True)
    contents["jumbo.pcap"] = pcap([(START + 5, bytes(262_144), 262_144)] * 9, nano=True)
    merge(put(tmp_path, contents), tmp_path / "merged.pcapng")
    merged = [packet[:3] for packet in packets_in(tmp_path / "merged.pcapng")]
    assert Counter(merged) == Counter(everything + [(START + 5, bytes(262_144), 262_144)] * 9)
    assert [time for time, *_ in merged] == sorted(time for time, *_ in merged)


def test_interfaces_and_sections_of_one_source_stay_apart(tmp_path):
    two = section() + interface(name=b"eth0", resolution=9) + interface(name=b"tun0", link_type=101)
    two += enhanced(1, b"a", 1, number=0) + enhanced(2, b"b", 1, number=1)
    two += section(">") + interface(name=b"late", order=">", link_type=113) + enhanced(3, b"c", 1, order=">")
    done = merge(put(tmp_path, {"two.pcapng": two, "one.pcap": pcap([])}), tmp_path / "m.pcapng")
    assert [each.interfaces for each in done.sources] == [(0, 1, 2), (3,)]
    assert [(data, link) for _, data, _, link in packets_in(tmp_path / "m.pcapng")] == [
        (b"a", 1),
        (b"b", 101),
        (b"c", 113),
    ]


def test_damaged_sources_are_merged_partly_and_the_loss_is_reported(tmp_path):
    whole = pcap([(START + number, b"x" * 50, 50) for number in range(10)])
    packed = zstd.compress(whole, options={zstd.CompressionParameter.checksum_flag: 1})
    sources = put(
        tmp_path,
        {
            "whole.pcap": whole,
            "cut.pcap": whole[:-7],
            "page.html": b"<html>",
            "empty": b"",
            "cut.zst": packed[:-2],
            "whole.zst": packed,
        },
    )
    done = merge(sources, tmp_path / "merged.pcapng")
    assert done.packets == 10 + 9 + 10 + 10
    assert inspect_file(tmp_path / "merged.pcapng").packets == 39
    damage = {each.source.path.name: each.inspection.damage for each in done.damaged}
    assert damage == {
        "cut.pcap": "cut after packet 9: 59 bytes of a record of 66 or more",
        "page.html": "it is an HTML page, not packets",
        "empty": "the file has no bytes",
        "cut.zst": f"the zstd stream is cut after {len(whole)} unpacked bytes",
    }
    assert [each.interfaces for each in done.sources] == [(0,), (1,), (), (), (2,), (3,)]


def test_packets_without_a_time_or_from_before_1970_are_merged(tmp_path):
    odd = section() + interface(offset=-100) + enhanced(5, b"old", 3) + block(3, b"\x02\0\0\0ab")
    merge(put(tmp_path, {"odd.pcapng": odd}), tmp_path / "merged.pcapng")
    assert [(time, data) for time, data, *_ in packets_in(tmp_path / "merged.pcapng")] == [
        (0, b"old"),
        (0, b"ab"),
    ]


@contextmanager
def few_descriptors(spare: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_hundreds_of_files_need_few_descriptors_and_little_memory(tmp_path):
    contents = {
        f"{place:03}.pcap": pcap(
            [(START + place + 300 * number, bytes(400), 400) for number in range(800)], nano=True
        )
        for place in range(300)
    }
    sources = put(tmp_path, contents)
    tracemalloc.start()
    with few_descriptors(8):
        done = merge(sources, tmp_path / "merged.pcapng")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.packets == 240_000
    assert peak < 64 << 20
    with open_packets(tmp_path / "merged.pcapng") as reader:
        times = [time for batch in reader for time in batch.rows["time"].tolist()]
    assert times == list(range(START, START + 240_000))


def test_a_taken_name_is_refused_and_left_alone(tmp_path):
    target = tmp_path / "merged.pcapng"
    target.write_bytes(b"mine")
    with pytest.raises(ObjectExists, match=r"the file already exists \(.*merged.pcapng\)"):
        merge([MergeSource(REAL[0])], target)
    assert target.read_bytes() == b"mine"


def test_nothing_is_left_when_a_source_is_missing(tmp_path):
    with pytest.raises(ObjectMissing, match=r"there is no such file \(.*missing.pcap\)"):
        merge([MergeSource(REAL[0]), MergeSource(tmp_path / "missing.pcap")], tmp_path / "merged.pcapng")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_reported_and_leaves_no_file(tmp_path):
    (source,) = put(tmp_path, {"a.pcap": pcap([(START, bytes(9000), 9000)] * 1000)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(StoreFull):
            merge([source], tmp_path / "merged.pcapng")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pcap"]


def test_a_source_that_is_replaced_meanwhile_is_an_error(tmp_path):
    (tmp_path / "target").mkdir()
    first = pcap([(START + number, bytes(1000), 1000) for number in range(5000)])
    sources = put(tmp_path, {"a.pcap": first, "b.pcap": first})

    class Replacing:
        """A path whose file becomes another one while the merge reads it."""

        def __init__(self, path):
            self.path, self.opened, self.name = path, 0, path.name

        def __fspath__(self):
            self.opened += 1
            if self.opened == 3:
                self.path.unlink()
                self.path.write_bytes(first)
                os.link(self.path, self.path.with_name("keeps its number"))
            return str(self.path)

        def open(self, *args, **keywords):
            return self.path.open(*args, **keywords)

        def __str__(self):
            return str(self.path)

    held = (tmp_path / "a.pcap").open("rb")  # so that the new file cannot get the same number
    with held, pytest.raises(ObjectChanged, match="was replaced during the merge"):
        merge(
            [MergeSource(Replacing(tmp_path / "a.pcap")), sources[1]], tmp_path / "target" / "merged.pcapng"
        )
    assert list((tmp_path / "target").iterdir()) == []


@pytest.mark.parametrize("expression", ["tcp", "udp port 53", "ip6", "icmp or arp", "not ip", "len > 1000"])
def test_matching_packets_are_those_of_tcpdump_and_are_counted(tmp_path, expression):
    """Each source is filtered by its own link type; the tally sees what is written, and nothing else."""
    ours, tally = tmp_path / "ours.pcapng", FlowTable()
    sources = [each for each in REAL if each.suffix == ".pcap"]
    done = merge([MergeSource(each) for each in sources], ours, expression=expression, tally=tally)
    tally.finish()
    theirs = Counter()
    for each in sources:
        kept = tmp_path / f"{each.stem}.pcap"
        subprocess.run(
            ["tcpdump", "-r", each, "-w", kept, *nanoseconds(each), expression],
            check=True,
            capture_output=True,
        )
        theirs += Counter((time, data, wire) for time, data, wire, _ in packets_in(kept))
    merged = packets_in(ours)
    assert Counter((time, data, wire) for time, data, wire, _ in merged) == theirs
    assert done.packets == tally.packets == len(merged) > 0
    assert tally.counts["wire"] == sum(wire for _, _, wire, _ in merged)
    assert [each.inspection.packets for each in done.sources] == [81] * len(sources)


def nanoseconds(path):
    return ["--time-stamp-precision=nano"] if "nano" in path.name else []


def test_a_tally_counts_the_same_merged_or_file_by_file(tmp_path):
    merged, apart = FlowTable(), FlowTable()
    merge([MergeSource(each) for each in REAL], tmp_path / "merged.pcapng", tally=merged)
    for each in REAL:
        with open_packets(each) as reader:
            for batch in reader:
                apart.feed(batch, reader.interfaces)
    merged.finish()
    apart.finish()
    assert merged.counts == apart.counts
    assert merged.packets == 405
    assert merged.sources.distinct() == apart.sources.distinct()


def test_an_expression_that_nothing_matches_gives_a_file_without_packets(tmp_path):
    tally = FlowTable()
    done = merge([MergeSource(REAL[0])], tmp_path / "merged.pcapng", expression="tcp port 1", tally=tally)
    tally.finish()
    assert (done.packets, tally.packets) == (0, 0)
    assert packets_in(tmp_path / "merged.pcapng") == []


@pytest.mark.parametrize("packets", [[], [(START, bytes(60), 60)]])
def test_an_invalid_expression_is_refused_and_leaves_no_file(tmp_path, packets):
    """Also where there is no packet that it would be tried on."""
    (source,) = put(tmp_path, {"a.pcap": pcap(packets)})
    with pytest.raises(InvalidRequest, match=r"the filter is not valid.*a\.pcap"):
        merge([source], tmp_path / "merged.pcapng", expression="no such thing")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pcap"]


def test_an_empty_merge_is_reported(tmp_path):
    with pytest.raises(InvalidRequest, match="nothing to merge; name at least one file"):
        merge([], tmp_path / "merged.pcapng")
