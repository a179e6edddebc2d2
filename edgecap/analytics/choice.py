"""Choosing the data centres of full captures: a pure function of what is known.

Network Analytics counts first; then what the policy names; then where the account's captures had packets; and
only then none. Packets that the edge dropped cannot be captured, so those that passed decide.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from edgecap.analytics.places import Carried, Share, totals, without
from edgecap.units import duration, percent, plural, short

By = Literal["analytics", "policy", "usual", "none"]
SHOWN = 10  # shares that a choice keeps
SAMPLES_OF_ALL = 10  # with as many sampled packets, a place's own part that passes counts half
REFUSED_MOST = 3  # places that Cloudflare may refuse for one capture


class SeenShare(BaseModel):
    """One data centre's packets, as they were when the choice was made: estimates."""

    model_config = ConfigDict(extra="allow", frozen=True)

    colo: str
    passed: float = Field(description="Packets that the edge let through")
    dropped: float = Field(description="Packets that the edge dropped")


class Evidence(BaseModel):
    """What a choice was made from."""

    model_config = ConfigDict(extra="allow", frozen=True)

    targets: tuple[str, ...] = Field((), description="Empty: everything that the account gets")
    since: AwareDatetime | None = Field(None, description="Begin of the traffic that was looked at")
    until: AwareDatetime | None = Field(None, description="Its end: the newest row")
    asked: AwareDatetime | None = Field(None, description="When Network Analytics was asked")
    passed: float = Field(0, description="Packets to the targets that passed, in all data centres")
    dropped: float = Field(0, description="Those that the edge dropped")
    colos: int = Field(0, description="How many data centres carry any")
    shares: tuple[SeenShare, ...] = Field((), description="The largest ones, the largest first")
    usual: tuple[SeenShare, ...] = Field((), description="Packets of the account's own captures, by place")
    disappointed: tuple[str, ...] = Field(
        (), description="Places whose captures of the target had few packets in the last hour"
    )
    problem: str = Field("", description="Why Network Analytics did not decide; empty if it did")
    notes: tuple[str, ...] = Field((), description="What of its answer was not usable")
    took: float | None = Field(None, description="Seconds that the choice took")


class Choice(BaseModel):
    """Where full captures go, in their order, and why."""

    model_config = ConfigDict(extra="allow", frozen=True)

    places: tuple[str, ...] = Field(description="The largest share first; empty if nothing says where")
    by: By = Field(description="What decided")
    refused: tuple[str, ...] = Field((), description="Places that Cloudflare did not accept")
    held: float | None = Field(None, description="Share of the packets that the places hold together")
    evidence: Evidence = Evidence()
    words: str = Field(description="The choice in a sentence without a full stop")

    def expected(self, place: str) -> float | None:
        """Packets a second that pass at a place, as it was chosen; None if that is not known."""
        seen = self.evidence
        if self.by != "analytics" or not seen.since or not seen.until or seen.until <= seen.since:
            return None
        seconds = (seen.until - seen.since).total_seconds()
        return next((each.passed / seconds for each in seen.shares if each.colo == place), None)


def after_refusal(choice: Choice, refused: str) -> Choice | None:
    """The choice without a place that Cloudflare did not accept; None if no other place is known.

    Args:
        choice: what was chosen.
        refused: the place.
    """
    tried = (*choice.refused, refused)
    seen = choice.evidence.shares if choice.by == "analytics" else choice.evidence.usual
    left = _untried((*choice.places, *(each.colo for each in seen)), tried)
    if not left or len(tried) > REFUSED_MOST:
        return None
    words = f"{left[0]}, since Cloudflare did not accept {_listed(tried)}; before that: {choice.words}"
    return choice.model_copy(update={"places": left, "refused": tried, "held": None, "words": words})


