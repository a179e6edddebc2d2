"""Read an object to its end, resuming after cuts, by one stream or by several."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from edgecap.errors import Damaged, ObjectChanged, StoreUnreachable
from edgecap.stores.base import ObjectInfo, Reader, Store

SEGMENT = 8 << 20  # bytes that one of several streams reads at a time
_PROGRESS = 64 << 10  # bytes after which the count of attempts starts anew
_LONGEST_WAIT = 5.0  # seconds


def read_object(store: Store, key: str, *, attempts: int = 5) -> Iterator[bytes]:
    """Yield all bytes of `key` in order, resuming after each cut.

    Args:
        store: the store.
        key: the object.
        attempts: how many answers in a row may be cut without a further byte.

    Raises:
        ObjectMissing: the object does not exist.
        ObjectChanged: it was replaced during the read.
        StoreUnreachable: no answer, or no further byte after `attempts` answers.
        Damaged: more bytes came than the object has.
    """
    yield from ReadSource.of(store, key, attempts=attempts).chunks()


class Stopped(Exception):
    """`stop` was set."""


@dataclass(slots=True)
class ReadSource:
    """An object being read.

    Attributes:
        store: the store.
        info: the object's metadata: from the listing, and once reading begins, from the first answer.
        attempts: how many answers in a row may be cut without progress. A request without any answer ends
            the read at once: the store has its own retries, and both together would take minutes.
        stop: set it to end the read from outside.
        sleep: waits between two attempts, seconds; by default until `stop` is set.
    """

    store: Store
    info: ObjectInfo
    attempts: int = 5
    stop: threading.Event = field(default_factory=threading.Event)
    sleep: Callable[[float], object] | None = None
    _abandoned: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, store: Store, key: str, *, attempts: int = 5) -> Self:
        """Read `key` as it is when reading begins: version and size are those of the first answer."""
        return cls(store, ObjectInfo(key, 0, datetime.fromtimestamp(0, UTC)), attempts)

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes in order, by one stream that resumes after a cut.

        Raises:
            ObjectChanged: the object was replaced during the read.
            StoreUnreachable: no answer, or no further byte after `attempts` answers.
            Damaged: more bytes came than the object has.
            Stopped: `stop` was set.
        """
        yield from self._stretch(0, None)

    def segments(self, streams: int) -> Iterator[bytes]:
        """Yield all bytes in order, by several streams. Raises as `chunks`.

        Args:
            streams: number of streams; each holds up to `SEGMENT` bytes.
        """
        starts = iter(range(0, self.info.size, SEGMENT))
        with ThreadPoolExecutor(streams, "edgecap-range") as pool:
            ahead: deque[Future[list[bytes]]] = deque()
            try:
                for start in starts:
                    ahead.append(pool.submit(self._segment, start))
                    if len(ahead) >= streams:
                        yield from ahead.popleft().result()
                while ahead:
                    yield from ahead.popleft().result()
            finally:
                self._abandoned.set()  # the caller stopped: end the reads of the other segments
                for future in ahead:
                    future.cancel()

    def _segment(self, start: int) -> list[bytes]:
        return list(self._stretch(start, min(SEGMENT, self.info.size - start)))

    def _stretch(self, start: int, length: int | None) -> Iterator[bytes]:
        position, failures = start, 0
        while True:
            began = position
            # Do not retry a request without an answer: the store's library has done that.
            with self._opened(position, None if length is None else start + length - position) as reader:
                try:
                    for chunk in reader:
                        if self.stop.is_set() or self._abandoned.is_set():
                            raise Stopped
                        position += len(chunk)
                        yield chunk
                    self._require_all(position, self.info.size if length is None else start + length)
                except StoreUnreachable:
                    failures = 1 if position - began >= _PROGRESS else failures + 1
                    if failures >= self.attempts:
                        raise
                else:
                    return
            # Jittered, so that many readers do not come back at once.
            wait = min(_LONGEST_WAIT, 0.05 * 2**failures) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            (self.sleep or self.stop.wait)(wait)

    def _require_all(self, position: int, end: int) -> None:
        where = f"{self.store.uri}/{self.info.key}"
        if position < end:
            raise StoreUnreachable(f"the store ended after {position} of {end} bytes", where=where)
        if position > end:
            raise Damaged(f"more than {end} bytes arrived", where=where, hint="try again")

    @contextmanager
    def _opened(self, position: int, length: int | None) -> Iterator[Reader]:
        with self.store.open(self.info.key, start=position, etag=self.info.etag, length=length) as reader:
            if self.info.etag and reader.info.etag != self.info.etag:
                raise ObjectChanged(
                    "the object was replaced", where=f"{self.store.uri}/{self.info.key}", hint="read it again"
                )
            if position == 0 and length is None:
                self.info = reader.info
            yield reader
