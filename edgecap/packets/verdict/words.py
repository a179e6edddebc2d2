"""The verdict's line, and what limits it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecap.packets.verdict.case import ENOUGH
from edgecap.packets.verdict.conditions import Conditions
from edgecap.packets.verdict.evidence import Evidence
from edgecap.packets.verdict.intervals import Estimate
from edgecap.packets.verdict.model import Baseline, Vector
from edgecap.packets.verdict.signs import interval, one_in, percent
from edgecap.units import bit_rate, listed, plural

_LONGEST = 60  # characters of a filter in the line


def headline(
    evidence: Evidence, conditions: Conditions, vectors: Sequence[Vector], baseline: Baseline | None, mix: str
) -> str:
    """One line for a reader in a hurry: what it is, how much, and what that was taken from."""
    filtered = _filtered(conditions)
    if not evidence.packets:
        return f"No packets{filtered}."
    if not vectors:
        why = "Too few packets for a verdict" if evidence.packets < ENOUGH else "Nothing stands out"
        known = f" beside {baseline.words}" if baseline and evidence.packets >= ENOUGH else ""
        told = f", {mix}" if mix else ""
        return f"{why}{known}: {plural(evidence.packets, 'packet')}{told}{filtered}."
    first = vectors[0]
    word = "Likely" if first.strength == "likely" else "Possibly"
    rate = f", {rate_in_words(first.rate, conditions)}" if first.rate else ""
    more = [each for each in vectors[1:] if each.strength == first.strength]
    also = f"; and {_rest(more)}" if more else ""
    compared = "" if baseline or first.kind == "scan" else "; its usual rate is not known"
    return f"{word} {first.title}{rate}{also}{compared}{filtered}."


def rate_in_words(rate: Estimate, conditions: Conditions) -> str:
    """Such as `12,000 to 15,000 packets/s (95 %)`; says so if it is of samples."""
    unit = "sampled packets/s" if conditions.sampled and conditions.sampling is None else "packets/s"
    return f"{interval(rate)} {unit}" + ("" if rate.exact else " (95 %)")


def sampling_in_words(conditions: Conditions) -> str:
    """Such as `1 in 1,000`, or `1 in 950 to 1,060 (95 %)`."""
    found = conditions.sampling_estimate
    return one_in(found) if found else f"1 in {conditions.sampling:,.0f}"


def numbers_of(vector: Vector, conditions: Conditions) -> Iterator[str]:
    """A vector's lines: how much, with intervals, then its evidence."""
    if vector.rate and vector.share:
        low, high = percent(vector.share.low), percent(vector.share.high)
        share = low if vector.share.exact else f"{low} to {high}"
        bits = ""
        if vector.bits and vector.bits.value:
            ends = [bit_rate(vector.bits.low), bit_rate(vector.bits.high)]
            bits = f", {ends[0] if ends[0] == ends[1] else ' to '.join(ends)}"
        yield f"{share} of all packets, {rate_in_words(vector.rate, conditions)}{bits}"
    if vector.usual and vector.rate:
        yield f"usual are {interval(vector.usual)} packets/s"
    yield from vector.evidence


def caveats(evidence: Evidence, conditions: Conditions, baseline: Baseline | None) -> Iterator[str]:
    """What limits the verdict, a line each."""
    if conditions.fixed:
        fixed = listed([each.replace("-", " ") for each in conditions.fixed])
        yield f"The capture filter selects packets by {fixed}, so shares of that are no sign of an attack."
    if conditions.sampled and conditions.sampling is None:
        yield "The packets are samples, of which part of all is not known: rates are of samples."
    if conditions.sampled and conditions.sampling is not None:
        source = f", {conditions.sampling_from}" if conditions.sampling_from else ""
        yield f"The packets are samples, {sampling_in_words(conditions)}{source}: rates are estimates of all."
    if conditions.cut:
        yield f"It ended early: {conditions.cut}."
    if conditions.damaged:
        yield "A part of the packets could not be read."
    if not baseline and evidence.packets >= ENOUGH:
        yield (
            "The usual rate of such packets is not known: only earlier captures of the same type, place and "
            "filter tell it."
        )


def _filtered(conditions: Conditions) -> str:
    told = conditions.filter
    if not told:
        return ""
    return f" (capture filter: {told[: _LONGEST - 1] + '…' if len(told) > _LONGEST else told})"


def _rest(more: Sequence[Vector]) -> str:
    names = list(dict.fromkeys(each.title for each in more))
    return names[0] if len(names) == 1 else f"{len(names)} more vectors"
