"""FastNetMon Advanced: the JSON of its web callbacks and notify scripts, which is one format.

Web callbacks can only be given a URL. A notify script gets the same JSON on its standard input and can send
it with a Bearer token; docs/alerts/fastnetmon.md has the script.

`*_traffic` counts bytes a second. For an outgoing attack the host is the attacker, not the target.

A partial block has the BGP Flow Spec rules that it announces, in `flow_spec_rules`. They say more of the
packets than the details, and can come alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from edgecap.alerts.model import Alert, Event, derive
from edgecap.alerts.sources import flow_spec, signing, values
from edgecap.alerts.sources.base import AlertSource, never_pings
from edgecap.alerts.sources.fields import MOST_ADDRESSES, Fields
from edgecap.alerts.sources.payload import as_object, not_understood

NAME = "fastnetmon"
_EVENTS: dict[str, Event] = {
    "ban": "start",
    "partial_block": "start",
    "unban": "end",
    "partial_unblock": "end",
}
_BITS = 8.0


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> bool:  # noqa: ARG001 - all sources have it
    """A Bearer token, or Basic with the secret as password."""
    return signing.shared_secret(headers, secret)


def sign(body: bytes, secret: str) -> dict[str, str]:  # noqa: ARG001 - all sources have it
    """As the notify script of docs/alerts/fastnetmon.md does it: a Bearer token."""
    return signing.bearer(secret)


def parse(payload: object, *, received: datetime) -> list[Alert]:
    """The one action. `ban` and `partial_block` are `start`; `unban` and `partial_unblock` are `end`.

    Status updates are `other`. Flow Spec rules without an action are a partial block, and details of an
    attack without one are a ban. The format has no time of its own, so an attack began when its `ban`
    reached us.

    Raises:
        AlertNotUnderstood: it has no `action`, no `attack_details`, and no `flow_spec_rules` that drop
            packets.
    """
    raw = as_object(payload, NAME)
    notes: list[str] = []
    whole = Fields(raw, notes)
    attack = whole.inner("attack_details")
    rules = flow_spec.read(raw.get("flow_spec_rules"))
    action = whole.line("action").lower() or (flow_spec.ACTION if rules else "")
    if not action and "flow_spec_rules" in raw:
        raise not_understood("the body has no action, and none of its flow_spec_rules drops packets", NAME)
    if not action and "attack_details" in whole:
        action = "ban"
    if not action:
        raise not_understood("the body has no action such as ban or unban", NAME)
    event = _EVENTS.get(action, "other")
    hosts, _ = whole.addresses("ip", "hostgroup_networks")
    hosts = hosts or rules.targets
    direction = _direction(attack)
    outgoing = direction == "outgoing"
    group = whole.line("hostgroup_name") or attack.line("host_group", "hostgroup_name")
    uuid = attack.line("attack_uuid") or derive(
        ",".join(hosts), group, attack.line("attack_type"), rules.written
    )
    port, sources, source_ports = _from_dump(raw.get("packet_dump_detailed"), hosts)
    unknown = attack.line("attack_protocol").lower() == "unknown"
    protocol = None if unknown else attack.protocol("attack_protocol")
    where = ",".join(hosts[:1]) or group
    return [
        Alert(
            source=NAME,
            kind=attack.line("attack_type") or ("flow_spec" if rules else "unknown"),
            event=event,
            severity=values.severity(attack.get("attack_severity")),
            identity=derive(NAME, uuid, action),
            incident=derive(NAME, uuid),
            # An unban may come without the details: then only the host tells what has ended.
            thing=derive(NAME, where) if where else "",
            received=received,
            started=received if event == "start" else None,
            ended=received if event == "end" else None,
            targets=() if outgoing else hosts,
            target_port=None if outgoing else port or rules.target_port,
            protocol=rules.protocol if protocol is None else protocol,
            source_addresses=hosts if outgoing else sources or rules.sources,
            source_ports=() if outgoing else source_ports or rules.source_ports,
            pps=attack.rate("pps", f"total_{direction}_pps"),
            bps=_bits(attack, direction),
            title=" ".join(filter(None, (action, where, direction, attack.line("attack_protocol")))),
            text=rules.written,
            labels={**attack.labels(), **whole.labels("action", "alert_scope", "hostgroup_name")},
            notes=tuple(notes),
            raw=raw,
        )
    ]


def _bits(attack: Fields, direction: str) -> float | None:
    """Newer versions count bits beside the bytes."""
    bits = attack.rate("bps", f"total_{direction}_traffic_bits")
    return attack.rate("bps", f"total_{direction}_traffic", factor=_BITS) if bits is None else bits


def _direction(attack: Fields) -> str:
    """`attack_direction` is the older name. Any other word counts as incoming."""
    word = attack.line("attack_detection_threshold_direction") or attack.line("attack_direction")
    return "outgoing" if word.lower() == "outgoing" else "incoming"


def _from_dump(dump: Any, hosts: tuple[str, ...]) -> tuple[int | None, tuple[str, ...], tuple[int, ...]]:
    """From the packets that FastNetMon shows: the port if all of them go to one, and who sent them."""
    packets = [item for item in values.several(dump) if isinstance(item, dict)]
    inward = [
        item for item in packets if (to := values.address(item.get("destination_ip"))) and to[0] in hosts
    ]
    ports = {values.port(item.get("destination_port")) for item in inward}
    sources = [sender[0] for item in inward if (sender := values.address(item.get("source_ip")))]
    source_ports = [each for item in inward if (each := values.port(item.get("source_port")))]
    return (
        ports.pop() if len(ports) == 1 else None,
        tuple(dict.fromkeys(sources))[:MOST_ADDRESSES],
        tuple(dict.fromkeys(source_ports))[:MOST_ADDRESSES],
    )


SOURCE = AlertSource(NAME, verify, sign, parse, never_pings)
