"""The filter for an alert's captures, and why it is that one."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgecap.alerts.model import Alert
from edgecap.alerts.sources.values import kind_of_local, networks_around
from edgecap.errors import InvalidRequest
from edgecap.filters.of_request import explain_request
from edgecap.protocols import WITH_PORTS
from edgecap.requests import Bounds, Filter, SimpleRequest

_NAMES = {6: "TCP", 17: "UDP", 132: "SCTP"}
_IPV6 = 6
_LONGEST = 4_000  # characters of an expression with the alert's addresses: some 140 of them
_NEVER_AT_THE_EDGE = ("loopback", "link-local", "multicast", "broadcast")  # private ones may come by a tunnel
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
        expression: what the filter's fields cannot say of the alert's addresses, and the rule's expression.
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
    if not local_targets and all(kind_of_local(each) in _NEVER_AT_THE_EDGE for each in addresses):
        kind = kind_of_local(addresses[0])
        what, tests = (
            ("", "; test alerts have it") if kind == "loopback" else (f" {_KINDS[kind]} address,", "")
        )
        return Choice(
            None, (f"the {role} is {addresses[0]},{what} which no packet at the edge carries{tests}",)
        )
    address, within, said = _address(role, addresses, bounds)
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
    return Choice(chosen, tuple(reasons), within)


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
    """The choice, narrowed by a rule's expression, and with what is applied after the download.

    An expression that contradicts the alert is left out, and a reason says so: unwanted packets can be
    dropped later, but packets that were not captured are gone in a day.
    """
    if choice.filter is None:
        return choice
    shown, reasons = " ".join(expression.split()), choice.reasons
    if shown:
        both = f"({choice.expression}) and ({expression})" if choice.expression else expression
        try:
            explained = explain_request(SimpleRequest(filter=choice.filter, expression=both), bounds)
        except InvalidRequest as error:
            reasons = (*reasons, f"without the rule's expression, {shown}: {error.what}")
        else:
            reason = f"the rule's expression, {shown}: with it, the API is asked for {explained.filter}"
            return Choice(choice.filter, (*reasons, reason), both, explained.residual)
    if choice.expression:
        explained = explain_request(SimpleRequest(filter=choice.filter, expression=choice.expression), bounds)
        return Choice(choice.filter, reasons, choice.expression, explained.residual)
    return replace(choice, reasons=reasons)


def _address(role: str, addresses: tuple[str, ...], bounds: Bounds) -> tuple[str | None, str, str]:
    """The address to filter by, or else an expression for the addresses, and a sentence about it."""
    which = "to" if role == "target" else "from"
    if len(addresses) > 1:
        said = f"{which} the {len(addresses)} {role}s of the alert: a filter of the API takes one address"
    else:
        is_ipv6 = ipaddress.ip_network(addresses[0]).version == _IPV6
        if is_ipv6 and not bounds.ipv6_filters:
            what = "are documented for IPv4 only"
        elif "/" in addresses[0] and not bounds.cidr_filters:
            what = "take single addresses"
        else:
            return addresses[0], "", f"{which} {addresses[0]}: the alert's {role}"
        said = f"{which} {addresses[0]}: the API's filters {what}"
    said += ", so other packets are left out after the download"
    within = _expression("dst" if role == "target" else "src", addresses)
    return None, within, said


def _expression(direction: str, addresses: tuple[str, ...]) -> str:
    """A filter expression for packets to or from any of these; for very many, for what is around them."""
    text = _any_of(direction, networks_around(addresses, len(addresses)))
    return text if len(text) <= _LONGEST else _any_of(direction, networks_around(addresses, 1))


def _any_of(direction: str, networks: Sequence[str]) -> str:
    found = map(ipaddress.ip_network, networks)
    return " or ".join(
        f"{direction} host {each.network_address}"
        if each.prefixlen == each.max_prefixlen
        else f"{direction} net {each}"
        for each in found
    )


def _port(alert: Alert) -> tuple[int | None, list[str]]:
    if alert.target_port is None:
        return None, []
    if alert.protocol is not None and alert.protocol not in WITH_PORTS:
        return None, [f"no port: the alert names {alert.target_port}, but protocol {alert.protocol} has none"]
    return alert.target_port, [f"port {alert.target_port}: the alert's target port"]
