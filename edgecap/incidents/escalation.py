"""What an alert that joins an incident adds to it: the captures that the incident does not have yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network

from edgecap.alerts.policy.decision import Plan, Planned
from edgecap.captures.incident_part import Phase
from edgecap.requests import CaptureRequest, Filter, FullRequest, SimpleRequest


def added(
    plan: Plan, before: Sequence[tuple[Plan, datetime]], *, graver: bool, at: datetime
) -> tuple[Planned, ...]:
    """The captures of a joining alert's plan that its incident needs besides those that it has.

    None, if the alert is not graver than all before it, and names no data centre that is new.

    Args:
        plan: the joining alert's.
        before: the plans that the incident has ordered, and when their alerts arrived.
        graver: whether the alert is graver than every earlier one of the incident.
        at: when it arrived.
    """
    new = [
        each
        for each in plan.captures
        if not any(_covers(old, each, since=at - when) for one, when in before for old in one.captures)
    ]
    if not graver and not any(isinstance(each.request, FullRequest) for each in new):
        return ()
    numbers: Counter[Phase] = Counter()
    for one, _ in before:
        for old in one.captures:
            numbers[old.phase] = max(numbers[old.phase], old.number)
    renumbered = []
    for each in new:
        numbers[each.phase] += 1
        renumbered.append(each.model_copy(update={"number": numbers[each.phase]}))
    return tuple(renumbered)


def _covers(old: Planned, new: Planned, *, since: timedelta) -> bool:
    """Whether an earlier capture holds every packet that a new one would hold."""
    if not _selects_more(old.request, new.request):
        return False
    match old.request, new.request:
        case SimpleRequest() as mine, SimpleRequest() as other:
            mine_ends, other_ends = mine.offset_time, other.offset_time
            if mine_ends is None or other_ends is None:
                return False
            return (
                mine_ends - timedelta(seconds=mine.time_limit)
                <= other_ends - timedelta(seconds=other.time_limit)
                and other_ends <= mine_ends
            )
        case FullRequest() as mine, FullRequest() as other:
            # Full captures begin when it is their turn, so one that was asked for just now is as good.
            return mine.colo == other.colo and since <= timedelta(seconds=mine.time_limit)
        case _:
            return False


def _selects_more(old: CaptureRequest, new: CaptureRequest) -> bool:
    if old.expression and old.expression != new.expression:
        return False
    return all(getattr(old.filter, name) in (None, getattr(new.filter, name)) for name in Filter.model_fields)


def is_within(about: str, networks: Sequence[str]) -> bool:
    """Whether a target that an incident is about lies in one of these networks."""
    wanted = [ip_network(each) for each in networks]
    for target in about.split(","):
        try:
            network = ip_network(target)
        except ValueError:
            continue  # the sender, or the alert's type
        if any(_holds(each, network) for each in wanted):
            return True
    return False


def _holds(wider: IPv4Network | IPv6Network, network: IPv4Network | IPv6Network) -> bool:
    if isinstance(wider, IPv4Network) and isinstance(network, IPv4Network):
        return network.subnet_of(wider)
    if isinstance(wider, IPv6Network) and isinstance(network, IPv6Network):
        return network.subnet_of(wider)
    return False
