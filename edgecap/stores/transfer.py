"""Fetch objects from a store to files: resumed, hashed, verified, un-gzipped, durable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from edgecap.errors import Damaged, ObjectChanged
from edgecap.files.durable import explained, keep_free, sync_folder
from edgecap.stores.background_hasher import BackgroundHasher
from edgecap.stores.base import ObjectInfo, Store
from edgecap.stores.integrity import Check, VerifiedBy
from edgecap.stores.pending_file import Fetched, PendingFile
from edgecap.stores.reading import ReadSource, Stopped

_SMALLEST_BOUND = 256 << 20  # unpacked bytes that any gzip file may have
_RATIO = 200  # a flood whose packets differ in a few bytes compresses about 60 times
LARGE = 64 << 20  # bytes from which several streams read an object, if few do so already
_STREAMS = 2  # for a large object; more gain nothing on two cores and cost memory
_FEW = 2  # objects that several streams may read at the same time
_READS = 3  # how often an object is read before it is reported as damaged


def most_unpacked(size: int) -> int:
    """The maximum unpacked bytes of a gzip file of `size` bytes, if no other limit is known."""
    return max(_SMALLEST_BOUND, _RATIO * size)


def fetch_many(
    store: Store,
    infos: Sequence[ObjectInfo],
    targets: Sequence[Path],
    *,
    parallel: int = 8,
    attempts: int = 5,
    on_bytes: Callable[[int], None] | None = None,
    sleep: Callable[[float], object] | None = None,
    most: int | None = None,
) -> list[Fetched]:
    """Fetch several objects in parallel: all of them, or the first error and no partial file.

    Files that were complete before the error stay.

    Args:
        store: the store.
        infos: the objects, from a listing or `stat`; they must not have changed since.
        targets: the file to create for each; an existing one is replaced.
        parallel: number of parallel fetches.
        attempts: how often in a row the read of an object may be cut without progress.
        on_bytes: called with the number of bytes that just arrived, from several threads.
        sleep: waits between attempts, seconds.
        most: maximum unpacked bytes of a gzip file; a larger one stays packed. None for a limit that suits
            its size.

    Returns:
        One for each of `infos`, in the same order.

    Raises:
        ObjectChanged: an object was replaced since.
        ObjectMissing: one is gone.
        StoreUnreachable: no answer, or no further byte after `attempts` attempts.
        Damaged: several reads did not match the store's checksum.
        StoreFull: the disk, less the space that must stay free, is too small.
        StoreUnwritable: a file cannot be written.
    """
    for folder in {target.parent for target in targets}:
        with explained(folder):
            keep_free(folder, folder, needed=sum(info.size for info in infos))
    stop = threading.Event()
    streams = _STREAMS if len(infos) <= _FEW else 1
    with ThreadPoolExecutor(max(1, min(parallel, len(infos))), "edgecap-fetch") as pool:
        jobs = [
            _Job(store, info, target, attempts, on_bytes, stop, sleep, streams, most)
            for info, target in zip(infos, targets, strict=True)
        ]
        # Start with the largest, so that none is left over at the end; the results keep the order.
        by_size = sorted(range(len(jobs)), key=lambda index: -jobs[index].info.size)
        started = {index: pool.submit(jobs[index].run) for index in by_size}
        futures = [started[index] for index in range(len(jobs))]
        try:
            _, pending = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        if pending:
            stop.set()
            pool.shutdown(cancel_futures=True)
    failures = [error for future in futures if not future.cancelled() and (error := future.exception())]
    for error in failures:
        if not isinstance(error, Stopped):
            raise error
    for folder in {target.parent for target in targets}:
        with explained(folder):
            sync_folder(folder)
    return [future.result() for future in futures]


@dataclass(slots=True)
class _Job:
    """One object on its way to its file."""

    store: Store
    info: ObjectInfo
    target: Path
    attempts: int
    on_bytes: Callable[[int], None] | None
    stop: threading.Event
    sleep: Callable[[float], object] | None
    streams: int
    most: int | None

    def run(self) -> Fetched:
        """Read until the bytes are verified: a byte flipped in transit is right the next time."""
        seen: set[str] = set()
        most = self.most or most_unpacked(self.info.size)
        for reads in range(1, _READS + 1):
            with explained(self.target):
                pending = PendingFile(self.target, most)
            try:
                with explained(self.target):
                    verdict = self._read(pending, exact=reads > 1)
                    if verdict is None and pending.unpacked:
                        verdict = VerifiedBy.GZIP
                    if verdict is None and pending.source_sha256 in seen:
                        # No checksum covers these bytes, but two reads gave the same.
                        verdict = VerifiedBy.TWO_READS
                    if verdict is not None:
                        return pending.publish(verdict)
                seen.add(pending.source_sha256)
                if pending.too_large:
                    most = 0  # one read showed it: the next one unpacks nothing
            except Damaged:
                if reads == _READS:
                    raise
            finally:
                pending.clear()
        raise Damaged(
            f"{_READS} reads gave different bytes",
            where=f"{self.store.uri}/{self.info.key}",
            hint="try again",
        )

    def _read(self, pending: PendingFile, *, exact: bool) -> VerifiedBy | None:
        several = self.streams > 1 and self.info.size >= LARGE
        info = self._stated() if several else self.info
        source = ReadSource(self.store, info, self.attempts, self.stop, self.sleep)
        check: Check | None = None
        aside: BackgroundHasher | None = None
        try:
            for chunk in source.segments(self.streams) if several else source.chunks():
                if check is None:
                    check = Check(self.store, source.info, exact=exact)
                    if several and check.costly:
                        aside = BackgroundHasher(check.update)
                if aside:
                    aside.put(chunk)
                else:
                    check.update(chunk)
                pending.write(chunk)
                if self.on_bytes:
                    self.on_bytes(len(chunk))
        finally:
            if aside:
                aside.close()
        pending.finish()
        return (check or Check(self.store, source.info, exact=exact)).finish(pending.source_sha256)

    def _stated(self) -> ObjectInfo:
        info = self.store.stat(self.info.key)
        if self.info.etag and info.etag != self.info.etag:
            raise ObjectChanged(
                "the object was replaced", where=f"{self.store.uri}/{info.key}", hint="read it again"
            )
        return info
