"""The truth of every packet, and how near the estimates come to it."""

from collections import Counter
from datetime import datetime, timedelta
from statistics import mean

import pytest

from edgecap.simulator.analytics.sampling import Sampler
from edgecap.simulator.analytics.truth import tally
from edgecap.simulator.traffic import CountedTraffic, SyntheticTraffic, colos
from edgecap.simulator.traffic.times import SECOND, nanoseconds
from tests.edgecap.simulator.analytics.conftest import TARGET, attacks
from tests.edgecap.simulator.conftest import START

SINCE, UNTIL = START.replace(microsecond=0) - timedelta(seconds=30), START.replace(microsecond=0)
TIMES = {"since": f"{SINCE:%FT%TZ}", "until": f"{UNTIL:%FT%TZ}"}


def truth(world, **parameters):
    answer = world.raw("GET", "/_edge/truth", params=parameters)
    return answer.status_code, answer.json()


def test_the_truth_is_that_of_the_packets_themselves(queried):
    status, body = truth(queried.world, **TIMES, by="colo,outcome,system,attack_id")
    assert status == 200
    expected = Counter()
    for packet in queried.world.edge.traffic.everything(SINCE, UNTIL):
        rule = packet.dropped_by
        expected[colos.city(packet.server), "drop" if rule else "pass", rule.system if rule else ""] += 1
    counted, known = Counter(), set()
    for row in body["rows"]:
        counted[row["colo"], row["outcome"], row["system"]] += row["packets"]
        known.add(row["attack_id"])
    assert counted == expected
    assert len(known) == 3  # of two attacks, and none


def test_a_full_capture_has_all_packets_that_passed_its_city(queried):
    """And none that the edge dropped: what is delivered, by server, is what passed in the capture's time."""
    world = queried.world
    world.register()
    world.advance(12)
    capture_id = world.full(colo_name="ORD", time_limit=4).json()["result"]["id"]
    world.finish(capture_id)
    capture = world.edge.captures[capture_id]
    window = nanoseconds(capture.started), nanoseconds(capture.until)
    rows = tally(world.edge.traffic, *window, by=("colo", "server", "outcome"))
    here = [row for row in rows if row["colo"] == "ORD"]
    assert any(row["outcome"] == "drop" for row in here)
    passed = {row["server"]: row["packets"] for row in here if row["outcome"] == "pass"}
    delivered = {event["server"]: event["packets"] for event in world.edge.log.events("delivery")}
    assert delivered == passed


def test_the_truth_of_one_target_by_the_second(queried):
    _, body = truth(queried.world, **TIMES, target=TARGET)
    assert {row["target"] for row in body["rows"]} == {TARGET}
    assert len({row["second"] for row in body["rows"]}) == 30
    _, whole = truth(queried.world, **TIMES, target=TARGET, by="target")
    [row] = whole["rows"]
    assert row["packets"] == sum(each["packets"] for each in body["rows"])
    assert row["bits"] == row["packets"] * 44 * 8


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "since"),
        ({**TIMES, "by": "mood"}, "mood"),
        ({**TIMES, "since": "2026-11-23T06:30:00"}, "time zone"),
    ],
)
def test_a_wrong_question_for_the_truth_says_so(queried, parameters, words):
    status, body = truth(queried.world, **parameters)
    assert status == 400
    assert words in body["error"]


def test_traffic_that_is_not_counted_has_no_truth(make_world):
    world = make_world(traffic=SyntheticTraffic(7, rate=1.0, attacks=()))
    assert truth(world, **TIMES)[0] == 400


def test_estimates_are_unbiased_and_within_their_interval(make_queried):
    """Of 30 cities, 40 spans and 2 outcomes: 95 % of the intervals hold the truth, and errors cancel out."""
    busy = CountedTraffic(7, rate=12.0, attacks=attacks(240.0), mitigate=True)
    queried = make_queried(traffic=busy, analytics_one_in=10)
    traffic = queried.world.edge.traffic
    rows, _ = queried.node(
        "dimensions { coloCode outcome datetimeTenSeconds } sum { packets bits } "
        "confidence(level: 0.95) { sum { "
        "packets { lower upper estimate sampleSize } bits { lower upper } } }",
        since=400,
        limit=10_000,
    )
    now = UNTIL
    exact = {}
    first = nanoseconds(now - timedelta(seconds=400))
    for begin in range(first // (10 * SECOND) * 10 * SECOND, nanoseconds(now), 10 * SECOND):
        start, end = max(begin, first), min(begin + 10 * SECOND, nanoseconds(now))
        for row in tally(traffic, start, end, by=("colo", "outcome")):
            exact[begin // SECOND, row["colo"], row["outcome"]] = row
    seen, held, errors, held_bits = 0, 0, [], 0
    for row in rows:
        at = row["dimensions"]
        moment = int(datetime.fromisoformat(at["datetimeTenSeconds"]).timestamp())
        known = exact.pop((moment, at["coloCode"], at["outcome"]))
        packets, bits = (row["confidence"]["sum"][name] for name in ("packets", "bits"))
        assert packets["estimate"] == row["sum"]["packets"] == packets["sampleSize"] * 10
        if known["packets"] < 300:
            continue  # of few rows, an interval of a normal distribution is too narrow
        seen += 1
        held += packets["lower"] <= known["packets"] <= packets["upper"]
        held_bits += bits["lower"] <= known["bits"] <= bits["upper"]
        errors.append(row["sum"]["packets"] / known["packets"] - 1)
    assert seen > 300
    assert held / seen == pytest.approx(0.95, abs=0.03)
    assert held_bits / seen == pytest.approx(0.95, abs=0.04)
    assert abs(mean(errors)) < 0.02


def test_a_sample_stays_the_same_and_is_part_of_larger_ones():
    traffic = CountedTraffic(7, rate=12.0, attacks=attacks(), mitigate=True)
    window = nanoseconds(SINCE), nanoseconds(UNTIL)
    large, small, other = (
        {(row.time_ns, row.mark) for row in Sampler(traffic).rows(*window, one_in=one_in, stage=stage)}
        for one_in, stage in ((10, 0), (100, 0), (100, 1))
    )
    assert small < large
    assert small != other
    again = CountedTraffic(7, rate=12.0, attacks=attacks(), mitigate=True)
    halves = [
        {(row.time_ns, row.mark) for row in Sampler(again).rows(start, end, one_in=100)}
        for start, end in ((window[0], window[0] + 7 * SECOND), (window[0] + 7 * SECOND, window[1]))
    ]
    assert halves[0] | halves[1] == small
