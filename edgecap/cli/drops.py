"""`edgecap drops`: what the edge passed and dropped of the packets to an address, or of an incident's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from edgecap.analytics.dropped import Dropped
from edgecap.cli.incident import overviews
from edgecap.cli.options import Account, Archive, Json
from edgecap.cli.output import console, print_hanging, print_json, print_table, say
from edgecap.cli.values import parse_duration
from edgecap.errors import AnalyticsUnavailable, EdgecapError, InvalidRequest
from edgecap.incidents.asking_drops import Question, ask, logpush_place, question_of
from edgecap.incidents.drops import Drops, newest
from edgecap.incidents.overview import Overview
from edgecap.report.edge_words import edge_rows, edge_sentences, edge_source
from edgecap.settings import DEFAULT, Settings, load_settings
from edgecap.units import percent, period

_SINCE = timedelta(minutes=10)
_LONGEST = timedelta(days=7)
_LABEL = 10  # columns
_GROUPS = 10


@dataclass(frozen=True, slots=True)
class _Asked:
    drops: Drops
    errors: tuple[EdgecapError, ...] = ()
    incident: Overview | None = None


def drops(
    wanted: Annotated[str, Parameter(name="INCIDENT|ADDRESS")],
    /,
    *,
    since: str | None = None,
    account: Account = DEFAULT,
    archive: Archive = DEFAULT,
    json: Json = False,
) -> None:
    """Show what Cloudflare's edge passed and dropped of the packets to a target.

    Args:
        wanted: An incident's id or its first characters; or an address or network, IPv4 or IPv6.
        since: Of an address: how far to look back, such as 1h. Default: 10m.
        account: Name of the account in the settings.
        archive: Name of the archive in the settings.
        json: Print one JSON document.
    """
    settings = load_settings()
    asked = _of_address(wanted, since, settings, account) if _is_address(wanted) else None
    if asked is None:
        if since is not None:
            raise InvalidRequest(
                "an incident has its own time", field="--since", hint="give it with an address only"
            )
        asked = _of_incident(wanted, settings, archive)
    found = asked.drops
    if json:
        print_json(found.model_dump(mode="json", exclude={"round"} if asked.incident is None else set()))
    elif found.best:
        _show(found.best)
    for problem in found.problems if found.best or not asked.errors else found.problems[1:]:
        say(problem)
    if found.best is None:
        if asked.errors:
            raise asked.errors[0]
        raise AnalyticsUnavailable(
            "it is not known what the edge dropped",
            where=wanted,
            hint="docs/network-analytics.md says which permission and settings it takes",
        )


def _is_address(text: str) -> bool:
    return "." in text or ":" in text


def _of_address(target: str, since: str | None, settings: Settings, account: str) -> _Asked:
    from edgecap.cli.values import parse_network  # noqa: PLC0415 - only of addresses

    network = parse_network(target, field="INCIDENT|ADDRESS")
    name = str(network.network_address) if network.num_addresses == 1 else str(network)
    window = parse_duration(since, field="--since") if since else _SINCE
    if not timedelta(minutes=1) <= window <= _LONGEST:
        raise InvalidRequest(f"{since} is out of bounds", field="--since", hint="give 1m to 7d")
    now = datetime.now(UTC)
    question = Question("", "closing", (name,), now - window, now)
    return _ask(question, settings, account)


def _of_incident(wanted: str, settings: Settings, archive: str) -> _Asked:
    """What was written down of an incident; if nothing was, it is asked for now."""
    with overviews(archive) as known:
        incident = known.find(wanted)
    kept = newest(incident.drops)
    if kept is not None:
        return _Asked(kept, incident=incident)
    alert, began = incident.first_alert, incident.attack_began
    question = (
        question_of(incident.id, "closing", alert.targets, began, incident.attack_ended, datetime.now(UTC))
        if alert and began
        else None
    )
    if question is None:
        raise InvalidRequest(
            f"incident {incident.id[:8]} names no address", field="INCIDENT|ADDRESS", hint="give an address"
        )
    first = incident.opened or incident.ended
    return replace(_ask(question, settings, first.account if first else DEFAULT), incident=incident)


def _ask(question: Question, settings: Settings, account: str) -> _Asked:
    sign_in = settings.account(account)
    if not sign_in.analytics.enabled and logpush_place(settings, sign_in) is None:
        raise AnalyticsUnavailable(
            "Network Analytics is switched off in the settings", where=f"accounts.{account}.analytics"
        )
    errors: list[EdgecapError] = []
    return _Asked(asyncio.run(ask(question, settings, sign_in, None, errors)), tuple(errors))


def _show(dropped: Dropped) -> None:
    out = console()
    _line("to", ", ".join(dropped.targets))
    _line("time", period(dropped.since, dropped.until))
    for words in edge_sentences(dropped):
        _line("", words)
    if dropped.share is not None:
        out.print()
        columns = ("by", "", ">passed", ">dropped", ">95 % interval", ">part dropped")
        print_table(
            out,
            columns,
            [
                (
                    row.by,
                    row.name,
                    row.passed,
                    row.dropped,
                    row.interval,
                    "" if row.share is None else percent(row.share),
                )
                for row in edge_rows(dropped, most=_GROUPS)
            ],
        )
        out.print()
    _line("from", edge_source(dropped))
    for note in dropped.notes:
        _line("not used", note)


def _line(name: str, words: str) -> None:
    print_hanging(console(), words, indent=_LABEL, name=name)
