"""Rates of a simple capture get their scale from the totals, and say from where."""

from datetime import timedelta

import pytest

from edgecap.incidents.scale import scale_of, scaled
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.reader import PacketReader
from edgecap.packets.summarize import summarize
from edgecap.packets.verdict.conditions import conditions_of
from edgecap.requests import Filter
from tests.edgecap.packets.files import Dripping, pcap
from tests.edgecap.report.incidents import dropped as few_samples
from tests.edgecap.report.summaries import START, TARGET

SECOND = 1_000_000_000
BEGIN = int((START + timedelta(minutes=5)).timestamp()) * SECOND


def syn(number):
    """A SYN to the target, from another source each time."""
    source = bytes([198, 51, number // 250, number % 250])
    head = bytes.fromhex("45000028000000004006") + bytes(2) + source + bytes([203, 0, 113, 7])
    return head + number.to_bytes(2) + b"\x01\xbb" + bytes(8) + b"\x50\x02" + bytes(6)


def dropped():
    """Totals of enough samples to tell what passed."""
    return few_samples().model_copy(update={"samples": 3_000_000})


def summary(count=3000, seconds=60, **filters):
    """A capture of samples of a flood."""
    packets = [(BEGIN + number * seconds * SECOND // count, syn(number), 40) for number in range(count)]
    table, reader = FlowTable(), PacketReader(Dripping(pcap(packets, link_type=101), 1 << 20))
    for batch in reader:
        table.feed(batch, reader.interfaces)
    table.finish()
    fields = Filter(destination_address=TARGET, **filters)
    return summarize(
        table, conditions=conditions_of(sampled=True, fields=fields, at_edge=True, window=seconds)
    )


def test_the_scale_is_what_passed_by_what_was_sampled():
    found = scale_of(summary(), dropped())
    assert found.value == pytest.approx(4_000 * 60 / 15 / 3000, rel=0.02)
    assert found.low < found.value < found.high


def test_rates_are_of_all_packets_and_the_verdict_says_from_where():
    before = summary()
    assert "sampled packets/s" in before.verdict
    after = scaled(before, dropped())
    assert "sampled" not in after.verdict
    assert "by the totals of Logpush's rows" in " ".join(after.caveats)
    rate = after.rates.packets_estimate
    assert rate.low < 4_000 / 15 < rate.high
    scale = scale_of(before, dropped())
    assert (rate.high - rate.low) / rate.value > (scale.high - scale.low) / scale.value
    assert after.rates.peak_estimate.value == pytest.approx(
        before.rates.peak_packets * after.conditions.sampling, rel=0.02
    )


def test_no_scale_where_it_does_not_follow():
    gone = dropped()
    assert scale_of(summary(), few_samples()) is None
    assert scale_of(summary(destination_port=443), gone) is None  # the totals are of all ports
    assert scale_of(summary(count=10), gone) is None
    assert scale_of(summary(), gone.model_copy(update={"series": None})) is None
    assert scale_of(summary(), gone.model_copy(update={"targets": ("192.0.2.1",)})) is None
    late = gone.series.model_copy(update={"start": START + timedelta(hours=2)})
    assert scale_of(summary(), gone.model_copy(update={"series": late})) is None
