"""Entries and summaries as real ones are: a flood, a reflection, a quiet minute, nothing, and too much."""

import hashlib
import random
from datetime import UTC, datetime, timedelta

from edgecap.archive.entries import Entry
from edgecap.archive.layout import safe_name
from edgecap.archive.manifest import FileRecord, Manifest, Times, Totals, Versions
from edgecap.packets.summary import (
    Amplification,
    Change,
    Difference,
    Flow,
    Flows,
    Fragments,
    Named,
    Port,
    Ports,
    Rates,
    Residual,
    Size,
    Sizes,
    SourceFile,
    Summary,
    Talker,
    Talkers,
    Timeline,
    Ttl,
    Ttls,
    Tunnels,
)
from edgecap.packets.verdict.conditions import Conditions
from edgecap.packets.verdict.model import Vector

START = datetime(2026, 11, 23, 6, 34, 6, 250_000, tzinfo=UTC)
TARGET = "203.0.113.7"
FLOOD, REFLECTION = "0af1" * 8, "7be2" * 8
BUCKETS = (
    (0, 63),
    (64, 127),
    (128, 255),
    (256, 511),
    (512, 1023),
    (1024, 1279),
    (1280, 1518),
    (1519, None),
)
SERVICES = {53: "dns", 80: "http", 123: "ntp", 443: "https", 389: "cldap"}


def timeline(start, seconds, steps, rates, seed=1):
    """Equal steps; `rates(kind, part)` are packets a second at a part of the whole, 0 to 1."""
    noise = random.Random(seed)
    sizes = {"tcp": 74, "udp": 1350, "icmp": 84, "other": 200}
    counts = {
        kind: tuple(
            max(0, round(rates(kind, step / steps) * seconds * noise.uniform(0.9, 1.1)))
            for step in range(steps)
        )
        for kind in sizes
    }
    per_step = list(zip(*counts.values(), strict=True))
    return Timeline(
        start=start,
        seconds=seconds,
        packets=tuple(map(sum, per_step)),
        bytes=tuple(
            sum(count * size for count, size in zip(step, sizes.values(), strict=True)) for step in per_step
        ),
        **counts,
    )


def named(packets, *parts, size=74):
    return tuple(
        Named(
            name=name,
            number=number,
            packets=round(packets * share),
            bytes=round(packets * share * size),
            share=share,
        )
        for name, number, share in parts
    )


def talkers(packets, addresses, *, distinct=None, exact=True, size=74, falling=0.6):
    shares = [0.95 * (1 - falling) * falling**place for place in range(len(addresses))]
    return Talkers(
        distinct=distinct or len(addresses),
        exact=exact,
        top=tuple(
            Talker(
                address=address,
                packets=round(packets * share),
                bytes=round(packets * share * size),
                flows=max(1, round(packets * share / 900)),
                share=share,
            )
            for address, share in zip(addresses, shares, strict=True)
        ),
    )


def ports(packets, *parts, distinct=None, size=74):
    return Ports(
        distinct=distinct or len(parts),
        top=tuple(
            Port(
                protocol=protocol,
                port=port,
                service=SERVICES.get(port, ""),
                packets=round(packets * share),
                bytes=round(packets * share * size),
                share=share,
            )
            for protocol, port, share in parts
        ),
    )


def sizes(packets, *shares, mean=74.0):
    return Sizes(
        smallest=54,
        largest=1514,
        mean=mean,
        buckets=tuple(
            Size(least=least, most=most, packets=round(packets * share), share=share)
            for (least, most), share in zip(BUCKETS, shares, strict=True)
        ),
    )


def rates_of(line):
    peak = max(range(len(line.packets)), key=lambda step: line.packets[step])
    seconds = line.seconds * len(line.packets)
    return Rates(
        packets=sum(line.packets) / seconds,
        bits=sum(line.bytes) * 8 / seconds,
        peak_packets=line.packets[peak] / line.seconds,
        peak_bits=line.bytes[peak] * 8 / line.seconds,
        peak_at=line.start + timedelta(seconds=peak * line.seconds),
        peak_seconds=line.seconds,
    )


