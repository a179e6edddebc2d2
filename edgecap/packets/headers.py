"""Taking headers apart: links, VLAN tags, IP, tunnels, transport; a row of numbers for each packet."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import numpy as np

from edgecap.packets.columns import HEADERS, Batch, Interface, Rows
from edgecap.packets.native import kernel


def dissect(batch: Batch, interfaces: Sequence[Interface]) -> Rows:
    """The `HEADERS` of each packet of a batch.

    Ethernet with any number of VLAN tags, Linux cooked (both versions), BSD loopback and raw IP are followed;
    other link types give zeros. Behind IPv4 with its options and IPv6 with its extension headers, IPIP (4 and
    41) and GRE (also with Ethernet in it) are followed to the innermost of at most eight layers. Later
    fragments have addresses and protocol, but no ports.

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