@dataclass(frozen=True, slots=True)
class Known:
    """What a choice is made from.

    Attributes:
        targets: addresses and networks under attack.
        carried: what Network Analytics answered; None if it did not.
        problem: why it did not, in words.
        policy: places that the policy names, in its order.
        usual: packets of the account's own captures, by place.
        disappointed: places whose captures of the target had few packets in the last hour.
        tried: places that are left out: this incident has captured there.
    """

    targets: Sequence[str] = ()
    carried: Carried | None = None
    problem: str = ""
    policy: Sequence[str] = ()
    usual: Sequence[Share] = ()
    disappointed: Collection[str] = ()
    tried: Collection[str] = ()


def choose(known: Known, *, share: float, most: int, took: float | None = None) -> Choice:
    """The fewest places that hold the wanted share of the packets that can be captured.

    Args:
        known: what is known.
        share: that the places hold together, 0 to 1.
        most: places at most.
        took: seconds since the choice was wanted.
    """
    carried, problem = known.carried, known.problem
    if carried is not None and not carried.shares:
        problem = f"Network Analytics has no packets to {_to(known.targets)} {_when(carried)}"
    evidence = _evidence(known, problem, took)
    if carried and carried.shares:
        left = without(carried.shares, tuple(known.tried))
        places, held = _fewest(left, carried.shares, known.disappointed, share=share, most=most)
        words = _words(places, carried, known, most=most)
        return Choice(
            places=places, by="analytics" if places else "none", held=held, evidence=evidence, words=words
        )
    if named := _last(_untried(known.policy, known.tried), known.disappointed):
        return Choice(
            places=named,
            by="policy",
            evidence=evidence,
            words=f"{_listed(named)}, as the rule says: {problem}",
        )
    left = without(known.usual, tuple(known.tried))
    places, _ = _fewest(left, known.usual, known.disappointed, share=share, most=most)
    if places:
        return Choice(
            places=places,
            by="usual",
            evidence=evidence,
            words=f"{_listed(places)}, where this account's captures had packets before: {problem}",
        )
    words = f"no data centre can be chosen: {problem}, and the archive has no other full capture with packets"
    return Choice(places=(), by="none", evidence=evidence, words=words)


def _fewest(
    shares: Sequence[Share], of: Sequence[Share], disappointed: Collection[str], *, share: float, most: int
) -> tuple[tuple[str, ...], float | None]:
    """The fewest of `shares` that hold the wanted share of all of `of`, and what they hold.

    If nothing passes anywhere, the places where most is dropped count: the edge may let some through.
    """
    everything = totals(of)
    by_passed = everything.passed > 0
    likely = _likely_passed(of) if by_passed else {each.colo: each.dropped for each in of}
    whole = sum(likely.values())
    if not whole:
        return (), None
    amounts = {each.colo: likely[each.colo] for each in shares}
    order = sorted(
        (colo for colo, amount in amounts.items() if amount), key=lambda colo: (-amounts[colo], colo)
    )
    places: list[str] = []
    held = 0.0
    for colo in _last(order, disappointed):
        if len(places) == most or held >= share * whole:
            break
        places.append(colo)
        held += amounts[colo]
    return tuple(places), held / whole if by_passed else 0.0


def _likely_passed(shares: Sequence[Share]) -> dict[str, float]:
    """The packets that pass at each place, also where few packets were sampled.

    While the edge drops most of an attack, a handful of sampled packets passed. What a place gets in all is
    known better. So a place's part that passes is taken for that of all places, the more so the fewer packets
    were sampled there.
    """
    everything = totals(shares)
    overall = everything.passed / (everything.passed + everything.dropped)
    found = {}
    for each in shares:
        total = each.passed + each.dropped
        own = each.passed / total if total else 0.0
        weight = each.samples / (each.samples + SAMPLES_OF_ALL)
        found[each.colo] = total * (weight * own + (1 - weight) * overall)
    return found


def _last(places: Sequence[str], disappointed: Collection[str]) -> tuple[str, ...]:
    """The places, those that disappointed at the end."""
    lowered = {each.lower() for each in disappointed}
    return tuple(sorted(places, key=lambda place: place.lower() in lowered))


