"""`edgecap where`: which data centres carry the packets to a target, and where a full capture would go."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Any

from cyclopts import Parameter

from edgecap.analytics.choice import Choice
from edgecap.analytics.choosing import Wanted, choose_places
from edgecap.cli.options import Account, Archive, Json
from edgecap.cli.output import console, print_hanging, print_json, print_table, say
from edgecap.cli.values import parse_duration, parse_network
from edgecap.errors import InvalidRequest
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores import open_store
from edgecap.units import duration, percent, period, plural, short

_PATIENCE = 30.0  # seconds; a person waits longer than a capture may
_LONGEST = timedelta(hours=6)
_LABEL = 10  # columns


def where(
    *targets: Annotated[str, Parameter(name="TARGET")],
    since: str | None = None,
    account: Account = DEFAULT,
    archive: Archive = DEFAULT,
    json: Json = False,
) -> None:
    """Show which data centres carry a target's packets, and where full captures would go.

    Args:
        targets: Addresses or networks, IPv4 or IPv6. Default: everything that the account gets.
        since: Count all packets since then, such as 10m. Default: the newest minutes, as a capture does.
        account: Name of the account in the settings.
        archive: Name of the archive in the settings.
        json: Print one JSON document.
    """
    networks = [parse_network(each, field="TARGET") for each in targets]
    window = parse_duration(since, field="--since") if since else None
    if window is not None and not timedelta(minutes=1) <= window <= _LONGEST:
        raise InvalidRequest(f"{since} is out of bounds", field="--since", hint="give 1m to 6h")
    settings = load_settings()
    sign_in = settings.account(account)
    store = open_store(settings.archive(archive)) if archive in settings.archives else None
    names = [str(each.network_address) if each.num_addresses == 1 else str(each) for each in networks]
    wanted = Wanted(account=account, targets=names, most=sign_in.analytics.places)
    chosen = asyncio.run(choose_places(wanted, sign_in, store, within=_PATIENCE, window=window))
    if json:
        print_json(as_json(chosen.choice))
    else:
        show(chosen.choice)
    if chosen.problem:
        raise chosen.problem
    if (took := chosen.choice.evidence.took or 0) > sign_in.analytics.wait:
        say(f"This took {duration(took)}: a capture waits {sign_in.analytics.wait:g} s at most.")


def show(choice: Choice) -> None:
    """Print a choice: the data centres with their shares, and what would be chosen."""
    out, seen = console(), choice.evidence
    if seen.since and seen.until:
        behind = (seen.asked - seen.until).total_seconds() if seen.asked else 0.0
        old = f", the newest row is {duration(behind)} old" if behind > 0 else ""
        _line("to", ", ".join(seen.targets) or "everything that the account gets")
        _line("time", f"{period(seen.since, seen.until)}{old}")
        _line("passed", f"{short(seen.passed)} packets at {plural(seen.colos, 'data centre')}, estimated")
        _line("dropped", f"{short(seen.dropped)} packets, by the edge")
        out.print()
    if seen.shares:
        print_table(out, ("colo", ">passed", ">share", ">dropped", ">share", "full captures"), _rows(choice))
        out.print()
    _line("chosen", ", ".join(choice.places) or "none")
    _line("why", choice.words)
    for note in seen.notes:
        _line("note", note)


def _rows(choice: Choice) -> list[tuple[str, ...]]:
    seen = choice.evidence
    rows: list[tuple[str, ...]] = []
    for each in seen.shares:
        place = choice.places.index(each.colo) + 1 if each.colo in choice.places else 0
        rows.append(
            (
                each.colo,
                short(each.passed),
                percent(each.passed / seen.passed) if seen.passed else "-",
                short(each.dropped),
                percent(each.dropped / seen.dropped) if seen.dropped else "-",
                f"the {_ORDER[place]}" if place else "",
            )
        )
    return rows


_ORDER = ("", "first", "second", "third")


def _line(name: str, words: str) -> None:
    print_hanging(console(), words, indent=_LABEL, name=name)


def as_json(choice: Choice) -> dict[str, Any]:
    """The same for programs; packets are estimates, times are in UTC."""
    return choice.model_dump(mode="json")