def flows(start, packets, addresses, *, records, protocol=6, port=443, size=74):
    return Flows(
        records=records,
        distinct=records,
        top=tuple(
            Flow(
                community_id="1:" + hashlib.sha256(address.encode()).hexdigest()[:27] + "=",
                protocol=protocol,
                source=address,
                source_port=40_000 + place * 17,
                destination=TARGET,
                destination_port=port,
                packets=round(packets * 0.1 / (place + 1)),
                bytes=round(packets * 0.1 / (place + 1) * size),
                first=start,
                last=start + timedelta(seconds=40 - place * 3),
            )
            for place, address in enumerate(addresses)
        ),
    )


def attackers(count):
    return [f"198.51.{100 + place // 200}.{7 + place * 13 % 240}" for place in range(count)]


def summary_of(line, verdict, **more):
    packets, size = sum(line.packets), sum(line.bytes)
    seconds = line.seconds * len(line.packets)
    return Summary(
        verdict=verdict,
        packets=packets,
        bytes=size,
        bytes_captured=min(size, packets * 128),
        first=line.start,
        last=line.start + timedelta(seconds=seconds),
        seconds=seconds,
        timeline=line,
        rates=rates_of(line),
        **more,
    )


def flood(start=START, *, seconds=60, sampled=False, strength=1.0, onset=0.25):
    """A SYN flood that begins after a part of the time, over some honest traffic."""

    def rates(kind, part):
        attack = 90_000 * strength if part >= onset else 0
        honest = {"tcp": 2_400, "udp": 900, "icmp": 60, "other": 4}[kind] * strength
        return honest + (attack if kind == "tcp" else 0)

    line = timeline(start, seconds / 120, 120, rates)
    packets = sum(line.packets)
    return summary_of(
        line,
        f"SYN flood on {TARGET}:443: 93% of packets are TCP SYN without an answer, from about 48,200 sources",
        vectors=(
            Vector(
                kind="syn-flood",
                title=f"SYN flood on {TARGET}:443",
                strength="likely",
                evidence=(
                    "93.1% of packets are TCP with SYN alone; 0.4% have SYN and ACK",
                    "48,212 sources sent 1.1 packets each, on average",
                    "96% of them go to one port, 443",
                ),
            ),
            Vector(
                kind="spoofed",
                title="The sources are probably forged",
                strength="possible",
                evidence=("255 different times to live, spread evenly", "no source completes a handshake"),
            ),
        ),
        difference=Difference(
            series="capture/ord-hourly: full ORD 203.0.113.7",
            captures=("7be2" * 8, "91c4" * 8, "aa03" * 8),
            verdict="Unlike the 3 captures before: 37 times the packets, nearly all TCP SYN",
            changes=(
                Change(
                    kind="rate",
                    what="packets",
                    now=70_800,
                    before=1_910,
                    line="37 times the packets a second",
                ),
                Change(kind="mix", what="tcp", now=0.98, before=0.71, line="TCP from 71% to 98%"),
                Change(
                    kind="new-source-port",
                    what="tcp 1024",
                    now=0.31,
                    before=0,
                    line="TCP source port 1024, which was not seen before",
                ),
                Change(kind="size", what="size", now=71, before=612, line="Packets are smaller"),
            ),
        ),
        sampled=sampled,
        conditions=Conditions(sampled=sampled),
        versions=named(packets, ("ipv4", 4, 0.994), ("ipv6", 6, 0.0058), ("arp", None, 0.0002)),
        protocols=named(
            packets, ("tcp", 6, 0.981), ("udp", 17, 0.0174), ("icmp", 1, 0.0014), ("gre", 47, 0.0002)
        ),
        sources=talkers(packets, attackers(20), distinct=48_212, exact=False),
        destinations=talkers(
            packets, [TARGET, "203.0.113.9", "2001:db8:4a3f:1102:9c00:7b1d:aa41:10fe"], falling=0.1
        ),
        source_ports=ports(
            packets, ("tcp", 1024, 0.31), ("tcp", 53_211, 0.02), ("udp", 53, 0.011), distinct=64_400
        ),
        destination_ports=ports(
            packets, ("tcp", 443, 0.961), ("udp", 443, 0.013), ("tcp", 80, 0.008), distinct=71
        ),
        flows=flows(start, packets, attackers(8), records=51_877),
        tcp_flags=named(
            packets, ("SYN", 2, 0.931), ("ACK", 16, 0.031), ("PSH+ACK", 24, 0.011), ("SYN+ACK", 18, 0.004)
        ),
        icmp=named(packets, ("echo request", 8, 0.0011), ("unreachable", 3, 0.0003)),
        sizes=sizes(packets, 0.612, 0.331, 0.021, 0.008, 0.006, 0.002, 0.02, 0),
        ttls=Ttls(
            distinct=255,
            lowest=1,
            highest=255,
            top=tuple(Ttl(ttl=ttl, packets=packets // 200, share=0.005) for ttl in (57, 54, 118, 49, 243)),
        ),
        vlans=(120, 121),
        files=(
            SourceFile(name="raw/ord02-s1.pcap", packets=packets // 2, bytes=packets * 37, share=0.5),
            SourceFile(name="raw/ord02-s2.pcap", packets=packets // 2, bytes=packets * 37, share=0.5),
        ),
    )


def reflection(start=START, *, seconds=300, sampled=True):
    """DNS and CLDAP answers that nobody asked for, as samples."""

    def rates(kind, part):
        wave = 26 if 0.2 < part < 0.8 else 4
        return {"tcp": 5, "udp": wave, "icmp": 0.4, "other": 0.3}[kind]

    line = timeline(start, seconds / 150, 150, rates, seed=2)
    packets = sum(line.packets)
    return summary_of(
        line,
        f"DNS amplification on {TARGET}: 71% of packets are DNS answers of 1,350 bytes, from 2,114 resolvers",
        sampled=sampled,
        conditions=Conditions(sampled=sampled),
        vectors=(
            Vector(
                kind="amplification",
                title=f"DNS and CLDAP amplification on {TARGET}",
                strength="likely",
                evidence=(
                    "71% of packets come from UDP port 53, 1,350 bytes each",
                    "2,114 sources, none of them asked",
                ),
            ),
        ),
        protocols=named(packets, ("udp", 17, 0.79), ("tcp", 6, 0.19), ("icmp", 1, 0.02), size=900),
        sources=talkers(packets, attackers(14), distinct=2_114, size=1350, falling=0.8),
        destinations=talkers(packets, [TARGET], size=1350),
        source_ports=ports(packets, ("udp", 53, 0.71), ("udp", 389, 0.06), distinct=800, size=1350),
        destination_ports=ports(packets, ("udp", 33_012, 0.05), ("tcp", 443, 0.18), distinct=9_411),
        amplification=(
            Amplification(
                service="dns",
                port=53,
                packets=packets * 71 // 100,
                bytes=packets * 958,
                share=0.71,
                mean_size=1350,
            ),
            Amplification(
                service="cldap",
                port=389,
                packets=packets * 6 // 100,
                bytes=packets * 90,
                share=0.06,
                mean_size=1501,
            ),
        ),
        flows=flows(start, packets, attackers(8), records=4_902, protocol=17, port=33_012, size=1350),
        tcp_flags=named(packets, ("ACK", 16, 0.12), ("PSH+ACK", 24, 0.05)),
        sizes=sizes(packets, 0.02, 0.19, 0.01, 0.02, 0.04, 0.02, 0.7, 0, mean=1044.0),
        ttls=Ttls(distinct=31, lowest=38, highest=121, top=(Ttl(ttl=52, packets=packets // 5, share=0.2),)),
        fragments=Fragments(packets=packets // 9, later=packets // 18, share=0.11),
        tunnels=Tunnels(packets=packets // 50, kinds=named(packets, ("gre", 47, 0.02))),
        residual=Residual(expression="not port 22", packets=packets + 12, kept=packets),
    )


def quiet(start=START, *, seconds=60, sampled=True):
    """What an ordinary minute is like."""
    line = timeline(
        start, seconds / 60, 60, lambda kind, _: {"tcp": 9, "udp": 4, "icmp": 0.3, "other": 0}[kind], seed=3
    )
    packets = sum(line.packets)
    return summary_of(
        line,
        "Nothing stands out: mostly HTTPS, 71% TCP",
        sampled=sampled,
        conditions=Conditions(sampled=sampled),
        protocols=named(packets, ("tcp", 6, 0.71), ("udp", 17, 0.27), ("icmp", 1, 0.02), size=612),
        sources=talkers(packets, attackers(6), distinct=311, size=612),
        destinations=talkers(packets, [TARGET, "203.0.113.9"], size=612),
        destination_ports=ports(packets, ("tcp", 443, 0.66), ("udp", 443, 0.2), distinct=31),
        source_ports=ports(packets, ("tcp", 51_002, 0.02), distinct=402),
        flows=flows(start, packets, attackers(5), records=390),
        sizes=sizes(packets, 0.2, 0.2, 0.1, 0.05, 0.05, 0.05, 0.35, 0, mean=612.0),
    )


def nothing():
    """A capture without a packet."""
    return Summary(verdict="No packets")


def file_record(name, *, packets=None, role="raw", flags=(), size=None, **more):
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    return FileRecord(
        name=name, size=(packets or 40) * 90 if size is None else size, sha256=digest, role=role,
        packets=packets, flags=flags, **more,
    )  # fmt: skip


def entry_of(
    summary=None,
    *,
    capture_id=FLOOD,
    type="full",  # noqa: A002 - the API's word
    colo="ORD",
    start=START,
    raw=("raw/ord02-s1.pcap", "raw/ord02-s2.pcap"),
    flags=(),
    packets=None,
    files=(),
    **more,
):
    """An entry with these raw files; with what is derived from them if there is a summary."""
    count = summary.packets if summary else 2_408 if packets is None else packets
    first = summary.first if summary else start if count else None
    last = summary.last if summary else start + timedelta(seconds=60) if count else None
    records = [
        file_record(
            name, packets=count // len(raw), verified_by="md5", first=first, last=last,
            bytes_on_wire=(summary.bytes if summary else count * 90) // len(raw),
        )
        for name in raw
    ]  # fmt: skip
    if summary:
        records += [
            file_record("packets.pcapng", packets=count, role="merged"),
            file_record("summary.json", role="summary", size=41_020),
            file_record("flows.parquet", role="flows", size=1_204_117),
        ]
    where = f"{type}_{safe_name(colo or 'all')}_{capture_id}"
    prefix = f"captures/{start:%Y/%m/%d}/{start:%Y-%m-%dT%H-%M-%SZ}_{where}/"
    manifest = Manifest(
        entry_id=capture_id,
        prefix=prefix,
        type=type,
        colo=colo,
        state="partial" if flags else "complete" if count else "empty",
        flags=tuple(flags) or (() if count else ("empty",)),
        request=more.pop(
            "request",
            {
                "type": type,
                "colo": colo,
                "time_limit": 60,
                "filter": {"destination_address": TARGET, "destination_port": 443, "protocol": 6},
            },
        ),
        capture={
            "id": capture_id,
            "type": type,
            "status": "success",
            "colo_name": colo,
            "system": "magic-transit",
        },
        files=(*records, *files),
        totals=Totals.of(records),
        times=Times(
            decided=start - timedelta(seconds=3),
            submitted=start,
            final=start + timedelta(seconds=62),
            fetched=start + timedelta(seconds=70),
            committed=start + timedelta(seconds=71),
        ),
        versions=Versions(edgecap="0.1.0", python="3.11.2", platform="Linux"),
        **more,
    )
    return Entry(manifest, prefix, "s3://network-captures/edge")
