"""Rates of a capture in words: of samples with their 95 % interval, and with what they are rates of."""

from __future__ import annotations

from collections.abc import Callable

from edgecap.packets.summary import Summary
from edgecap.packets.verdict.intervals import Estimate
from edgecap.packets.verdict.words import sampling_in_words
from edgecap.units import bit_rate, packet_rate


def average(summary: Summary) -> list[str]:
    """Packets and bits a second on average, a line each."""
    rates = summary.rates
    return _lines(summary, (rates.packets, rates.packets_estimate), (rates.bits, rates.bits_estimate))


def peak(summary: Summary) -> list[str]:
    """Most packets a second, and most bits a second, a line each."""
    rates, most = summary.rates, summary.rates.peak_estimate
    factor = rates.peak_bits / rates.peak_packets if rates.peak_packets else 0.0
    return _lines(
        summary, (rates.peak_packets, most), (rates.peak_bits, most.times(factor) if most else None)
    )


def peak_rate(summary: Summary) -> str:
    """Most packets a second, in one line."""
    return peak(summary)[0]


def counts_samples(summary: Summary) -> bool:
    """Whether its counts are of samples, and not of the packets that they stand for."""
    return summary.sampled and not summary.conditions.weighted


def samples_note(summary: Summary) -> str:
    """What to know about rates that are drawn of samples; empty if they are of all packets."""
    if not counts_samples(summary):
        return ""
    if summary.conditions.sampling is None:
        return "These are samples: the true rates are higher."
    kept = sampling_in_words(summary.conditions)
    return f"These are samples, {kept}: the true rates are that many times as high."


def _lines(
    summary: Summary, packets: tuple[float, Estimate | None], bits: tuple[float, Estimate | None]
) -> list[str]:
    word = " of samples" if summary.sampled and summary.conditions.sampling is None else ""
    return [_between(*packets, packet_rate) + word, _between(*bits, bit_rate) + word]


def _between(value: float, estimate: Estimate | None, shown: Callable[[float], str]) -> str:
    if estimate is None:
        return shown(value)
    return f"{shown(estimate.low)} to {shown(estimate.high)}"
