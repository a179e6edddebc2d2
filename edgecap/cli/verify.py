"""`edgecap verify`: check that the archive's entries are intact."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from cyclopts import Parameter

from edgecap.archive.entries import Entry
from edgecap.archive.layout import CAPTURES
from edgecap.archive.verify import HARMLESS, UNREAD, Problem, Verified, verify_archive, verify_entry
from edgecap.cli.finding import find_only_entry
from edgecap.cli.options import Archive, Json
from edgecap.cli.output import console, print_json, print_table
from edgecap.cli.progress import ByteBar
from edgecap.errors import Damaged, StoreError, StoreUnreachable
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores import Store, open_store
from edgecap.units import plural


def verify(
    entry_id: Annotated[str | None, Parameter(name="ID")] = None,
    /,
    *,
    archive: Archive = DEFAULT,
    json: Json = False,
) -> None:
    """Read every byte and compare it with the manifests.

    Exits with 10 if packets are lost. Exits with 8 if the store could not be read; nothing is known about
    those entries then. Lists leftovers of interrupted attempts, and keeps them.

    Args:
        entry_id: Only this entry: the capture's id, its first characters, or its path. Default: all entries.
        archive: Name of the archive in the settings.
        json: Print one JSON document.
    """
    store = open_store(load_settings().archive(archive))
    verdicts: list[Verified] = []
    failure: StoreError | None = None
    try:
        entry = find_only_entry(store, archive, entry_id) if entry_id else None
        with _bar(store, entry) as bar:
            for verdict in _verdicts(store, entry, bar):
                verdicts.append(verdict)
                if not json and verdict.problems:
                    bar.pause()
                    _tell(verdict)
    except StoreError as error:
        if not verdicts:
            raise
        failure = error
    if json:
        print_json([_verdict_json(verdict, store) for verdict in verdicts])
    entries = [verdict for verdict in verdicts if verdict.entry or not verdict.ok]
    damaged = sum(verdict.damaged for verdict in entries)
    unread = sum(not verdict.ok and not verdict.damaged for verdict in entries)
    counted = plural(len(entries), "entry", "entries")
    if damaged:
        more = f", and {unread} could not be read" if unread else ""
        raise Damaged(
            f"{damaged} of {counted} are damaged{more}",
            where=store.uri,
            hint="restore their files from a copy",
        )
    if unread or failure:
        what = f"{unread} of {counted} could not be read" if unread else f"only {counted} could be verified"
        raise StoreUnreachable(
            f"{what}{f': {failure.what}' if failure else ''}; they may be intact",
            where=store.uri,
            hint="verify again when the store answers",
        )
    files = sum(len(verdict.entry.manifest.files) for verdict in entries if verdict.entry)
    if not json:
        place = store.uri.removeprefix("file:")
        told = f"Every file in {place} matches its manifest: {counted}, {plural(files, 'file')}."
        console().print(told if entries else f"{place} is empty.")


def _bar(store: Store, entry: Entry | None) -> ByteBar:
    """The bar of all bytes that are to be read; the archive is listed for it only if there is a terminal."""
    prefix = entry.prefix if entry else CAPTURES
    return ByteBar("verify", lambda: sum(info.size for info in store.list(prefix)))


def _verdicts(store: Store, entry: Entry | None, bar: ByteBar) -> Iterable[Verified]:
    if entry is None:
        return verify_archive(store, watch=bar.advance)
    return [Verified(entry.prefix, entry, verify_entry(store, entry, watch=bar.advance))]


def _tell(verdict: Verified) -> None:
    rows = [(_weight(problem), problem.kind, problem.key, problem.what) for problem in verdict.problems]
    print_table(console(), ("", "kind", "where", "what"), rows)


def _weight(problem: Problem) -> str:
    if problem.kind in HARMLESS:
        return "note"
    return "not read" if problem.kind == UNREAD else "damage"


def _verdict_json(verdict: Verified, store: Store) -> dict[str, Any]:
    return {
        "id": verdict.entry.manifest.entry_id if verdict.entry else None,
        "path": f"{store.uri}/{verdict.prefix}",
        "ok": verdict.ok,
        "files": len(verdict.entry.manifest.files) if verdict.entry else 0,
        "problems": [
            {"kind": problem.kind, "key": problem.key, "what": problem.what} for problem in verdict.problems
        ],
    }
