"""What goes to the API never excludes a packet that tcpdump would take; libpcap does the rest."""

import struct
import subprocess
from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgecap.errors import InvalidRequest, ObjectExists, ObjectMissing
from edgecap.packets.bpf import Program
from edgecap.packets.filters import apply, explain
from edgecap.packets.inspect import inspect_file
from edgecap.packets.merging import MergeSource, merge
from edgecap.packets.reading import open_packets
from edgecap.requests import Bounds, Filter
from edgecap.simulator.traffic import compile_filter
from tests.edgecap.packets.files import REAL, SECOND, packets_of, pcap
from tests.edgecap.packets.frames import frames

WIDE = Bounds(cidr_filters=True, ipv6_filters=True)

addresses = st.sampled_from(["203.0.113.7", "198.51.100.9", "10.0.0.1", "2001:db8::1", "2001:db8::2"])
ports = st.sampled_from(["53", "54", "80", "443", "0", "http", "domain"])
directions = st.sampled_from(["", "src ", "dst ", "src or dst ", "src and dst ", "dst or src "])


@st.composite
def lists(draw, head, words):
    """One identifier, or several that share their qualifiers."""
    first, more = draw(words), draw(st.lists(words, max_size=2))
    join = draw(st.sampled_from([" or ", " and ", " || "]))
    if more and draw(st.booleans()):
        return f"{head}({join.join([first, *more])})"
    return head + join.join([first, *more])


plain = """
tcp; udp; icmp; icmp6; sctp; esp; ah; ip; ip6; arp; multicast; greater 40; less 60; vlan; vlan 5; 203.0.113.7;
ip proto 17; ip6 proto 6; proto 50; proto 47; ip proto \\tcp; proto (6 or 17); ip proto 51;
ether proto 0x86dd; net 203.0.113.0/24; src net 203.0.113.0/29; dst net 10.0.0.1/32; src net 2001:db8::/32;
net 203.0.113.0 mask 255.255.255.0; src 203.0.113.7; ip src 198.51.100.9; portrange 50-60;
tcp src portrange 50-60; tcp[tcpflags] & tcp-syn != 0; (ip[0] & 0xf) * 4 > 20; ip[6:2] & 0x1fff != 0;
ip[8] < 5; icmp[0] = 8
"""
primitives = st.one_of(
    st.sampled_from([one.strip() for one in plain.split(";")]),
    st.builds(lambda way, word: (f"{way}host ", word), directions, addresses).flatmap(
        lambda pair: lists(pair[0], addresses)
    ),
    st.tuples(st.sampled_from(["", "udp ", "tcp ", "sctp "]), directions).flatmap(
        lambda pair: lists(f"{pair[0]}{pair[1]}port ", ports)
    ),
)
expressions = st.recursive(
    primitives,
    lambda inner: st.one_of(
        inner.map(lambda one: f"({one})"),
        inner.map(lambda one: f"not {one}"),
        inner.map(lambda one: f"!({one})"),
        st.builds(
            lambda left, word, right: f"{left}{word}{right}",
            inner,
            st.sampled_from([" and ", " or ", "&&", " || ", " and not "]),
            inner,
        ),
    ),
    max_leaves=5,
)


@st.composite
def true_of(draw, layer):
    """An expression that this IP header and what follows it matches, in one of the ways to say it."""
    version = 4 if layer["version"] == 4 else 6
    source, destination = (
        str(ip_address(layer[end][12:] if version == 4 else layer[end])) for end in ("source", "destination")
    )
    true = [f"src host {source}", f"dst host {destination}", f"host {source}", f"host ({source} or 10.0.0.9)"]
    true += [f"src or dst {destination}", "ip" if version == 4 else "ip6"]
    if layer.get("ports") and not layer["options"]:
        ends = layer["source_port"], layer["destination_port"]
        named = {6: "tcp ", 17: "udp ", 132: "sctp "}[layer["protocol"]]
        for one in (named, ""):
            true += [
                f"{one}src port {ends[0]}",
                f"{one}dst port {ends[1]}",
                f"{one}port {ends[0]} or {ends[1]}",
            ]
    if version == 4:
        true += [f"proto {layer['protocol']}", f"ip proto {layer['protocol']}"]
    parts = draw(st.lists(st.sampled_from(true), min_size=1, max_size=4))
    return draw(st.sampled_from([" and ", " && "])).join(
        f"({one})" if " or " in one else one for one in parts
    )


def compiled(expression, link_type):
    try:
        return Program(expression, link_type)
    except InvalidRequest:  # a contradiction, or not for this link type
        assume(False)


@settings(max_examples=500)
@given(
    expression=expressions,
    several=st.lists(frames(depth=1), min_size=1, max_size=4),
    bounds=st.sampled_from([Bounds(), WIDE]),
)
def test_what_the_api_is_sent_lets_every_packet_through_that_libpcap_takes(expression, several, bounds):
    for link, data, _ in several:
        if link == 0 or not compiled(expression, link).matches(data):
            continue
        compiled(expression, 1)
        explained = explain(expression, bounds=bounds)
        assert compile_filter(explained.filter, link)(data)
        assert any(compile_filter(each, link)(data) for each in explained.alternatives)
        assert compiled(explained.residual, link).matches(data)


@settings(max_examples=500)
@given(frame=frames(depth=0, most_tags=0), bounds=st.sampled_from([Bounds(), WIDE]), data=st.data())
def test_what_the_api_is_sent_lets_through_what_was_described_in_any_words(frame, bounds, data):
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
@given(expression=expressions, several=st.lists(frames(depth=1, most_tags=0), min_size=1, max_size=4))
def test_the_api_and_the_residual_together_do_what_the_expression_says(expression, several):
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
        ("udp or udp src port 53", {"protocol": 17}, "udp or udp src port 53", 1),
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
def test_what_is_not_sent_has_a_reason(expression, part):
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


def test_what_is_damaged_is_filtered_as_far_as_it_goes(tmp_path):
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
