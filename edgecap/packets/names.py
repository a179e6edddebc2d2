"""Names of ports, TCP flags, EtherTypes and ICMP types. `edgecap.protocols` has those of IP protocols.

Numbers: https://www.iana.org/assignments/service-names-port-numbers and icmp-parameters.
"""

from __future__ import annotations

from edgecap.packets.columns import LLC, PPP, TUNNELS
from edgecap.packets.link_names import LINK_NAMES
from edgecap.packets.native import tally
from edgecap.packets.verdict.services import AMPLIFIERS
from edgecap.protocols import protocol_name

ETHER_TYPES = {
    LLC: "802.2",
    PPP: "ppp",
    0x0806: "arp",
    0x8035: "rarp",
    0x8847: "mpls",
    0x8848: "mpls multicast",
    0x8863: "pppoe discovery",
    0x8864: "pppoe session",
    0x88CC: "lldp",
    0x888E: "eapol",
}

MOST_LINK = tally.LINKS - 1  # larger link types are counted with it

_TCP_SERVICES = {
    20: "ftp-data",
    21: "ftp",
    22: "ssh",
    23: "telnet",
    25: "smtp",
    53: "dns",
    80: "http",
    110: "pop3",
    143: "imap",
    179: "bgp",
    389: "ldap",
    443: "https",
    445: "smb",
    465: "smtps",
    587: "submission",
    853: "dns over tls",
    993: "imaps",
    995: "pop3s",
    1433: "mssql",
    1723: "pptp",
    3306: "mysql",
    3389: "rdp",
    5060: "sip",
    5432: "postgresql",
    6379: "redis",
    8080: "http alternate",
    8443: "https alternate",
}
_UDP_SERVICES = {
    **{port: each.name for port, each in AMPLIFIERS.items()},
    67: "dhcp",
    68: "dhcp",
    443: "quic",
    514: "syslog",
    853: "dns over quic",
    1812: "radius",
    4789: "vxlan",
    5060: "sip",
    6081: "geneve",
    51_820: "wireguard",
}

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
_FLAGS = {
    "SYN": SYN,
    "FIN": FIN,
    "RST": RST,
    "PSH": PSH,
    "ACK": ACK,
    "URG": URG,
    "ECE": ECE,
    "CWR": CWR,
}

_ICMP4 = {
    0: "echo reply",
    3: "unreachable",
    4: "source quench",
    5: "redirect",
    8: "echo request",
    11: "time exceeded",
    12: "parameter problem",
    13: "timestamp request",
    14: "timestamp reply",
}
_ICMP6 = {
    1: "unreachable (v6)",
    2: "packet too big (v6)",
    3: "time exceeded (v6)",
    4: "parameter problem (v6)",
    128: "echo request (v6)",
    129: "echo reply (v6)",
    133: "router solicitation (v6)",
    134: "router advertisement (v6)",
    135: "neighbour solicitation (v6)",
    136: "neighbour advertisement (v6)",
}


def ether_name(number: int) -> str:
    """The EtherType of something that is not IP, such as `arp`; 0 is a link without one."""
    return ETHER_TYPES.get(number, f"ethertype 0x{number:04x}") if number else "not ip"


def link_name(number: int) -> str:
    """A link type, such as `IEEE802_11 (link type 105)`."""
    if number == MOST_LINK:
        return f"link type {number} or higher"
    name = LINK_NAMES.get(number)
    return f"{name} (link type {number})" if name else f"link type {number}"


def tunnel_name(number: int) -> str:
    """A tunnel, such as `gre` or `vxlan`."""
    return TUNNELS.get(number) or protocol_name(number)


def service_name(protocol: str, port: int) -> str:
    """The usual service of a `tcp` or `udp` port; empty if there is no well-known one."""
    return (_TCP_SERVICES if protocol == "tcp" else _UDP_SERVICES).get(port, "")


def flags_name(flags: int) -> str:
    """TCP flags, such as `SYN+ACK`; `none` for a packet without any."""
    return "+".join(name for name, bit in _FLAGS.items() if flags & bit) or "none"


def icmp_name(version: int, number: int) -> str:
    """An ICMP type, such as `echo request`."""
    known = _ICMP4 if version == 4 else _ICMP6  # noqa: PLR2004 - IPv4
    return known.get(number, f"type {number}" if version == 4 else f"type {number} (v6)")  # noqa: PLR2004
