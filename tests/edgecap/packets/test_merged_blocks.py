"""A merged pcapng keeps what its sources say beside packets: comments, names, secrets, journal entries."""

import struct
import subprocess
from itertools import pairwise

import pytest

from edgecap.errors import Damaged
from edgecap.packets.merge import MergeSource, merge
from edgecap.packets.reader import open_packets
from edgecap.packets.writer import Form
from tests.edgecap.packets.files import SECOND, block, interface, packets_of, pcap, section, tshark

START = 1_700_000_000
FRAME = bytes(12) + b"\x08\0" + bytes.fromhex("4500001c00010000401100000a0101010a0202020457003500080000")
PACKETS = ("-Y", "ip")  # Wireshark shows journal entries and custom blocks as frames, too
SECRET = b"CLIENT_RANDOM " + b"a" * 64 + b" " + b"b" * 96 + b"\n"


def option(code: int, value: bytes, order: str) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def packet(order: str, *options: bytes, stamp=START * 1_000_000) -> bytes:
    head = struct.pack(order + "IIIII", 0, stamp >> 32, stamp & 0xFFFF_FFFF, len(FRAME), len(FRAME))
    return block(6, head + FRAME + bytes(-len(FRAME) % 4) + b"".join(options), order=order)


def talkative(order: str) -> bytes:
    """A pcapng with every kind of block that is about more than a packet."""
    head = struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + option(1, b"on the section", order)
    out = block(0x0A0D0D0A, head, order=order)
    described = struct.pack(order + "HHI", 1, 0, 262_144) + option(2, b"eth0", order)
    described += option(1, b"on the interface", order) + option(11, b"\0tcp", order)
    out += block(1, described, order=order)
    names = option(1, b"\x0a\x01\x01\x01client.example\0", order) + struct.pack(order + "HH", 0, 0)
    out += block(4, names + option(1, b"on the names", order), order=order)
    out += block(10, struct.pack(order + "II", 0x544C534B, len(SECRET)) + SECRET, order=order)
    out += block(9, b"__CURSOR=s=1\nMESSAGE=hello\n\n", order=order)
    out += block(0xBAD, struct.pack(order + "I", 32_473) + b"to be copied", order=order)
    out += block(0x4000_0BAD, struct.pack(order + "I", 32_473) + b"not to be", order=order)
    flags = struct.pack(order + "I", 2)
    out += packet(order, option(1, b"on the packet", order), option(2, flags, order), option(0, b"", order))
    out += packet(order, option(5, struct.pack(order + "Q", 77), order), stamp=START * 1_000_000 + 9)
    return out


def merged(folder, form=Form.PCAPNG, **files: bytes):
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return merge([MergeSource(folder / name) for name in files], folder / "merged", form=form)


@pytest.mark.parametrize("order", "<>")
def test_what_a_source_says_is_in_the_merged_file(tmp_path, order):
    other = pcap([(START * SECOND + 5, FRAME, len(FRAME))], nano=True)
    done = merged(tmp_path, talkative=talkative(order), other=other)
    assert done.packets == 3
    fields = ("frame.comment", "frame.packet_flags_direction", "frame.packet_id")
    rows = tshark(done.path, *fields, options=PACKETS)
    assert rows == [["on the packet", "0x00000002", ""], ["", "", ""], ["", "", "77"]]
    said = subprocess.run(["capinfos", done.path], check=True, capture_output=True, text=True).stdout
    assert "Capture comment:     talkative: on the section" in said
    assert "Comment = on the interface" in said
    assert "Number of decryption secrets in file: 1" in said
    assert "Number of resolved IPv4 addresses in file: 1" in said
    content = done.path.read_bytes()
    for kept in (SECRET, b"MESSAGE=hello", b"to be copied", b"on the names", b"\0tcp"):
        assert kept in content
    assert b"not to be" not in content


def test_a_comment_of_the_only_source_is_as_it_was(tmp_path):
    done = merged(tmp_path, talkative=talkative("<"))
    said = subprocess.run(["capinfos", done.path], check=True, capture_output=True, text=True).stdout
    assert "Capture comment:     on the section" in said


