"""What goes to the API never excludes a packet that tcpdump would take; libpcap does the rest."""

import struct
import subprocess
import time
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgecap.errors import InvalidRequest, ObjectExists, ObjectMissing
from edgecap.filters.bpf import Program
from edgecap.filters.translate import explain
from edgecap.packets.inspect import inspect_file
from edgecap.packets.merge import MergeSource, merge
from edgecap.packets.reader import open_packets
from edgecap.requests import Bounds, Filter
from edgecap.simulator.traffic import compile_filter
from tests.edgecap.filters.applying import apply
from tests.edgecap.filters.expressions import WIDE, compiled, expressions, true_of
from tests.edgecap.packets.files import REAL, SECOND, packets_of, pcap
from tests.edgecap.packets.frames import frames


@settings(max_examples=500)
@given(
    expression=expressions,
    several=st.lists(frames(depth=1, plain=True), min_size=1, max_size=4),
    bounds=st.sampled_from([Bounds(), WIDE]),
)
def test_the_api_s_filter_passes_every_packet_that_libpcap_passes(expression, several, bounds):
    for link, data, _ in several:
        if link == 0 or not compiled(expression, link).matches(data):
            continue
        compiled(expression, 1)
        explained = explain(expression, bounds=bounds)
        assert compile_filter(explained.filter, link)(data)
        assert any(compile_filter(each, link)(data) for each in explained.alternatives)
        assert compiled(explained.residual, link).matches(data)


@settings(max_examples=500)
@given(
    frame=frames(depth=0, most_tags=0, plain=True), bounds=st.sampled_from([Bounds(), WIDE]), data=st.data()
)
def test_the_api_s_filter_passes_every_packet_the_expression_matches(frame, bounds, data):
    link, packet, expected = frame
    expression = data.draw(true_of(expected.layers[0]))
    assume(link != 0)
    assert Program(expression, link).matches(packet)
    other = data.draw(st.one_of(st.none(), expressions))
    if other:
        expression = data.draw(st.sampled_from([f"({expression}) or ({other})", f"{other} or {expression}"]))
        assume(compiled(expression, 1) and compiled(expression, link).matches(packet))
    explained = explain(expression, bounds=bounds)
    assert compile_filter(explained.filter, link)(packet)
    assert any(compile_filter(each, link)(packet) for each in explained.alternatives)
    assert compiled(explained.residual, link).matches(packet)


@settings(max_examples=300)
@given(
    expression=expressions, several=st.lists(frames(depth=1, most_tags=0, plain=True), min_size=1, max_size=4)
)
def test_api_and_residual_together_equal_the_expression(expression, several):
    compiled(expression, 1)
    explained = explain(expression, bounds=WIDE)
    for link, data, expected in several:
        # Of IPv6, libpcap does not look behind extension headers, and the API may.
        if link == 0 or expected.layers[0]["version"] != 4:
            continue
        both = compile_filter(explained.filter, link)(data) and compiled(explained.residual, link).matches(
            data
        )
        assert both == compiled(expression, link).matches(data)


@pytest.mark.parametrize(
    "expression", ["src port 53", "src port domain", "port 53 and ip", "not udp and src port 53"]
)
def test_a_port_alone_lets_sctp_through(expression):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, 1, 0, 64, 132, 0, bytes(4), bytes(4))
    packet = head + struct.pack("!HHII", 53, 80, 0, 0)
    assert Program(expression, 101).matches(packet)
    assert compile_filter(explain(expression).filter, 101)(packet)


