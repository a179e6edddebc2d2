import io
import re

from edgecap.simulator.traffic import Packet, PcapWriter

LONG = Packet(1_795_415_646_123_456_789, bytes(range(256)) * 4, "ord02-s3")
SHORT = Packet(1_795_415_647_000_000_001, bytes(60), "ord02-s3")


def test_capinfos_agrees_on_packets_sizes_and_precision(tmp_path, save, capinfos):
    path = save(tmp_path / "a.pcap", [LONG, SHORT], snaplen=160)
    text = "\n".join(capinfos("-M", path))
    assert re.search(r"File type:\s+nsecpcap", text)
    assert re.search(r"Number of packets:\s+2\b", text)
    assert re.search(r"Packet size limit:\s+file hdr: 160 bytes", text)
    assert re.search(r"inferred: 160 bytes", text)
    assert re.search(r"Data size:\s+1084 bytes", text)


def test_cut_packets_keep_their_length_and_time(tmp_path, save, tshark):
    path = save(tmp_path / "a.pcap", [LONG, SHORT], snaplen=160)
    fields = ("-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.cap_len")
    assert tshark("-r", path, "-T", "fields", *fields) == [
        "1795415646.123456789\t1024\t160",
        "1795415647.000000001\t60\t60",
    ]


def test_microseconds_are_the_default_and_cut_not_rounded(tmp_path, tshark):
    path = tmp_path / "a.pcap"
    with path.open("wb") as file:
        PcapWriter(file, 1).write(LONG)
    assert tshark("-r", path, "-T", "fields", "-e", "frame.time_epoch") == ["1795415646.123456000"]


def test_it_counts_what_it_wrote():
    file = io.BytesIO()
    writer = PcapWriter(file, 1, 160)
    for packet in (LONG, SHORT):
        writer.write(packet)
    assert writer.bytes_written == len(file.getvalue()) == 24 + 16 + 160 + 16 + 60
    assert repr(writer) == "<PcapWriter [2 packets, 276 bytes]>"
