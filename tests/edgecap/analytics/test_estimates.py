"""Sums of sampled rows: right on average, and within their interval as often as they say."""

from datetime import timedelta

import numpy as np
import pytest

from edgecap.analytics.estimates import RowSums, step_of
from edgecap.analytics.rows import DROPPED, PASSED, RECORD, RowReader, Texts
from edgecap.packets.verdict.intervals import count, weighted
from tests.edgecap.analytics.logpush_rows import NOON, lines, passed, row

MINUTE = timedelta(minutes=1)


def sums_of(*rows, until=NOON + 10 * MINUTE):
    reader = RowReader()
    sums = RowSums(reader.texts, NOON, until)
    for batch in (*reader.feed(lines(*rows)), *reader.finish()):
        sums.add(batch)
    return sums


def test_rows_are_added_up_with_their_weights():
    sums = sums_of(row(), row("udp", SampleInterval=10_000), passed(SampleInterval=50), row(Outcome="other"))
    through, gone, other = sums.totals
    assert (through.value, gone.value, other.value) == (50, 11_000, 1000)
    assert gone.low < 11_000 < gone.high
    assert sums.bits == (50 * 320, 1000 * 320 + 10_000 * 540 * 8)
    assert sums.sampling == "1 in 50 to 1 in 10,000, as the rows say"


def test_groups_tell_each_dimension_the_most_dropped_first():
    sums = sums_of(
        row(),
        row(ColoCode="AMS", SourceASN=64501, SourceASNName="EXAMPLE-FIBRE", SampleInterval=9000),
        passed(ColoCode="AMS"),
    )
    found = {each.by: each.groups for each in sums.groupings()}
    assert [(each.name, each.dropped.value, each.passed.value) for each in found["colo"]] == [
        ("AMS", 9000, 1000),
        ("ORD", 1000, 0),
    ]
    assert [each.words for each in found["network"]] == ["EXAMPLE-FIBRE (AS64501)", "EXAMPLE-CLOUD (AS64500)"]
    assert [each.words for each in found["rule"]] == [
        "Generic high-volume floods (fdfdac75430c4c47a959592f0aa5e68a)"
    ]
    assert [each.name for each in found["system"]] == ["dosd"]


def test_a_dimension_of_which_rows_tell_nothing_is_left_out():
    sums = sums_of(row(without=["ColoCode", "SourceASN", "SourceASNName", "SourceCountry"]))
    assert {each.by for each in sums.groupings()} == {"system", "reason", "rule", "vector"}


def test_texts_that_json_writes_in_two_ways_are_one_group():
    data = lines(row(RuleName="x")) + lines(row()).replace(b'"dosd"', b'"\\u0064osd"')
    reader = RowReader()
    sums = RowSums(reader.texts, NOON, NOON + MINUTE)
    for batch in (*reader.feed(data), *reader.finish()):
        sums.add(batch)
    system = next(each for each in sums.groupings() if each.by == "system")
    assert [(each.name, each.dropped.value) for each in system.groups] == [("dosd", 2000)]


def test_the_series_has_each_packet_in_its_step():
    sums = sums_of(row(at=NOON), row(at=NOON + 9 * MINUTE), passed(at=NOON + timedelta(seconds=9)))
    series = sums.series
    assert (series.start, series.seconds, len(series.passed)) == (NOON, 5, 120)
    assert [place for place, each in enumerate(series.dropped) if each] == [0, 108]
    assert [place for place, each in enumerate(series.passed) if each] == [1]


@pytest.mark.parametrize(("seconds", "step"), [(10, 1), (240, 1), (241, 2), (3600, 15), (86_400, 600)])
def test_a_series_has_a_readable_number_of_steps(seconds, step):
    assert step_of(seconds) == step


def test_rows_without_a_weight_count_once_and_are_said():
    sums = sums_of(row(without=["SampleInterval"]))
    assert (sums.totals[1].value, sums.unweighted) == (1, 1)
    assert sums.sampling == "the rows do not tell their sample interval"


@pytest.mark.parametrize(
    "intervals",
    [(1000,), (10_000,), (1000, 10_000), (1, 100, 10_000), (1000, 2000, 4000, 8000)],
    ids=str,
)
@pytest.mark.parametrize("samples", [5, 20, 200])
def test_the_interval_holds_the_truth_as_often_as_it_says(intervals, samples):
    """Many attacks, each sampled anew, of each weight about so many: 95 % of the intervals hold the truth."""
    random = np.random.default_rng(7)
    trials, held = 4000, 0
    passed_by = [samples * each for each in intervals]
    drawn = random.binomial(passed_by, [1 / each for each in intervals], (trials, len(intervals)))
    for seen in drawn:
        total = sum(int(n) * each for n, each in zip(seen, intervals, strict=True))
        squares = sum(int(n) * each**2 for n, each in zip(seen, intervals, strict=True))
        estimate = weighted(total, squares, usual=intervals[-1])
        held += estimate.low <= sum(passed_by) <= estimate.high
    assert 0.925 < held / trials < 0.98


def test_one_weight_gives_the_interval_of_a_sampled_capture():
    assert weighted(7000, 7000 * 1000) == count(7, sampled=True, sampling=1000)
    assert weighted(7, 7) == count(7, sampled=False)


def test_all_rows_of_a_batch_are_counted_once():
    records = np.zeros(5000, RECORD)
    records["outcome"][::2] = DROPPED
    records["outcome"][1::2] = PASSED
    records["sample_interval"] = 10
    records["time"] = int(NOON.timestamp()) * 10**9
    sums = RowSums(Texts(), NOON, NOON + MINUTE)
    sums.add(records)
    assert [each.value for each in sums.totals] == [25_000, 25_000, 0]
    assert sum(sums.series.dropped) == 25_000
