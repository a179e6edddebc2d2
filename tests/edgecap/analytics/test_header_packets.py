"""Rows become packets that Wireshark reads without a complaint, and that count with their weights."""

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.analytics.header_packets import HELD, HeaderPackets
from edgecap.analytics.rows import FIELDS, RowReader
from edgecap.cli.main import run
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.inspect import inspect_file
from edgecap.packets.merge import MergeSource, merge
from edgecap.packets.summarize import summarize
from edgecap.packets.writer import new_packet_file
from tests.edgecap.analytics.logpush_rows import KINDS, NOON, lines, passed, row
from tests.edgecap.packets.files import tshark

CHECKED = ("-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")
COMPLAINTS = ("_ws.malformed", "_ws.expert.severity", "ip.checksum.status")
WARNING = 0x600000  # of Wireshark's expert information


def write(path, *rows, outcome=2):
    """The rows as a file, and its summary and writer."""
    reader, table = RowReader(), FlowTable()
    with new_packet_file(path) as writer:
        writer.begin()
        packets = HeaderPackets(writer, table, reader.texts, outcome=outcome)
        for batch in (*reader.feed(lines(*rows)), *reader.finish()):
            packets.add(batch)
        packets.finish()
    table.finish()
    return summarize(table), packets


def complaints(path):
    """What Wireshark calls malformed or warns of, and checksums that are wrong."""
    found = tshark(path, *COMPLAINTS, options=CHECKED)
    return [
        (malformed, severity, status)
        for malformed, severity, status in found
        if malformed
        or any(int(each) >= WARNING for each in severity.split(";") if each)
        or "0" in status.split(";")
    ]


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
def test_wireshark_reads_each_kind_without_a_complaint(tmp_path, six):
    rows = [row(kind, six=six, at=NOON + timedelta(seconds=number)) for number, kind in enumerate(KINDS)]
    write(tmp_path / "a.pcapng", *rows)
    assert complaints(tmp_path / "a.pcapng") == []
    fields = ("frame.len", "tcp.dstport", "udp.srcport", "icmp.type", "icmpv6.type", "gre.proto", "esp")
    found = tshark(tmp_path / "a.pcapng", *fields)
    more = 20 if six else 0
    assert [int(each[0]) for each in found] == [size + more for size in (40, 540, 84, 124, 120)]
    assert (found[0][1], found[1][2], found[3][5]) == ("443", "53", "0x0800")
    assert found[2][4 if six else 3] == ("128" if six else "8")


def test_a_packet_has_the_values_of_its_row(tmp_path):
    write(tmp_path / "a.pcapng", row("tcp", TCPFlags=0x12), row("udp", six=True, IPTTL=3))
    names = ("ip.src", "ip.dst", "ip.ttl", "ip.id", "ip.dsfield", "ip.flags.df", "tcp.seq_raw", "tcp.flags")
    names += ("tcp.window_size_value", "udp.length", "udp.checksum", "ipv6.src", "ipv6.hlim", "ipv6.flow")
    first, second = tshark(tmp_path / "a.pcapng", *names)
    assert first[:5] == ["198.51.100.9", "203.0.113.7", "57", "0x1092", "0x29"]
    assert first[5:9] == ["1", "3000000000", "0x0012", "64240"]
    assert second[9:] == ["520", "0xcafe", "2001:db8::9", "3", "0x012345"]


def test_options_of_tcp_are_there_as_far_as_the_row_tells(tmp_path):
    told = {"TCPMSS": 1460, "TCPSACKPermitted": 1, "TCPWindowScale": 7, "TCPTimestampValue": 99}
    told |= {"IPTotalLength": 60}
    write(tmp_path / "a.pcapng", row(TCPDataOffset=10, **told), row(TCPDataOffset=40, **told))
    names = ("tcp.hdr_len", "tcp.options.mss_val", "tcp.options.wscale.shift", "tcp.options.timestamp.tsval")
    assert tshark(tmp_path / "a.pcapng", *names) == [["40", "1460", "7", "99"]] * 2
    assert complaints(tmp_path / "a.pcapng") == []


