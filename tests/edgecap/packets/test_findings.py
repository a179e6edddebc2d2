"""What numbers look like is said of the simulator's attacks and of real programs, and of nothing else."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import jsonschema
import pytest

from edgecap.packets.columns import Interface
from edgecap.packets.difference import LAST, compare
from edgecap.packets.findings import ENOUGH, find, verdict
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.reader import open_packets
from edgecap.packets.summarize import summarize
from edgecap.packets.summary import Amplification, Finding, Named, Summary, Talker, Talkers, summary_schema
from edgecap.simulator.traffic.attacks import Attack
from edgecap.simulator.traffic.synthetic import SyntheticTraffic
from tests.edgecap.packets.files import DATA, REAL
from tests.edgecap.packets.reference import batch_of

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PROGRAMS = DATA / "programs"
DOCS = Path(__file__).parents[3] / "docs"


@cache
def traffic(kind=None, *, times=6.0, seed=1, seconds=3):
    """The summary of some seconds at one data centre, with an attack of `times` the usual rate."""
    rate = 40.0
    attacks = [Attack(kind, START, timedelta(seconds=seconds), rate=times * rate)] if kind else []
    made = SyntheticTraffic(seed, rate=rate, attacks=attacks)
    packets = made.packets(START, START + timedelta(seconds=seconds), colo="ord02")
    tally = FlowTable()
    tally.feed(
        batch_of([(each.time_ns, each.data, len(each.data), 1) for each in packets], [1]), [Interface(1, 0)]
    )
    tally.finish()
    return summarize(tally)


def summary_of(path):
    tally = FlowTable()
    with open_packets(path) as reader:
        for batch in reader:
            tally.feed(batch, reader.interfaces)
    tally.finish()
    return summarize(tally)


def kinds(summary):
    return [(each.kind, each.likelihood) for each in summary.findings]


class TestFindings:
    def test_a_syn_flood_is_named_with_its_target_and_its_numbers(self):
        summary = traffic("syn_flood")
        assert kinds(summary)[0] == ("syn-flood", "likely")
        first = summary.findings[0]
        assert first.title == "SYN flood on 203.0.113.7 port 443"
        syn = next(each for each in summary.tcp_flags if each.name == "SYN")
        assert f"{syn.packets:,} packets ask for a connection (SYN without ACK)" in first.evidence[0]
        assert summary.verdict.startswith("Likely SYN flood on 203.0.113.7 port 443, peak ")

    @pytest.mark.parametrize(("kind", "name"), [("dns_amplification", "dns"), ("ntp_amplification", "ntp")])
    def test_an_amplification_is_named_once_with_its_service_and_its_target(self, kind, name):
        """The flood of UDP or of fragments that it is as well is not told again."""
        summary = traffic(kind)
        assert kinds(summary)[0] == ("amplification", "likely")
        assert summary.findings[0].title.startswith(f"{name} amplification on 203.0.113.7")
        assert not {"udp-flood", "fragment-flood"} & {kind for kind, _ in kinds(summary)}
        (found,) = [each for each in summary.amplification if each.service == name]
        assert f"{found.packets:,} packets from UDP port {found.port}" in summary.findings[0].evidence[0]

    def test_ports_of_later_fragments_are_not_called_port_0(self):
        summary = traffic("dns_amplification")
        assert summary.fragments.later > ENOUGH
        assert 0 not in {each.port for each in (*summary.source_ports.top, *summary.destination_ports.top)}

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_ordinary_traffic_is_called_nothing(self, seed):
        summary = traffic(seed=seed)
        assert summary.packets > ENOUGH
        assert summary.findings == ()
        assert summary.verdict.startswith("Nothing stands out: ")

    @pytest.mark.parametrize("kind", ["syn_flood", "ntp_amplification"])
    def test_an_attack_that_is_a_trickle_is_called_nothing(self, kind):
        assert traffic(kind, times=0.1).findings == ()

    def test_nmap_is_a_scan_and_no_flood(self):
        """Half of the packets are SYN; that they come from one address and go to 200 ports tells a scan."""
        summary = summary_of(PROGRAMS / "nmap.pcap")
        assert kinds(summary) == [("scan", "likely")]
        assert summary.findings[0].title == "a scan by 198.51.100.1"
        assert (
            summary.findings[0].evidence[0]
            == "198.51.100.1 sent 200 packets in 200 flows: 50 % of all packets"
        )

    @pytest.mark.parametrize(
        "path", [*REAL, PROGRAMS / "dig.pcap", PROGRAMS / "iperf3.pcap"], ids=lambda p: p.stem
    )
    def test_real_traffic_of_other_programs_is_called_nothing(self, path):
        summary = summary_of(path)
        assert summary.findings == ()
        assert summary.verdict.startswith("Too few packets for a verdict: ")

    def test_a_resolver_with_thousands_of_answers_is_no_scanner(self):
        """Each answer goes to a new port: as many flows as a scan has, and no probe."""
        udp = b"\x45\0\0\x20\0\0\0\0\x40\x11\0\0\x01\x01\x01\x01\xcb\0\x71\x35\0\x35"
        packets = [(at * 10**6, udp + at.to_bytes(2, "big") + bytes(8), 90, 101) for at in range(1024, 1524)]
        tally = FlowTable()
        tally.feed(batch_of(packets, [101]), [Interface(101, 0)])
        tally.finish()
        assert "scan" not in {kind for kind, _ in kinds(summarize(tally))}


def made(**values):
    """A summary of 1,000 packets to one address, unless said otherwise."""
    base = {
        "verdict": "",
        "packets": 1_000,
        "bytes": 100_000,
        "destinations": talkers(1, 1.0),
        "sources": talkers(500, 0.01),
    }
    return Summary.model_validate(base | values)


def talkers(distinct, share, **more):
    top = Talker(address="203.0.113.7", packets=int(1_000 * share), bytes=0, flows=1, share=share, **more)
    return Talkers(distinct=distinct, top=(top,))


def named(name, packets, number=None):
    return Named(name=name, number=number, packets=packets, bytes=0, share=packets / 1_000)


class TestThresholds:
    @pytest.mark.parametrize(
        ("syn", "tcp", "expected"),
        [
            (700, 1_000, "likely"),
            (699, 1_000, "possible"),
            (500, 1_000, "possible"),
            (499, 1_000, None),
            (200, 250, "possible"),
            (199, 200, None),
        ],
    )
    def test_a_syn_flood_is_most_of_tcp_and_much_of_everything(self, syn, tcp, expected):
        summary = made(
            protocols=(named("tcp", tcp, 6),), tcp_flags=(named("SYN", syn, 2), named("ACK", tcp - syn, 16))
        )
        found = [each.likelihood for each in find(summary) if each.kind == "syn-flood"]
        assert found == ([expected] if expected else [])

    @pytest.mark.parametrize(
        ("share", "mean", "expected"),
        [(0.2, 400, "likely"), (0.2, 399, None), (0.5, 399, "possible"), (0.19, 400, None)],
    )
    def test_an_amplification_has_large_answers_or_is_most_of_all(self, share, mean, expected):
        each = Amplification(
            service="ntp", port=123, packets=int(1_000 * share), bytes=0, share=share, mean_size=mean
        )
        found = [
            each.likelihood for each in find(made(amplification=(each,))) if each.kind == "amplification"
        ]
        assert found == ([expected] if expected else [])

    @pytest.mark.parametrize(
        ("protocol", "packets", "kind"),
        [
            ("udp", 800, "udp-flood"),
            ("icmp", 800, "icmp-flood"),
            ("gre", 800, "protocol-flood"),
            ("udp", 600, None),
        ],
    )
    def test_floods_of_other_protocols_are_most_of_all_packets(self, protocol, packets, kind):
        found = [each.kind for each in find(made(protocols=(named(protocol, packets),)))]
        assert found == ([kind] if kind else [])

    def test_a_flood_of_acknowledgements_has_no_connections(self):
        many = {"protocols": (named("tcp", 950, 6),), "tcp_flags": (named("ACK", 900, 16),)}
        assert [each.kind for each in find(made(**many, flows={"records": 900, "distinct": 900}))] == [
            "tcp-flood"
        ]
        assert find(made(**many, flows={"records": 900, "distinct": 90})) == ()

    def test_the_likely_come_first(self):
        summary = made(
            protocols=(named("tcp", 400, 6),),
            tcp_flags=(named("SYN", 300, 2),),
            amplification=(
                Amplification(service="ntp", port=123, packets=500, bytes=0, share=0.5, mean_size=468),
            ),
        )
        assert [each.likelihood for each in find(summary)] == ["likely", "possible"]

    @pytest.mark.parametrize("packets", [0, 1, ENOUGH - 1])
    def test_too_few_packets_give_no_finding(self, packets):
        summary = made(
            packets=packets, protocols=(named("tcp", packets, 6),), tcp_flags=(named("SYN", packets, 2),)
        )
        assert find(summary) == ()

    def test_the_summary_has_one_line(self):
        assert verdict(made(packets=0), ()) == "No packets."
        one = made(packets=1, protocols=(Named(name="tcp", packets=1, bytes=60, share=1),))
        assert verdict(one, ()) == "Too few packets for a verdict: 1 packet, 100 % tcp."
        finding = Finding(kind="x", title="a flood", likelihood="possible", evidence=())
        rates = {"peak_packets": 12_345.6}
        assert verdict(made(rates=rates, sampled=True), (finding, finding)) == (
            "Possibly a flood, peak 12,346 sampled packets/s; 1 more finding."
        )


class TestDifference:
    def test_two_quiet_captures_are_much_the_same(self):
        found = compare(traffic(seed=1), "every 10 minutes", [("b", traffic(seed=1)), ("a", traffic(seed=1))])
        assert found.verdict == "Much as the 2 captures before."
        assert found.changes == ()
        assert (found.series, found.captures) == ("every 10 minutes", ("b", "a"))

    def test_an_attack_differs_from_the_quiet_before_it(self):
        found = compare(traffic("ntp_amplification"), "x", [("a", traffic())])
        assert found.verdict.startswith("Differs from the capture before: ")
        told = {(each.kind, each.what): each for each in found.changes}
        assert ("rate", "packets a second") in told
        assert ("new-source-port", "udp 123") in told
        assert (
            "udp port 123 (ntp) was not among the largest sources before; "
            in told["new-source-port", "udp 123"].line
        )
        assert told["mix", "udp"].now > told["mix", "udp"].before

    def test_an_attack_on_the_web_server_is_no_new_destination(self):
        found = compare(traffic("syn_flood"), "x", [("a", traffic())])
        assert "new-destination" not in {each.kind for each in found.changes}

    def test_a_new_source_and_a_new_port_are_told_with_their_share(self):
        tcp = b"\x45\0\0\x28\0\0\0\0\x40\x06\0\0\xc6\x33\x64%c\xcb\0\x71\x35\xff\xff"

        def capture(source, port):
            data = tcp % source + port.to_bytes(2, "big") + bytes(9) + b"\x10" + bytes(6)
            tally = FlowTable()
            tally.feed(
                batch_of([(at * 10**6, data, 90, 101) for at in range(50)], [101]), [Interface(101, 0)]
            )
            tally.finish()
            return summarize(tally)

        found = compare(capture(9, 22), "x", [("b", capture(7, 80)), ("a", capture(8, 443))])
        assert {each.line for each in found.changes} == {
            "198.51.100.9 was not among the largest sources before; 100% now",
            "tcp port 22 (ssh) was not among the largest destinations before; 100% now",
        }
        assert compare(capture(7, 443), "x", [("b", capture(7, 80)), ("a", capture(8, 443))]).changes == ()

    def test_captures_without_packets_are_not_compared_with(self):
        empty = Summary(verdict="")
        assert compare(traffic(), "x", []) is None
        assert compare(traffic(), "x", [("a", empty)]) is None
        assert compare(empty, "x", [("a", traffic())]) is None
        assert compare(traffic(), "x", [("b", empty), ("a", traffic())]).captures == ("a",)

    def test_only_the_last_ones_count(self):
        many = [(str(number), traffic()) for number in range(LAST + 5)]
        assert compare(traffic(), "x", many).captures == tuple(map(str, range(LAST)))


class TestSchema:
    def test_the_document_is_that_of_the_model(self):
        assert (DOCS / "summary.schema.json").read_text() == summary_schema()

    @pytest.mark.parametrize(
        "summary",
        [
            lambda: Summary(verdict="No packets."),
            lambda: traffic("dns_amplification"),
            lambda: summary_of(REAL[0]),
            lambda: traffic().model_copy(
                update={"difference": compare(traffic(), "x", [("a", traffic(seed=2))])}
            ),
        ],
        ids=["empty", "attack", "real", "compared"],
    )
    def test_summaries_are_what_the_schema_says(self, summary):
        jsonschema.validate(
            json.loads(summary().model_dump_json()),
            json.loads(summary_schema()),
            cls=jsonschema.Draft202012Validator,
        )