@pytest.mark.parametrize(
    ("expression", "sent", "residual", "captures"),
    [
        ("", {}, "", 1),
        (
            "udp and src port 53 and net 203.0.113.0/24",
            {"protocol": 17, "source_port": 53},
            "net 203.0.113.0/24",
            1,
        ),
        ("udp", {"protocol": 17}, "", 1),
        (
            "tcp dst port 443 and dst host 203.0.113.7",
            {"protocol": 6, "destination_port": 443, "destination_address": "203.0.113.7"},
            "",
            1,
        ),
        ("host 203.0.113.7", {}, "host 203.0.113.7", 2),
        ("tcp or udp", {}, "tcp or udp", 2),
        ("udp and (src port 53 or src port 123)", {"protocol": 17}, "src port 53 or src port 123", 2),
        ("udp src port 53 or 123 or 389", {"protocol": 17}, "udp src port 53 or 123 or 389", 3),
        (
            "tcp or udp and src host 10.0.0.1",
            {"source_address": "10.0.0.1"},
            "tcp or udp",
            2,
        ),  # from left to right
        ("tcp or (udp and src host 10.0.0.1)", {}, "tcp or (udp and src host 10.0.0.1)", 2),
        ("udp or udp src port 53", {"protocol": 17}, "", 1),
        ("tcp or net 10.0.0.0/8", {}, "tcp or net 10.0.0.0/8", 1),
        ("src port 53", {}, "src port 53", 1),
        ("not udp", {}, "not udp", 1),
        ("vlan and udp", {}, "vlan and udp", 1),
        (
            "tcp[tcpflags] & tcp-syn != 0 and dst host 203.0.113.7",
            {"destination_address": "203.0.113.7"},
            "tcp[tcpflags] & tcp-syn != 0",
            1,
        ),
        ("src host 2001:db8::1 and udp", {"protocol": 17}, "src host 2001:db8::1", 1),
        ("proto 51", {}, "proto 51", 1),
        ("proto 17", {"protocol": 17}, "", 1),
        # The API's fields do not say which version of IP.
        ("ip proto 17", {"protocol": 17}, "ip proto 17", 1),
        ("ip6 proto 6", {"protocol": 6}, "ip6 proto 6", 1),
        ("ip and udp", {"protocol": 17}, "ip", 1),
    ],
)
def test_an_expression_is_explained(expression, sent, residual, captures):
    explained = explain(expression)
    assert explained.filter == Filter(**sent)
    assert (explained.residual, explained.captures) == (residual, captures)


def test_settings_let_networks_and_ipv6_through_to_the_api():
    assert explain("src net 203.0.113.0/24", bounds=WIDE).filter == Filter(source_address="203.0.113.0/24")
    assert explain("dst host 2001:db8::1", bounds=WIDE).filter == Filter(destination_address="2001:db8::1")


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("src port 53", "port 53 alone also means SCTP"),
        ("src net 203.0.113.0/24", "203.0.113.0/24 is a network"),
        ("dst host 2001:db8::1", "2001:db8::1 is IPv6"),
        ("vlan and tcp", "behind vlan"),
    ],
)
def test_every_part_that_is_not_sent_has_a_reason(expression, part):
    (note,) = explain(expression).notes
    assert part in note


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("udp and", "can't parse filter expression: syntax error"),
        ("port 99999", "illegal port number 99999 > 65535"),
        ("src host 300.1.2.3", ""),
        ("udp\0tcp", "it holds a zero byte"),
        ("tcp and udp src port 53", "expression rejects all packets"),
    ],
)
def test_an_error_is_one_line_with_the_words_of_libpcap(expression, said):
    with pytest.raises(InvalidRequest) as error:
        explain(expression)
    line = str(error.value)
    assert line.startswith(f"the filter is not valid: {said}")
    assert "man pcap-filter" in line
    assert "\n" not in line


# No words that could be names of hosts: libpcap would ask the network about them.
pieces = [
    "(",
    ")",
    "[",
    "]",
    "and",
    "or",
    "not",
    "src",
    "dst",
    "host",
    "port",
    "udp",
    "53",
    "!",
    "&&",
    "10.0.0.1",
]
symbols = "()[]!&|=<>0123456789./:\\ \"'%\n\t\0"


