"""End long work in threads early: a thread cannot be cancelled, so long work checks a flag now and then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Interrupted(BaseException):
    """The result is no longer wanted. Not an `Exception`, so that error handlers do not catch it."""


class Interruption:
    """The flag that ends work. One thread sets it, others check it."""

    def __init__(self) -> None:
        self._wanted = threading.Event()

    def __repr__(self) -> str:
        return f"<Interruption [{'wanted' if self._wanted.is_set() else 'not wanted'}]>"

    def ask(self) -> None:
        """Make the work end at its next check."""
        self._wanted.set()

    def check(self) -> None:
        """Raise Interrupted if the work is to end."""
        if self._wanted.is_set():
            raise Interrupted


_CURRENT: ContextVar[Interruption | None] = ContextVar("interruption", default=None)


@contextmanager
def interruptible(interruption: Interruption) -> Iterator[None]:
    """Let `interruption` end the work in this block, and the asyncio tasks and threads that it starts."""
    token = _CURRENT.set(interruption)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Interruption:
    """The current work's interruption, to hand over to threads that do not inherit it."""
    return _CURRENT.get() or Interruption()


def check() -> None:
    """Raise Interrupted if the current work is to end."""
    if interruption := _CURRENT.get():
        interruption.check()
