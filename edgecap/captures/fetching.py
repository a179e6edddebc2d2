"""Bringing a finished capture's packets into the archive: fetched whole, verified, inspected, hashed.

The files get their final names in the entry's folder; the entry exists only once its manifest does. Fetching
again after a crash leaves the files that are there alone.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from edgecap.archive.commit import put_file
from edgecap.archive.layout import RAW, SIMPLE_NAME, raw_names
from edgecap.archive.manifest import FileRecord
from edgecap.captures.delivery import delivered
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import DeadlinePassed, NetworkFailure, RequestRefused, UnexpectedAnswer, UnknownToApi
from edgecap.files.durable import explained
from edgecap.files.sniff import Kind, sniff
from edgecap.packets.inspect import inspect_within
from edgecap.packets.inspection import TOO_LARGE
from edgecap.settings import Timing
from edgecap.stores.base import ObjectInfo, Store
from edgecap.stores.integrity import VerifiedBy
from edgecap.stores.pending_file import GZIP, GZIP_TOO_LARGE, Fetched, PendingFile
from edgecap.stores.staging import working_folder
from edgecap.stores.transfer import fetch_many, most_unpacked

_FACTOR = 2  # the headers of the smallest packets add a third
_SMALLEST_BOUND = 64 << 20  # bytes
_COMPARED = 2  # further downloads that the first one is compared with
SIMPLE_MOST = 64 << 20  # bytes of a simple capture: it has 10,000 packets of 160 bytes at most
ERROR_PAGES = {Kind.HTML, Kind.JSON, Kind.XML}
PARALLEL = 8  # objects at a time; more gain nothing and cost memory

DOWNLOAD_WITHIN = 120.0  # seconds in which a finished simple capture's file can be downloaded

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Fetching:
    """The files that were fetched.

    Attributes:
        files: the files as kept.
        missing: the API says that there are more packets than arrived.
        left: keys of files that stay in the bucket because they are far larger than the capture's limit.
        at: when the last file had been fetched, aware, UTC.
    """

    files: tuple[FileRecord, ...]
    missing: bool = False
    left: tuple[str, ...] = ()
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def largest_file(byte_limit: int | None) -> int | None:
    """The most bytes that a file of a capture may have, packed or not; None if no limit was asked for.

    It is not documented whether the API's limit counts per server or for all of them, nor what it counts. So
    twice the limit is allowed for each file.
    """
    return max(_SMALLEST_BOUND, _FACTOR * byte_limit) if byte_limit else None


async def fetch_simple(
    client: Client,
    capture: Capture,
    archive: Store,
    *,
    prefix: str,
    on_bytes: OnBytes | None = None,
    patience: float = DOWNLOAD_WITHIN,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Fetching:
    """Download a simple capture from the API. Its file may appear only some time after the final status.

    Args:
        client: the account's API.
        capture: with its final status.
        archive: where the packets go.
        prefix: the entry's place in it.
        on_bytes: called with the number of bytes just fetched.
        patience: seconds for which a missing file is asked for again.
        sleep: waits the given seconds.

    Raises:
        ApiError: the download failed; NetworkFailure if it was cut short, or if two downloads differ.
        UnexpectedAnswer: the download is an error page.
        StoreError: the archive cannot be written.
    """
    waited, pause = 0.0, 1.0
    while True:
        try:
            return await _download(client, capture, archive, prefix, on_bytes)
        except (UnknownToApi, RequestRefused):
            if not capture.succeeded or waited >= patience:
                raise
        await sleep(pause)
        waited += pause
        pause = min(pause * 1.5, 15.0)


async def _download(
    client: Client, capture: Capture, archive: Store, prefix: str, on_bytes: OnBytes | None
) -> Fetching:
    """Download it, and once more if nothing else verifies the bytes: the API states no checksum."""
    with working_folder(archive, "fetch") as folder, explained(folder):
        pending = PendingFile(folder / SIMPLE_NAME, SIMPLE_MOST)
        arrived = 0
        try:
            head = b""
            # A capture has 10,000 packets of 160 bytes at most: writing does not keep the event loop long.
            async with client.download(capture.id) as download:
                async for chunk in download:
                    head = head or chunk[:64]
                    arrived += len(chunk)
                    if arrived > SIMPLE_MOST:
                        raise UnexpectedAnswer(
                            f"the download has more than {SIMPLE_MOST:,} bytes",
                            where=f"capture {capture.id}",
                            hint="look at it in the dashboard: no simple capture is so large",
                        )
                    pending.write(chunk)
                    if on_bytes:
                        on_bytes(len(chunk))
            pending.finish()
            if sniff(head) in ERROR_PAGES:
                raise UnexpectedAnswer(
                    f"the download is {sniff(head).value}, not packets",
                    where=f"capture {capture.id}",
                    hint="try again; the capture stays at Cloudflare for a while",
                )
            verdict = VerifiedBy.GZIP
            if not pending.unpacked:
                verdict = await _downloaded_again(client, capture, pending.source_sha256)
            fetched = pending.publish(verdict)
        finally:
            pending.clear()
        record = await asyncio.to_thread(_keep, archive, prefix, fetched, "", SIMPLE_MOST)
        return Fetching((record,))


async def _downloaded_again(client: Client, capture: Capture, sha256: str) -> VerifiedBy:
    """Verify the bytes of a first download by further ones.

    It is not documented how often the API gives a file, nor whether it gives the same bytes each time. If it
    gives the file only once, or other bytes each time, the first download is kept, and its manifest says so.

    Raises:
        NetworkFailure: further downloads agree with each other and differ from the first one; or one was cut
            short.
    """
    seen = {sha256}
    for _ in range(_COMPARED):
        digest = hashlib.sha256()
        try:
            async with client.download(capture.id) as download:
                async for chunk in download:
                    digest.update(chunk)
        except (UnknownToApi, RequestRefused):
            return VerifiedBy.ONE_READ
        if digest.hexdigest() == sha256:
            return VerifiedBy.TWO_READS
        if digest.hexdigest() in seen:
            raise NetworkFailure(
                "the download was changed on its way", where=f"capture {capture.id}", hint="try again"
            )
        seen.add(digest.hexdigest())
    return VerifiedBy.READS_DIFFER


async def fetch_full(
    bucket: Store,
    capture: Capture,
    archive: Store,
    timing: Timing,
    *,
    prefix: str,
    on_bytes: OnBytes | None = None,
    on_delivery: Callable[[int], None] | None = None,
    byte_limit: int | None = None,
) -> Fetching:
    """Fetch every object of a full capture from the bucket, one per server.

    If the API says how many packets it captured, and fewer have arrived, later files are waited for.

    Args:
        bucket: where Cloudflare wrote them.
        capture: with its final status.
        archive: where they go.
        prefix: the entry's place there.
        timing: how long to wait for files and for the listing to settle.
        on_bytes: called with the number of bytes just fetched, from any thread.
        on_delivery: called with the number of files found.
        byte_limit: the limit of the request, for an API that does not repeat it in its answers.

    Raises:
        DeadlinePassed: no file arrived.
        StoreFull: there is no room for them, if some of the disk shall stay free.
        StoreError: a file cannot be read, verified or written.
    """
    records: dict[str, FileRecord] = {}
    most = largest_file(capture.byte_limit or byte_limit)
    left: tuple[str, ...] = ()
    while True:
        try:
            infos = await delivered(bucket, capture.id, timing, known=frozenset([*records, *left]))
        except DeadlinePassed:
            if not records:
                raise
            return Fetching(tuple(records.values()), missing=True, left=left)
        if on_delivery:
            on_delivery(len(infos))
        left = tuple(info.key for info in infos if most is not None and info.size > most)
        new = [info for info in infos if info.key not in records and info.key not in left]
        names = raw_names([info.key for info in infos], capture.id)
        for record in await asyncio.to_thread(
            _fetch_all, bucket, new, names, archive, prefix, on_bytes, most
        ):
            records[record.source_key] = record
        arrived = sum(record.packets or 0 for record in records.values())
        unreadable = any(record.flags for record in records.values() if record.flags != ("empty",))
        if unreadable or left or arrived >= (capture.packets_captured or 0):
            return Fetching(tuple(records.values()), left=left)


def _fetch_all(
    bucket: Store,
    infos: Sequence[ObjectInfo],
    names: dict[str, str],
    archive: Store,
    prefix: str,
    on_bytes: OnBytes | None,
    most: int | None,
) -> list[FileRecord]:
    with working_folder(archive, "fetch") as folder:
        targets = [folder / names[info.key] for info in infos]
        fetched = fetch_many(bucket, infos, targets, parallel=PARALLEL, on_bytes=on_bytes, most=most)
        return [
            _keep(archive, prefix, got, info.key, most or most_unpacked(info.size), etag=info.etag)
            for info, got in zip(infos, fetched, strict=True)
        ]


def _keep(
    archive: Store, prefix: str, fetched: Fetched, source_key: str, most: int, *, etag: str = ""
) -> FileRecord:
    """Inspect a fetched file and put it in its place in the archive.

    A packed file that has more than `most` bytes unpacked is kept unchanged and flagged.
    """
    found = None if fetched.encoding == GZIP_TOO_LARGE else inspect_within(fetched.path, most)
    flags: dict[str, Any] = {}
    if found is None:
        flags = {"flags": (TOO_LARGE,), "damage": f"unpacked it has more than {most:,} bytes"}
    kept = put_file(
        archive,
        prefix,
        f"{RAW}{fetched.path.name}",
        fetched.path,
        size=fetched.size,
        sha256=fetched.sha256,
        move=True,
    )
    return FileRecord.of(
        kept,
        size=fetched.size,
        sha256=fetched.sha256,
        found=found,
        source_key=source_key,
        source_size=fetched.source_size,
        source_etag=etag,
        source_sha256=fetched.source_sha256,
        encoding=GZIP if fetched.encoding == GZIP else "",  # a damaged one is flagged by its inspection
        verified_by=fetched.verified_by,
        **flags,
    )
