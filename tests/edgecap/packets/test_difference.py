"""A capture beside the earlier ones of its schedule; and the schema of summaries."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import jsonschema
import pytest

from edgecap.packets.columns import Interface
from edgecap.packets.difference import LAST, compare
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.summarize import summarize
from edgecap.packets.summary import Summary, summary_schema
from edgecap.simulator.traffic.attacks import Attack
from edgecap.simulator.traffic.synthetic import SyntheticTraffic
from tests.edgecap.packets.files import REAL
from tests.edgecap.packets.reference import batch_of
from tests.edgecap.packets.summaries import summary_of

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OLD = {
    "format": "edgecap-summary/1",
    "verdict": "Likely SYN flood on 203.0.113.7 port 443.",
    "findings": [
        {"kind": "syn-flood", "title": "SYN flood", "likelihood": "likely", "evidence": ["70 % are SYN"]},
        {"kind": "scan", "title": "a scan", "likelihood": "possible", "evidence": []},
    ],
    "sampled": True,
    "packets": 10,
}
"""What the first format of summaries had for a verdict."""
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
            lambda: Summary.model_validate(OLD),
            lambda: traffic().model_copy(
                update={"difference": compare(traffic(), "x", [("a", traffic(seed=2))])}
            ),
        ],
        ids=["empty", "attack", "real", "old", "compared"],
    )
    def test_summaries_are_what_the_schema_says(self, summary):
        jsonschema.validate(
            json.loads(summary().model_dump_json()),
            json.loads(summary_schema()),
            cls=jsonschema.Draft202012Validator,
        )

    def test_findings_of_the_first_format_are_read_as_vectors(self):
        old = Summary.model_validate(OLD)
        assert (old.strength, old.verdict) == ("likely", OLD["verdict"])
        assert [(each.kind, each.strength) for each in old.vectors] == [
            ("syn-flood", "likely"),
            ("scan", "possible"),
        ]
        assert old.vectors[0].evidence == ("70 % are SYN",)
        assert old.evidence is None
        assert Summary.model_validate_json(old.model_dump_json()) == old
