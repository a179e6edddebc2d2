"""What an inspection finds in good, cut, mutated and arbitrary files, and that `capinfos` agrees."""

import gzip
import struct
import subprocess
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.errors import ObjectMissing
from edgecap.packets.inspect import Inspector, inspect_file
from edgecap.packets.inspection import FLAGS
from tests.edgecap.packets.files import (
    SECOND,
    block,
    enhanced,
    interface,
    packets_strategy,
    pcap,
    pcapng,
    section,
)

SAMPLE = [
    (1_795_000_000 * SECOND + 123_456_789, b"a" * 60, 60),
    (1_795_000_000 * SECOND + 123_456_999, b"b" * 33, 1514),
    (1_795_000_007 * SECOND + 5_000, b"", 42),
]


def ends(packets, *, kind: str) -> list[int]:
    """The offsets at which a file of these packets may end without being cut, apart from its header's."""
    out = [24 if kind == "pcap" else len(pcapng([]))]
    for _, data, _ in packets:
        out.append(out[-1] + (16 + len(data) if kind == "pcap" else 32 + len(data) + -len(data) % 4))
    return out


def inspect(data: bytes, *cuts: int):
    inspector = Inspector()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        inspector.feed(data[start:end])
    return inspector.finish()


def expected_times(packets, unit: int) -> tuple[int | None, int | None]:
    times = [time // unit * unit for time, _, _ in packets]
    return (min(times), max(times)) if times else (None, None)


@given(packets=packets_strategy, order=st.sampled_from("<>"), nano=st.booleans())
def test_pcap_round_trip(packets, order, nano):
    found = inspect(pcap(packets, order=order, nano=nano, link_type=101, snaplen=160))
    assert (found.format, found.encoding, found.link_types, found.snaplen) == ("pcap", "", (101,), 160)
    assert found.packets == len(packets)
    assert found.bytes_captured == sum(len(data) for _, data, _ in packets)
    assert found.bytes_on_wire == sum(original for _, _, original in packets)
    assert (found.first_ns, found.last_ns) == expected_times(packets, 1 if nano else 1000)
    assert (found.damage_offset, found.damage) == (None, "")
    times = [time // (1 if nano else 1000) for time, _, _ in packets]
    assert ("time-backwards" in found.flags) == (times != sorted(times))
    assert ("empty" in found.flags) == (not packets)


@given(packets=packets_strategy, order=st.sampled_from("<>"), resolution=st.sampled_from([0, 3, 6, 9]))
def test_pcapng_round_trip(packets, order, resolution):
    found = inspect(pcapng(packets, order=order, resolution=resolution))
    assert (found.format, found.link_types) == ("pcapng", (1,))
    assert found.packets == len(packets)
    assert found.bytes_captured == sum(len(data) for _, data, _ in packets)
    assert found.bytes_on_wire == sum(original for _, _, original in packets)
    assert (found.first_ns, found.last_ns) == expected_times(packets, 10 ** (9 - resolution))
    assert found.damage_offset is None


anything = st.one_of(
    st.binary(max_size=200),
    packets_strategy.map(pcap),
    packets_strategy.map(pcapng),
    packets_strategy.map(lambda packets: gzip.compress(pcap(packets), mtime=0)),
    st.binary(max_size=100).map(lambda tail: pcap(SAMPLE)[:24] + tail),
    st.binary(max_size=100).map(lambda tail: pcapng(SAMPLE)[:48] + tail),
)


@given(data=anything, cuts=st.lists(st.integers(0, 400), max_size=12))
def test_chunks_make_no_difference_and_no_bytes_make_it_fail(data, cuts):
    found = inspect(data, *cuts)
    assert found == inspect(data)
    assert found == inspect(data, *range(len(data)))
    assert set(found.flags) <= FLAGS.keys()
    assert (found.damage_offset is None) == (found.damage == "")
    assert "\n" not in found.damage
    if not found.encoding:
        assert found.size == len(data)
        assert found.damage_offset is None or 0 <= found.damage_offset <= len(data)


@given(
    whole=st.one_of(packets_strategy.map(pcap), packets_strategy.map(pcapng)),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_mutated_files_are_read_up_to_the_damage(whole, changes):
    data = bytearray(whole)
    for place, value in changes:
        data[place % len(data)] = value
    found = inspect(bytes(data))
    if found.damage_offset:
        good = inspect(bytes(data[: found.damage_offset]))
        assert good.damage_offset is None
        assert (good.packets, good.bytes_on_wire) == (found.packets, found.bytes_on_wire)


@given(packets=packets_strategy, kind=st.sampled_from(["pcap", "pcapng"]), data=st.data())
def test_a_cut_is_flagged_with_the_offset_where_good_data_ends(packets, kind, data):
    whole = pcap(packets) if kind == "pcap" else pcapng(packets)
    cut = data.draw(st.integers(4, len(whole)))
    found = inspect(whole[:cut])
    # The header of a pcapng here is two blocks, so its end is one more place where nothing is missing.
    boundaries = [0, *([28] if kind == "pcapng" else []), *ends(packets, kind=kind)]
    good = max(edge for edge in boundaries if edge <= cut)
    if good == cut:
        assert found.damage_offset is None
        assert "truncated" not in found.flags
    else:
        assert found.damage_offset == good
        assert "truncated" in found.flags
    assert found.packets == max(0, len([edge for edge in ends(packets, kind=kind) if edge <= cut]) - 1)


def test_an_absurd_length_stops_the_walk_and_is_not_buffered():
    good = pcap(SAMPLE)
    bad = good + struct.pack("<IIII", 1_795_000_008, 0, 0xFFFF_FFF0, 60)
    inspector = Inspector()
    inspector.feed(bad)
    filler = bytes(1 << 20)
    tracemalloc.start()
    for _ in range(64):
        inspector.feed(filler)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found = inspector.finish()
    assert peak < 1 << 20
    assert found.flags == ("absurd-length",)
    assert (found.packets, found.damage_offset) == (3, len(good))
    assert found.size == len(bad) + 64 * len(filler)
    assert found.damage == (
        "the record after packet 3 claims 4294967280 bytes: the last 67,108,880 bytes cannot be read"
    )


def test_a_long_but_possible_block_is_held_only_up_to_its_limit():
    inspector = Inspector()
    inspector.feed(pcapng(SAMPLE) + struct.pack("<II", 0x0BAD, 16 << 20))
    tracemalloc.start()
    for _ in range(64):
        inspector.feed(bytes(1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20
    assert inspector.finish().flags == ("bad-structure",)


@pytest.mark.parametrize("order", "<>")
def test_every_kind_of_packet_block_counts(order):
    data = (
        section(order)
        + interface(order=order, snaplen=8)
        + interface(order=order, resolution=0x80 | 10, offset=100, link_type=101)
        + block(5, bytes(12), order=order)
        + enhanced(5_000_000, b"12345", 60, order=order)
        + block(3, struct.pack(order + "I", 1500) + b"12345678", order=order)
        + block(2, struct.pack(order + "HHIIII", 1, 7, 0, 3 << 10, 3, 99) + b"abc", order=order)
    )
    found = inspect(data)
    assert (found.packets, found.bytes_captured, found.bytes_on_wire) == (3, 5 + 8 + 3, 60 + 1500 + 99)
    assert (found.first_ns, found.last_ns) == (5 * SECOND, 103 * SECOND)
    assert (found.link_types, found.snaplen) == ((1, 101), 8)
    assert found.flags == ("no-times",)
    assert found.damage_offset is None


def test_sections_of_both_byte_orders_follow_each_other():
    found = inspect(pcapng(SAMPLE, order="<") + pcapng(SAMPLE, order=">"))
    assert found.packets == 6
    assert found.flags == ("time-backwards",)
    assert found.damage_offset is None


@pytest.mark.parametrize(
    ("tail", "flag"),
    [
        (block(6, bytes(16)), "bad-structure"),
        (enhanced(0, b"x", 1, number=1), "bad-structure"),
        (block(6, struct.pack("<IIIII", 0, 0, 0, 5, 5) + b"abcd"), "bad-structure"),
        (block(6, struct.pack("<IIIII", 0, 0, 0, 1 << 20, 5) + b"abcd"), "absurd-length"),
        (struct.pack("<III", 6, 10, 10), "bad-structure"),
        (struct.pack("<III", 6, 34, 34), "bad-structure"),
        (struct.pack("<III", 6, 17 << 20, 0), "absurd-length"),
        (struct.pack("<III", 5, 12, 16), "bad-structure"),
        (struct.pack("<III", 0x0A0D0D0A, 28, 0x12345678), "bad-structure"),
        (block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1)), "bad-structure"),
        (block(0x0A0D0D0A, struct.pack("<I", 0x1A2B3C4D)), "bad-structure"),
        (block(1, b""), "bad-structure"),
        (block(2, b""), "bad-structure"),
        (block(3, b""), "bad-structure"),
        (block(3, struct.pack("<I", 1500) + b"1234"), "bad-structure"),
        (block(3, struct.pack("<I", 1 << 20) + b"1234"), "absurd-length"),
        (section() + enhanced(0, b"x", 1), "bad-structure"),
        (section() + block(3, struct.pack("<I", 0)), "bad-structure"),
    ],
)
def test_a_pcapng_that_contradicts_itself_is_read_up_to_there(tail, flag):
    good = pcapng(SAMPLE)
    found = inspect(good + tail)
    assert found.flags == (flag,)
    assert found.packets == 3
    assert found.damage_offset == len(good) + (28 if tail.startswith(section()) else 0)


def test_interfaces_without_end_do_not_fill_the_memory():
    found = inspect(section() + interface() * 65_537)
    assert "more than 65536 interfaces" in found.damage
    assert found.damage_offset == 28 + 65_536 * 20


def test_an_unknown_pcap_version_is_reported():
    data = bytearray(pcap(SAMPLE))
    data[4] = 9
    found = inspect(bytes(data))
    assert (found.format, found.flags, found.damage_offset) == ("pcap", ("bad-structure", "empty"), 0)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file has no bytes"),
        (b"\xd4", "it does not begin as pcap or pcapng"),
        (b"<?xml version='1.0'?><Error>", "it is an XML answer, not packets"),
        (b"<!doctype html>", "it is an HTML page, not packets"),
        (b'{"success": false}', "it is a JSON answer, not packets"),
        (gzip.compress(b"\x28\xb5\x2f\xfd1234", mtime=0), "it is zstd within gzip, not packets"),
        (gzip.compress(gzip.compress(b"", mtime=0), mtime=0), "it is gzip within gzip, not packets"),
    ],
)
def test_a_file_that_is_not_pcap_is_named(data, said):
    found = inspect(data)
    assert (found.format, found.flags, found.damage_offset) == ("unknown", ("empty", "not-pcap"), 0)
    assert found.damage == said


def test_times_are_aware_utc_and_exact_in_nanoseconds():
    found = inspect(pcap(SAMPLE[:1], nano=True))
    assert found.first == datetime.fromtimestamp(1_795_000_000, UTC).replace(microsecond=123_456)
    assert found.first_ns == 1_795_000_000_123_456_789


def test_a_time_that_no_calendar_has_is_kept_in_nanoseconds_only():
    found = inspect(section() + interface(resolution=0) + enhanced((1 << 64) - 1, b"x", 1))
    assert (found.first, found.last) == (None, None)
    assert found.last_ns == ((1 << 64) - 1) * SECOND


def test_gzip_gives_the_same_as_plain():
    plain = inspect(pcap(SAMPLE))
    packed = inspect(gzip.compress(pcap(SAMPLE)))
    assert packed == replace(plain, encoding="gzip")


def test_a_cut_gzip_is_flagged_even_if_all_packets_came():
    packed = inspect(gzip.compress(pcap(SAMPLE))[:-8])
    assert packed.packets == 3
    assert packed.flags == ("gzip-damaged",)
    assert packed.damage_offset == len(pcap(SAMPLE))
    assert "the gzip stream is cut" in packed.damage


def test_a_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(ObjectMissing, match=r"there is no such file \(.*nothing.pcap\); check the path"):
        inspect_file(tmp_path / "nothing.pcap")


# Against an independent reader.


def capinfos(path) -> tuple[dict[str, str], str]:
    run = subprocess.run(
        ["capinfos", "-TmMSQ", "-tcsdae", str(path)], capture_output=True, text=True, check=False
    )
    names, values = run.stdout.replace('"', "").splitlines()[:2]
    return dict(zip(names.split(","), values.split(","), strict=True)), run.stderr


def agree(path) -> None:
    theirs, complaint = capinfos(path)
    ours = inspect_file(path)
    assert ours.packets == int(theirs["Number of packets"])
    assert (ours.bytes_on_wire if ours.packets else 0) == (
        int(theirs["Data size (bytes)"]) if ours.packets else 0
    )
    if ours.packets:
        # capinfos prints as many digits as the file's precision has.
        digits = len(theirs["Start time"].partition(".")[2])
        assert str(ours.first_ns)[: 10 + digits] == theirs["Start time"].replace(".", "")
        assert str(ours.last_ns)[: 10 + digits] == theirs["End time"].replace(".", "")
    assert ("cut short" in complaint or "damaged or corrupt" in complaint) == (ours.damage_offset is not None)


modern = st.lists(
    st.tuples(
        st.integers(1_000_000_000 * SECOND, 2_000_000_000 * SECOND),
        st.binary(min_size=1, max_size=90),
        st.integers(90, 65_535),
    ),
    min_size=2,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(
    packets=modern,
    make=st.sampled_from(
        [
            pcap,
            pcapng,
            lambda packets: pcap(packets, order=">", nano=True),
            lambda packets: pcapng(packets, order=">", resolution=6),
        ]
    ),
    lost=st.one_of(st.just(0), st.integers(1, 130)),
)
def test_capinfos_agrees_on_whole_and_cut_files(tmp_path_factory, packets, make, lost):
    whole = make(packets)
    path = tmp_path_factory.mktemp("agree") / "x"
    # Wireshark guesses the dialect of a pcap from its first two records, so those stay whole: 4 bytes left
    # over after a single record read to it as a whole record of Nokia's tcpdump.
    path.write_bytes(whole[: max(len(make(packets[:2])), len(whole) - lost)])
    agree(path)


def test_left_over_bytes_that_another_dialect_would_explain_are_still_damage(tmp_path):
    """Wireshark takes this file for one of Nokia's; Cloudflare writes none, so here it is a cut file."""
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([(1_500_000_000 * SECOND, b"x", 90)]) + bytes(4))
    assert capinfos(path)[0]["File type"] == "nokiapcap"
    found = inspect_file(path)
    assert (found.packets, found.flags, found.damage_offset) == (1, ("truncated",), 41)


@pytest.mark.parametrize("suffix", ["pcap", "nsecpcap", "pcapng"])
def test_files_that_wireshark_wrote_are_read_alike(tmp_path, suffix):
    source = tmp_path / "source.pcap"
    source.write_bytes(pcap(SAMPLE[:2] * 400, nano=True))
    target = tmp_path / f"out.{suffix}"
    subprocess.run(["editcap", "-F", suffix, str(source), str(target)], check=True, capture_output=True)
    agree(target)
    packed = tmp_path / "out.gz"
    packed.write_bytes(gzip.compress(target.read_bytes()))
    assert inspect_file(packed) == replace(inspect_file(target), encoding="gzip")
    assert inspect_file(packed).packets == 800
