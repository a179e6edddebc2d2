"""Reconciling an archive and an account: finish, import or remove what runs left behind.

Nothing here needs a lock. Records and entries are create-only: if two reconcilers, or a reconciler and a late
run, do the same, one result remains.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Literal

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import JournalRecord
from edgecap.archive.layout import CAPTURES, MANIFEST, EntryPlace, parse_prefix, safe_name
from edgecap.captures.adoption import Sought, find_accepted
from edgecap.captures.posting import unknown_outcome
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import DeadlinePassed, EdgecapError, StoreError
from edgecap.reconcile.findings import Action, Finding, Kind, Life, Limits, Reconciled
from edgecap.reconcile.importer import Importer
from edgecap.reconcile.settling import IntentSettler
from edgecap.reconcile.snapshot import LifeOf, Open, Snapshot, look_around, owners
from edgecap.settings import DEFAULT, Settings
from edgecap.stores.base import ObjectInfo, Store
from edgecap.units import plural

_LOG = logging.getLogger(__name__)
Adopt = Literal["ours", "all"]


class Reconciler:
    """Looks at one account and one archive, and deals with what runs left behind.

    ::

        async with Client(settings.account()) as client:
            print(await Reconciler(client, archive, settings, read_life).run())

    Args:
        client: the account's API.
        archive: where entries and the journal are.
        settings: the buckets, and how long to wait for files.
        read_life: the state of an intent's run; intents of live runs are left alone.
        account: the account's name in the settings; intents of other accounts are left alone.
        adopt: `ours` imports what edgecap started, `all` also what people started by themselves.
        limits: how long things are left alone.
        sleep: waits the given seconds.
    """

    def __init__(
        self,
        client: Client,
        archive: Store,
        settings: Settings,
        read_life: LifeOf,
        *,
        account: str = DEFAULT,
        adopt: Adopt = "ours",
        limits: Limits | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._archive = archive
        self._journal = Journal(archive)
        self._read_life = read_life
        self._account = account
        self._adopt = adopt
        self._limits = limits or Limits()
        self._sleep = sleep
        self._importer = Importer(client, archive, settings)
        self._settler = IntentSettler(client, self._journal, self._importer, self._limits, sleep=sleep)

    async def run(self) -> Reconciled:
        """Deal with everything that is found, one after the other. Errors are part of the findings.

        Without the API's list or the journal, only temporary files are looked at: anything else may belong
        to a live run.
        """
        findings: list[Finding] = []
        try:
            started = time.monotonic()
            snapshot = await self._look()
            findings += snapshot.trouble
            settled, doubtful = await self._settle_all(snapshot)
            findings += settled
            findings += await self._listed(snapshot)
            findings += await self._orphans(snapshot)
            if doubtful:
                await self._sleep(
                    max(0.0, started + self._limits.second_look.total_seconds() - time.monotonic())
                )
                findings += await self._look_again(doubtful)
        except EdgecapError as error:
            findings.append(Finding("survey", self._archive.uri, Action.FAILED, str(error)))
        findings += await self._sweep()
        return Reconciled(tuple(findings))

    async def _look(self) -> Snapshot:
        return await look_around(self._client, self._journal, self._account, self._read_life)

    async def _settle_all(self, snapshot: Snapshot) -> tuple[list[Finding], set[str]]:
        """Settle the intents of dead runs. Those that the list does not show are returned as doubtful."""
        findings: list[Finding] = []
        doubtful = set()
        for one in snapshot.open:
            if one.life is Life.ALIVE:
                continue
            finding = await self._guarded(
                "intent", one.intent.intent_id, partial(self._settle, one, snapshot)
            )
            if finding:
                findings.append(finding)
            else:
                doubtful.add(one.intent.intent_id)
        return findings, doubtful

    async def _look_again(self, doubtful: set[str]) -> list[Finding]:
        """Settle doubtful intents: one that the list misses a second time was never accepted."""
        findings: list[Finding] = []
        snapshot = await self._look()
        for one in snapshot.open:
            if one.intent.intent_id not in doubtful or one.life is Life.ALIVE:
                continue

            async def settle(one: Open = one) -> Finding | None:
                found = await self._settle(one, snapshot)
                return found or await self._settler.never_accepted(one.intent, one.life)

            if finding := await self._guarded("intent", one.intent.intent_id, settle):
                findings.append(finding)
        return findings

    async def _settle(self, one: Open, snapshot: Snapshot) -> Finding | None:
        """Settle an intent; None if nothing shows that it was accepted, and it is old enough for that."""
        accepted = one.accepted
        if accepted is None:
            sought = await find_accepted(
                self._journal, one.record, snapshot.listing, self._client, lag=self._limits.list_lag
            )
            if sought.capture is None:
                return await self._not_seen(one, sought, snapshot)
            if snapshot.is_contested(sought.capture):
                return self._waits(one, f"capture {sought.capture.id} may be its, or that of a run at work")
            accepted = await asyncio.to_thread(self._journal.accept, one.intent.intent_id, sought.capture.raw)
        return await self._settler.settle(one.intent, accepted, one.life)

    async def _not_seen(self, one: Open, sought: Sought, snapshot: Snapshot) -> Finding | None:
        """Deal with an intent that the list does not show; None if one look proves that none was accepted."""
        age = snapshot.listing.server_time - one.intent.decided
        if sought.until or (sought.absent and age < self._limits.list_lag):
            return self._waits(one, sought.doubt or "the list of captures does not show it, and may lag")
        if sought.absent and one.life is Life.UNKNOWN and age <= self._limits.give_up:
            return self._waits(
                one, "this Prefect server does not know its run, which may wait at another one"
            )
        if sought.absent:
            return None
        unknown = unknown_outcome(one.intent, sought)
        if one.intent.request.type == "simple" and age > self._limits.give_up:
            return await self._settler.given_up(one.intent, unknown)
        return Finding("intent", one.intent.intent_id, Action.REPORTED, str(unknown))

    def _waits(self, one: Open, detail: str) -> Finding:
        return Finding("intent", one.intent.intent_id, Action.WAITING, detail)

    async def _listed(self, snapshot: Snapshot) -> list[Finding]:
        """Captures of the list without an entry that no open intent explains."""
        known = {one.accepted.capture_id for one in snapshot.open if one.accepted}
        left = [capture for capture in snapshot.listing.captures if capture.id and capture.id not in known]
        if not left:
            return []
        owned, findings = await owners(self._journal, left, snapshot.listing.server_time)
        for capture in left:
            owner = owned.get(capture.id)
            if owner and (owner.ended is None or owner.ended.outcome == "archived"):
                continue  # adopted just now, or archived, and the entry was removed since
            if not owner and (self._adopt == "ours" or snapshot.is_contested(capture)):
                continue
            finding = await self._guarded("capture", capture.id, partial(self._bring, capture, owner))
            if finding:
                findings.append(finding)
        return findings

    async def _bring(self, capture: Capture, owner: JournalRecord | None) -> Finding | None:
        """Import a listed capture: another's, or one whose intent was given up too early."""
        intent = owner.intent if owner else None
        if capture.failed or await self._importer.entry_of(
            capture, decided=intent.decided if intent else None
        ):
            return None
        if not capture.is_final:
            return Finding("capture", capture.id, Action.WAITING, f"it is {capture.status}")
        place = None
        if intent:
            place = self._importer.place_for(intent)
        elif capture.type == "full":
            place = self._importer.place_named_by(capture)
            if place is None:
                detail = "its files are in a bucket that the settings do not name"
                return Finding("capture", capture.id, Action.REPORTED, detail)
        capture = await self._client.get_capture(capture.id)
        try:
            entry = await self._importer.bring(capture, place, intent=intent)
        except EdgecapError as error:
            was_stopped = bool(owner and owner.ended and owner.ended.outcome == "cancelled")
            left_no_file = was_stopped and isinstance(error, DeadlinePassed)  # and the journal says so
            decided = intent.decided if intent else None
            if left_no_file or await self._importer.entry_of(capture, decided=decided):
                return None  # or another process was faster
            return Finding("capture", capture.id, Action.WAITING, str(error))
        packets = plural(entry.manifest.totals.packets, "packet")
        whose = f"intent {intent.intent_id} had given it up" if intent else "not started by edgecap"
        cleared = await self._importer.close(intent, entry) if intent else ""
        detail = f"{packets}, {whose}: {entry.where}" + (f"; {cleared}" if cleared else "")
        return Finding("capture", capture.id, Action.ARCHIVED, detail)

    async def _orphans(self, snapshot: Snapshot) -> list[Finding]:
        """Files without a manifest that nothing above explains. They may hold packets: none is removed."""
        explained = {capture.id for capture in snapshot.listing.captures}
        explained |= {one.accepted.capture_id for one in snapshot.open if one.accepted}
        names = {safe_name(capture_id) for capture_id in explained if capture_id}
        try:
            return await asyncio.to_thread(lambda: list(self._unexplained(names)))
        except StoreError as error:
            return [Finding("survey", self._archive.uri, Action.FAILED, str(error))]

    def _unexplained(self, names: set[str]) -> Iterator[Finding]:
        before = datetime.now(UTC) - self._limits.orphan
        for place, infos in _folders(self._archive.list(CAPTURES)):
            if place.capture_id in names or place.prefix + MANIFEST in (info.key for info in infos):
                continue
            if max(info.modified for info in infos) < before:
                size = sum(info.size for info in infos)
                files = f"{len(infos)} file{'' if len(infos) == 1 else 's'}"
                detail = f"{files}, {size:,} bytes, and no manifest: {self._archive.uri}/{place.prefix}"
                yield Finding("orphan", place.capture_id, Action.REPORTED, detail, len(infos), size)

    async def _sweep(self) -> list[Finding]:
        limits = self._limits
        try:
            swept = await asyncio.to_thread(
                self._archive.sweep, limits.temporary, ours=_is_of_an_entry, uploads_older_than=limits.uploads
            )
        except StoreError as error:
            return [Finding("temporary", self._archive.uri, Action.FAILED, str(error))]
        if swept.refused:
            _LOG.info(
                "old uploads in parts are left to the rules of %s: %s", self._archive.uri, swept.refused
            )
        if not swept.files and not swept.uploads:
            return []
        uploads = f", {swept.uploads} incomplete uploads" if swept.uploads else ""
        detail = f"{swept.files} temp files, {swept.bytes:,} bytes{uploads}"
        return [Finding("temporary", self._archive.uri, Action.REMOVED, detail, swept.files, swept.bytes)]

    async def _guarded(
        self, kind: Kind, subject: str, deal: Callable[[], Awaitable[Finding | None]]
    ) -> Finding | None:
        """The finding of `deal`, or its error: one that fails must not stop the others."""
        try:
            return await deal()
        except EdgecapError as error:
            detail = str(error)
        except Exception as error:  # noqa: BLE001 - a bug that one case meets must not stop the others
            detail = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding(kind, subject, Action.FAILED, detail)


def _folders(infos: Iterable[ObjectInfo]) -> Iterator[tuple[EntryPlace, list[ObjectInfo]]]:
    """The files, entry by entry; keys come sorted. Files that belong to no entry are left out."""
    for place, group in groupby(infos, lambda info: parse_prefix(info.key)):
        if place is not None:
            yield place, list(group)


def _is_of_an_entry(key: str) -> bool:
    return parse_prefix(key) is not None
