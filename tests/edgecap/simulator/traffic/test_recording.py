"""Files are made by Wireshark's own tools, or byte by byte where those write no such thing."""

import contextlib
import re
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecap.errors import ConfigError
from edgecap.simulator.traffic import Packet
from edgecap.simulator.traffic.recording import Recording

PACKETS = [
    Packet(1_795_415_646_000_000_000 + number * 1_234_567_000, bytes([number]) * (60 + number), "x")
    for number in range(5)
]


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(order: str = "<", *, link_type: int = 1, snaplen: int = 0, options: bytes = b"") -> bytes:
    return block(1, struct.pack(order + "HHI", link_type, 0, snaplen) + options, order)


def enhanced(units: int, data: bytes, order: str = "<", *, number: int = 0) -> bytes:
    head = struct.pack(order + "IIIII", number, units >> 32, units & 0xFFFFFFFF, len(data), len(data))
    return block(6, head + data, order)


def read(path):
    recording = Recording(path)
    try:
        return list(recording.times), [recording.frame(number) for number in range(len(recording))]
    finally:
        recording.close()


@pytest.mark.parametrize("form", ["pcap", "nsecpcap", "pcapng"])
def test_it_reads_what_wireshark_writes(form, tmp_path, save, editcap):
    made = save(tmp_path / "made.pcap", PACKETS)
    path = tmp_path / f"converted.{form}"
    editcap("-F", form, made, path)
    times, frames = read(path)
    assert times == [packet.time_ns for packet in PACKETS]
    assert frames == [packet.data for packet in PACKETS]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_classic_files_of_both_byte_orders_and_precisions(order, magic, unit, tmp_path, tshark):
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
    for packet in PACKETS:
        seconds, rest = divmod(packet.time_ns, 10**9)
        data += struct.pack(order + "IIII", seconds, rest // unit, len(packet.data), 1500) + packet.data
    path = tmp_path / "made.pcap"
    path.write_bytes(data)
    times, frames = read(path)
    assert times == [packet.time_ns for packet in PACKETS]
    assert frames == [packet.data for packet in PACKETS]
    assert tshark("-r", path, "-T", "fields", "-e", "frame.time_epoch") == [
        f"{time // 10**9}.{time % 10**9:09}" for time in times
    ]


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_time_resolutions_offsets_and_unknown_blocks(order, tmp_path, tshark):
    """Microseconds by default, powers of ten and two, an offset, and what Wireshark makes of each."""
    nano = struct.pack(order + "HHB3x", 9, 1, 9)
    binary = struct.pack(order + "HHB3x", 9, 1, 0x80 | 20)
    offset = struct.pack(order + "HHq", 14, 8, 1_000_000)
    path = tmp_path / "made.pcapng"
    path.write_bytes(
        section(order)
        + interface(order)
        + interface(order, options=nano + bytes(4))
        + interface(order, options=binary + offset)
        + block(0x0BAD, b"skip me", order)
        + enhanced(1_500_000, b"a" * 60, order)
        + enhanced(2_500_000_001, b"b" * 61, order, number=1)
        + enhanced(3 << 20 | 1 << 19, b"c" * 62, order, number=2)
    )
    times, frames = read(path)
    assert times == [1_500_000_000, 2_500_000_001, 1_000_003_500_000_000]
    assert frames == [b"a" * 60, b"b" * 61, b"c" * 62]
    shown = tshark("-r", path, "-T", "fields", "-e", "frame.time_epoch")
    assert [line for line in shown if line] == [f"{time // 10**9}.{time % 10**9:09}" for time in times]


def test_simple_packets_take_the_time_before_and_the_interfaces_snaplen(tmp_path):
    simple = block(3, struct.pack("<I", 100) + b"s" * 64)
    path = tmp_path / "made.pcapng"
    path.write_bytes(section() + interface(snaplen=64) + enhanced(7_000_000, b"e" * 60) + simple)
    assert read(path) == ([7_000_000_000, 7_000_000_000], [b"e" * 60, b"s" * 64])


def test_sections_begin_their_interfaces_anew(tmp_path):
    path = tmp_path / "made.pcapng"
    one = section("<") + interface("<") + enhanced(1, b"a" * 60, "<")
    two = section(">") + interface(">") + enhanced(2, b"b" * 60, ">")
    path.write_bytes(one + two)
    assert read(path) == ([1000, 2000], [b"a" * 60, b"b" * 60])


FILE = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
NG = section() + interface()
SECONDS = section() + interface(options=struct.pack("<HHB3x", 9, 1, 0))
TWO_LINKS = NG + interface(link_type=101)
PACKET = enhanced(1, b"a" * 60)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read: it is empty"),
        (b"hello, this is text", "is neither pcap nor pcapng"),
        (FILE[:6], "is damaged"),
        (FILE, "has no packets"),
        (section(), "has no packets"),
        (section() + PACKET, "has a packet of an interface that it does not describe"),
        (NG + PACKET[:-8], "is cut short or has a block of impossible size"),
        (NG[:8] + b"abcd" + NG[12:], "has a section of unknown byte order"),
        (SECONDS + enhanced(1 << 63, b"a" * 60), "has a time stamp that is out of range"),
        (TWO_LINKS + PACKET + enhanced(1, b"E", number=1), "mixes the link types 1, 101"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(content, message, tmp_path):
    path = tmp_path / "broken.pcap"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Recording(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.pcap", tmp_path):
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            Recording(path)


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
@given(data=st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cut_or_damaged_files_are_read_or_refused_and_nothing_else(form, data, tmp_path):
    """Cut between packets, fewer are left; any other cut is refused; a flipped byte raises nothing else."""
    path = tmp_path / f"x.{form}"
    if form == "pcap":
        records = [struct.pack("<IIII", 5, number, 60, 60) + b"a" * 60 for number in range(3)]
        parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1), *records]
    else:
        parts = [section() + interface(), *(enhanced(5_000_000 + number, b"a" * 60) for number in range(3))]
    whole = b"".join(parts)
    ends = {len(b"".join(parts[: number + 1])): number for number in range(1, len(parts))}
    cut = data.draw(st.integers(1, len(whole)))
    path.write_bytes(whole[:cut])
    if cut in ends:
        assert len(read(path)[0]) == ends[cut]
    else:
        with pytest.raises(ConfigError):
            Recording(path)
    at, value = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 255))
    path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
    with contextlib.suppress(ConfigError):
        times, frames = read(path)
        assert len(times) == len(frames)
