"""A pytest plugin that ends a worker whose test hangs, and prints where all its threads are.

It uses faulthandler's timer, which is written in C. So it also works where a thread holds the interpreter's
lock while it waits, where nobody calls the handler of SIGALRM (Prefect sets its own), and where a test fails
and its teardown then hangs. pytest-xdist reports the test as failed, and goes on with a new worker.
"""

import faulthandler
import os
from collections.abc import Iterator

import pytest

LIMIT = 900.0  # seconds for each of a test's setup, its call and its teardown, on a busy machine
_stderr = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The limit can be set, for this plugin's own test."""
    parser.addini("watchdog", "seconds for a test's setup, its call or its teardown", default=str(LIMIT))


def pytest_configure(config: pytest.Config) -> None:
    """Keep the real standard error: a test's own is captured, and lost with the process."""
    config.stash[_stderr] = os.dup(2)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The time of all tests is over."""
    faulthandler.cancel_dump_traceback_later()
    os.close(config.stash[_stderr])


def _watched(item: pytest.Item) -> Iterator[None]:
    limit = float(item.config.getini("watchdog"))
    faulthandler.dump_traceback_later(limit, file=item.config.stash[_stderr], exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Watch the setup, with the servers that it starts."""
    return (yield from _watched(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Watch the test."""
    return (yield from _watched(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Watch the teardown, with the servers that it stops."""
    return (yield from _watched(item))
