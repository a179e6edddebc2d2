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

    Supports Ethernet with any number of VLAN tags and IEEE 802.2, Linux cooked (both versions), BSD loopback,
    raw IP, PPP, Cisco HDLC, Frame Relay, FDDI, ATM (RFC 2684), OpenBSD's enc and pflog, and NFLOG; others are
    `unknown`. Behind IPv4 with options and IPv6 with extension headers, it follows IP in IP (4 and 41), GRE
    (also with Ethernet, PPP or ERSPAN in it), EtherIP, MPLS, PPPoE, provider bridges, NSH, and over UDP
    VXLAN, Geneve, GTP-U, Teredo, L2TP, MPLS and GRE to the innermost of at most sixteen headers. A UDP port
    alone makes no tunnel: its payload has to be what the tunnel carries. Later fragments have addresses and
    protocol, but no ports.

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