def test_sections_in_both_byte_orders_keep_their_packets_comments(tmp_path):
    done = merged(tmp_path, both=talkative("<") + talkative(">"))
    assert tshark(done.path, "frame.comment", options=PACKETS) == [["on the packet"], [""]] * 2
    with open_packets(done.path) as reader:
        packets_of(reader)
        assert (1, b"on the section") in reader.interfaces[1].options


def test_options_that_cannot_be_parsed_do_no_harm(tmp_path):
    for size in range(4, 16, 4):
        for order in "<>":
            broken = packet(order, b"\0\x01\xff\xff" * (size // 4))
            data = talkative(order) + broken
            done = merged(tmp_path, broken=data)
            assert done.packets == 3
            with open_packets(done.path) as reader:
                assert [kept for _, kept, _, _ in packets_of(reader)] == [FRAME] * 3
            done.path.unlink()


def test_a_pcap_is_read_by_tcpdump_although_snap_lengths_differ(tmp_path):
    times = [START * SECOND + each for each in (7, 1, 5, 3)]
    sources = {
        f"{number}.pcap": pcap([(time, FRAME, 90)], nano=True, snaplen=96 + number)
        for number, time in enumerate(times)
    }
    done = merged(tmp_path, Form.PCAP, **sources)
    run = subprocess.run(
        ["tcpdump", "--nano", "-tt", "-nr", done.path], check=True, capture_output=True, text=True
    )
    shown = [line.split()[0] for line in run.stdout.splitlines()]
    assert shown == [f"{START}.00000000{each}" for each in (1, 3, 5, 7)]
    assert "snapshot length 99" in run.stderr
    said = subprocess.run(["capinfos", "-tEc", done.path], check=True, capture_output=True, text=True).stdout
    assert "nanosecond pcap" in said
    assert done.size == done.path.stat().st_size


def test_a_pcap_leaves_out_sources_of_another_link_type(tmp_path):
    packets = [(START * SECOND, FRAME, 90)]
    done = merged(tmp_path, Form.PCAP, a=pcap(packets), b=pcap(packets, link_type=101), c=pcap(packets))
    assert done.packets == 2
    (lost,) = done.damaged
    assert lost.source.label == "b"
    assert "its link type is 101, the first file's 1, and a pcap has only one (b)" in lost.lost


def test_a_link_type_over_16_bits_is_named_and_left_out(tmp_path):
    packets = [(START * SECOND, FRAME, 90)]
    done = merged(tmp_path, odd=pcap(packets, link_type=65_537), good=pcap(packets))
    assert done.packets == 1
    (lost,) = done.damaged
    assert "link type 65537 does not exist" in lost.lost
    done.path.unlink()
    with pytest.raises(Damaged, match=r"65537 does not exist.*\(odd\)"):
        merged(tmp_path, odd=pcap(packets, link_type=65_537))


def test_times_that_a_format_cannot_hold_are_counted(tmp_path):
    far = section() + interface() + packet("<", stamp=5_000_000_000 * 1_000_000)
    before = section() + interface(offset=-100) + packet("<", stamp=5)
    assert merged(tmp_path, Form.PCAP, far=far, before=before).clamped == 2
    (tmp_path / "merged").unlink()
    done = merged(tmp_path, far=far, before=before)
    assert done.clamped == 1
    with open_packets(done.path) as reader:
        times = [time for time, *_ in packets_of(reader)]
    assert times == [0, 5_000_000_000 * SECOND]


def test_packets_without_a_time_keep_their_place(tmp_path):
    """They get the time of the packet before them, or of the first after: both formats require one."""
    simple = block(3, struct.pack("<I", len(FRAME)) + FRAME)
    data = section() + interface() + simple + packet("<") + simple + packet("<", stamp=START * 1_000_000 + 9)
    for form in Form:
        done = merged(tmp_path, form, untimed=data, other=pcap([(START * SECOND + 2_000, b"other", 90)]))
        with open_packets(done.path) as reader:
            times = [time - START * SECOND for time, *_ in packets_of(reader)]
        assert times == [0, 0, 0, 2_000, 9_000]
        assert all(a <= b for a, b in pairwise(times))
        assert done.sources[0].inspection.notes == (
            "packets in it carry no time (pcapng simple packet blocks)",
        )
        done.path.unlink()
