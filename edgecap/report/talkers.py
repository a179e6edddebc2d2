"""Who sent what to whom: the tables of a summary."""

from __future__ import annotations

from collections.abc import Sequence

from edgecap.packets.summary import Flow, Named, Port, Ports, Summary, Talkers
from edgecap.protocols import protocol_name
from edgecap.report.charts.svg import meter, protocol_bar, protocol_class, size_histogram
from edgecap.report.markup import Child, Html, tag
from edgecap.report.page import block, figure, note, section, table, two
from edgecap.units import duration, percent, plural, short, size

_SHOWN = 10  # rows of a table; the summary has twice as many, the flow table all


def talkers_section(summary: Summary) -> Html:
    """Addresses and ports, of both sides."""
    return section(
        "Talkers",
        two(
            _addresses("Sources", summary.sources),
            _addresses("Destinations", summary.destinations),
            _ports("Source ports", summary.source_ports),
            _ports("Destination ports", summary.destination_ports),
        ),
        name="talkers",
    )


def mix_section(summary: Summary) -> Html:
    """Protocols, flags, sizes, times to live, and what else tells kinds of traffic apart."""
    bar = protocol_bar(summary.protocols)
    histogram = size_histogram(summary.sizes.buckets)
    sizes = summary.sizes
    blocks: list[Child] = []
    if summary.protocols:
        blocks.append(
            block("Protocols", figure(bar) if bar else None, _kinds((*summary.protocols, *_not_ip(summary))))
        )
    if histogram:
        spread = f"{sizes.smallest:,} to {sizes.largest:,}, {sizes.mean:,.0f} on average"
        caption = f"Each column from so many bytes on the wire up; they are {spread}"
        blocks.append(block("Packet sizes", figure(histogram, caption=caption)))
    if summary.tcp_flags:
        blocks.append(block("TCP flags", _kinds(summary.tcp_flags)))
    if summary.icmp:
        blocks.append(block("ICMP", _kinds(summary.icmp)))
    if summary.ttls.top:
        blocks.append(_ttls(summary))
    if summary.amplification:
        blocks.append(_amplification(summary))
    if summary.fragments.packets or summary.tunnels.packets or summary.vlans:
        blocks.append(_wrapping(summary))
    return section("Traffic mix", two(blocks), name="mix")


def flows_section(summary: Summary) -> Html:
    """The largest flows."""
    flows = summary.flows
    shown = flows.top[:_SHOWN]
    more = f"The {len(shown)} largest of {flows.distinct:,} by bytes; " if flows.distinct > len(shown) else ""
    exact = "" if flows.exact else " There were too many to hold, so one that went on long has several rows."
    return section(
        "Flows",
        table(
            ("!", ":from", ":to", ">packets", ">bytes", ">lasted", "-Community ID"),
            [_flow(flow) for flow in shown],
        ),
        note(more, "the manifest says where the table of all of them is.", exact),
        name="flows",
    )


def _addresses(title: str, talkers: Talkers) -> Html:
    about = "" if talkers.exact else "about "
    rows = [
        (
            tag("span", each.address, class_="mono"),
            f"{each.packets:,}",
            percent(each.share),
            meter(each.share),
            short(each.bytes, "B"),
            f"{each.flows:,}",
        )
        for each in talkers.top[:_SHOWN]
    ]
    if not rows:
        return block(title, note("none"))
    rest = None if talkers.exact else note("Too many to count each: numbers are estimates, small ones low.")
    return block(
        f"{title}: {about}{talkers.distinct:,}",
        table(("@address", ">packets", ">share", "=", ">bytes", ">flows"), rows),
        rest,
    )


def _ports(title: str, ports: Ports) -> Html:
    rows = [_port(each) for each in ports.top[:_SHOWN]]
    if not rows:
        return block(title, note("none"))
    return block(f"{title}: {ports.distinct:,}", table(("port", ">packets", ">share", "=", ">bytes"), rows))


def _port(each: Port) -> tuple[Child, ...]:
    service = tag("span", f" {each.service}", class_="note") if each.service else None
    return (
        [tag("span", f"{each.protocol} {each.port}", class_="mono"), service],
        f"{each.packets:,}",
        percent(each.share),
        meter(each.share, protocol_class(each.protocol)),
        size(each.bytes),
    )


def _kinds(kinds: Sequence[Named]) -> Html:
    rows = [
        (
            each.name,
            f"{each.packets:,}",
            percent(each.share),
            meter(each.share, protocol_class(each.name)),
            size(each.bytes),
        )
        for each in kinds[:_SHOWN]
    ]
    return table(("kind", ">packets", ">share", "=", ">bytes"), rows)


def _not_ip(summary: Summary) -> list[Named]:
    return [each for each in summary.versions if each.name not in ("ipv4", "ipv6")]


def _ttls(summary: Summary) -> Html:
    ttls = summary.ttls
    rows = [
        (str(each.ttl), f"{each.packets:,}", percent(each.share), meter(each.share))
        for each in ttls.top[:_SHOWN]
    ]
    return block(
        f"Times to live: {plural(ttls.distinct, 'value')}, {ttls.lowest} to {ttls.highest}",
        table(("TTL", ">packets", ">share", "="), rows),
    )


def _amplification(summary: Summary) -> Html:
    rows = [
        (
            [each.service, tag("span", f" udp {each.port}", class_="note")],
            f"{each.packets:,}",
            percent(each.share),
            size(each.bytes),
            f"{each.mean_size:,.0f}",
        )
        for each in summary.amplification[:_SHOWN]
    ]
    return block(
        "Answers of services that reflection abuses",
        table(("service", ">packets", ">share", ">bytes", ">mean size"), rows),
    )


def _wrapping(summary: Summary) -> Html:
    fragments, tunnels = summary.fragments, summary.tunnels
    rows: list[tuple[Child, ...]] = []
    if fragments.packets:
        rows.append(
            (
                "IP fragments",
                f"{fragments.packets:,}",
                f"{percent(fragments.share)}, {fragments.later:,} later ones",
            )
        )
    rows += [(f"in {each.name}", f"{each.packets:,}", percent(each.share)) for each in tunnels.kinds]
    if summary.vlans:
        shown = ", ".join(map(str, summary.vlans[:_SHOWN])) + (", ..." if len(summary.vlans) > _SHOWN else "")
        rows.append(("VLANs", f"{len(summary.vlans):,}", shown))
    return block("Fragments, tunnels, VLANs", table(("what", ">packets", ""), rows))


def _flow(flow: Flow) -> tuple[Child, ...]:
    return (
        protocol_name(flow.protocol),
        tag("span", _endpoint(flow.source, flow.source_port), class_="mono"),
        tag("span", _endpoint(flow.destination, flow.destination_port), class_="mono"),
        f"{flow.packets:,}",
        size(flow.bytes),
        duration((flow.last - flow.first).total_seconds()),
        tag("span", flow.community_id, class_="mono"),
    )


def _endpoint(address: str, port: int) -> str:
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
