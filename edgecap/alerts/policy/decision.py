"""What to do about an alert: `decide` says which captures to take, where, when, with which filter, and why.

`decide` knows no earlier alerts. So the plan only names the cooldown and the budget, and
`edgecap.incidents.joining` applies them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from edgecap.alerts.model import Alert, Event, Moment
from edgecap.alerts.policy import filters, windows
from edgecap.alerts.policy.rules import (
    BUILT_IN,
    DEFAULT_POLICY_TOML,
    During,
    Policy,
    Rule,
    load_policy,
    read_policy,
)
from edgecap.captures.incident_part import Phase
from edgecap.requests import AUTO, Bounds, CaptureRequest, Filter, FullRequest, SimpleRequest
from edgecap.settings.analytics import MOST_PLACES
from edgecap.units import plural

__all__ = [
    "BUILT_IN",
    "DEFAULT_POLICY_TOML",
    "During",
    "Plan",
    "Planned",
    "Policy",
    "Rule",
    "decide",
    "load_policy",
    "read_policy",
]


class Wanted(TypedDict):
    """The fields of a request that select packets."""

    filter: Filter
    expression: str


class Planned(BaseModel):
    """One capture of a plan. The same alert, policy and `now` give it the same phase and number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phase: Phase
    number: int = Field(
        description="Counts from 1 within the phase: by time, or in the order of the data centres"
    )
    request: CaptureRequest
    not_before: Moment | None = Field(
        None,
        description="Earliest start, UTC: its window ends then, or a capture at another place goes first",
    )
    why: str = Field(description="What it shows, in words")
    most: int = Field(
        1, ge=1, description="Captures that it becomes at most: data centres, if they are yet to be chosen"
    )
    choice: dict[str, Any] | None = Field(
        None,
        description="How its place was chosen, and from what; null if it was named, or is yet to be chosen",
    )

    @property
    def awaits_place(self) -> bool:
        """Whether its data centres are yet to be chosen."""
        return isinstance(self.request, FullRequest) and self.request.chooses_place


