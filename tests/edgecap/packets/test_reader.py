"""What readers give: every packet, whatever the format, packing and chunks, in bounded memory."""

import gzip
import os
import struct
import threading
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.errors import ObjectMissing, StoreUnreachable
from edgecap.files.unzstd import zstd
from edgecap.packets.columns import Interface
from edgecap.packets.inspect import Inspector, inspect_file
from edgecap.packets.inspection import NO_TIME
from edgecap.packets.reader import PacketReader, open_packets
from tests.edgecap.packets.files import (
    REAL,
    SECOND,
    block,
    enhanced,
    interface,
    packets_of,
    packets_strategy,
    pcap,
    pcapng,
    read,
    section,
    tshark,
)

SAMPLE = [(1_795_000_000 * SECOND + 5_000, b"a" * 60, 60), (1_795_000_001 * SECOND, b"b" * 33, 1514)]


@given(
    packets=packets_strategy,
    order=st.sampled_from("<>"),
    nano=st.booleans(),
    pack=st.sampled_from([bytes, gzip.compress, zstd.compress]),
    most=st.integers(1, 200),
)
def test_pcap_gives_its_packets_however_it_comes(packets, order, nano, pack, most):
    found, inspection = read(pack(pcap(packets, order=order, nano=nano, link_type=101)), most)
    unit = 1 if nano else 1_000
    assert found == [(time // unit * unit, data, wire, 101) for time, data, wire in packets]
    assert inspection.damage == ""


@given(
    packets=packets_strategy,
    order=st.sampled_from("<>"),
    resolution=st.sampled_from([0, 3, 6, 9]),
    pack=st.sampled_from([bytes, gzip.compress, zstd.compress]),
    most=st.integers(1, 200),
)
def test_pcapng_gives_its_packets_however_it_comes(packets, order, resolution, pack, most):
    found, inspection = read(pack(pcapng(packets, order=order, resolution=resolution, link_type=113)), most)
    unit = 10 ** (9 - resolution)
    assert found == [(time // unit * unit, data, wire, 113) for time, data, wire in packets]
    assert inspection.damage == ""


blocks = st.lists(
    st.one_of(
        st.sampled_from("<>").map(lambda order: ("section", order)),
        st.builds(
            lambda *description: ("interface", *description),
            st.integers(0, 255),
            st.sampled_from([0, 1, -1, 7_000_000_000, (1 << 63) - 1, -(1 << 63)]),
            st.sampled_from([0, 8, 262_144]),
        ),
        st.builds(
            lambda *packet: ("packet", *packet),
            st.sampled_from([2, 3, 6]),
            st.integers(0, 2),
            st.integers(0, (1 << 64) - 1),
            st.binary(max_size=20),
        ),
        st.just(("other",)),
    ),
    max_size=10,
)


def built(description) -> bytes:
    """A pcapng that follows the description, with its mistakes."""
    order, out = "<", section()
    for kind, *rest in [("interface", 9, 0, 0), *description]:
        if kind == "section":
            order = rest[0]
            out += section(order)
        elif kind == "interface":
            out += interface(order=order, resolution=rest[0], offset=rest[1], snaplen=rest[2])
        elif kind == "other":
            out += block(5, bytes(12), order=order)
        else:
            code, number, stamp, data = rest
            words = (stamp >> 32, stamp & 0xFFFF_FFFF, len(data), 99)
            if code == 3:
                body = struct.pack(order + "I", len(data))
            elif code == 2:
                body = struct.pack(order + "HHIIII", number, 0, *words)
            else:
                body = struct.pack(order + "IIIII", number, *words)
            out += block(code, body + data, order=order)
    return out


@given(blocks)
def test_the_kernel_and_the_exact_arithmetic_of_python_agree(description):
    """One byte at a time every block passes through Python; at once the kernel takes what it can."""
    data = built(description)
    inspector = Inspector()
    inspector.feed(data)
    at_once = inspector.finish()
    assert read(data, 1)[1] == at_once
    assert read(data, 1)[0] == read(data)[0]
    assert len(read(data)[0]) == at_once.packets


anything = st.one_of(
    st.binary(max_size=200),
    blocks.map(built),
    packets_strategy.map(pcap),
    packets_strategy.map(lambda packets: zstd.compress(pcapng(packets))),
    st.binary(max_size=100).map(lambda tail: pcap(SAMPLE)[:24] + tail),
    st.binary(max_size=100).map(lambda tail: pcapng(SAMPLE)[:48] + tail),
)


@given(
    data=anything,
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
    most=st.integers(1, 300),
)
def test_no_bytes_crash_a_reader_and_it_agrees_with_the_inspector(data, changes, most):
    data = bytearray(data)
    for place, value in changes:
        if data:
            data[place % len(data)] = value
    packets, found = read(bytes(data), most)
    inspector = Inspector()
    inspector.feed(bytes(data))
    assert found == inspector.finish()
    assert len(packets) == found.packets
    assert sum(len(kept) for _, kept, _, _ in packets) == found.bytes_captured
    assert sum(wire for _, _, wire, _ in packets) == found.bytes_on_wire


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_captures_are_read_as_tshark_reads_them(path):
    with open_packets(path) as reader:
        ours = [(time, len(kept), wire) for time, kept, wire, _ in packets_of(reader)]
    fields = tshark(path, "frame.time_epoch", "frame.cap_len", "frame.len")
    theirs = [
        (int(time.replace(".", "").ljust(19, "0")), int(kept), int(wire)) for time, kept, wire in fields
    ]
    assert len(ours) == 81
    assert ours == theirs


def test_an_interface_has_the_name_that_the_file_gives_it():
    system = b"Linux 6.18.44-fc-v657"
    with open_packets(REAL[2]) as reader:
        packets_of(reader)
        assert reader.interfaces == [Interface(1, 262_144, name="vb", options=((12, system),))]


def test_sections_that_repeat_an_interface_do_not_fill_the_memory():
    one = section() + interface(name=b"eth0") + enhanced(1, b"x", 1)
    reader_packets, found = read(one * 3)
    assert len(reader_packets) == found.packets == 3
    reader = PacketReader(Endless(one), read_size=1 << 16)
    batches = iter(reader)
    tracemalloc.start()
    for _ in range(8):
        next(batches)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(reader.interfaces) == 1
    assert peak < 1 << 20


def test_interfaces_that_all_differ_do_not_fill_the_memory_either():
    data = b"".join(section() + interface(name=b"%05d" % number) for number in range(65_537))
    _, found = read(data)
    assert "the file describes more than 65536 different interfaces" in found.damage
    assert found.flags == ("bad-structure", "empty")


class Endless:
    """A stream that repeats itself and never ends."""

    def __init__(self, one: bytes) -> None:
        self._one = one

    def read(self, size):
        return self._one * (size // len(self._one))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_memory_does_not_grow_with_the_file(tmp_path, pack):
    path = tmp_path / "large"
    path.write_bytes(pack(pcap([(SECOND, bytes(500), 500)] * 60_000)))
    tracemalloc.start()
    with open_packets(path) as reader:
        packets = sum(len(batch.rows) for batch in reader)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert packets == 60_000
    assert peak < 24 << 20


def test_compression_is_reported(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(pcap(SAMPLE))
    packed = tmp_path / "packed"
    packed.write_bytes(zstd.compress(pcap(SAMPLE)))
    assert inspect_file(packed) == replace(inspect_file(plain), encoding="zstd")


def test_a_cut_zstd_is_flagged_with_where_the_good_bytes_end():
    options = {zstd.CompressionParameter.checksum_flag: 1}
    packets, found = read(zstd.compress(pcap(SAMPLE), options=options)[:-2])
    assert len(packets) == 2
    assert found.flags == ("zstd-damaged",)
    assert found.damage_offset == len(pcap(SAMPLE))
    assert "the zstd stream is cut" in found.damage


def test_a_time_beyond_64_bits_is_given_at_the_limit_and_flagged():
    packets, found = read(section() + interface(resolution=0) + enhanced((1 << 64) - 1, b"x", 1))
    assert [time for time, *_ in packets] == [(1 << 63) - 1]
    assert found.last_ns == ((1 << 64) - 1) * SECOND
    assert found.flags == ("time-out-of-range",)


def test_a_packet_without_a_time_has_none():
    simple = block(3, struct.pack("<I", 2) + b"ab")
    packets, found = read(section() + interface(resolution=9) + simple + enhanced(7, b"x", 1) + simple)
    assert [time for time, *_ in packets] == [NO_TIME, 7, NO_TIME]
    assert found.flags == ("no-times",)
    assert (found.first_ns, found.last_ns) == (7, 7)


def test_a_pipe_is_read_while_it_is_written():
    ours, theirs = os.pipe()
    first_batch = threading.Event()

    def write():
        with os.fdopen(theirs, "wb", buffering=0) as pipe:
            pipe.write(pcap(SAMPLE))
            first_batch.wait(240)
            pipe.write(pcap(SAMPLE)[24:])

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(ours, "rb", buffering=0) as pipe:
        reader = PacketReader(pipe)
        seen = []
        for batch in reader:
            seen.append(len(batch.rows))
            first_batch.set()
    writer.join()
    assert seen == [2, 2]
    assert reader.inspection().packets == 4


def test_a_disk_that_fails_is_an_error_of_the_tree():
    class Broken:
        def read(self, size):
            raise OSError(5, "Input/output error")

    with pytest.raises(StoreUnreachable, match=r"reading failed: Input/output error \(sda\)"):
        list(PacketReader(Broken(), where="sda"))


def test_a_missing_file_is_one_clear_line(tmp_path):
    with (
        pytest.raises(ObjectMissing, match=r"there is no such file \(.*nothing.pcap\); check the path"),
        open_packets(tmp_path / "nothing.pcap"),
    ):
        pass
