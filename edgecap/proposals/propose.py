"""Proposals: from captures of an attack and of usual traffic to filters with their proofs.

Nothing is pushed anywhere: the result is text for a person, who decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from edgecap.packets.names import ACK, SYN
from edgecap.packets.summary import Summary
from edgecap.proposals.backtest import (
    Counts,
    Trial,
    count_attack,
    count_baseline,
    stopped_services,
)
from edgecap.proposals.capture_source import CaptureSource, Sample
from edgecap.proposals.contrast import TIMES, Side, contrast, scale_of
from edgecap.proposals.filter_words import filter_words
from edgecap.proposals.forms.all_forms import FORMS
from edgecap.proposals.forms.form import NotExpressible
from edgecap.proposals.grading import grade_of, proof_of
from edgecap.proposals.hints import hints
from edgecap.proposals.model import Grade, Proof, Proposal, Proposals, UsedCapture, WrittenForm
from edgecap.proposals.search import Samples, search
from edgecap.proposals.table import Mask
from edgecap.proposals.traffic_filter import Field, Flags, Networks, TrafficFilter, Values
from edgecap.proposals.vector import Vector, members
from edgecap.units import plural

SAMPLE = 100_000  # packets of each side, in which filters are searched
_SMALLEST_SHARE = 20_000  # packets of one capture's part in it
_SERVICE_PACKETS = 10
_SHOWN = 3
_ORDER: dict[Grade, int] = {"proven": 0, "unproven": 1, "none": 2}


@dataclass(frozen=True, slots=True)
class Question:
    """What proposals are asked for.

    Attributes:
        attack: the captures of the attack.
        baseline: those of usual traffic; none: nothing can be proved.
        vectors: what the attack is made of, if somebody knows; else it is found out.
        summaries: of the attack's captures: their verdicts name vectors.
        remarks: what a person should know of how the captures were chosen.
    """

    attack: Sequence[CaptureSource]
    baseline: Sequence[CaptureSource] = ()
    vectors: Sequence[Vector] = ()
    summaries: Sequence[Summary] = ()
    remarks: Sequence[str] = ()


def propose(asked: Question) -> Proposals:
    """Filters against an attack, each with its proof.

    Raises:
        ObjectMissing: a file is not there.
        StoreError: a file cannot be read.
    """
    attack_samples, baseline_samples = _sampled(asked.attack), _sampled(asked.baseline)
    attack = Side.of(attack_samples, [each.sampled for each in asked.attack])
    baseline = Side.of(baseline_samples, [each.sampled for each in asked.baseline])
    scale = scale_of(attack, baseline)
    vectors, assumption, reason = _vectors(asked, attack, baseline, scale)
    ours, theirs = members(vectors, attack.table), members(vectors, baseline.table)
    trials = [
        Trial(each, _filters(place, each, ours, theirs[place], attack, baseline, scale))
        for place, each in enumerate(vectors)
    ]
    attack_counts = [count_attack(each, trials) for each in asked.attack] if trials else []
    baseline_counts = [count_baseline(each, trials) for each in asked.baseline] if trials else []
    damage = [each.damage for each in (*attack_samples, *baseline_samples) if each.damage]
    return Proposals(
        made=datetime.now(UTC),
        attack=tuple(_used(asked.attack, attack_samples)),
        baseline=tuple(_used(asked.baseline, baseline_samples)),
        assumption=assumption,
        proposals=tuple(
            _proposal(
                trial,
                [each[number] for each in attack_counts],
                [each[number] for each in baseline_counts],
                weights=_weights(asked.baseline, baseline_samples),
                scale=scale,
                packets=attack.packets,
            )
            for number, trial in enumerate(trials)
        ),
        reason=reason,
        remarks=(*asked.remarks, *(f"a part could not be read: {each}" for each in damage)),
    )


def _sampled(sources: Sequence[CaptureSource]) -> list[Sample]:
    most = max(_SMALLEST_SHARE, SAMPLE // max(len(sources), 1))
    return [each.sample(most) for each in sources]


def _vectors(asked: Question, attack: Side, baseline: Side, scale: float) -> tuple[list[Vector], str, str]:
    """The vectors, how they were found, and why there are none."""
    if not attack.packets:
        return [], "", "the attack's captures have no packets"
    if asked.vectors:
        return list(asked.vectors), "the verdict tells which packets are the attack's", ""
    judged = [vector for summary in asked.summaries for vector in summary.vectors]
    if not baseline.packets:
        found = hints(judged, attack)
        why = "the verdict names no attack, and no capture shows usual packets (a baseline) to compare with"
        return found, "without a baseline, the attack is what the verdict names", "" if found else why
    named = hints([each for each in judged if each.strength == "likely"], attack)
    found = [*named, *contrast(attack, baseline, scale, named)]
    how = (
        f"the attack is taken to be {'what the verdict calls likely, and ' if named else ''}the packets "
        "whose kind (protocol, flags or service, and target) is at least "
        f"{TIMES:g} times as frequent as in the baseline"
    )
    why = f"no kind of packets is {TIMES:g} times as frequent as in the baseline"
    return found, how, "" if found else why


def _filters(
    place: int,
    vector: Vector,
    ours: Sequence[Mask],
    like: Mask,
    attack: Side,
    baseline: Side,
    scale: float,
) -> tuple[TrafficFilter, ...]:
    """The filters that are worth a proof, the best first."""
    if baseline.packets:
        samples = Samples(ours[place], like, attack, baseline, scale, proves=True)
    else:
        # Without a baseline, the packets that are of no vector are what a filter should leave alone.
        left = ~np.logical_or.reduce(ours)
        rest = Side(
            attack.table.take(left), attack.weights[left], int(left.sum()), attack.seconds, attack.sampled
        )
        nothing = np.zeros(len(rest.table), bool)
        samples = Samples(ours[place], nothing, attack, rest, 0.0, proves=False)
    return tuple(each.filter for each in search(vector, samples))


def _weights(sources: Sequence[CaptureSource], samples: Sequence[Sample]) -> list[float]:
    """What a packet of each capture of the baseline stands for.

    How many packets one sample stands for is not known. So, if only some of the captures are samples, both
    types count by the time that they cover.
    """
    seconds = {True: 0.0, False: 0.0}
    packets = {True: 0, False: 0}
    for source, sample in zip(sources, samples, strict=True):
        seconds[source.sampled] += sample.seconds
        packets[source.sampled] += sample.packets
    if not all(packets.values()) or not all(seconds.values()):
        return [1.0] * len(sources)
    return [seconds[source.sampled] / packets[source.sampled] for source in sources]


def _proposal(
    trial: Trial,
    attack: Sequence[Counts],
    baseline: Sequence[Counts],
    *,
    weights: Sequence[float],
    scale: float,
    packets: int,
) -> Proposal:
    members = sum(each.vector for each in attack)
    told = {
        "vector": trial.vector.title,
        "packets": members,
        "share": round(min(1.0, members / packets), 6) if packets else 0.0,
    }
    best: tuple[int, Grade, str, Proof, TrafficFilter] | None = None
    for number, each in enumerate(trial.filters):
        proof = proof_of(number, attack, baseline, weights, scale)
        grade, why = grade_of(proof, has_baseline=bool(baseline))
        if best is None or _ORDER[grade] < _ORDER[best[1]]:
            best = number, grade, why, proof, each
    if best is None:
        return Proposal(**told, grade="none", why="no test leaves enough of the vector's packets")
    number, grade, why, proof, chosen = best
    return Proposal(
        **told,
        grade=grade,
        filter=filter_words(chosen),
        why=why,
        proof=proof,
        forms=tuple(_written(chosen)) if grade != "none" else (),
        remarks=tuple(_remarks(chosen, number, grade, proof, baseline)),
    )


def _written(chosen: TrafficFilter) -> list[WrittenForm]:
    made = []
    for form in FORMS:
        try:
            made.append(WrittenForm(name=form.name, title=form.title, text=form.write(chosen)))
        except NotExpressible as error:
            made.append(WrittenForm(name=form.name, title=form.title, cannot=str(error)))
    return made


def _remarks(
    chosen: TrafficFilter, number: int, grade: Grade, proof: Proof, baseline: Sequence[Counts]
) -> list[str]:
    if grade == "none":
        return []
    remarks = []
    if warning := _all_of_a_service(chosen):
        remarks.append(warning)
    if any(isinstance(test, Values) and test.field is Field.TTL for test in chosen.tests):
        remarks.append("the TTL is that at the place of the capture; further on it is lower")
    stopped = stopped_services(baseline, number, _SERVICE_PACKETS)
    for name, hit, total in stopped[:_SHOWN]:
        remarks.append(f"it also stops usual traffic: {hit:,} of {total:,} baseline packets of {name}")
    if proof.baseline is None and proof.rest and proof.rest.matched:
        remarks.append(
            f"it also matches {proof.rest.matched:,} of {plural(proof.rest.packets, 'other packet')} to the "
            "same target in the same captures"
        )
    return remarks


def _all_of_a_service(chosen: TrafficFilter) -> str:
    """A warning of a filter that only looks at where packets go: it also stops what is wanted there."""
    flags = [test for test in chosen.tests if isinstance(test, Flags)]
    plain = all(
        isinstance(test, Flags)
        or (isinstance(test, Networks) and test.side == "destination")
        or (isinstance(test, Values) and test.field is Field.DESTINATION_PORT)
        for test in chosen.tests
    )
    if not plain:
        return ""
    if any(test.mask & test.value & SYN and not test.value & ACK for test in flags):
        return "it stops every new TCP connection to the target, also those that are wanted"
    return "it stops all such packets to the target, also those that are wanted"


def _used(sources: Sequence[CaptureSource], samples: Sequence[Sample]) -> list[UsedCapture]:
    return [
        UsedCapture(
            name=source.name,
            id=source.capture_id,
            sampled=source.sampled,
            packets=sample.packets,
            first=sample.times[0],
            last=sample.times[1],
        )
        for source, sample in zip(sources, samples, strict=True)
    ]
