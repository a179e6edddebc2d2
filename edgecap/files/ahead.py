"""Work ahead in a thread: what comes next is made while the last is used."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Full, Queue
from typing import Generic, TypeVar

_T = TypeVar("_T")
_PAUSE = 0.2  # seconds between two looks at whether anybody still wants items


class _End:
    """Behind the last item: nothing, or the error in its place."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Ahead(Generic[_T]):
    def __init__(self, items: Iterable[_T], most: int) -> None:
        self._items = items
        self._made: Queue[_T | _End] = Queue(most)
        self._unwanted = threading.Event()
        self._thread = threading.Thread(target=self._make, name="edgecap-ahead", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._unwanted.set()
        self._thread.join()

    def taken(self) -> Iterator[_T]:
        while not isinstance(item := self._made.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def _make(self) -> None:
        try:
            for item in self._items:
                if not self._offer(item):
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are taken
            self._offer(_End(error))
        else:
            self._offer(_End())

    def _offer(self, item: _T | _End) -> bool:
        """Put an item where it is taken from; False if nobody wants it any more."""
        while not self._unwanted.is_set():
            try:
                self._made.put(item, timeout=_PAUSE)
            except Full:
                continue
            return True
        return False


@contextmanager
def ahead(items: Iterable[_T], most: int) -> Iterator[Iterator[_T]]:
    """The same items, made in a thread, at most `most` ahead of those that were taken.

    An error of `items` is raised where its item would come. At the end of the block the thread has ended.
    """
    working = _Ahead(items, most)
    working.start()
    try:
        yield working.taken()
    finally:
        working.stop()
