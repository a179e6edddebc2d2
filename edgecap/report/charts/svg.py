"""Small pictures: shares in a line, columns of a histogram, and the meters in tables."""

from __future__ import annotations

from collections.abc import Sequence

from edgecap.packets.summary import Named, Size
from edgecap.report.charts.timeline import picture, text
from edgecap.report.markup import Html, tag
from edgecap.units import percent, plural

_COLOURS = {
    "tcp": "tcp",
    "udp": "udp",
    "icmp": "icmp",
    "icmp6": "icmp",
    "ipv6-icmp": "icmp",
    "icmpv6": "icmp",
}
_WIDTH, _TALL = 400, 104
_ROOM = 34  # pixels; narrower parts of a line have no name


def meter(share: float, class_: str = "other") -> Html:
    """A bar in a table, as long as the share of 0 to 1."""
    return tag(
        "svg",
        tag("rect", class_="wash", x=0, y=0, width=64, height=8),
        tag("rect", class_=class_, x=0, y=0, width=64 * min(1.0, max(0.0, share)), height=8),
        viewBox="0 0 64 8",
        aria_hidden="true",
    )


def protocol_class(name: str) -> str:
    """The colour of a protocol."""
    return _COLOURS.get(name.lower(), "other")


def protocol_bar(protocols: Sequence[Named], *, width: int = _WIDTH) -> Html | None:
    """The shares of protocols as parts of one line; None if there are none."""
    if not protocols:
        return None
    parts = [tag("rect", class_="wash", x=0, y=0, width=width, height=16)]
    at = 0.0
    for each in protocols:
        long = min(each.share * width, width - at)
        title = tag("title", f"{each.name}: {percent(each.share)}, {plural(each.packets, 'packet')}")
        parts.append(
            tag(
                "rect",
                title,
                class_=protocol_class(each.name),
                x=at,
                y=0,
                width=max(0.0, long - 1),
                height=16,
            )
        )
        if long > _ROOM + 7 * len(each.name):
            parts.append(text(at, 30, f"{each.name} {percent(each.share)}", "plain"))
        at += long
    return picture(parts, width, 34)


def size_histogram(sizes: Sequence[Size]) -> Html | None:
    """How large packets were, as columns; None if there are none."""
    if not any(each.packets for each in sizes):
        return None
    top, slot = 18, _WIDTH / len(sizes)
    most = max(each.share for each in sizes) or 1
    parts = [tag("title", "Packets by size on the wire")]
    for place, each in enumerate(sizes):
        left, tall = place * slot, each.share / most * _TALL
        middle = left + slot / 2
        column = tag(
            "rect",
            tag("title", f"{_range(each)} bytes: {percent(each.share)}, {plural(each.packets, 'packet')}"),
            class_="tcp",
            x=left + 2,
            y=top + _TALL - tall,
            width=slot - 4,
            height=tall,
        )
        parts += [column, text(left + 2, top + _TALL + 14, _least(each), "number")]
        if each.packets:
            label = percent(each.share) if slot > _ROOM else f"{each.share:.0%}"
            parts.append(text(middle, top + _TALL - tall - 5, label, "number", "middle"))
    parts.append(tag("path", class_="axis", d=f"M0 {top + _TALL}H{_WIDTH}"))
    return picture(parts, _WIDTH, top + _TALL + 20)


def _least(each: Size) -> str:
    """The label at a column's left edge: its smallest size."""
    return str(each.least) if each.most is not None else f"{each.least}+"


def _range(each: Size) -> str:
    if each.most is None:
        return f"{each.least} and more"
    return str(each.least) if each.least == each.most else f"{each.least}-{each.most}"
