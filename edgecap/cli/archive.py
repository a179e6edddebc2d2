"""`edgecap list`, `show` and `verify`: list the archive's entries, and check that they are intact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from cyclopts import Parameter

from edgecap.archive.entries import Entry, list_entries
from edgecap.archive.manifest import ShownState
from edgecap.archive.summaries import read_summary
from edgecap.archive.targets import targets
from edgecap.cli.entries import entry_details, entry_json, print_entry
from edgecap.cli.entry_table import ListedEntry, chosen_columns, print_entries
from edgecap.cli.failed import failed_capture, failed_captures, failed_json, print_all_failed, print_failed
from edgecap.cli.finding import find_only_entry
from edgecap.cli.options import Archive, Json
from edgecap.cli.output import console, print_json, say
from edgecap.cli.values import parse_network, parse_when
from edgecap.errors import EntryMissing, InvalidRequest, StoreError
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores import Store, open_store


def list_command(
    *,
    since: str | None = None,
    until: str | None = None,
    type: Literal["simple", "full"] | None = None,  # noqa: A002 - the option's name
    colo: str | None = None,
    target: str | None = None,
    verdict: str | None = None,
    state: ShownState | Literal["failed"] | None = None,
    account: str | None = None,
    limit: int = 50,
    columns: str | None = None,
    archive: Archive = DEFAULT,
    json: Json = False,
) -> None:
    """List the entries of the archive, newest first.

    A terminal gets the columns that fit it. A pipe gets tabs between the columns.

    Args:
        since: Only entries submitted since then: 24h, 7d, or a time such as 2026-11-23T06:30:00Z.
        until: Only entries submitted before then, in the same formats.
        type: Only this type.
        colo: Only this data centre or city, as requested, such as ORD.
        target: Only entries whose filter or alert names this address, or an address in this network.
        verdict: Only entries whose verdict has these words, such as "SYN flood".
        state: Only entries in this state. no-match: complete, but no packet matches the filter that
            edgecap applied. failed: captures that Cloudflare ended without packets, which have no entry.
        account: Only captures of this account, by its name in the settings.
        limit: Maximum entries; 0 for all.
        columns: Columns to show, with commas between: when, id, what, where, packets, verdict, state,
            bytes, files, path, account, incident.
        archive: Name of the archive in the settings.
        json: Print one JSON document.
    """
    if limit < 0:
        raise InvalidRequest(f"--limit {limit} is negative", field="--limit", hint="give 0 for all entries")
    shown = chosen_columns(columns)
    if state == "failed":
        _list_failed(
            archive,
            since=since,
            limit=limit,
            refused=_given(
                until=until,
                type=type,
                colo=colo,
                target=target,
                verdict=verdict,
                account=account,
                columns=columns,
            ),
            json=json,
        )
        return
    settings = load_settings()
    store = open_store(settings.archive(archive))
    wanted = _Wanted(
        store,
        target=parse_network(target, field="--target") if target else None,
        verdict=(verdict or "").lower(),
        state=state,
        account=account,
    )
    now = datetime.now(UTC)
    found: list[ListedEntry] = []
    failure: StoreError | None = None
    try:
        for entry in list_entries(
            store,
            since=parse_when(since, field="--since", now=now) if since else None,
            until=parse_when(until, field="--until", now=now) if until else None,
            type=type,
            colo=colo,
            wanted=wanted,
            limit=limit or None,
        ):
            found.append(ListedEntry.of(store, entry))  # noqa: PERF401 - entries found before an error are shown
    except StoreError as error:
        failure = error
    if json:
        print_json([entry_json(each.entry, each.verdict) for each in found])
    elif found:
        print_entries(console(), found, columns=shown)
        if limit and len(found) == limit:
            say(f"The newest {limit}; --limit 0 shows all.")
    elif not failure:
        asked = any((since, until, type, colo, target, verdict, state, account))
        _say_none(store, account, asked=asked)
    if failure:
        raise failure
    _say_where_failed_are(state)


def _say_where_failed_are(state: str | None) -> None:
    if state == "empty":
        say("Captures that Cloudflare ended without packets have no entry: `edgecap list --state failed`.")


def _say_none(store: Store, account: str | None, *, asked: bool) -> None:
    settings = load_settings()
    if account and account not in settings.accounts:
        settings.account(account)  # raises: a name that is not in the settings may be mistyped
    say(f"There is no {'such ' if asked else ''}entry in {store.uri.removeprefix('file:')} yet.")


def _given(**options: str | None) -> list[str]:
    """The options that were given, as they are written."""
    return [f"--{name}" for name, value in options.items() if value is not None]


def _list_failed(archive: str, *, since: str | None, limit: int, refused: Sequence[str], json: bool) -> None:
    """List what the journal knows of captures without an entry."""
    if refused:
        raise InvalidRequest(
            f"{refused[0]} does not go with --state failed: such captures have no entry",
            field=refused[0],
            hint="narrow them by --since",
        )
    store = open_store(load_settings().archive(archive))
    now = datetime.now(UTC)
    found = failed_captures(store, since=parse_when(since, field="--since", now=now) if since else None)
    found = found[: limit or None]
    if json:
        print_json([failed_json(each) for each in found])
    elif found:
        print_all_failed(console(), found)
    else:
        say("No capture ended without packets.")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an entry must be, as far as only its manifest says so; what is empty does not matter."""

    store: Store
    target: IPv4Network | IPv6Network | None
    verdict: str
    state: ShownState | None
    account: str | None

    def __call__(self, entry: Entry) -> bool:
        if self.account is not None and entry.manifest.account != self.account:
            return False
        if self.state is not None and entry.manifest.shown_state != self.state:
            return False
        if self.target and not any(self.target.overlaps(each) for each in targets(entry.manifest)):
            return False
        return (
            self.verdict in ListedEntry.of(self.store, entry).shown_verdict.lower() if self.verdict else True
        )


def show(
    entry_id: Annotated[str, Parameter(name="ID")], /, *, archive: Archive = DEFAULT, json: Json = False
) -> None:
    """Show one entry: request, capture, files with hashes and counts. Or a capture without packets, and why.

    Args:
        entry_id: The capture's id, its first characters, or the entry's path.
        archive: Name of the archive in the settings.
        json: Print one JSON document.
    """
    store = open_store(load_settings().archive(archive))
    try:
        entry = find_only_entry(store, archive, entry_id)
    except EntryMissing:
        failed = failed_capture(store, entry_id)
        if failed is None:
            raise
        if json:
            print_json(failed_json(failed))
        else:
            print_failed(console(), failed)
        return
    summary = read_summary(store, entry)
    if json:
        print_json(entry_details(entry, summary))
    else:
        print_entry(console(), entry, summary)
