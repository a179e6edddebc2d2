"""Labels and tags: the names that edgecap looks for, in every source with labels.

::

    target        target  victim  attacked  attack_target  dst  dest  destination, each of them followed by
                  ip  ip_address  ip_addr  address  addr  host  prefix  network  net  cidr  subnet, such as
                  target_ip; but for attacked, also alone. Then
                  target_ips  targets  victim_ips  victims  dst_ips  dest_ips  destination_ips  ip_dst  daddr
    else          ip  ip_address  ip_addr  host_ip  server_ip  vip  host  address  prefix  network  subnet
                  cidr  instance
    target port   target_port  victim_port  dst_port  dest_port  destination_port  port,
                  or the port beside the target
    protocol      protocol  proto  ip_protocol  ip_proto
    sources       source_ip  src_ip  source_address  src_addr  src_address  ip_src  attacker_ip  attacker
    source ports  source_port  src_port
    data centres  colo  colos  pop  pops  colo_name
    rates         pps  packets_per_second  and  bps  bits_per_second
    severity      severity  priority  level

Case, hyphens, spaces and underscores do not matter: `VictimIP` is `victim_ip`. Names that the setting
`alerts.target_labels` adds come first. The first name that holds something usable counts.

The names of the row "else" say whose host it is, not what is under attack, and `instance` is last:
Prometheus sets it to what it scraped. So an address there counts only if it can be one at the edge, which
private, loopback, link-local, multicast and broadcast addresses cannot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypedDict

from edgecap.alerts.sources import values
from edgecap.alerts.sources.fields import Fields

WHO = ("target", "victim", "attacked", "attack_target", "dst", "dest", "destination")
WHAT = (
    *("ip", "", "ip_address", "ip_addr", "address", "addr"),
    *("host", "prefix", "network", "net", "cidr", "subnet"),
)
SINGLE = (
    *("target_ips", "targets", "victim_ips", "victims", "dst_ips", "dest_ips", "destination_ips"),
    *("ip_dst", "daddr"),
)
TARGETS = (
    *(
        f"{who}_{what}" if what else who
        for who in WHO
        for what in WHAT
        if (who, what) != ("attacked", "")  # `attacked: true`
    ),
    *SINGLE,
)
HOSTS = (
    "ip",
    "ip_address",
    "ip_addr",
    "host_ip",
    "server_ip",
    "vip",
    "host",
    "address",
    "prefix",
    "network",
    "subnet",
    "cidr",
    "instance",
)
TARGET_PORTS = ("target_port", "victim_port", "dst_port", "dest_port", "destination_port", "port")
PROTOCOLS = ("protocol", "proto", "ip_protocol", "ip_proto")
SOURCES = (
    "source_ip",
    "src_ip",
    "source_address",
    "src_addr",
    "src_address",
    "ip_src",
    "attacker_ip",
    "attacker",
)
SOURCE_PORTS = ("source_port", "src_port")
COLOS = ("colo", "colos", "pop", "pops", "colo_name")
SEVERITIES = ("severity", "priority", "level")
_RATES = ("pps", "packets_per_second", "bps", "bits_per_second")
# Often the name of a host and not an address, which is no mistake.
_NAMES_TOO = frozenset(
    each for each in TARGETS if each.endswith(("_host", "_network", "_net", "s")) or "_" not in each
) | {"attack_target"}

_EXPORTERS = range(9090, 10_000)  # github.com/prometheus/prometheus/wiki/Default-port-allocations

_SEPARATORS = re.compile(r"[-_ .]+")


class Traffic(TypedDict):
    """The fields of an `Alert` that say which packets it is about."""

    targets: tuple[str, ...]
    local_targets: tuple[str, ...]
    target_port: int | None
    protocol: int | None
    source_addresses: tuple[str, ...]
    source_ports: tuple[int, ...]
    colos: tuple[str, ...]
    pps: float | None
    bps: float | None


def traffic(
    labels: Mapping[str, Any], notes: list[str], path: str = "", *, own_names: Sequence[str] = ()
) -> Traffic:
    """What labels say about the packets.

    Args:
        labels: names and values; anything else is ignored.
        notes: where notes on unusable values go.
        path: prefix of names in notes.
        own_names: names for the target that the settings add; they come first.
    """
    names = dict.fromkeys((*own_names, *TARGETS))
    fields = Fields(_by_known_name(labels, (*names, *_KNOWN)), notes, path)
    targets, beside = fields.addresses(*names, silent=_NAMES_TOO.difference(own_names))
    local: tuple[str, ...] = ()
    if not targets:
        targets, local, beside = _hosts(fields)
    return Traffic(
        targets=targets,
        local_targets=local,
        target_port=fields.port(*TARGET_PORTS) or beside,
        protocol=fields.protocol(*PROTOCOLS),
        source_addresses=fields.addresses(*SOURCES)[0],
        source_ports=fields.ports(*SOURCE_PORTS),
        colos=fields.colos(*COLOS),
        pps=fields.rate("pps", "pps", "packets_per_second"),
        bps=fields.rate("bps", "bps", "bits_per_second"),
    )


def names_target(labels: Mapping[str, Any], own_names: Sequence[str] = ()) -> bool:
    """Whether one of them names a target, and not only a host."""
    names = dict.fromkeys((*own_names, *TARGETS))
    fields = Fields(_by_known_name(labels, tuple(names)), [])
    return bool(fields.addresses(*names)[0])


def severity_words(labels: Mapping[str, Any]) -> list[Any]:
    """What labels say of the severity, the first name first."""
    known = _by_known_name(labels, SEVERITIES)
    return [known.get(name) for name in SEVERITIES]


def from_tags(tags: object) -> dict[str, str]:
    """Datadog's tags, `key:value` in a list or parted by commas, as labels; the first of a name counts."""
    items = tags.split(",") if isinstance(tags, str) else tags if isinstance(tags, list) else []
    found: dict[str, str] = {}
    for item in items[: values.MOST_ITEMS]:
        name, mark, value = values.line(item).partition(":")
        if mark and name.strip():
            found.setdefault(name.strip(), value.strip())
    return found


def _hosts(fields: Fields) -> tuple[tuple[str, ...], tuple[str, ...], int | None]:
    """The address of a host, as target or as local target, and the port beside it.

    These labels hold names as often as addresses, so an unusable value gets no note. The port of a local
    address is an exporter's, and so is one that Prometheus allots to exporters.
    """
    local: dict[str, None] = {}
    for name in HOSTS:
        found = values.address(fields.get(name))
        if found is None:
            continue
        if not values.kind_of_local(found[0]):
            return (found[0],), (), None if found[1] in _EXPORTERS else found[1]
        local[found[0]] = None
    return (), tuple(local), None


_KNOWN = (
    *HOSTS,
    *TARGET_PORTS,
    *PROTOCOLS,
    *SOURCES,
    *SOURCE_PORTS,
    *COLOS,
    *SEVERITIES,
    *_RATES,
)


def _by_known_name(labels: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The labels with a known name, under it; one that is written exactly so goes first."""
    known = _spellings(tuple(names))
    found = {known[plain]: value for name, value in labels.items() if (plain := _plain(str(name))) in known}
    return {**found, **{name: labels[name] for name in names if name in labels}}


@lru_cache(maxsize=64)
def _spellings(names: tuple[str, ...]) -> Mapping[str, str]:
    """The names by their plain form; the first of two with the same counts."""
    return {_plain(name): name for name in reversed(names)}


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name).lower()
