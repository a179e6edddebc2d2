"""Reading an object to its end, through cuts, by one stream or by several."""

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
_PROGRESS = 64 << 10  # bytes after which a new cut is a first one again
_LONGEST_WAIT = 5.0  # seconds


def read_object(store: Store, key: str, *, attempts: int = 5) -> Iterator[bytes]:
    """All bytes of `key` in order, whatever cuts the connection on the way.

    Args:
        store: where it is.
        key: the object.
        attempts: how often in a row an answer may be cut before it gives a further byte.

    Raises:
        ObjectMissing: there is no such object.
        ObjectChanged: it was replaced while it was read.
        StoreUnreachable: no answer, or no further byte after `attempts` answers.
        Damaged: more bytes came than the object has.
    """
    yield from ReadSource.of(store, key, attempts=attempts).chunks()


class Stopped(Exception):
    """Reading was told to stop."""


@dataclass(slots=True)
class ReadSource:
    """An object being read.

    Attributes:
        store: where it is.
        info: what the store says of it: as listed, and once reading began, as the reader was told.
        attempts: how often in a row an answer may be cut without getting further. A request that gets no
            answer ends reading at once: how often it is made is the store's to say, and both together would
            take minutes.
        stop: set to end reading from outside.
        sleep: how to wait between two attempts, seconds; by default until `stop` is set.
    """

    store: Store
    info: ObjectInfo
    attempts: int = 5
    stop: threading.Event = field(default_factory=threading.Event)
    sleep: Callable[[float], object] | None = None
    _abandoned: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, store: Store, key: str, *, attempts: int = 5) -> Self:
        """`key` as it is when reading begins: its version and size are those that the first answer states."""
        return cls(store, ObjectInfo(key, 0, datetime.fromtimestamp(0, UTC)), attempts)

    def chunks(self) -> Iterator[bytes]:
        """All bytes in order, by one stream that resumes where it was cut.

        Raises:
            ObjectChanged: the object was replaced meanwhile.
            StoreUnreachable: no answer, or no further byte after `attempts` answers.
            Damaged: more bytes came than the object has.
            Stopped: `stop` was set.
        """
        yield from self._stretch(0, None)

    def segments(self, streams: int) -> Iterator[bytes]:
        """All bytes in order, by several streams. Raises as `chunks`.

        Args:
            streams: how many; each holds up to `SEGMENT` bytes.
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
                self._abandoned.set()  # whoever still reads a segment has nobody to read it for
                for future in ahead:
                    future.cancel()

    def _segment(self, start: int) -> list[bytes]:
        return list(self._stretch(start, min(SEGMENT, self.info.size - start)))

    def _stretch(self, start: int, length: int | None) -> Iterator[bytes]:
        position, failures = start, 0
        while True:
            began = position
            # A request that gets no answer is not made again here: the store's library has done that.
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
                    "the object was replaced", where=f"{self.store.uri}/{self.info.key}", hint="read it anew"
                )
            if position == 0 and length is None:
                self.info = reader.info
            yield reader
