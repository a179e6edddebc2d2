"""The evidence of a finished flow table."""

from __future__ import annotations

from typing import Any

from edgecap.packets.flow_table import FlowTable
from edgecap.packets.native import text
from edgecap.packets.verdict.distinct import estimated
from edgecap.packets.verdict.evidence import Balance, Dns, Domain, Evidence, TunnelEnd, Tunnelled
from edgecap.packets.verdict.gather import sender
from edgecap.packets.verdict.services import AMPLIFIERS

_UDP = 17
_TUNNELS = (47, 4, 41)
_DOMAINS = 8


def evidence_of(table: FlowTable, seconds: float, *, window: float = 0) -> Evidence:
    """All evidence of the packets that were counted; of samples with weights, that of the samples.

    Args:
        table: finished.
        seconds: from the first packet to the last.
        window: seconds that were asked for; 0 if not known.
    """
    counts, gathered = table.counts, table.evidence
    part = table.samples / max(table.packets, 1)
    return Evidence(
        packets=table.samples,
        bytes=round(int(counts["wire"]) * part),
        seconds=seconds,
        window=window,
        paired=gathered.paired,
        flows=gathered.flows,
        kinds=gathered.kinds(),
        targets=gathered.targets(sender(table.sources.rows())),
        probers=gathered.probers(),
        balances=tuple(_balances(table, part)),
        dns=_dns(counts["names"]),
        tunnelled=_tunnelled(table, part),
    )


def _balances(table: FlowTable, part: float) -> list[Balance]:
    sources, destinations = table.ports[_UDP]
    return [
        Balance(
            port=port,
            answers=round(int(sources.packets[port]) * part),
            answer_bytes=round(int(sources.bytes[port]) * part),
            questions=round(int(destinations.packets[port]) * part),
            question_bytes=round(int(destinations.bytes[port]) * part),
        )
        for port in AMPLIFIERS
        if sources.packets[port] or destinations.packets[port]
    ]


def _dns(names: Any) -> Dns:
    found = [
        Domain(
            name=each["text"].decode("ascii", "replace"),
            queries=int(each["queries"]),
            names=min(int(each["queries"]), estimated(each["registers"])),
        )
        for each in names["suffix"]
        if each["queries"]
    ]
    found.sort(key=lambda each: -each.queries)
    return Dns(
        queries=int(names["queries"]),
        named=int(names["named"]),
        names=min(int(names["named"]), estimated(names["registers"])),
        answers=int(names["answers"]),
        failed=int(names["failed"]),
        domains=tuple(found[:_DOMAINS]),
    )


def _tunnelled(table: FlowTable, part: float) -> Tunnelled | None:
    counts = table.counts
    protocol = max(_TUNNELS, key=lambda each: int(counts["tunnel"]["packets"][each]))
    packets = int(counts["tunnel"]["packets"][protocol])
    if not packets:
        return None
    ends = [each for each in counts["tunnel_ends"] if each["packets"]]
    ends.sort(key=lambda each: -int(each["packets"]))
    return Tunnelled(
        protocol=protocol,
        packets=round(packets * part),
        sources=estimated(counts["tunnel_sources"]),
        flows=table.distinct_flows(),
        destinations=table.destinations.distinct(),
        ends=tuple(
            TunnelEnd(
                address=text.addresses(each["address"].tobytes(), 0, 16, 1)[0], packets=int(each["packets"])
            )
            for each in ends[:3]
        ),
    )
