"""The filter for an alert's captures, and why it is that one."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace

from edgecap.alerts.model import Alert
from edgecap.alerts.sources.values import kind_of_local
from edgecap.errors import InvalidRequest
from edgecap.filters.of_request import explain_request
from edgecap.protocols import WITH_PORTS
from edgecap.requests import Bounds, Filter, SimpleRequest

_NAMES = {6: "TCP", 17: "UDP", 132: "SCTP"}
_IPV6 = 6
_MOST_LABELS = 12  # that a reason names
_KINDS = {
    "private": "a private",
    "loopback": "a loopback",
    "link-local": "a link-local",
    "multicast": "a multicast",
    "broadcast": "the broadcast",
    "": "a local",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter and the reasons for it; no filter means no captures.

    Attributes:
        filter: the alert's own.
        reasons: a line each.
        expression: the rule's expression; empty if the rule has none.
        residual: the part of the expression that is applied after the download.
    """

    filter: Filter | None
    reasons: tuple[str, ...]
    expression: str = ""
    residual: str = ""


def choose(alert: Alert, fallback: Filter | None, bounds: Bounds, *, local_targets: bool = False) -> Choice:
    """The filter: the alert's target, port and protocol, as far as the API can filter by them.

    Args:
        alert: it gives the addresses, port and protocol.
        fallback: the rule's filter, for an alert that names no address.
        bounds: whether this account takes IPv6 addresses and networks.
        local_targets: the rule takes local addresses for targets.
    """
    if local_targets and not alert.targets:
        alert = alert.model_copy(update={"targets": alert.local_targets})
    if not alert.targets and not alert.source_addresses:
        missing = _without_target(alert)
        if fallback is None:
            return Choice(
                None, (f"{missing}, and the rule has no filter; filter = {{}} would take everything",)
            )
        return Choice(fallback, (f"{missing}, so the rule's filter counts: {fallback}",))
    if alert.targets:
        role, addresses = "target", alert.targets
    else:
        role, addresses = "source", alert.source_addresses
    if not local_targets and all(ipaddress.ip_network(each).is_loopback for each in addresses):
        return Choice(
            None,
            (f"the {role} is {addresses[0]}, which no packet at the edge carries; test alerts have it",),
        )
    address, said = _address(role, addresses, bounds)
    port, about_port = _port(alert)
    protocol = alert.protocol
    reasons = [said, *about_port]
    if protocol is not None:
        reasons.append(f"protocol {_NAMES.get(protocol, protocol)}: the alert's")
    chosen = Filter(
        source_address=address if role == "source" else None,
        destination_address=address if role == "target" else None,
        source_port=None,
        destination_port=port,
        protocol=protocol,
    )
    if chosen == Filter():
        reasons.append("nothing is left to filter by, so everything is taken")
    return Choice(chosen, tuple(reasons))


def _without_target(alert: Alert) -> str:
    """That there is no target, with what was there in its place."""
    told = "the alert names no target"
    if alert.local_targets:
        local = ", ".join(f"{each} is {_KINDS[kind_of_local(each)]} address" for each in alert.local_targets)
        told += f": {local}"
    names = sorted(alert.labels)
    if not names:
        return told
    more = f" and {len(names) - _MOST_LABELS} more" if len(names) > _MOST_LABELS else ""
    return f"{told} (its labels are {', '.join(names[:_MOST_LABELS])}{more})"


def narrow(choice: Choice, expression: str, bounds: Bounds) -> Choice:
    """The choice, narrowed by a rule's expression.

    An expression that contradicts the alert is left out, and a reason says so: unwanted packets can be
    dropped later, but packets that were not captured are gone in a day.
    """
    if choice.filter is None or not expression.strip():
        return choice
    shown = " ".join(expression.split())
    try:
        explained = explain_request(SimpleRequest(filter=choice.filter, expression=expression), bounds)
    except InvalidRequest as error:
        reason = f"without the rule's expression, {shown}: {error.what}"
        return replace(choice, reasons=(*choice.reasons, reason))
    reason = f"the rule's expression, {shown}: with it, the API is asked for {explained.filter}"
    return Choice(choice.filter, (*choice.reasons, reason), expression, explained.residual)


def _address(role: str, addresses: tuple[str, ...], bounds: Bounds) -> tuple[str | None, str]:
    """The address to filter by, if the API takes it, and a sentence about it."""
    if len(addresses) > 1:
        return None, f"no address: the alert names {len(addresses)} {role}s, and a filter takes one"
    network = ipaddress.ip_network(addresses[0])
    if network.version == _IPV6 and not bounds.ipv6_filters:
        return None, f"no address: {addresses[0]} is IPv6, and the API's filters are documented for IPv4 only"
    if "/" in addresses[0] and not bounds.cidr_filters:
        return None, f"no address: {addresses[0]} is a network, and the API's filters take single addresses"
    return addresses[0], f"{'to' if role == 'target' else 'from'} {addresses[0]}: the alert's {role}"


def _port(alert: Alert) -> tuple[int | None, list[str]]:
    if alert.target_port is None:
        return None, []
    if alert.protocol is not None and alert.protocol not in WITH_PORTS:
        return None, [f"no port: the alert names {alert.target_port}, but protocol {alert.protocol} has none"]
    return alert.target_port, [f"port {alert.target_port}: the alert's target port"]
