"""Ending long work in threads early: a thread cannot be cancelled, so what takes long asks now and then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Interrupted(BaseException):
    """Nobody wants the result any more. No `Exception`: what handles errors must not handle this."""


class Interruption:
    """Whether work is to end. One thread asks for it, others check."""

    def __init__(self) -> None:
        self._wanted = threading.Event()

    def __repr__(self) -> str:
        return f"<Interruption [{'wanted' if self._wanted.is_set() else 'not wanted'}]>"

    def ask(self) -> None:
        """Let the work end at its next check."""
        self._wanted.set()

    def check(self) -> None:
        """Go on, or raise Interrupted."""
        if self._wanted.is_set():
            raise Interrupted


_CURRENT: ContextVar[Interruption | None] = ContextVar("interruption", default=None)


@contextmanager
def interruptible(interruption: Interruption) -> Iterator[None]:
    """Let the work in this block heed `interruption`, and what it starts by asyncio: tasks and threads."""
    token = _CURRENT.set(interruption)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Interruption:
    """What the present work heeds, to hand over to threads that do not inherit it."""
    return _CURRENT.get() or Interruption()


def check() -> None:
    """Go on, or raise Interrupted if the present work is to end."""
    if interruption := _CURRENT.get():
        interruption.check()
