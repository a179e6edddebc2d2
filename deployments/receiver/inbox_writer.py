"""Writing alerts to disk: one thread writes, and alerts that arrive meanwhile share its next commit.

An fsync takes some milliseconds whatever it writes: a hundred alerts in a commit cost little more than one.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

MOST = 256  # alerts in one commit: their bodies are bounded all together while they are read

Arrival = tuple[str, bytes, datetime]
"""The source's name, the body, and when it was received (aware)."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    arrival: Arrival
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[int]


class GroupCommit:
    """Writes what arrives in one thread, from entering it until leaving it.

    Args:
        keep: writes alerts in one transaction that is on disk when it returns; gives their ids.
        on_commit: called in the thread with how many a commit held.
    """

    def __init__(
        self, keep: Callable[[Sequence[Arrival]], Sequence[int]], on_commit: Callable[[int], None]
    ) -> None:
        self._keep = keep
        self._on_commit = on_commit
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="alerts-to-disk", daemon=True)

    def __repr__(self) -> str:
        return f"<GroupCommit [{self._queue.qsize()} waiting]>"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()

    async def keep(self, source: str, body: bytes, received: datetime) -> int:
        """The id under which an alert is on disk, once it is.

        Args:
            source: name of the source.
            body: as it came.
            received: when it was there, aware.

        Raises:
            Exception: whatever `keep` raised; the alert may then be on disk or not.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting((source, body, received), loop, loop.create_future())
        self._queue.put(waiting)
        return await waiting.answer

    def _run(self) -> None:
        more = True
        while more:
            group: list[_Waiting] = []
            more = self._gather(group)
            if group:
                self._commit(group)

    def _gather(self, group: list[_Waiting]) -> bool:
        """Fill `group`; False if nothing comes after it."""
        following = self._queue.get()
        while following is not None:
            group.append(following)
            if len(group) >= MOST:
                return True
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                return True
        return False

    def _commit(self, group: list[_Waiting]) -> None:
        try:
            kept = list(zip(group, self._keep([each.arrival for each in group]), strict=True))
        except Exception as error:  # noqa: BLE001 - whatever it is, each of them is answered for it
            for each in group:
                _call(each.loop, _fail, each.answer, error)
        else:
            for each, number in kept:
                _call(each.loop, _succeed, each.answer, number)
            self._on_commit(len(group))


def _call(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *arguments: object) -> None:
    with suppress(RuntimeError):  # the loop was closed: no request waits for an answer
        loop.call_soon_threadsafe(what, *arguments)


def _succeed(answer: asyncio.Future[int], number: int) -> None:
    if not answer.done():  # the request may have been dropped
        answer.set_result(number)


def _fail(answer: asyncio.Future[int], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