def _untried(places: Sequence[str], tried: Collection[str]) -> tuple[str, ...]:
    lowered = {each.lower() for each in tried}
    return tuple(place for place in dict.fromkeys(places) if place.lower() not in lowered)


def _evidence(known: Known, problem: str, took: float | None) -> Evidence:
    carried = known.carried
    everything = totals(carried.shares) if carried else Share("", 0, 0)
    return Evidence(
        targets=tuple(known.targets),
        since=carried.since if carried else None,
        until=carried.until if carried else None,
        asked=carried.asked if carried else None,
        passed=everything.passed,
        dropped=everything.dropped,
        colos=len(carried.shares) if carried else 0,
        shares=_seen(carried.shares if carried else ()),
        usual=_seen(known.usual),
        disappointed=tuple(sorted(known.disappointed)),
        problem=problem,
        notes=carried.notes if carried else (),
        took=None if took is None else round(took, 3),
    )


def _seen(shares: Sequence[Share]) -> tuple[SeenShare, ...]:
    return tuple(
        SeenShare(colo=each.colo, passed=round(each.passed), dropped=round(each.dropped))
        for each in shares[:SHOWN]
    )


def _words(places: Sequence[str], carried: Carried, known: Known, *, most: int) -> str:
    everything = totals(carried.shares)
    to = f"packets to {_to(known.targets)}"
    if not places:
        if not everything.passed + everything.dropped:
            return f"no data centre can be chosen: Network Analytics counts no {to} {_when(carried)}"
        return f"no further data centre carries {to}: {_listed(sorted(known.tried))} had them all"
    if not everything.passed:
        return (
            f"{_listed(places)}: the edge dropped all {short(everything.dropped)} {to} {_when(carried)}, "
            "most of them there"
        )
    dropped = ""
    if everything.dropped:
        gone = everything.dropped / (everything.passed + everything.dropped)
        dropped = f"; the edge dropped {percent(gone)} of all before a capture could see them"
    # What was counted there, as the table of shares has it; `held` also weighs how few were sampled.
    counted = sum(each.passed for each in carried.shares if each.colo in places) / everything.passed
    much = f"{percent(counted)} of the {to} that passed {_when(carried)}"
    verb = "carries" if len(places) == 1 else "carry"
    limit = (
        f", the most that {plural(most, 'data centre')} can" if len(places) == most and counted < 1 else ""
    )
    after = _disappointed_words(places, carried, known)
    return f"{_listed(places)} {verb} {much}{limit}{dropped}{after}"


def _disappointed_words(places: Sequence[str], carried: Carried, known: Known) -> str:
    disappointed = {each.lower() for each in known.disappointed} - {each.lower() for each in known.tried}
    passed_over = sorted(each.colo for each in carried.shares if each.colo.lower() in disappointed)
    if not passed_over:
        return ""
    what = "is taken last" if set(passed_over) & set(places) else "is left out"
    return f"; {_listed(passed_over)} {what}: a capture there had few packets in the last hour"


def _listed(places: Sequence[str]) -> str:
    """Such as `ZRH, AMS and ORD`."""
    if len(places) < 2:  # noqa: PLR2004 - nothing to join
        return "".join(places)
    return f"{', '.join(places[:-1])} and {places[-1]}"


def _to(targets: Sequence[str]) -> str:
    if not targets:
        return "this account's addresses"
    if len(targets) == 1:
        return targets[0]
    return f"{targets[0]} and {plural(len(targets) - 1, 'other')}"


def _when(carried: Carried) -> str:
    span = duration((carried.until - carried.since).total_seconds())
    behind = carried.behind.total_seconds()
    return f"in {span} until {carried.until:%H:%M:%S} UTC" + (
        f", {duration(behind)} ago" if behind >= 60 else ""  # noqa: PLR2004 - rows have whole minutes
    )