class Plan(BaseModel):
    """What an alert leads to. The most important capture comes first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alert: str = Field(description="The alert in a line")
    identity: str
    incident: str
    event: Event
    about: str = Field(
        description="What the cooldown applies to: the target, else the sender, else the alert's type"
    )
    rule: str = Field(description="The rule that matched")
    built_in: bool = Field(description="The rule is built in, not from the policy file")
    reason: str = Field(description="Why captures are taken, or why none are")
    filter: Filter | None = Field(None, description="None: no capture can be made of this alert")
    filter_reasons: tuple[str, ...] = ()
    expression: str = Field("", description="The rule's filter expression, as for tcpdump")
    residual: str = Field("", description="The part of the expression that is applied after the download")
    captures: tuple[Planned, ...] = ()
    places: tuple[str, ...] = Field(
        (), description="Where full captures go if their places are to be chosen and nothing else says where"
    )
    cooldown: int = Field(description="Seconds")
    daily_budget: int = Field(description="Captures of this rule in a day (UTC)")
    reserved: int = Field(0, description="Of these, how many are kept for critical and high alerts")
    target_budget: int | None = Field(
        None, description="Captures of this rule in a day for one target; null for no limit"
    )
    preempt: bool
    remarks: tuple[str, ...] = Field((), description="Remarks for people")

    def explain(self, alert: str = "") -> str:
        """The plan in lines that a person can read; the words begin in the tenth column.

        Args:
            alert: the alert in words; the name of its kind and its source if empty.
        """
        return "\n".join(f"{name:<9} {words}" for name, words in self.explained(alert))

    def explained(self, alert: str = "", *, limits: bool = True) -> Iterator[tuple[str, str]]:
        """The same as names and words; the name is empty where the words belong to the name before.

        Args:
            alert: as above.
            limits: also the rule's cooldown and budget.
        """
        yield "alert", alert or self.alert
        yield "rule", self.rule + (" (built in)" if self.built_in else "")
        yield "decision", self.reason
        if self.filter is not None:
            yield "filter", str(self.filter)
            yield from (("", each) for each in self.filter_reasons)
        if self.residual:
            yield "residual", f"{' '.join(self.residual.split())}: applied after the download"
        for each in self.captures:
            yield f"{each.phase:<7}{each.number:>2}", f"{each.request}: {each.why}"
        if self.captures and limits:
            yield (
                "limits",
                f"{self.cooldown} s cooldown for {self.about}, {plural(self.daily_budget, 'capture')} a day"
                + (", stops scheduled full captures" if self.preempt else ""),
            )
        yield from (("note", each) for each in self.remarks)


def decide(
    alert: Alert, policy: Policy, *, now: datetime | None = None, bounds: Bounds | None = None
) -> Plan:
    """The plan for an alert. The same arguments always give the same plan.

    A start takes `before` and `during`; an end takes `after`; anything else takes nothing.

    Args:
        alert: what arrived.
        policy: the rules.
        now: the time, aware; the alert's arrival if it is not given. No window ends later, but for `after`.
        bounds: the API's limits.
    """
    bounds = bounds or Bounds()
    now = now or alert.received
    match = policy.match(alert)
    rule = match.rule
    choice = filters.Choice(None, ())
    if rule.capture:
        chosen = filters.choose(alert, rule.filter, bounds, local_targets=rule.local_targets)
        choice = filters.narrow(chosen, rule.expression, bounds)
    if alert.event == "start" and (gone := windows.gone(alert, rule.before, now=now)):
        choice = filters.Choice(None, (gone,))
    remarks = list(alert.notes)
    captures: tuple[Planned, ...] = ()
    reason = _refusal(alert, rule, choice)
    if not reason and choice.filter is not None:
        phases = _on_start if alert.event == "start" else _on_end
        wanted = Wanted(filter=choice.filter, expression=choice.expression)
        captures = tuple(phases(alert, rule, wanted, now=now, bounds=bounds, remarks=remarks))
        reason = _summary(captures) or f"nothing is left to capture at the {alert.event}"
        if alert.event == "start" and not captures and not rule.after:
            reason = f"no captures: {remarks[-1]}" if remarks else "no captures: the rule takes none"
            choice = filters.Choice(None, ())
    about = alert.targets or (alert.local_targets if rule.local_targets else ()) or alert.source_addresses
    return Plan(
        alert=str(alert),
        identity=alert.identity,
        incident=alert.incident,
        event=alert.event,
        about=",".join(sorted(about)) or f"{alert.source} {alert.kind}",
        rule=rule.name,
        built_in=match.built_in,
        reason=reason,
        filter=choice.filter,
        filter_reasons=choice.reasons,
        expression=choice.expression,
        residual=choice.residual,
        captures=captures,
        places=tuple(rule.during.named) if any(each.awaits_place for each in captures) else (),
        cooldown=rule.cooldown,
        daily_budget=rule.daily_budget,
        reserved=rule.kept_for_grave,
        target_budget=rule.captures_of_a_target,
        preempt=rule.preempt,
        remarks=tuple(remarks),
    )


def _refusal(alert: Alert, rule: Rule, choice: filters.Choice) -> str:
    """Why nothing is captured; empty if something may be."""
    if not rule.capture:
        return f"no captures: {rule.reason or 'the rule says capture = false'}"
    if alert.event == "other":
        return "no captures: the alert reports neither a start nor an end"
    return "" if choice.filter is not None else f"no captures: {choice.reasons[0]}"


def _on_start(
    alert: Alert, rule: Rule, wanted: Wanted, *, now: datetime, bounds: Bounds, remarks: list[str]
) -> Iterable[Planned]:
    """`before` comes first: a simple capture is answered at once, and a full capture takes its time."""
    stretch = windows.before(alert, rule.before, longest=bounds.simple_time_limit, now=now)
    if rule.before:
        remarks += stretch.remarks
        yield from _simple(
            "before", stretch, wanted, now, "packets from before the alert, of all data centres"
        )
    during = rule.during
    over = alert.ended is not None and alert.ended <= now
    named = _places(alert, during) if during.seconds and not over else []
    if during.seconds and over:
        remarks.append("no full capture: the attack was already over when the alert arrived")
    elif during.seconds and not named:
        remarks.append("no full capture: neither the alert nor the rule names a data centre")
    for number, colo in enumerate(named, start=1):
        request = FullRequest(
            colo=colo,
            bucket=during.bucket,
            time_limit=during.seconds,
            packet_limit=during.packet_limit,
            byte_limit=during.byte_limit,
            **wanted,
        )
        why = f"every packet for {during.seconds} s, whole; "
        if request.chooses_place:
            why += f"at the data centres that carry the attack, {MOST_PLACES} at most, one after the other"
        else:
            why += f"the {'alert' if colo in alert.colos else 'rule'} names {colo}"
        most = MOST_PLACES if request.chooses_place else 1
        yield Planned(phase="during", number=number, request=request, why=why, most=most)
    if rule.after:
        remarks.append(f"when it ends, the {rule.after} s that follow are captured")


def _places(alert: Alert, during: During) -> list[str]:
    """Where full captures go: what the alert names comes first, and what the rule names counts as it says."""
    if during.chooses_places:
        return list(dict.fromkeys(alert.colos)) or [AUTO]
    return list(dict.fromkeys([*alert.colos, *during.named]))


def _on_end(
    alert: Alert, rule: Rule, wanted: Wanted, *, now: datetime, bounds: Bounds, remarks: list[str]
) -> Iterable[Planned]:
    if rule.after:
        stretch = windows.after(alert, rule.after, longest=bounds.simple_time_limit, now=now)
        remarks += stretch.remarks
        yield from _simple("after", stretch, wanted, now, "packets from after the end, of all data centres")


def _simple(
    phase: Phase, stretch: windows.Stretch, wanted: Wanted, now: datetime, what: str
) -> Iterable[Planned]:
    numbers = {tile: number for number, tile in enumerate(sorted(stretch.tiles, key=_begins), start=1)}
    for tile in stretch.tiles:
        yield Planned(
            phase=phase,
            number=numbers[tile],
            request=SimpleRequest(time_limit=tile.seconds, offset_time=tile.ends, **wanted),
            not_before=tile.ends if tile.ends > now else None,
            why=f"{tile}: {what}",
        )


def _begins(tile: windows.Tile) -> datetime:
    return tile.begins


def _summary(captures: tuple[Planned, ...]) -> str:
    counts = {
        phase: sum(each.most for each in captures if each.phase == phase)
        for phase in ("before", "during", "after")
    }
    open_ended = {each.phase for each in captures if each.most > 1}
    told = [
        f"{'up to ' if phase in open_ended else ''}{count} {phase}"
        for phase, count in counts.items()
        if count
    ]
    return f"captures: {', '.join(told)}" if told else ""
