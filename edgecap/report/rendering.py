"""HTML pages from the templates beside this module: one file each, with its style and its pictures in it.

Every text is escaped where a template shows it, unless it is markup that was made here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edgecap import units
from edgecap.packets.summary import Flows, Named, Summary, Talkers
from edgecap.packets.verdict.words import numbers_of
from edgecap.proposals import text
from edgecap.protocols import protocol_name
from edgecap.report.charts.svg import meter, protocol_bar, protocol_class, size_histogram
from edgecap.report.charts.timeline import timeline_chart
from edgecap.report.markup import visible
from edgecap.report.rates import average, peak
from edgecap.report.theme import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""The content security policy of every page: it loads and runs nothing, whatever text is in it."""


def render(template: str, **values: Any) -> str:
    """A whole page.

    Args:
        template: its file in `templates`.
        values: what the template names.
    """
    return _PAGES.get_template(template).render(values) + "\n"


def message_html(words: str) -> str:
    """A page with one sentence, such as that there is no report."""
    return render("message.html.j2", words=words)


def _shown(value: Any) -> Any:
    """Text with a mark for each invisible character; Jinja escapes it after this."""
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _count(number: int) -> str:
    return f"{number:,}"


def _whole(number: float) -> str:
    return f"{number:,.0f}"


def _about(counted: Talkers | Flows) -> str:
    """How many there are; past a bound they are estimated."""
    return ("" if counted.exact else "about ") + _count(counted.distinct)


def _measure(kind: str, value: float) -> str:
    """A value of a difference in its unit."""
    if kind == "rate":
        return units.packet_rate(value)
    return units.size(value) if kind == "size" else units.percent(value)


def _endpoint(address: str, port: int) -> str:
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _not_ip(summary: Summary) -> tuple[Named, ...]:
    return tuple(each for each in summary.versions if each.name not in ("ipv4", "ipv6"))


_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    finalize=_shown,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_FILTERS = {
    "bit_rate": units.bit_rate,
    "count": _count,
    "duration": units.duration,
    "packet_rate": units.packet_rate,
    "percent": units.percent,
    "size": units.size,
    "stamp": units.stamp,
    "whole": _whole,
}
_PAGES.filters.update(_FILTERS)
_PAGES.globals.update(
    _FILTERS,
    about=_about,
    attack_sentence=text.attack_sentence,
    baseline_sentence=text.baseline_sentence,
    capture_sentence=text.capture_sentence,
    filter_headline=text.headline,
    filter_headlines=text.HEADLINES,
    never_pushed=text.NEVER_PUSHED,
    endpoint=_endpoint,
    measure=_measure,
    meter=meter,
    not_ip=_not_ip,
    period=units.period,
    plural=units.plural,
    policy=POLICY,
    protocol_bar=protocol_bar,
    protocol_class=protocol_class,
    protocol_name=protocol_name,
    size_histogram=size_histogram,
    style=STYLE,
    timeline_chart=timeline_chart,
    numbers_of=numbers_of,
    average=average,
    peak=peak,
)
