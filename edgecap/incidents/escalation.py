"""What an alert that joins an incident adds to it: the captures that the incident does not have yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network

from edgecap.alerts.model import Alert, rank
from edgecap.alerts.policy.decision import Plan, Planned
from edgecap.alerts.policy.windows import Tile
from edgecap.captures.incident_part import Phase
from edgecap.requests import CaptureRequest, Filter, FullRequest, SimpleRequest

_TELLING = ("targets", "colos", "protocol", "target_port", "announced")
_SHORTEST = timedelta(seconds=1)  # that the API takes


def added(
    plan: Plan, before: Sequence[tuple[Plan, datetime]], *, more_severe: bool, at: datetime
) -> tuple[Planned, ...]:
    """The captures of a joining alert's plan that its incident needs besides those that it has.

    None, if the alert is not more severe than all before it, names no data centre that is new, and is about
    packets that earlier captures asked for: those of another vector against the same target they did not. A
    simple capture looks back only over the time that no earlier one covers.

    Args:
        plan: the joining alert's.
        before: the plans that the incident has ordered, and when their alerts arrived.
        more_severe: whether the alert is more severe than every earlier one of the incident.
        at: when it arrived.
    """
    had = [(old, at - when) for one, when in before for old in one.captures]
    new = [
        left
        for each in plan.captures
        if not any(_covers(old, each, since=since) for old, since in had)
        and (left := _uncovered(each, [old for old, _ in had]))
    ]
    is_telling = any(
        (isinstance(each.request, FullRequest) and not each.awaits_place)
        or not any(selects_more(old.request, each.request) for old, _ in had)
        for each in new
    )
    if not more_severe and not is_telling:
        return ()
    numbers: Counter[Phase] = Counter()
    for one, _ in before:
        for old in one.captures:
            numbers[old.phase] = max(numbers[old.phase], old.number + old.most - 1)
    renumbered = []
    for each in new:
        renumbered.append(each.model_copy(update={"number": numbers[each.phase] + 1}))
        numbers[each.phase] += each.most
    return tuple(renumbered)


def asks_for_more(plan: Plan, before: Sequence[tuple[Plan, datetime]]) -> bool:
    """Whether a plan is about packets that no capture of an incident asked for, such as of another protocol.

    Not if the incident asked for none at all: then a budget was used up, and it is for this plan, too.
    """
    had = [old.request for one, _ in before for old in one.captures]
    return bool(had) and any(
        not any(selects_more(old, each.request) for old in had) for each in plan.captures
    )


def says_more(alert: Alert, before: Sequence[Alert]) -> bool:
    """Whether an alert that was sent again has grown: what would escalate an incident is new in it.

    That is a higher severity, or a target, data centre, protocol or port that it did not name before; one
    that names no port any more is about all of them.

    Args:
        alert: the alert.
        before: how it arrived before.
    """
    return rank(alert.severity) > max((rank(each.severity) for each in before), default=0) or any(
        set(_named(getattr(alert, name))).difference(*(_named(getattr(each, name)) for each in before))
        for name in _TELLING
    )


def _named(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _covers(old: Planned, new: Planned, *, since: timedelta) -> bool:
    """Whether an earlier full capture holds every packet that a new one would hold."""
    match old.request, new.request:
        case FullRequest() as mine, FullRequest() as other:
            # Full captures begin when it is their turn, so one that was asked for just now is as good.
            in_time = since <= timedelta(seconds=mine.time_limit)
            return mine.colo == other.colo and in_time and selects_more(mine, other)
        case _:
            return False


def _uncovered(new: Planned, before: Sequence[Planned]) -> Planned | None:
    """A simple capture of the time that no earlier one covers, None if there is none; a full one as it is."""
    request = new.request
    if not isinstance(request, SimpleRequest) or (wanted := _window(request)) is None:
        return new
    begins, ends = wanted
    covered = sorted(
        window
        for old in before
        if isinstance(old.request, SimpleRequest) and selects_more(old.request, request)
        if (window := _window(old.request))
    )
    for covers_from, covers_to in covered:  # from the left
        if covers_from <= begins:
            begins = max(begins, covers_to)
    for covers_from, covers_to in sorted(covered, key=_ends, reverse=True):  # and from the right
        if covers_to >= ends:
            ends = min(ends, covers_from)
    if ends - begins < _SHORTEST:
        return None
    if (begins, ends) == wanted:
        return new
    tile = Tile(begins, ends)
    less = request.model_copy(update={"offset_time": ends, "time_limit": tile.seconds})
    what = new.why.rpartition(": ")[2]
    why = f"{tile}: {what}, that the incident does not have yet"
    return new.model_copy(update={"request": less, "why": why})


def _window(request: SimpleRequest) -> tuple[datetime, datetime] | None:
    if request.offset_time is None:
        return None
    return request.offset_time - timedelta(seconds=request.time_limit), request.offset_time


def _ends(window: tuple[datetime, datetime]) -> datetime:
    return window[1]


def selects_more(old: CaptureRequest, new: CaptureRequest) -> bool:
    """Whether a request selects all packets that another one selects."""
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
