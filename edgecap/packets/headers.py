"""Parse headers: link, VLAN tags, IP, tunnels, transport; one row of numbers per packet."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import numpy as np

from edgecap.packets.columns import HEADERS, Batch, Interface, Rows
from edgecap.packets.native import kernel


def dissect(batch: Batch, interfaces: Sequence[Interface]) -> Rows:
    """The `HEADERS` of each packet of a batch.

    Supports Ethernet with any number of VLAN tags, Linux cooked (both versions), BSD loopback and raw IP;
    other link types give zeros. Behind IPv4 with options and IPv6 with extension headers, it follows IPIP (4
    and 41) and GRE (also with Ethernet in it) to the innermost of at most eight layers. Later fragments have
    addresses and protocol, but no ports.

    Args:
        batch: from a reader.
        interfaces: that reader's.
    """
    headers = np.empty(len(batch.rows), HEADERS)
    link_types = np.array([interface.link_type for interface in interfaces], "u4")
    kernel.dissect(batch.data, batch.rows, link_types, headers)
    return headers


def address(packed: Any) -> IPv4Address | IPv6Address:
    """The address in a `source` or `destination` of `LAYER`."""
    whole = IPv6Address(bytes(packed))
    return ip_address(whole.ipv4_mapped or whole)
