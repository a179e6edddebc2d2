"""`edgecap policy check`: check the policy and explain it in words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from edgecap.alerts.policy.coverage import shadowed
from edgecap.alerts.policy.rules import BUILT_IN, Policy, Rule, load_policy
from edgecap.cli.options import Json
from edgecap.cli.output import console, print_json, printable, say
from edgecap.filters.translate import explain
from edgecap.requests import Bounds
from edgecap.settings import load_settings
from edgecap.settings.alerts import AlertSettings
from edgecap.settings.analytics import MOST_PLACES
from edgecap.units import plural


def check(file: Annotated[Path | None, Parameter(name="FILE")] = None, /, *, json: Json = False) -> None:
    """Explain the policy in words, rule by rule.

    If the policy is wrong, exits with 3 and names the place. Warns of rules that can never match.

    Args:
        file: The policy file. Default: the settings' `receiver.policy`, or else the built-in rules.
        json: Print one JSON document.
    """
    settings = load_settings()
    path = file or settings.receiver.policy
    policy = load_policy(path, settings.bounds, settings.alerts.names)
    rules = [*policy.rules, *BUILT_IN]
    over = shadowed(rules)
    warnings = _warnings(policy, over, settings.alerts)
    if json:
        shown = [
            {
                **rule.model_dump(mode="json"),
                "built_in": place >= len(policy.rules),
                "matches": not over[place],
                "says": in_words(rule, settings.bounds),
            }
            for place, rule in enumerate(rules)
        ]
        print_json({"file": str(path) if path else None, "rules": shown, "warnings": warnings})
        return
    out = console()
    for place, rule in enumerate(rules):
        never = "  (never matches)" if over[place] else ""
        out.print(f"{place + 1}  {printable(rule.name)}{never}", soft_wrap=True)
        for line in in_words(rule, settings.bounds):
            out.print(f"   {printable(line)}", soft_wrap=True)
    for warning in warnings:
        say(f"warning: {printable(warning)}")
    if not path:
        say("There is no policy file: only the built-in rules apply. `receiver.policy` names one.")
    elif not warnings:
        say(f"{path} has no errors.")


def in_words(rule: Rule, bounds: Bounds) -> list[str]:
    """A rule in sentences without a full stop; `bounds` are the API's."""
    lines = [f"for {_matches(rule)}"]
    if not rule.capture:
        return [*lines, f"captures nothing{f': {rule.reason}' if rule.reason else ''}"]
    before = f"from {rule.before} s before the start up to the alert" if rule.before else ""
    during = (
        f"{rule.during.seconds} s of every packet at {_places(rule)}, by bucket {rule.during.bucket}"
        f"{_limits(rule)}"
        if rule.during.seconds
        else ""
    )
    after = f"{rule.after} s after the end" if rule.after else ""
    taken = [each for each in (before, during, after) if each]
    lines.append(f"captures {'; '.join(taken)}" if taken else "captures nothing: all its times are 0")
    if taken:
        lines.append(
            "for alerts without a target, "
            + ("nothing" if rule.filter is None else f"captures {rule.filter}")
        )
        if rule.local_targets:
            lines.append("takes a private address in a label such as instance, or in a title, for a target")
        if rule.expression.strip():
            lines.append(_narrowed(rule.expression, bounds))
        joins = f"joins alerts for one target for {rule.cooldown} s" if rule.cooldown else "joins no alerts"
        stops = ", stops a scheduled full capture" if rule.preempt else ""
        lines.append(f"{joins}, takes at most {plural(rule.daily_budget, 'capture')} a day{stops}")
    return lines


def _places(rule: Rule) -> str:
    colos = ", ".join(rule.during.named)
    if not rule.during.chooses_places:
        return f"{f'{colos} and ' if colos else ''}the data centres that the alert names"
    most = plural(MOST_PLACES, "data centre")
    otherwise = f" (or at {colos} if that cannot be told)" if colos else ""
    return (
        f"the data centres that the alert names, or else where most of the attack arrives, at most {most}"
        f"{otherwise}"
    )


def _matches(rule: Rule) -> str:
    source = "any source" if "*" in rule.source else " or ".join(rule.source)
    kind = "alerts of any kind" if "*" in rule.kind else f"alerts of kind {' or '.join(rule.kind)}"
    severity = f", severity {' or '.join(rule.severity)}" if rule.severity else ""
    return f"{kind} from {source}{severity}"


def _narrowed(expression: str, bounds: Bounds) -> str:
    """How a rule's expression is applied. An alert's target and protocol may let the API apply more."""
    explained = explain(" ".join(expression.split()), bounds=bounds)
    done = "the API applies all of it"
    if explained.residual:
        done = (
            f"the API applies {explained.filter}, and edgecap applies {explained.residual} after the download"
        )
    return f"narrows each to {explained.expression}: {done}"


def _limits(rule: Rule) -> str:
    packets, size = rule.during.packet_limit, rule.during.byte_limit
    told = [plural(packets, "packet") if packets else "", plural(size, "byte") if size else ""]
    return f", at most {' and '.join(filter(None, told))}" if any(told) else ""


def _warnings(policy: Policy, over: list[tuple[str, ...]], alerts: AlertSettings) -> list[str]:
    """Rules of the file that never match, with the reason."""
    on = set(alerts.tables)
    found = []
    for rule, takers in zip(policy.rules, over, strict=False):
        if takers:
            names = " and ".join(map(repr, takers))
            found.append(f"rule {rule.name!r} can never match: {names} before it matches all its alerts")
        elif on and "*" not in rule.source and not on & set(rule.source):
            which = " and ".join(rule.source)
            found.append(f"rule {rule.name!r} can never match: alerts from {which} are off in the settings")
    return found
