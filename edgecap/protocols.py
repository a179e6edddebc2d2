"""IP protocols by number and name.

Numbers: https://www.iana.org/assignments/protocol-numbers. A name that people type is short and unambiguous:
`icmp6`, `ipip`. `/etc/protocols` has other names for some numbers, and other numbers for some names; filter
expressions follow that file, as libpcap does.
"""

from __future__ import annotations

PROTOCOL_NAMES = {
    0: "hopopt",
    1: "icmp",
    2: "igmp",
    4: "ipip",
    6: "tcp",
    17: "udp",
    33: "dccp",
    41: "ipv6",
    47: "gre",
    50: "esp",
    51: "ah",
    58: "icmp6",
    88: "eigrp",
    89: "ospf",
    103: "pim",
    112: "vrrp",
    132: "sctp",
    136: "udplite",
}
PROTOCOL_NUMBERS = {name: number for number, name in PROTOCOL_NAMES.items()} | {"icmpv6": 58, "ipv6-icmp": 58}
"""What people may type or send in place of a number, in lower case."""
LARGEST_PROTOCOL = 255  # one byte in the header of IP
WITH_PORTS = frozenset({6, 17, 132})
"""The protocols whose ports libpcap's `port` means: TCP, UDP and SCTP."""

# Debian's package netbase, where it says more or something else than the names above.
_ETC_PROTOCOLS = """
ip=0 ggp=3 ipencap=4 st=5 egp=8 igp=9 pup=12 hmp=20 xns-idp=22 rdp=27 iso-tp4=29 xtp=36 ddp=37 idpr-cmtp=38
ipv6-route=43 ipv6-frag=44 idrp=45 rsvp=46 skip=57 ipv6-nonxt=59 ipv6-opts=60 rspf=73 vmtp=81 ax.25=93 ipip=94
etherip=97 encap=98 ipcomp=108 l2tp=115 isis=124 fc=133 mobility-header=135 mpls-in-ip=137 manet=138 hip=139
shim6=140 wesp=141 rohc=142 ethernet=143 mptcp=262
"""
_IN_EXPRESSIONS = PROTOCOL_NUMBERS | {
    name: int(number) for name, _, number in (entry.partition("=") for entry in _ETC_PROTOCOLS.split())
}


def protocol_name(number: int) -> str:
    """Such as `udp`; `proto 99` for a number without a common name."""
    return PROTOCOL_NAMES.get(number, f"proto {number}")


def etc_protocol(name: str) -> int | None:
    """The number that Debian's `/etc/protocols` has for a name in any case; None if it has none."""
    return _IN_EXPRESSIONS.get(name.lower())
