"""Counting packets slowly and plainly: what the fast counting must come to."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from edgecap.packets.columns import PACKET, Batch, Interface
from edgecap.packets.headers import dissect

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58


@dataclass
class Flow:
    packets: int = 0
    bytes: int = 0
    times: list[int] = field(default_factory=list)
    ttls: list[int] = field(default_factory=list)
    fragments: int = 0
    tcp_flags: int = 0


@dataclass
class Reference:
    """The same numbers as `COUNTS`, flows, addresses and ports, in dictionaries."""

    packets: int = 0
    wire: int = 0
    captured: int = 0
    times: list[int] = field(default_factory=list)
    kinds: dict = field(default_factory=lambda: defaultdict(Counter))  # name of a pair -> number -> packets
    sizes: dict = field(default_factory=lambda: defaultdict(Counter))  # likewise, bytes
    single: dict = field(default_factory=lambda: defaultdict(Counter))  # vlan, ttl, size
    sums: Counter = field(default_factory=Counter)
    flows: dict = field(default_factory=lambda: defaultdict(Flow))
    ports: dict = field(default_factory=lambda: (defaultdict(Counter), defaultdict(Counter)))
    wires: list[int] = field(default_factory=list)
    kind_of: list = field(default_factory=list)  # time and protocol of each packet; None: no IP

    def add(self, packet) -> None:
        time, data, wire, link = packet
        row = np.array([(time, 0, len(data), wire, 0)], PACKET)
        (headers,) = dissect(Batch(data, row, 0), [Interface(link, 0)])
        self.packets += 1
        self.wire += wire
        self.captured += len(data)
        self.times.append(time)
        self.wires.append(wire)
        self.single["size"][min(wire, 2048)] += 1
        if headers["vlan"]:
            self.single["vlan"][int(headers["vlan"]) - 0x1000] += 1
        self.sums["cut"] += int(headers["cut"])
        layer = headers["inner"] if headers["inner"]["version"] else headers["outer"]
        if layer["version"]:
            self._ip(time, wire, headers, layer)
        else:
            self._pair("version", 2, wire)
            if headers["unknown"]:
                self._pair("link", min(link, 1023), wire)
            else:
                self._pair("ether", int(headers["ether_type"]), wire)
            self.kind_of.append((time, wire, None))

    def _pair(self, name, number, wire) -> None:
        self.kinds[name][number] += 1
        self.sizes[name][number] += wire

    def _ip(self, time, wire, headers, layer) -> None:
        names = ("version", "protocol", "fragment", "ports", "tcp_flags", "icmp_type", "icmp_code", "ttl")
        version, protocol, fragment, ports, flags, icmp_type, icmp_code, ttl = (int(layer[n]) for n in names)
        self.kind_of.append((time, wire, protocol))
        self._pair("version", int(version == 6), wire)
        self._pair("protocol", protocol, wire)
        if headers["tunnel"]:
            self._pair("tunnel", int(headers["tunnel"]), wire)
        self.single["ttl"][ttl] += 1
        self.sums["options"] += int(layer["options"])
        self.sums["fragments"] += fragment > 0
        self.sums["later"] += fragment == 2
        whole = fragment != 2 and not headers["cut"]
        icmp = protocol in (ICMP, ICMP6) and whole
        if protocol == TCP and whole:
            self._pair("tcp_flags", flags, wire)
        if icmp:
            self._pair("icmp4" if protocol == ICMP else "icmp6", icmp_type, wire)
        pair = (icmp_type, icmp_code) if icmp else (int(layer["source_port"]), int(layer["destination_port"]))
        addresses = bytes(layer["source"]), bytes(layer["destination"])
        known = int(icmp or ports)
        flow = self.flows[*addresses, *pair, protocol, version, int(headers["tunnel"]), known]
        flow.packets += 1
        flow.bytes += wire
        flow.times.append(time)
        flow.ttls.append(ttl)
        flow.fragments += fragment > 0
        flow.tcp_flags |= flags
        if protocol in (TCP, UDP) and ports:
            for side in (0, 1):
                self.ports[side][protocol][pair[side]] += wire

    def addresses(self, side: int) -> dict[bytes, tuple[int, int, int]]:
        """Packets, bytes and flows of each address."""
        found = defaultdict(lambda: (0, 0, 0))
        for key, flow in self.flows.items():
            packets, size, flows = found[key[side]]
            found[key[side]] = packets + flow.packets, size + flow.bytes, flows + 1
        return dict(found)


def batch_of(packets, links: list[int]) -> Batch:
    """Packets that stand together, as a reader would give them."""
    rows, data = [], b""
    for time, each, wire, link in packets:
        rows.append((time, len(data), len(each), wire, links.index(link)))
        data += each
    return Batch(data, np.array(rows, PACKET), 0)
