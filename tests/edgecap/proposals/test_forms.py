"""Each form parses, and means what the filter means. The judges are libpcap, the kernel's nftables, ExaBGP
with RFC 8955, and Cloudflare's engine with the documentation of its Rules language."""

import json
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from octorules_wirefilter import parse_expression

from edgecap.filters.bpf import Program
from edgecap.proposals.forms import cloudflare, flowspec, nftables, tcpdump
from edgecap.proposals.forms.form import NotExpressible
from edgecap.proposals.traffic_filter import Field, Flags, Fragments, Networks, TrafficFilter, Values
from tests.edgecap.proposals import cloudflare_language, flowspec_routes, traffic
from tests.edgecap.proposals.filters import traffic_filters
from tests.edgecap.proposals.packets import Facts, frames, table_of
from tests.nft import ENVIRONMENT, NFT, UNSHARE, missing

some_packets = st.lists(frames(), min_size=1, max_size=8)
HOST = ip_address("203.0.113.7")
ANY = Facts(4, 17, HOST, HOST, 40, 64, 0, extended=False, ip=bytes(40))
NTP = TrafficFilter(
    4,
    17,
    (
        Networks("destination", (ip_network("203.0.113.7"),)),
        Values.of(Field.SOURCE_PORT, [123]),
        Values.of(Field.LENGTH, [468]),
    ),
)
SYN = TrafficFilter(
    4,
    6,
    (
        Networks("destination", (ip_network("203.0.113.7"), ip_network("203.0.113.128/25"))),
        Flags(0x17, 0x02),
        Values(Field.DESTINATION_PORT, ((80, 80), (443, 450))),
        Values(Field.TTL, ((50, 64),)),
    ),
)


def ours(found: TrafficFilter, packets) -> list[bool]:
    return found.matches(table_of([(frame, captured) for frame, _, captured in packets])).tolist()


def expressed(write, found: TrafficFilter) -> str:
    try:
        return write(found)
    except NotExpressible:
        assume(False)
        raise


class TestTcpdump:
    @given(traffic_filters(), st.lists(frames(cut=True), min_size=1, max_size=12))
    @settings(max_examples=100)
    def test_libpcap_matches_the_packets_that_the_filter_matches(self, found, packets):
        """Also packets that were cut behind their IP header, and short ones with padding."""
        program = Program(tcpdump.write(found))
        theirs = [program.matches(frame[:captured], len(frame)) for frame, _, captured in packets]
        assert theirs == ours(found, packets)

    def test_padding_behind_a_short_packet_is_no_payload(self):
        """Ethernet fills up a datagram of one byte, here with zeros."""
        frame = traffic.udp("198.51.100.9", 5, 53, b"\x00").ljust(60, b"\x00")
        long = traffic.udp("198.51.100.9", 5, 53, bytes(4)).ljust(60, b"\x00")
        found = TrafficFilter(4, 17, (Values.of(Field.PAYLOAD, [0]),))
        assert found.matches(table_of([(frame, 60), (long, 60)])).tolist() == [False, True]
        assert [Program(tcpdump.write(found)).matches(each) for each in (frame, long)] == [False, True]

    def test_it_reads_as_people_write_it(self):
        assert tcpdump.write(NTP) == (
            "ip and ip proto 17 and ip dst host 203.0.113.7 and udp src port 123 and ip[2:2] = 468"
        )


class TestCloudflare:
    @given(traffic_filters(), some_packets)
    @settings(max_examples=100)
    def test_the_documented_language_matches_what_the_filter_matches(self, found, packets):
        text = expressed(cloudflare.write, found)
        theirs = [cloudflare_language.matches(text, facts) for _, facts, _ in packets]
        # What the firewall reads behind IPv6's extension headers does not matter: it compares addresses.
        assert theirs == ours(found, packets)

    @given(traffic_filters())
    @settings(max_examples=100)
    def test_cloudflare_s_own_engine_parses_every_expression(self, found):
        text = expressed(cloudflare.write, found)
        assert parse_expression(text, scheme="magic_firewall").get("error") is None, text

    def test_the_engine_refuses_what_is_not_in_the_language(self):
        """The parser of these tests can say no."""
        for wrong in ("ip.dst eq 203.0.113.0/24", "tcp.window eq 5", "ip.proto eq 6", "ip.len in 40..60"):
            assert parse_expression(wrong, scheme="magic_firewall").get("error"), wrong
            with pytest.raises((cloudflare_language.NotInLanguage, ValueError)):
                cloudflare_language.matches(wrong, ANY)

    def test_it_reads_as_in_the_documentation(self):
        assert cloudflare.write(SYN) == (
            'ip.dst in {203.0.113.7 203.0.113.128/25} and ip.proto eq "tcp" and '
            "not tcp.flags.fin and tcp.flags.syn and not tcp.flags.reset and not tcp.flags.ack and "
            "tcp.dstport in {80 443..450} and ip.ttl in {50..64}"
        )

    def test_of_ipv6_it_says_only_addresses(self):
        to = Networks("destination", (ip_network("2001:db8::/64"),))
        assert cloudflare.write(TrafficFilter(6, None, (to,))) == "ip.dst in {2001:db8::/64}"
        with pytest.raises(NotExpressible, match="matches only the addresses"):
            cloudflare.write(TrafficFilter(6, 17, (to,)))

    def test_an_expression_that_is_too_long_is_not_written(self):
        many = Networks("source", tuple(ip_network(f"10.0.{n // 256}.{n % 256}") for n in range(0, 1200, 2)))
        with pytest.raises(NotExpressible, match="4,096 characters"):
            cloudflare.write(TrafficFilter(4, 17, (many,)))


