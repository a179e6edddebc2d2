"""Turn counts into a summary: names, shares, rates, a timeline of readable length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgecap.packets.flow_table import Addresses, FlowTable, PortCounts
from edgecap.packets.inspection import moment
from edgecap.packets.names import (
    ether_name,
    flags_name,
    icmp_name,
    link_name,
    service_name,
    tunnel_name,
)
from edgecap.packets.native import text
from edgecap.packets.residual import Residual
from edgecap.packets.summary import (
    TOP,
    Amplification,
    Flow,
    Flows,
    Fragments,
    Named,
    Port,
    Ports,
    Rates,
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
from edgecap.packets.verdict.evidence import Evidence
from edgecap.packets.verdict.from_table import evidence_of
from edgecap.packets.verdict.intervals import Estimate
from edgecap.packets.verdict.judge import judge
from edgecap.packets.verdict.model import Baseline
from edgecap.packets.verdict.services import AMPLIFIERS
from edgecap.packets.verdict.signs import percent
from edgecap.protocols import protocol_name
from edgecap.units import plural

STEPS = 240  # maximum steps of a timeline: the width of a screen
_SECOND = 1_000_000_000
_MILLISECOND = 0.001  # seconds; the shortest step of the timeline, so shorter rates are unknown
_EDGES = (0, 65, 128, 256, 512, 1024, 1519)  # the buckets of RMON, RFC 2819
_FEW = 10  # entries of short lists
_TCP, _UDP = 6, 17


def summarize(
    tally: FlowTable,
    *,
    files: Sequence[SourceFile] = (),
    conditions: Conditions | None = None,
    residual: Residual | None = None,
) -> Summary:
    """Make a summary of the counts.

    Args:
        tally: finished.
        files: the packets' files.
        conditions: how the packets came; by default neither sampled nor filtered.
        residual: the filter that was applied before counting.
    """
    conditions = conditions or Conditions()
    if any(each.damage for each in files):
        conditions = conditions.model_copy(update={"damaged": True})
    if tally.weight is not None:
        conditions = conditions.model_copy(
            update={
                "sampled": True,
                "weighted": True,
                "sampling": tally.weight,
                "sampling_from": "as the file says",
            }
        )
    counts = tally.counts
    packets = int(counts["packets"])
    timed = packets > int(counts["untimed"])
    first, last = (int(counts["first"]), int(counts["last"])) if timed else (None, None)
    seconds = (last - first) / _SECOND if first is not None and last is not None else 0.0
    shares = _Shares(packets)
    summary = Summary(
        verdict="",
        sampled=conditions.sampled,
        conditions=conditions,
        packets=packets,
        bytes=int(counts["wire"]),
        bytes_captured=int(counts["captured"]),
        first=moment(first),
        last=moment(last),
        seconds=seconds,
        rates=_rates(tally, seconds, conditions),
        versions=_versions(counts, shares),
        protocols=shares.named(counts["protocol"], protocol_name, most=TOP),
        sources=_talkers(tally.sources, shares),
        destinations=_talkers(tally.destinations, shares),
        source_ports=_ports(tally, 0, shares),
        destination_ports=_ports(tally, 1, shares),
        amplification=_amplification(tally.ports[_UDP][0], shares),
        flows=_flows(tally),
        tcp_flags=shares.named(counts["tcp_flags"], flags_name, most=_FEW),
        icmp=_icmp(counts, shares),
        sizes=_sizes(counts, packets, shares),
        ttls=_ttls(counts["ttl"], shares),
        fragments=Fragments(
            packets=int(counts["fragments"]),
            later=int(counts["later"]),
            share=shares.of(int(counts["fragments"])),
        ),
        tunnels=Tunnels(
            packets=int(counts["tunnel"]["packets"].sum()),
            kinds=shares.named(counts["tunnel"], tunnel_name, most=_FEW),
        ),
        vlans=tuple(_numbers(counts["vlan"], _FEW)),
        timeline=_timeline(tally),
        files=tuple(files),
        residual=residual,
    )
    return judged(
        summary.model_copy(update={"evidence": evidence_of(tally, seconds, window=conditions.window)})
    )


def resampled(summary: Summary, sampling: Estimate, where: str) -> Summary:
    """The summary of samples once their sampling has been estimated: its rates are of all packets.

    Args:
        summary: of samples, judged without a baseline.
        sampling: one packet in so many was kept.
        where: what it was estimated from, in words.
    """
    conditions = summary.conditions.with_sampling(sampling, where)
    rates = summary.rates
    if rates.packets_estimate and rates.bits_estimate and rates.peak_estimate:
        peak = round(rates.peak_packets * rates.peak_seconds)
        rates = rates.model_copy(
            update=_estimates(
                summary.packets,
                summary.bytes,
                summary.seconds,
                peak,
                round(rates.peak_seconds * _SECOND),
                conditions,
            )
        )
    return judged(summary.model_copy(update={"conditions": conditions, "rates": rates}))


def judged(summary: Summary, baseline: Baseline | None = None, usual: Sequence[Evidence] = ()) -> Summary:
    """The summary with the verdict of its evidence.

    Args:
        summary: with evidence; without, it stays as it is.
        baseline: what the captures of `usual` are.
        usual: the evidence of captures that tell what is usual.
    """
    if summary.evidence is None:
        return summary
    mix = ", ".join(f"{percent(each.share)} {each.name}" for each in summary.protocols[:3])
    found = judge(summary.evidence, summary.conditions, baseline=baseline, usual=usual, mix=mix)
    line = found.line
    if not summary.packets and summary.residual and summary.residual.packets:
        line = f"None of {plural(summary.residual.packets, 'packet')} matches the filter."
    return summary.model_copy(
        update={
            "verdict": line,
            "strength": found.strength,
            "vectors": found.vectors,
            "caveats": found.caveats,
            "conditions": found.conditions,
            "baseline": found.baseline,
        }
    )


class _Shares:
    """Shares of all packets."""

    def __init__(self, packets: int) -> None:
        self._packets = packets

    def of(self, packets: int) -> float:
        return round(packets / self._packets, 6) if self._packets else 0.0

    def named(self, pairs: Any, name: Callable[[int], str], *, most: int) -> tuple[Named, ...]:
        """The counted numbers, with the most packets first."""
        return tuple(
            Named(
                name=name(number),
                number=number,
                packets=int(pairs["packets"][number]),
                bytes=int(pairs["bytes"][number]),
                share=self.of(int(pairs["packets"][number])),
            )
            for number in _numbers(pairs["packets"], most)
        )


def _numbers(packets: NDArray[np.uint64], most: int) -> list[int]:
    """The indexes of the largest counts, the largest first; of equals, the lower index first."""
    seen = np.flatnonzero(packets)
    found: list[int] = seen[np.argsort(-packets[seen].astype("i8"), kind="stable")][:most].tolist()
    return found


def _versions(counts: Any, shares: _Shares) -> tuple[Named, ...]:
    ip = shares.named(counts["version"][:2], ("ipv4", "ipv6").__getitem__, most=2)
    ip = tuple(each.model_copy(update={"number": 6 if each.name == "ipv6" else 4}) for each in ip)
    other = shares.named(counts["ether"], ether_name, most=_FEW)
    links = shares.named(counts["link"], lambda link: f"{link_name(link)}, not understood", most=_FEW)
    return tuple(sorted((*ip, *other, *links), key=lambda each: -each.packets))


def _icmp(counts: Any, shares: _Shares) -> tuple[Named, ...]:
    four = shares.named(counts["icmp4"], lambda number: icmp_name(4, number), most=_FEW)
    six = shares.named(counts["icmp6"], lambda number: icmp_name(6, number), most=_FEW)
    return tuple(sorted((*four, *six), key=lambda each: -each.packets))[:_FEW]


def _talkers(addresses: Addresses, shares: _Shares) -> Talkers:
    rows = addresses.top(TOP)
    texts = text.addresses(rows, 0, rows.itemsize, len(rows))
    return Talkers(
        distinct=addresses.distinct(),
        exact=addresses.exact,
        top=tuple(
            Talker(
                address=text,
                packets=int(row["packets"]),
                bytes=int(row["bytes"]),
                flows=int(row["flows"]),
                share=shares.of(int(row["packets"])),
            )
            for text, row in zip(texts, rows, strict=True)
        ),
    )


def _ports(tally: FlowTable, side: int, shares: _Shares) -> Ports:
    found: list[Port] = []
    distinct = 0
    names: tuple[tuple[Literal["tcp", "udp"], int], ...] = (("tcp", _TCP), ("udp", _UDP))
    for protocol, number in names:
        counted = tally.ports[number][side]
        distinct += int(np.count_nonzero(counted.packets))
        found += [
            Port(
                protocol=protocol,
                port=port,
                service=service_name(protocol, port),
                packets=int(counted.packets[port]),
                bytes=int(counted.bytes[port]),
                share=shares.of(int(counted.packets[port])),
            )
            for port in _numbers(counted.packets, TOP)
        ]
    return Ports(distinct=distinct, top=tuple(sorted(found, key=lambda each: -each.packets)[:TOP]))


def _amplification(sources: PortCounts, shares: _Shares) -> tuple[Amplification, ...]:
    found = []
    for port, service in AMPLIFIERS.items():
        packets, size = int(sources.packets[port]), int(sources.bytes[port])
        if packets:
            found.append(
                Amplification(
                    service=service.name,
                    port=port,
                    packets=packets,
                    bytes=size,
                    share=shares.of(packets),
                    mean_size=round(size / packets, 1),
                )
            )
    return tuple(sorted(found, key=lambda each: -each.bytes))


def _flows(tally: FlowTable) -> Flows:
    rows = tally.top_flows()
    ids = text.community_ids(rows, len(rows))
    sources = text.addresses(rows, 0, rows.itemsize, len(rows))
    destinations = text.addresses(rows, 16, rows.itemsize, len(rows))
    top = []
    for row, community_id, source, destination in zip(rows, ids, sources, destinations, strict=True):
        timed = row["first"] <= row["last"]
        top.append(
            Flow(
                community_id=community_id,
                protocol=int(row["protocol"]),
                source=source,
                source_port=int(row["source_port"]),
                destination=destination,
                destination_port=int(row["destination_port"]),
                packets=int(row["packets"]),
                bytes=int(row["bytes"]),
                first=moment(int(row["first"])) if timed else None,
                last=moment(int(row["last"])) if timed else None,
            )
        )
    return Flows(
        records=tally.records, distinct=tally.distinct_flows(), exact=tally.exact_flows, top=tuple(top)
    )


def _sizes(counts: Any, packets: int, shares: _Shares) -> Sizes:
    if not packets:
        return Sizes()
    sizes = counts["size"]
    buckets = []
    for place, least in enumerate(_EDGES):
        most = _EDGES[place + 1] - 1 if place + 1 < len(_EDGES) else None
        count = int(sizes[least : None if most is None else most + 1].sum())
        buckets.append(Size(least=least, most=most, packets=count, share=shares.of(count)))
    return Sizes(
        smallest=int(counts["smallest"]),
        largest=int(counts["largest"]),
        mean=round(int(counts["wire"]) / packets, 1),
        buckets=tuple(buckets),
    )


def _ttls(ttls: NDArray[np.uint64], shares: _Shares) -> Ttls:
    seen = np.flatnonzero(ttls)
    if not len(seen):
        return Ttls()
    top = tuple(
        Ttl(ttl=number, packets=int(ttls[number]), share=shares.of(int(ttls[number])))
        for number in _numbers(ttls, _FEW)
    )
    return Ttls(distinct=len(seen), lowest=int(seen[0]), highest=int(seen[-1]), top=top)


def _rates(tally: FlowTable, seconds: float, conditions: Conditions) -> Rates:
    counts, bins = tally.counts, tally.bins()
    if seconds < _MILLISECOND:
        return Rates()
    width = int(counts["width"])
    # One second, or the whole of a shorter capture.
    window = _SECOND
    while window > max(width, seconds * _SECOND):
        window //= 10
    window = max(window, width)
    over = window // width
    packets, at = _most(bins["packets"], over)
    size, _ = _most(bins["bytes"], over)
    timed = int(counts["packets"]) - int(counts["untimed"])
    # Of all bytes, since those without a time are not counted apart.
    rates, bits = timed / seconds, int(counts["wire"]) * 8 / seconds
    peak, peak_bits = packets * _SECOND / window, size * 8 * _SECOND / window
    if peak < rates:
        # The packets stand at both ends of little more than a window: no window has as many as the whole.
        peak, window, at = (
            rates,
            round(seconds * _SECOND),
            int(counts["first"]) // width - int(counts["base"]),
        )
    return Rates(
        packets=round(rates, 3),
        bits=round(bits, 3),
        peak_packets=round(peak, 3),
        peak_bits=round(max(peak_bits, bits), 3),
        peak_at=moment((int(counts["base"]) + at) * width),
        peak_seconds=window / _SECOND,
        **_estimates(int(counts["packets"]), int(counts["wire"]), seconds, packets, window, conditions),
    )


def _estimates(
    kept: int, wire: int, seconds: float, peak: int, window: int, conditions: Conditions
) -> dict[str, Estimate]:
    """Rates of all packets that passed, with their intervals; nothing if all were kept."""
    if not conditions.sampled:
        return {}
    # Weighted packets are already those that passed.
    stands = conditions.sampling if conditions.weighted and conditions.sampling else 1.0
    rate = conditions.counted(kept / stands).times(1 / seconds)
    most = conditions.counted(peak / stands).times(_SECOND / window)
    return {
        "packets_estimate": rate,
        "bits_estimate": rate.times(8 * wire / max(kept, 1)),
        "peak_estimate": most,
    }


def _most(values: NDArray[np.uint64], over: int) -> tuple[int, int]:
    """The largest sum of `over` consecutive values, and its index."""
    sums = np.concatenate([[0], np.cumsum(values.astype("i8"))])
    if len(values) <= over:
        return int(sums[-1]), 0
    within = sums[over:] - sums[:-over]
    at = int(within.argmax())
    return int(within[at]), at


def _timeline(tally: FlowTable) -> Timeline:
    counts, bins = tally.counts, tally.bins()
    width, base = int(counts["width"]), int(counts["base"])
    start: datetime | None = None
    if len(bins):
        together = _together(len(bins))
        ahead = base % together
        start = moment((base - ahead) * width)
    if start is None:
        return Timeline()
    rows = -(-(len(bins) + ahead) // together)
    steps: dict[str, NDArray[np.int64]] = {}
    for name in ("packets", "bytes", "tcp", "udp", "icmp"):
        padded = np.zeros(rows * together, "i8")
        padded[ahead : ahead + len(bins)] = bins[name]
        steps[name] = padded.reshape(rows, together).sum(axis=1)
    other = steps["packets"] - steps["tcp"] - steps["udp"] - steps["icmp"]
    listed = {name: tuple(values.tolist()) for name, values in {**steps, "other": other}.items()}
    return Timeline(start=start, seconds=width * together / _SECOND, **listed)


def _together(bins: int) -> int:
    """Bins per step, as a round number."""
    together = 1
    while -(-bins // together) >= STEPS:
        together = together * 5 // 2 if str(together).startswith("2") else together * 2
    return together