def test_fragments_have_no_ports_and_keep_their_place(tmp_path):
    later = {"IPFragmentOffset": 185, "IPMoreFragments": 1}
    write(tmp_path / "a.pcapng", row("udp", **later), row("udp", six=True, IPv6Identification=7, **later))
    names = ("ip.frag_offset", "ipv6.fraghdr.offset", "ipv6.fraghdr.more", "udp.srcport")
    assert tshark(tmp_path / "a.pcapng", *names) == [["185", "", "", ""], ["", "185", "1", ""]]
    assert complaints(tmp_path / "a.pcapng") == []


def test_the_comment_tells_outcome_rule_weight_and_what_lacks(tmp_path):
    bare = row("udp", without=["IPTTL", "UDPChecksum", "RuleName", "SampleInterval"], Outcome="drop")
    write(tmp_path / "a.pcapng", row(), bare)
    full, short = (each[0] for each in tshark(tmp_path / "a.pcapng", "frame.comment"))
    assert full == (
        "drop by dosd, BLOCKED, rule fdfdac75430c4c47a959592f0aa5e68a, rule name Generic high-volume floods, "
        "SYN Flood, attack 6e1f0a8c, at ORD, 1 in 1000"
    )
    assert short.endswith("at ORD, weight not in the row, not in the row: TTL, UDP checksum")


def test_only_packets_with_the_wanted_outcome_are_written(tmp_path):
    summary, packets = write(tmp_path / "a.pcapng", row(), passed(), row("udp"))
    assert (packets.packets, summary.packets) == (2, 2000)
    _, packets = write(tmp_path / "b.pcapng", row(), passed(), row(without=["IPSourceAddress"]), outcome=None)
    assert (packets.packets, packets.not_a_packet) == (2, 1)


def test_counts_are_of_the_packets_that_samples_stand_for(tmp_path):
    weights = [1000, 10_000, 10_000, 50]
    rows = [
        row("tcp" if place < 2 else "udp", SampleInterval=weight, IPSourceAddress=f"198.51.100.{place}")
        for place, weight in enumerate(weights)
    ]
    summary, _ = write(tmp_path / "a.pcapng", *rows)
    assert summary.packets == sum(weights)
    assert summary.bytes == 11_000 * 40 + 10_050 * 540
    assert {each.name: each.packets for each in summary.protocols} == {"tcp": 11_000, "udp": 10_050}
    assert sorted(each.packets for each in summary.sources.top) == sorted(weights)
    assert summary.conditions.weighted
    assert summary.conditions.sampling == pytest.approx(sum(w * w for w in weights) / sum(weights))
    assert summary.evidence.packets == 4


def test_the_file_itself_tells_the_weights(tmp_path, capsys):
    path, merged = tmp_path / "a.pcapng", tmp_path / "b.pcapng"
    write(path, *[row(SampleInterval=1000)] * 3, row("udp", SampleInterval=10_000))
    merge([MergeSource(path)], merged)
    for each in (path, merged):
        assert run(["summary", str(each), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["packets"], told["conditions"]["weighted"]) == (13_000, True)
    assert [each[0] for each in tshark(path, "frame.interface_name")] == ["dropped, 1 in 1,000"] * 3 + [
        "dropped, 1 in 10,000"
    ]


def test_packets_are_in_the_order_of_time(tmp_path):
    count = HELD + 1000
    rows = [row(at=NOON + timedelta(milliseconds=number * 7919 % count)) for number in range(0, count, 16)]
    write(tmp_path / "a.pcapng", *rows)
    found = inspect_file(tmp_path / "a.pcapng")
    assert (found.packets, found.flags) == (len(rows), ())


_VALUES = st.one_of(st.integers(0, 0xFFFF_FFFF), st.integers(0, 70), st.just(""), st.text(max_size=80))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.booleans(),
       st.dictionaries(st.sampled_from(FIELDS), _VALUES, max_size=6)), min_size=1, max_size=8))  # fmt: skip
def test_rows_with_any_values_make_a_file_that_is_whole(tmp_path_factory, told):
    path = tmp_path_factory.mktemp("any") / "a.pcapng"
    rows = [row(kind, six=six, **fields) for kind, six, fields in told]
    _, packets = write(path, *rows, outcome=None)
    found = inspect_file(path)
    assert found.packets == packets.packets
    assert not set(found.flags) - {"empty"}
    assert found.bytes_captured <= found.bytes_on_wire
    frames = tshark(path, "frame.len", "ip.checksum.status", options=CHECKED)
    assert all("0" not in status for _, status in frames)