class TestFlowSpec:
    @given(traffic_filters(), some_packets)
    @settings(max_examples=100)
    def test_routes_that_exabgp_encodes_match_what_the_filter_matches(self, found, packets):
        packets = [
            each for each in packets if not each[1].extended
        ]  # RFC 8956 looks behind extension headers
        assume(packets)
        routes = expressed(flowspec.write, found).splitlines()
        theirs = [any(flowspec_routes.matches(route, facts) for route in routes) for _, facts, _ in packets]
        assert theirs == ours(found, packets)

    def test_it_reads_as_in_exabgp_s_documentation(self):
        assert flowspec.write(NTP) == (
            "announce flow route { match { destination 203.0.113.7/32; protocol =17; source-port =123; "
            "packet-length =468; } then { discard; } }"
        )

    @pytest.mark.parametrize(
        ("test", "what"),
        [
            (Values.of(Field.TTL, [64]), "the TTL"),
            (Values.of(Field.PAYLOAD, [1]), "the payload"),
        ],
    )
    def test_it_says_what_flowspec_lacks(self, test, what):
        with pytest.raises(NotExpressible, match=f"FlowSpec cannot look at {what}"):
            flowspec.write(TrafficFilter(4, 17, (test,)))

    def test_it_refuses_very_many_routes(self):
        source = Networks("source", tuple(ip_network(f"10.{n}.0.0/16") for n in range(0, 40, 2)))
        with pytest.raises(NotExpressible, match="40 routes"):
            flowspec.write(TrafficFilter(4, 17, (*SYN.tests[:1], source)))


@pytest.fixture(scope="module")
def kernel():
    """The kernel's nftables, in a namespace of its own."""
    if reason := missing():
        pytest.skip(reason)
    command = [*UNSHARE, sys.executable, str(Path(__file__).with_name("kernel.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        yield process
        process.stdin.close()


class TestNftables:
    @given(
        st.lists(traffic_filters(), min_size=1, max_size=24),
        st.lists(frames(), min_size=1, max_size=8),
    )
    @settings(max_examples=40, deadline=None)
    def test_the_kernel_matches_the_packets_that_the_filter_matches(self, kernel, found, packets):
        rules = [nftables.write(each).removesuffix(" drop") for each in found]
        asked = {"rules": rules, "frames": [frame.hex() for frame, _, _ in packets]}
        kernel.stdin.write(json.dumps(asked) + "\n")
        kernel.stdin.flush()
        theirs = json.loads(kernel.stdout.readline())
        matched = [ours(each, packets) for each in found]
        assert theirs == [
            [rule for rule in range(len(found)) if matched[rule][packet]] for packet in range(len(packets))
        ]

    @given(st.lists(traffic_filters(), min_size=1, max_size=40))
    @settings(max_examples=20, deadline=None)
    def test_nft_parses_every_rule(self, found):
        if reason := missing():
            pytest.skip(reason)
        rules = "\n".join(map(nftables.write, found))
        text = f"table inet t {{\nchain c {{\n{rules}\n}}\n}}\n"
        done = subprocess.run(
            [*UNSHARE, NFT, "-c", "-f", "-"],
            env=ENVIRONMENT,
            input=text,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr + text

    def test_it_reads_as_people_write_it(self):
        assert nftables.write(SYN) == (
            "meta nfproto ipv4 ip protocol 6 ip frag-off & 0x1fff == 0 "
            "ip daddr { 203.0.113.7, 203.0.113.128/25 } tcp flags & (fin | syn | rst | ack) == syn "
            "tcp dport { 80, 443-450 } ip ttl 50-64 counter drop"
        )


def test_later_fragments_are_said_in_every_form():
    """Without ports, but with the protocol."""
    found = TrafficFilter(4, 17, (Fragments(later=True),))
    assert tcpdump.write(found) == "ip and ip proto 17 and ip[6:2] & 0x1fff != 0"
    assert cloudflare.write(found) == 'ip.proto eq "udp" and bit_slice(ip, 51, 64) gt 0'
    assert nftables.write(found) == "meta nfproto ipv4 ip protocol 17 ip frag-off & 0x1fff != 0 counter drop"
    assert "fragment [ is-fragment ];" in flowspec.write(found)
