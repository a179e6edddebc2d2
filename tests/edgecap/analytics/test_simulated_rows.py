"""Rows that the simulated edge pushes, in each format of times and choice of fields, beside its truth."""

from datetime import UTC, datetime, timedelta

import pytest

from edgecap.analytics.dropped_rows import dropped_from_rows
from edgecap.analytics.logpush import Wanted
from edgecap.simulator.analytics.logpush import Logpush
from edgecap.simulator.analytics.sampling import Sampler
from edgecap.simulator.analytics.truth import tally
from edgecap.simulator.clock import Clock
from edgecap.simulator.log import EdgeLog
from edgecap.simulator.traffic import Attack, CountedTraffic
from edgecap.simulator.traffic.times import nanoseconds
from edgecap.simulator.variants import make_variant
from edgecap.stores.folder import FolderStore
from tests.edgecap.analytics.test_header_packets import complaints

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
LASTS = timedelta(seconds=60)
TARGET = "203.0.113.150"


class Standing(Clock):
    """A clock that stands."""

    def now(self):
        return START


@pytest.fixture(scope="module")
def traffic():
    kinds = ("syn_flood", "dns_amplification", "ntp_amplification")
    attacks = [Attack(each, START, LASTS, target=TARGET, rate=100) for each in kinds]
    return CountedTraffic(3, rate=2.0, attacks=attacks, spread=True, mitigate=True)


def read(traffic, tmp_path, **choices):
    """What the pushed rows tell, and the file of packets."""
    store, clock = FolderStore(tmp_path / "bucket"), Standing()
    (tmp_path / "bucket").mkdir()
    variant = make_variant("documented", choices)
    Logpush(
        Sampler(traffic), store, variant=variant, clock=clock, log=EdgeLog(clock), folder=tmp_path, one_in=20
    ).tick(START + timedelta(minutes=3))
    path = tmp_path / "dropped.pcapng"
    return dropped_from_rows(store, Wanted((TARGET,), START, START + LASTS), path, now=START), path


@pytest.mark.parametrize("times", ["seconds", "milliseconds", "nanoseconds", "rfc3339"])
def test_each_format_of_times_leads_to_the_truth(traffic, tmp_path, times):
    found, path = read(traffic, tmp_path, logpush_time=times)
    truth = tally(
        traffic,
        nanoseconds(START),
        nanoseconds(START + LASTS),
        by=("outcome",),
        targets=frozenset({TARGET}),
    )
    for outcome, estimate in (("pass", found.dropped.passed), ("drop", found.dropped.dropped)):
        packets = next(row["packets"] for row in truth if row["outcome"] == outcome)
        wide = 2 * (estimate.high - estimate.low)  # four standard errors: this sample is one of many
        assert abs(estimate.value - packets) < wide
    assert found.dropped.notes == ()
    assert (found.packets > 500, found.lacking.get("TTL", 0), found.not_a_packet) == (True, 0, 0)
    assert complaints(path) == []


def test_few_fields_make_packets_that_say_what_lacks(traffic, tmp_path):
    found, path = read(traffic, tmp_path, logpush_fields="few")
    assert found.lacking["TTL"] == found.packets > 500
    assert complaints(path) == []


def test_bare_fields_make_sums_but_no_packets(traffic, tmp_path):
    found, path = read(traffic, tmp_path, logpush_fields="bare")
    assert (found.packets, path.exists()) == (0, False)
    assert found.not_a_packet > 500
    assert found.dropped.dropped.value > 500
    assert "without a sample interval" in found.dropped.notes[-1]
