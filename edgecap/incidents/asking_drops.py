"""Asking what the edge dropped of an incident's packets: both sources, and a record of what they say.

No source's fault is an error here: the record says why a source told nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

from edgecap.analytics.client import Analytics
from edgecap.analytics.dropped import Dropped, PacketFile
from edgecap.analytics.dropped_rows import FromRows, dropped_from_rows
from edgecap.analytics.drops import ask_drops
from edgecap.analytics.logpush import Wanted
from edgecap.archive.commit import put_file
from edgecap.archive.layout import dropped_prefix
from edgecap.errors import AnalyticsRefused, AnalyticsUnavailable, EdgecapError
from edgecap.files.hashing import sha256_of_file
from edgecap.incidents.drops import Drops, Round, keep_drops, read_drops
from edgecap.settings import Account, Settings
from edgecap.settings.models import StoreLocation
from edgecap.stores import open_store
from edgecap.stores.base import Store
from edgecap.stores.staging import local_staging, working_folder

BEFORE = timedelta(minutes=2)  # before the attack: clocks differ, and what is usual is seen beside it
AFTER = timedelta(minutes=2)
LONGEST = timedelta(days=1)  # of a window: an attack that goes on is told by its last day


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        incident: its id.
        round: the time that it is asked at.
        targets: addresses and networks of the attack.
        since: when the window begins, aware.
        until: when it ends.
    """

    incident: str
    round: Round
    targets: tuple[str, ...]
    since: datetime
    until: datetime


def question_of(
    incident: str,
    asked: Round,
    targets: Sequence[str],
    began: datetime,
    ended: datetime | None,
    now: datetime,
) -> Question | None:
    """What to ask for an incident; None if its targets are no addresses.

    Args:
        incident: its id.
        asked: the round.
        targets: as its alert names them.
        began: when the attack began, aware.
        ended: when it ended; None if that is not known.
        now: the time.
    """
    usable = tuple(each for each in targets if _is_network(each))
    if not usable:
        return None
    until = min(now, ended + AFTER) if ended else now
    since = max(began - BEFORE, until - LONGEST)
    return Question(incident, asked, usable, min(since, until - BEFORE), until)


def _is_network(target: str) -> bool:
    try:
        ip_network(target, strict=False)
    except ValueError:
        return False
    return True


def logpush_place(settings: Settings, account: Account) -> StoreLocation | None:
    """Where Logpush's files lie; None if the settings do not say.

    Raises:
        ConfigError: no bucket has that name.
    """
    told = account.analytics.logpush.strip()
    if not told:
        return None
    return StoreLocation(uri=told) if ":" in told else settings.bucket(told)


async def ask_for(question: Question, settings: Settings, account: Account, archive: Store) -> Drops:
    """Ask both sources, and write down what they say.

    Args:
        question: what to ask.
        settings: the settings.
        account: whose packets they are.
        archive: gets the record and the file of packets.

    Raises:
        StoreError: the archive cannot be read or written.
    """
    return await asyncio.to_thread(keep_drops, archive, await ask(question, settings, account, archive))


async def ask(
    question: Question,
    settings: Settings,
    account: Account,
    archive: Store | None,
    errors: list[EdgecapError] | None = None,
) -> Drops:
    """Ask both sources.

    Args:
        question: what to ask.
        settings: the settings.
        account: whose packets they are.
        archive: gets the file of packets; None to keep none.
        errors: gets those of sources that told nothing.

    Raises:
        StoreError: the archive cannot be read or written.
    """
    answers = await asyncio.gather(
        _from_analytics(question, account), _from_logpush(question, settings, account, archive)
    )
    analytics, logpush = (each if isinstance(each, Dropped) else None for each in answers)
    found = [each for each in answers if isinstance(each, EdgecapError)]
    if errors is not None:
        errors += found
    return Drops(
        incident=question.incident,
        round=question.round,
        at=datetime.now(UTC),
        analytics=analytics,
        logpush=logpush,
        problems=tuple(str(each) for each in found),
        refused=logpush is None and any(isinstance(each, AnalyticsRefused) for each in found),
    )


async def _from_analytics(question: Question, account: Account) -> Dropped | EdgecapError | None:
    if not account.analytics.enabled:
        return None
    try:
        async with Analytics(account) as analytics:
            return await ask_drops(
                analytics, question.targets, question.since, question.until, now=datetime.now(UTC)
            )
    except EdgecapError as error:
        return error


async def _from_logpush(
    question: Question, settings: Settings, account: Account, archive: Store | None
) -> Dropped | EdgecapError | None:
    try:
        place = logpush_place(settings, account)
        if place is None:
            return None
        return await asyncio.to_thread(_read_rows, question, open_store(place), archive)
    except EdgecapError as error:
        return error


def _read_rows(question: Question, bucket: Store, archive: Store | None) -> Dropped:
    wanted = Wanted(question.targets, question.since, question.until)
    with _folder(archive) as folder:
        path = folder / "dropped.pcapng"
        found = dropped_from_rows(bucket, wanted, path, now=datetime.now(UTC))
        if found is None:
            raise AnalyticsUnavailable(
                "Logpush has pushed no file of that time",
                where=bucket.uri,
                hint="a file comes a minute or more after its packets",
            )
        if not found.packets or archive is None:
            return found.dropped
        size, sha256 = path.stat().st_size, sha256_of_file(path)
        before = [each.logpush.packets for each in read_drops(archive, question.incident) if each.logpush]
        same = next((each for each in before if each and each.sha256 == sha256), None)
        prefix, name = dropped_prefix(question.incident), f"{question.round}.pcapng"
        if same is None:
            name = put_file(archive, prefix, name, path, size=size, sha256=sha256, move=True)
        key = same.key if same else prefix + name
        return found.dropped.model_copy(update={"packets": _file(found, key, size, sha256)})


@contextmanager
def _folder(archive: Store | None) -> Iterator[Path]:
    """A folder for the file of packets on its way."""
    if archive is not None:
        with working_folder(archive, "dropped") as folder:
            yield folder
        return
    with TemporaryDirectory(dir=local_staging()) as name:
        yield Path(name)


def _file(found: FromRows, key: str, size: int, sha256: str) -> PacketFile:
    return PacketFile(
        key=key,
        size=size,
        sha256=sha256,
        packets=found.packets,
        lacking=found.lacking,
        not_a_packet=found.not_a_packet,
        # Packets without flags look like odd ones.
        verdict="" if "TCP flags" in found.lacking else found.summary.verdict,
    )
