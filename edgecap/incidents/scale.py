"""How many packets a sample of a simple capture stands for, as Network Analytics' totals tell.

The API does not say at which rate a simple capture samples. Where it is known how many packets to the targets
passed in the capture's time, and how many samples of them the capture has, the rate follows.
"""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address, ip_network

from edgecap.analytics.dropped import Dropped, Series
from edgecap.packets.summarize import resampled
from edgecap.packets.summary import Summary
from edgecap.packets.verdict.intervals import Estimate, count

_LEAST = 20  # samples on either side: fewer tell no rate
_SOURCES = {"analytics": "by Network Analytics' totals", "logpush": "by the totals of Logpush's rows"}


def scaled(summary: Summary, dropped: Dropped) -> Summary:
    """The summary with rates of all packets that passed, if the totals tell them."""
    found = scale_of(summary, dropped)
    return resampled(summary, found, _SOURCES[dropped.source]) if found else summary


def scale_of(summary: Summary, dropped: Dropped) -> Estimate | None:
    """How many packets a sample stands for; None if it is known already, or does not follow.

    Only of a capture whose filter is nothing but the target: the totals are of all packets to it.
    """
    conditions = summary.conditions
    if not summary.sampled or conditions.sampling is not None or set(conditions.fixed) - {"destination"}:
        return None
    if summary.first is None or summary.last is None or dropped.series is None or not dropped.samples:
        return None
    samples = sum(each.packets for each in summary.destinations.top if _is_target(each.address, dropped))
    passed = _passed(dropped.series, summary.first, summary.last)
    everything = dropped.passed.value + dropped.dropped.value
    of_totals = passed * dropped.samples / everything if everything else 0.0
    if samples < _LEAST or of_totals < _LEAST or passed < samples:
        return None
    return count(of_totals, sampled=True).times(passed / of_totals / samples)


def _is_target(address: str, dropped: Dropped) -> bool:
    here = ip_address(address)
    networks = (ip_network(target, strict=False) for target in dropped.targets)
    return any(here.version == each.version and here in each for each in networks)


def _passed(series: Series, first: datetime, last: datetime) -> float:
    """Packets that passed from one time to another; of a step that is partly inside, a part."""
    begin = (first - series.start).total_seconds() / series.seconds
    end = (last - series.start).total_seconds() / series.seconds
    if begin < 0 or end > len(series.passed):
        return 0.0
    return sum(
        packets * max(0.0, min(end, place + 1) - max(begin, place))
        for place, packets in enumerate(series.passed)
        if packets
    )
