"""From counts to a grade: whether a filter is good enough, and the reason in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from edgecap.proposals.backtest import Counts
from edgecap.proposals.candidates import LEAST
from edgecap.proposals.interval import Share, Stratum, clopper_pearson, fewest_to_prove, share_of
from edgecap.proposals.model import Counted, Grade, Proof
from edgecap.proposals.search import MOST_HARM
from edgecap.units import percent, plural

_TENTH, _SMALLEST = 0.1, 0.0001  # a share; per cent
_MOST_MIXED = 0.5  # of a vector's packets that may be usual ones; more cannot be taken off


def proof_of(
    number: int, attack: Sequence[Counts], baseline: Sequence[Counts], weights: Sequence[float], scale: float
) -> Proof:
    """What a filter did to all packets.

    Args:
        number: the filter, of those that were tried.
        attack: the counts of each capture of the attack.
        baseline: of each capture of the baseline.
        weights: what a packet of each of those stands for.
        scale: usual packets in the attack's captures for each one of the baseline.
    """
    hit = sum(int(each.hit[number]) for each in attack)
    vector = sum(each.vector for each in attack)
    mixed = scale * sum(each.like for each in baseline)
    mixed_hit = scale * sum(int(each.like_hit[number]) for each in baseline)
    share = hit / vector if vector else 0.0
    if 0 < mixed < _MOST_MIXED * vector:
        share = min(1.0, max(0.0, (hit - mixed_hit) / (vector - mixed)))
    strata = [
        Stratum(int(each.harmed[number]), each.scope, weight)
        for each, weight in zip(baseline, weights, strict=True)
        if each.scope
    ]
    rest = sum(int(each.harmed[number]) for each in attack)
    others = sum(each.scope for each in attack)
    return Proof(
        attack=_counted(hit, vector),
        attack_share=round(share, 6),
        baseline=_weighted(strata) if strata else None,
        rest=_counted(rest, others) if others else None,
    )


def grade_of(proof: Proof, *, has_baseline: bool) -> tuple[Grade, str]:
    """The grade of a filter, and why it has it.

    A filter is proven if it matches at least 80 % of the attack, and if even the upper end of the interval of
    the baseline's share is at most 0.5 %.

    Args:
        proof: its counts.
        has_baseline: whether there were captures to compare with.
    """
    matched = percent(proof.attack_share)
    if proof.attack_share < LEAST:
        return "none", (
            f"the best filter matches {matched} of the attack's packets, less than {percent(LEAST)}"
        )
    counted = proof.baseline
    if counted is None:
        if has_baseline:
            return (
                "unproven",
                ("the baseline has no packets to this target: nothing proves that it is harmless"),
            )
        return "unproven", "there is no baseline: nothing proves that it is harmless"
    if counted.share > MOST_HARM:
        return "none", (
            f"the best filter matches {matched} of the attack, and also {fine(counted.share)} of the "
            f"baseline, more than {percent(MOST_HARM)}: usual packets look like the attack's"
        )
    if counted.high > MOST_HARM:
        least = fewest_to_prove(MOST_HARM)
        return "unproven", (
            f"the baseline has {plural(counted.packets, 'packet')} to this target, too few for a proof: up "
            f"to {fine(counted.high)} of usual packets may match; it takes {least} or more"
        )
    return "proven", (
        f"it matches {matched} of the attack, and at most {fine(counted.high)} of usual packets to "
        "this target"
    )


def fine(share: float) -> str:
    """A small share with two digits that count, such as `0.012%`: `<0.1%` would not tell it from a limit."""
    if not 0 < share < _TENTH:
        return percent(share)
    return f"{share * 100:.2g}%" if share * 100 >= _SMALLEST else f"<{_SMALLEST}%"


def _counted(matched: int, packets: int) -> Counted:
    share = matched / packets if packets else 0.0
    low, high = clopper_pearson(matched, packets) if packets else (0.0, 1.0)
    return _record(matched, packets, Share(share, low, high))


def _weighted(strata: Sequence[Stratum]) -> Counted:
    matched, packets = sum(each.matched for each in strata), sum(each.packets for each in strata)
    return _record(matched, packets, share_of(strata))


def _record(matched: int, packets: int, share: Share) -> Counted:
    return Counted(
        matched=matched,
        packets=packets,
        share=round(share.value, 8),
        low=round(share.low, 8),
        high=min(1.0, round(share.high, 8)),
    )
