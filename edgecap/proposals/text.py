"""Proposals for a terminal of 80 columns, and the sentences that every page shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from edgecap.proposals.grading import fine
from edgecap.proposals.model import Grade, Proposal, Proposals, UsedCapture, WrittenForm
from edgecap.units import percent, period, plural

WIDTH = 80
HEADLINES: dict[Grade, str] = {
    "proven": "Proposed filter",
    "unproven": "Possible filter, not proven harmless",
    "none": "No filter is good enough; the best one",
}
NEVER_PUSHED = "Nothing was changed anywhere: read a filter before you apply it, and apply it yourself."
_CONTINUED = {"nftables": " \\"}  # how a language goes on in the next line; others need nothing


def headline(found: Proposals) -> str:
    """The result in a sentence."""
    if not found.proposals:
        return f"No filter is proposed: {found.reason}."
    good = sum(each.grade == "proven" for each in found.proposals)
    maybe = sum(each.grade == "unproven" for each in found.proposals)
    vectors = plural(len(found.proposals), "vector")
    told = [f"{good} proven"] if good else []
    told += [f"{maybe} not proven harmless"] if maybe else []
    return f"{vectors}; filters: {', '.join(told)}." if told else f"{vectors}; no filter is good enough."


def attack_sentence(proposal: Proposal) -> str:
    """How much of the attack the filter matches; empty if there is no filter."""
    if proposal.proof is None:
        return ""
    counted = proposal.proof.attack
    packets = plural(counted.packets, "packet")
    line = f"{counted.matched:,} of the vector's {packets} match: {percent(counted.share)}"
    if percent(proposal.proof.attack_share) != percent(counted.share):
        line += f"; without the usual packets expected among them, {percent(proposal.proof.attack_share)}"
    return f"{line}."


def baseline_sentence(proposal: Proposal) -> str:
    """How many of the usual packets it matches, with the interval; empty if there are none.

    Not "of the baseline": beside a verdict, readers take that for what the verdict compares rates with.
    """
    counted = proposal.proof.baseline if proposal.proof else None
    if counted is None:
        return ""
    of = f"of the {plural(counted.packets, 'usual packet')} to this target"
    if not counted.matched:
        return f"None {of} match (95 % interval: up to {fine(counted.high)})."
    interval = f"95 % interval: {fine(counted.low)} to {fine(counted.high)}"
    return f"{counted.matched:,} {of} match: {fine(counted.share)} ({interval})."


def capture_sentence(used: UsedCapture) -> str:
    """A capture, its packets and its time."""
    what = "sample" if used.sampled else "packet"
    when = f", {period(used.first, used.last)}" if used.first else ""
    return f"{used.name}: {plural(used.packets, what)}{when}"


def lines(found: Proposals) -> Iterator[str]:
    """All of it, in lines of at most 80 columns; a long word is not broken, so that it can be copied."""
    yield from _wrapped(headline(found))
    for proposal in found.proposals:
        yield ""
        yield from _wrapped(
            f"{proposal.vector}: {plural(proposal.packets, 'packet')}, {percent(proposal.share)} of all"
        )
        yield from _proposal(proposal)
    yield ""
    yield "Attack"
    yield from _listed(found.attack)
    yield "Usual packets (baseline)"
    yield from _listed(found.baseline) if found.baseline else _wrapped("none; --baseline names captures", 2)
    for remark in filter(None, (found.assumption, *found.remarks)):
        yield from _wrapped(f"Note: {remark}.")
    if found.best_grade != "none":
        yield from _wrapped(NEVER_PUSHED)


def _proposal(proposal: Proposal) -> Iterator[str]:
    tried = f": {proposal.filter}" if proposal.filter else "."
    yield from _wrapped(f"{HEADLINES[proposal.grade]}{tried}", 2)
    if proposal.grade != "proven":
        yield from _wrapped(f"{proposal.why[:1].upper()}{proposal.why[1:]}.", 2)
    yield from _wrapped(attack_sentence(proposal), 2)
    yield from _wrapped(baseline_sentence(proposal), 2)
    for remark in proposal.remarks:
        yield from _wrapped(f"Note: {remark}.", 2)
    for form in proposal.forms:
        yield ""
        yield f"  {form.title}"
        yield from _form(form)


def _form(form: WrittenForm) -> Iterator[str]:
    if not form.text:
        yield from _wrapped(f"cannot express it: {form.cannot}", 4)
        return
    end = _CONTINUED.get(form.name, "")
    for line in form.text.splitlines():
        parts = _wrapped(line, 4, room=WIDTH - len(end))
        yield from (f"{part}{end}" for part in parts[:-1])
        yield from parts[-1:]


def _listed(used: Sequence[UsedCapture]) -> Iterator[str]:
    for each in used:
        yield from _wrapped(capture_sentence(each), 2)


def _wrapped(text: str, indent: int = 0, *, room: int = WIDTH) -> list[str]:
    margin = " " * indent
    return wrap(
        text,
        room,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