def test_parentheses_in_parentheses_are_left_to_libpcap():
    deep = f"{'(' * 3000}udp{')' * 3000}"
    explained = explain(deep)
    assert (explained.filter, explained.residual) == (Filter(), deep)


def test_hundreds_of_addresses_take_a_moment():
    many = " or ".join(f"host 10.0.{number // 250}.{number % 250}" for number in range(500))
    before = time.process_time()
    assert explain(many).residual == many
    assert time.process_time() - before < 40  # a minute, if libpcap is let


@given(st.text(symbols, max_size=40) | st.lists(st.sampled_from(pieces), max_size=12).map(" ".join))
def test_no_text_makes_it_fail_in_another_way(text):
    with suppress(InvalidRequest):
        assert explain(text).captures >= 1


EXPRESSIONS = [
    "",
    "udp",
    "tcp[tcpflags] & tcp-syn != 0",
    "udp src port 53",
    "greater 1000",
    "ip6 and not tcp",
    "icmp or icmp6",
]
EXPRESSIONS += ["host 198.51.100.2 and ip[6:2] & 0x3fff != 0"]


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize(
    "path", [path for path in REAL if path.suffix == ".pcap"], ids=lambda path: path.name
)
def test_the_packets_that_tcpdump_keeps_are_kept(tmp_path, path, expression):
    theirs, ours = tmp_path / "theirs.pcap", tmp_path / "ours.pcapng"
    run = [
        "tcpdump",
        "-Z",
        "root",
        "--time-stamp-precision=nano",
        "-r",
        str(path),
        "-w",
        str(theirs),
        expression,
    ]
    subprocess.run(run, check=True, capture_output=True)
    before = path.read_bytes()
    done = apply(expression, path, ours)
    with open_packets(theirs) as reader, open_packets(ours) as other:
        expected, kept = packets_of(reader), packets_of(other)
    assert kept == expected
    assert (done.packets, done.kept) == (81, len(expected))
    assert done.size == ours.stat().st_size
    assert path.read_bytes() == before


def test_mixed_link_types_and_origins_are_kept_apart(tmp_path):
    merge([MergeSource(path, "ord02-s1") for path in REAL], tmp_path / "merged.pcapng")
    done = apply("udp src port 53", tmp_path / "merged.pcapng", tmp_path / "dns.pcapng")
    assert (done.packets, done.kept) == (405, 20)
    with open_packets(tmp_path / "dns.pcapng") as reader:
        links = {link for *_, link in packets_of(reader)}
        names = [each.name for each in reader.interfaces]
    assert links == {1, 113, 276}
    assert names == [f"ord02-s1/{path.name}" for path in REAL]


def test_a_damaged_file_is_filtered_up_to_the_damage(tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(pcap([(SECOND, b"x" * 60, 60)] * 5)[:-9])
    done = apply("", cut, tmp_path / "kept.pcapng")
    assert (done.packets, done.kept) == (4, 4)
    assert done.inspection == inspect_file(cut)
    assert done.inspection.damage


def test_nothing_is_left_when_it_cannot_be_applied(tmp_path):
    odd = tmp_path / "odd.pcap"
    odd.write_bytes(pcap([(SECOND, b"x" * 60, 60)], link_type=147))
    with pytest.raises(InvalidRequest, match=r"not implemented .for packets of link type 147"):
        apply("udp", odd, tmp_path / "kept.pcapng")
    with pytest.raises(InvalidRequest, match="syntax error"):
        apply("udp and", REAL[0], tmp_path / "kept.pcapng")
    with pytest.raises(ObjectMissing):
        apply("udp", tmp_path / "missing.pcap", tmp_path / "kept.pcapng")
    with pytest.raises(ObjectExists):
        apply("udp", REAL[0], odd)
    (tmp_path / "empty").touch()
    with pytest.raises(InvalidRequest, match="syntax error"):
        apply("udp and", tmp_path / "empty", tmp_path / "kept.pcapng")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "odd.pcap"]
