"""Labels and tags: the names that edgecap looks for, in every source with labels.

::

    target        target_ip  target  dst_ip  destination_ip  destination_address  victim  instance
    target port   target_port  dst_port  destination_port  port, or the port beside the target
    protocol      protocol  proto  ip_protocol
    sources       source_ip  src_ip  source_address  attacker
    source ports  source_port  src_port
    data centres  colo  colos  pop  pops  colo_name
    rates         pps  packets_per_second  and  bps  bits_per_second
    severity      severity  priority  level

The first name that holds something usable counts. `instance` is last: Prometheus sets it to what was scraped,
which is the target only if the target itself is probed.
"""

from __future__ import annotations

from typing import TypedDict

from edgecap.alerts.sources import values
from edgecap.alerts.sources.fields import Fields

TARGETS = (
    "target_ip",
    "target",
    "dst_ip",
    "destination_ip",
    "destination_address",
    "victim",
)
TARGET_PORTS = ("target_port", "dst_port", "destination_port", "port")
PROTOCOLS = ("protocol", "proto", "ip_protocol")
SOURCES = ("source_ip", "src_ip", "source_address", "attacker")
SOURCE_PORTS = ("source_port", "src_port")
COLOS = ("colo", "colos", "pop", "pops", "colo_name")
SEVERITIES = ("severity", "priority", "level")


class Traffic(TypedDict):
    """The fields of an `Alert` that say which packets it is about."""

    targets: tuple[str, ...]
    target_port: int | None
    protocol: int | None
    source_addresses: tuple[str, ...]
    source_ports: tuple[int, ...]
    colos: tuple[str, ...]
    pps: float | None
    bps: float | None


def traffic(labels: Fields) -> Traffic:
    """What labels say about the packets."""
    targets, beside = labels.addresses(*TARGETS)
    if not targets:
        targets, beside = _instance(labels)
    return Traffic(
        targets=targets,
        target_port=labels.port(*TARGET_PORTS) or beside,
        protocol=labels.protocol(*PROTOCOLS),
        source_addresses=labels.addresses(*SOURCES)[0],
        source_ports=labels.ports(*SOURCE_PORTS),
        colos=labels.colos(*COLOS),
        pps=labels.rate("pps", "pps", "packets_per_second"),
        bps=labels.rate("bps", "bps", "bits_per_second"),
    )


def _instance(labels: Fields) -> tuple[tuple[str, ...], int | None]:
    """Prometheus' `instance`, if it is an address; it is as often the name of a host, which gets no note."""
    found = values.address(labels.get("instance"))
    return ((found[0],), found[1]) if found else ((), None)


def from_tags(tags: object) -> dict[str, str]:
    """Datadog's tags, `key:value` in a list or parted by commas, as labels; the first of a name counts."""
    items = tags.split(",") if isinstance(tags, str) else tags if isinstance(tags, list) else []
    found: dict[str, str] = {}
    for item in items[: values.MOST_ITEMS]:
        name, mark, value = values.line(item).partition(":")
        if mark and name.strip():
            found.setdefault(name.strip(), value.strip())
    return found
