"""How right verdicts are on captures whose truth is known: `make bench-verdict` writes docs/verdicts.md.

The corpus is `edgecap.simulator.corpus`. Rules were tuned on captures with even seeds; the report is of those
with odd seeds. A capture counts as found if one of its vectors is of the right kind, and of an amplification
of the right service; as likely if that vector is. Vectors of another kind beside it are in the table of
confusion. The half of the captures has a baseline: three captures of the same filter from before the attack.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random

from benches.verdict_report import report
from edgecap.archive.baseline import usual_of
from edgecap.packets.summarize import judged
from edgecap.simulator.corpus.attacks import ATTACKS
from edgecap.simulator.corpus.build import FILTERS, PLACES, SAMPLINGS, STRENGTHS, Capture, Spec, build
from edgecap.simulator.corpus.services import QUIET, SERVICES

DOCS = Path(__file__).parents[1] / "docs" / "verdicts.md"
ORDINARY = 2_000  # captures in which nothing happens
_BEFORE = 3  # captures of a baseline


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was said of a capture.

    Attributes:
        spec: what was built.
        packets: that were kept.
        attack: those of the attack.
        strength: of the verdict: likely, possible or nothing.
        vectors: kind, service and strength of each.
        line: the verdict.
        covered: whether each interval of a rate or a share holds its truth.
    """

    spec: Spec
    packets: int
    attack: int
    strength: str
    vectors: tuple[tuple[str, str, str], ...]
    line: str
    covered: tuple[bool, ...]

    @property
    def right(self) -> str:
        """How strong the right vector is: likely, possible or nothing."""
        kind = ATTACKS[self.spec.attack]
        found = [
            strength
            for name, service, strength in self.vectors
            if name == kind.vector and service == kind.service
        ]
        return "likely" if "likely" in found else "possible" if found else "nothing"


def main() -> None:
    """Judge the corpus and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("tuned", "reported"), default="reported")
    parser.add_argument("--part", type=float, default=1.0, help="of the captures")
    parser.add_argument("--minutes", type=float, default=1e6, help="judge what fits into them")
    parser.add_argument("--to", type=Path, default=DOCS)
    parser.add_argument("--misses", action="store_true", help="print each capture that was judged wrongly")
    options = parser.parse_args()
    specs = list(corpus(options.half))
    if options.part < 1:
        specs = Random(options.half).sample(specs, int(options.part * len(specs)))
    began = time.monotonic()
    outcomes = judge_all(specs, options.minutes * 60, options.half)
    if options.misses:
        for each in outcomes:
            if told := _miss(each):
                print(told)
    text = report(outcomes, half=options.half, of=len(specs), seconds=time.monotonic() - began)
    options.to.write_text(text)
    print(text.partition("## In short")[2].partition("\n## ")[0].strip())


def corpus(half: str) -> Iterator[Spec]:
    """The captures of a half: with attacks and without."""
    odd = int(half == "reported")
    services = tuple(SERVICES)
    number = 0
    grid = product(ATTACKS, STRENGTHS, SAMPLINGS, (False, True), (False, True))
    for attack, strength, sampling, filtered, both_ways in grid:
        number += 1
        seed = 2 * number + odd
        rng = Random(seed)
        yield Spec(
            seed,
            tuple(rng.sample(services, rng.choice((1, 1, 2)))),
            attack=attack,
            strength=strength,
            sampling=sampling,
            filter=rng.choice(FILTERS[1:]) if filtered else "",
            both_ways=both_ways,
            baseline=_BEFORE if rng.random() < 0.5 else 0,
            known=rng.random() < 0.5,
        )
    for count in range(ORDINARY):
        number += 1
        seed = 2 * number + odd
        rng = Random(seed)
        chosen = tuple(rng.sample(services, rng.choice((1, 1, 2, 3))))
        sampling = SAMPLINGS[count % len(SAMPLINGS)]
        yield Spec(
            seed,
            chosen,
            ordinary=rng.choice((300, 1_000, 1_000, 2_500)),
            sampling=min(sampling, 100) if QUIET & set(chosen) else sampling,
            filter=rng.choice(FILTERS),
            both_ways=rng.random() < 0.4,
            baseline=_BEFORE if rng.random() < 0.4 else 0,
            known=rng.random() < 0.5,
        )


def judge_all(specs: Sequence[Spec], seconds: float, seed: str, processes: int = 2) -> list[Outcome]:
    """Judge captures until `seconds` have passed.

    A process takes all captures of a customer, so that the customer's services are made once. Customers come
    in a random order, and so do the captures of one: the part that is judged in time is a random one.
    """
    random, deadline = Random(seed), time.monotonic() + seconds
    customers: dict[int, list[Spec]] = {}
    for spec in random.sample(specs, len(specs)):
        customers.setdefault(spec.seed % PLACES, []).append(spec)
    with ProcessPoolExecutor(processes) as pool:
        groups = pool.map(_judge_until, customers.values(), [deadline] * len(customers))
        return [outcome for group in groups for outcome in group]


def _judge_until(specs: Sequence[Spec], deadline: float) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for spec in specs:
        if time.monotonic() > deadline:
            break
        outcomes.append(judge_one(spec))
    return outcomes


def judge_one(spec: Spec) -> Outcome:
    """Build a capture, judge it, and compare with the truth."""
    made = build(spec)
    summary = made.summary
    usual = usual_of([(str(at), each) for at, each in enumerate(made.before)], summary, "target")
    if usual:
        summary = judged(summary, usual.baseline, usual.evidence)
    return Outcome(
        spec=spec,
        packets=summary.packets,
        attack=made.attack,
        strength=summary.strength,
        vectors=tuple((each.kind, each.service, each.strength) for each in summary.vectors),
        line=summary.verdict,
        covered=tuple(_covered(made)),
    )


def _covered(made: Capture) -> Iterator[bool]:
    """Whether the intervals of the rate and of the share of UDP hold what passed."""
    summary = made.summary
    if not summary.conditions.sampling or not summary.rates.packets_estimate or not summary.evidence:
        return
    rate, seconds = summary.rates.packets_estimate, summary.evidence.seconds
    yield rate.low * seconds <= made.passed <= rate.high * seconds


def _miss(each: Outcome) -> str:
    spec = each.spec
    where = (
        f"1/{spec.sampling} {spec.filter or 'all'} {'both' if spec.both_ways else 'in'}"
        f"{' baseline' if spec.baseline else ''} {spec.services}"
    )
    if not spec.attack:
        return f"FALSE {each.strength} {where} | {each.line}" if each.strength != "nothing" else ""
    if each.right == "nothing" and each.attack >= 1_000:
        return f"MISSED {spec.attack} {spec.strength} {where} | {each.line}"
    return ""


if __name__ == "__main__":
    main()
