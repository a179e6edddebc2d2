"""UDP services that reflection attacks abuse, and what their everyday answers look like.

Ports: CISA, UDP-Based Amplification Attacks (TA14-017A, table of 2014 to 2019), then the advisories about
ARMS (3283), Jenkins (33848), DVRs (37810), Plex (32410, 32414), STUN (3478), Mitel (10074), SLP (427), BACnet
(47808) and others that scanners such as Shadowserver's report on. `usual` is the mean size on the wire, in
bytes, that everyday answers stay below; of a service that nobody uses across the Internet, it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """A service.

    Attributes:
        name: as people call it.
        usual: mean bytes of a packet that everyday answers stay below; 0 if it is not used between networks.
        mutual: whether both ends use this port, so that packets from it are as well requests.
    """

    name: str
    usual: int = 0
    mutual: bool = False


_LARGEST = 1515  # any size is usual
AMPLIFIERS: dict[int, Service] = {
    17: Service("qotd"),
    19: Service("chargen"),
    53: Service("dns", 512),
    69: Service("tftp", 600),
    111: Service("portmap", 120),
    123: Service("ntp", 120, mutual=True),
    137: Service("netbios", 300, mutual=True),
    161: Service("snmp", 700),
    177: Service("xdmcp"),
    389: Service("cldap", 400),
    427: Service("slp", 300),
    443: Service("quic", _LARGEST),
    500: Service("ipsec ike", 700, mutual=True),
    520: Service("rip", 600, mutual=True),
    523: Service("db2"),
    623: Service("ipmi", 120),
    1194: Service("openvpn", _LARGEST, mutual=True),
    1434: Service("mssql", 300),
    1604: Service("citrix", 300),
    1701: Service("l2tp", _LARGEST, mutual=True),
    1900: Service("ssdp"),
    2362: Service("digiman"),
    3283: Service("apple remote desktop (arms)"),
    3389: Service("rdp", 1300),
    3478: Service("stun", _LARGEST),
    3702: Service("ws-discovery"),
    4500: Service("ipsec nat-t", _LARGEST, mutual=True),
    4800: Service("moxa"),
    5060: Service("sip", 1200, mutual=True),
    5093: Service("sentinel"),
    5351: Service("nat-pmp"),
    5353: Service("mdns", 600, mutual=True),
    5683: Service("coap", 300),
    6881: Service("bittorrent", _LARGEST, mutual=True),
    10_001: Service("ubiquiti discovery"),
    10_074: Service("mitel tp-240"),
    11_211: Service("memcached"),
    17_185: Service("vxworks"),
    20_811: Service("powerhouse"),
    27_015: Service("steam", _LARGEST, mutual=True),
    27_960: Service("quake", _LARGEST, mutual=True),
    30_120: Service("fivem", _LARGEST, mutual=True),
    30_718: Service("lantronix"),
    32_410: Service("plex"),
    32_414: Service("plex"),
    33_848: Service("jenkins"),
    37_810: Service("dvr dhcpdiscover"),
    41_794: Service("crestron"),
    47_808: Service("bacnet", 120, mutual=True),
}
"""By UDP port."""

TCP_ONLY = frozenset({20, 21, 22, 23, 25, 80, 110, 143, 179, 445, 465, 587, 993, 995, 3306, 5432, 8080})
"""Ports of services that have no UDP counterpart, so that UDP to them has no purpose."""
