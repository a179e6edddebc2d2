"""Files that other programs wrote long ago, or wrongly: read as tcpdump reads them, or with a note."""

import struct
import subprocess

import pytest

from edgecap.packets.inspection import NO_TIME
from edgecap.packets.reader import open_packets
from tests.edgecap.packets.files import SECOND, block, enhanced, interface, read, section
from tests.edgecap.packets.summaries import summary_of

FRAME = bytes(12) + b"\x08\0" + bytes.fromhex("4500001c00010000401100000a0101010a0202020457003500080000")
START = 1_700_000_000


def header(order="<", magic=0xA1B2C3D4, version=(2, 4), link_type=1) -> bytes:
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, 65_535, link_type)


def record(order, fraction, captured, wire, extra=b"", seconds=START) -> bytes:
    return struct.pack(order + "IIII", seconds, fraction, captured, wire) + extra + FRAME


def tcpdump(path) -> list[str]:
    run = subprocess.run(["tcpdump", "-tt", "-nr", path], capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


@pytest.mark.parametrize("order", "<>")
def test_kuznetzov_s_modified_records_are_read(tmp_path, order):
    extra = struct.pack(order + "iHBx", 1, 0x800, 0)
    data = header(order, 0xA1B2CD34) + 3 * record(order, 5, len(FRAME), len(FRAME), extra)
    packets, found = read(data, most=7)
    assert packets == [(START * SECOND + 5_000, FRAME, len(FRAME), 1)] * 3
    assert (found.format, found.flags, found.damage) == ("pcap", (), "")
    (tmp_path / "a.pcap").write_bytes(data)
    assert [line.split()[0] for line in tcpdump(tmp_path / "a.pcap")] == [f"{START}.000005"] * 3


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("version", [(2, 0), (2, 1), (2, 2), (2, 3), (543, 0)])
def test_old_versions_have_their_lengths_swapped(tmp_path, order, version):
    data = header(order, version=version) + 2 * record(order, 5, 1_000, len(FRAME))
    packets, found = read(data)
    assert packets == [(START * SECOND + 5_000, FRAME, 1_000, 1)] * 2
    assert found.damage == ""
    (tmp_path / "a.pcap").write_bytes(data)
    assert len(tcpdump(tmp_path / "a.pcap")) == 2


def test_a_file_of_version_2_3_may_have_its_lengths_in_order():
    packets, _ = read(header(version=(2, 3)) + record("<", 5, len(FRAME), 1_000))
    assert packets == [(START * SECOND + 5_000, FRAME, 1_000, 1)]


@pytest.mark.parametrize("most", [1, 50, 1 << 20])
def test_nanoseconds_behind_the_magic_of_microseconds_are_found_and_noted(most):
    """Whatever the chunks. The first fraction could also be a second that was not carried."""
    fractions = [1_500_000, 999_999_999, 5, 400_000_000]
    whole = len(FRAME)
    data = header() + b"".join(record("<", each, whole, whole) for each in fractions)
    packets, found = read(data, most=most)
    since = [time - START * SECOND for time, *_ in packets]
    assert since == [1_500_000_000, 999_999_999, 5, 400_000_000]
    assert "fraction-over-second" in found.flags
    assert "fractions are read as nanoseconds" in found.notes[0]


def test_a_microsecond_file_within_its_seconds_has_no_note():
    packets, found = read(header() + record("<", 999_999, len(FRAME), len(FRAME)))
    assert packets[0][0] == START * SECOND + 999_999_000
    assert found.notes == ()


@pytest.mark.parametrize("pcapng", [False, True])
def test_a_captured_length_over_the_original_counts_and_is_noted(pcapng):
    if pcapng:
        data = section() + interface() + enhanced(5, FRAME, 1) + enhanced(6, FRAME, 500)
    else:
        data = header() + record("<", 5, len(FRAME), 1) + record("<", 6, len(FRAME), 500)
    packets, found = read(data)
    assert [wire for _, _, wire, _ in packets] == [len(FRAME), 500]
    assert (found.bytes_captured, found.bytes_on_wire) == (2 * len(FRAME), len(FRAME) + 500)
    assert found.flags == ("captured-over-original",)
    assert found.notes == ("a packet's captured length exceeds its original one; the captured length counts",)


def test_packets_without_a_time_are_in_no_time_of_a_summary(tmp_path):
    simple = block(3, struct.pack("<I", len(FRAME)) + FRAME)
    path = tmp_path / "a.pcapng"
    path.write_bytes(section() + interface() + simple)
    found = summary_of(path)
    assert (found.packets, found.first, found.last, found.seconds) == (1, None, None, 0)
    assert (found.timeline.packets, found.rates.packets) == ((), 0)
    assert [(flow.packets, flow.first, flow.last) for flow in found.flows.top] == [(1, None, None)]
    timed = enhanced(START * 1_000_000, FRAME, len(FRAME)) + enhanced((START + 10) * 1_000_000, FRAME, 90)
    path.write_bytes(section() + interface() + simple + timed + simple)
    found = summary_of(path)
    assert (found.packets, found.seconds, sum(found.timeline.packets)) == (4, 10, 2)
    assert found.first.timestamp() == START
    assert found.rates.packets == 0.2
    with open_packets(path) as reader:
        (batch,) = reader
    assert batch.rows["time"].tolist() == [NO_TIME, START * SECOND, (START + 10) * SECOND, NO_TIME]


def test_the_peak_is_never_below_the_average(tmp_path):
    """Two bursts 1.5 s apart: each second has only one of them."""
    data = header() + record("<", 0, len(FRAME), 54) * 50
    data += record("<", 500_000, len(FRAME), 54, seconds=START + 1) * 50
    (tmp_path / "a.pcap").write_bytes(data)
    rates = summary_of(tmp_path / "a.pcap").rates
    assert rates.peak_packets == rates.packets == pytest.approx(100 / 1.5, abs=0.001)
    assert rates.peak_bits >= rates.bits
    assert rates.peak_seconds == 1.5
