"""Rates of a capture in words: of samples with their 95 % interval, and with what they are rates of."""

from __future__ import annotations

from collections.abc import Callable

from edgecap.packets.summary import Summary
from edgecap.packets.verdict.intervals import Estimate
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


def _lines(
    summary: Summary, packets: tuple[float, Estimate | None], bits: tuple[float, Estimate | None]
) -> list[str]:
    word = " of samples" if summary.sampled and summary.conditions.sampling is None else ""
    return [_between(*packets, packet_rate) + word, _between(*bits, bit_rate) + word]


def _between(value: float, estimate: Estimate | None, shown: Callable[[float], str]) -> str:
    if estimate is None:
        return shown(value)
    return f"{shown(estimate.low)} to {shown(estimate.high)}"
