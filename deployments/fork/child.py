"""What a fork does to stand for a new process that its client would have started."""

from __future__ import annotations

import atexit
import fcntl
import gc
import io
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

from deployments.fork.protocol import COMMAND_NAME, ENGINE, GO, LAST_WORD, READY, STARTED_BY

FAILED = 1  # exit code of an exception that nothing handles


@dataclass(frozen=True)
class Request:
    """What a client asks for, besides its descriptors.

    Attributes:
        interpreter: its executable, its environment's folder and its version.
        arguments: of the program.
        environment: all variables of the client.
        umask: the client's.
        limits: number of the resource, soft limit, hard limit.
        ignored: signals that the client ignores.
        started_by: the id of the process that started the client.
    """

    interpreter: list[str]
    arguments: list[str]
    environment: dict[str, str]
    umask: int
    limits: list[tuple[int, int, int]]
    ignored: list[int]
    started_by: int

    @classmethod
    def decode(cls, body: bytes) -> Request:
        """Read what the client wrote.

        Raises:
            ValueError, TypeError: it is no request.
        """
        given: dict[str, Any] = json.loads(body)
        return cls(**given)


@dataclass(frozen=True)
class Child:
    """The fork, before it begins.

    Attributes:
        request: of its client.
        connection: the socket to the client, as a number: only the end of this process may close it.
        descriptors: the client's, see `protocol.DESCRIPTORS`.
    """

    request: Request
    connection: int
    descriptors: list[int]

    def run(self, program: Callable[[list[str]], object], ending: Ending) -> NoReturn:
        """Become what the client would have started, and run a program with the client's arguments.

        Args:
            program: what to run.
            ending: made before anything was imported.
        """
        try:
            self._become()
            self._wait_to_begin()
        except (OSError, ValueError) as error:  # such as a limit that may not be set
            sys.stderr.write(f"edgecap: a new process is started, since no fork could be: {error}\n")
            sys.stderr.flush()
            os._exit(FAILED)  # then the client starts one
        ending.attach(self.connection)
        try:
            program(self.request.arguments)
        except SystemExit as leaving:
            ending.code = _code(leaving.code)
            raise
        except KeyboardInterrupt:
            ending.code = None
            raise
        ending.code = 0
        sys.exit(0)

    def _become(self) -> None:
        os.setsid()
        request = self.request
        *standard, folder, life = self.descriptors
        _die_with(life)
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
            os.close(descriptor)
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if isinstance(stream, io.TextIOWrapper):
                setattr(sys, name, _afresh(stream, lines=name == "stderr" or stream.isatty()))
        _reset_signals(request.ignored)
        for number, soft, hard in request.limits:
            if resource.getrlimit(number) != (soft, hard):
                resource.setrlimit(number, (soft, hard))
        os.umask(request.umask)
        os.fchdir(folder)
        os.close(folder)
        for descriptor in (life, self.connection):
            os.set_inheritable(descriptor, False)
        os.environ.clear()
        os.environ.update(request.environment)
        os.environ[STARTED_BY] = str(request.started_by)
        time.tzset()
        sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
        Path("/proc/self/comm").write_text(_name(request.arguments[0]))
        # Python's own `random` seeds itself after a fork.
        if numpy_random := sys.modules.get("numpy.random"):
            numpy_random.seed()
        gc.enable()

    def _wait_to_begin(self) -> None:
        """Tell the client, and wait until it says `GO`."""
        process = os.pidfd_open(os.getpid())
        with socket.socket(fileno=self.connection) as connection:
            connection.setblocking(True)
            socket.send_fds(connection, [READY + b"\0"], [process])
            said = connection.recv(len(GO))
            connection.detach()
        os.close(process)
        if said != GO:
            os._exit(FAILED)


class Ending:
    """The end of a fork, after all that is registered for it: so make this before anything is imported.

    Python would free every object then, and so copy the memory that forks share: 65 ms of processor. Instead
    the process ends at once. Only the destructors of objects that are left are not called.
    """

    def __init__(self) -> None:
        self.code: int | None = FAILED
        """With which the process ends; None if Python is to end it by a signal."""
        self._process = 0
        self._connection = -1
        atexit.register(self._end)

    def __repr__(self) -> str:
        return f"<Ending [{self.code}]>"

    def attach(self, connection: int) -> None:
        """End this process so, the fork, and tell its code to the client at the other end of `connection`."""
        self._process, self._connection = os.getpid(), connection

    def _end(self) -> None:
        if os.getpid() != self._process:  # the server, or a process that the program has forked
            return
        if self.code is None:
            return
        with suppress(OSError):  # in case the server has died, and cannot tell it
            os.write(self._connection, LAST_WORD + bytes([self.code]))
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (AttributeError, OSError, ValueError):
            return  # Python meets that too, and says so
        os._exit(self.code)


def _afresh(stream: io.TextIOWrapper, *, lines: bool) -> TextIO:
    """A stream over the same descriptor. The old one was made over a log file, where it can seek."""
    return open(
        stream.fileno(),
        "w",
        buffering=1 if lines else -1,
        encoding=stream.encoding,
        errors=stream.errors,
        closefd=False,
    )


def _name(program: str) -> str:
    """The short name of this process, by which `ps -o comm` tells runs from other programs."""
    return COMMAND_NAME if program == ENGINE else program.rpartition(".")[2][:15]


def _code(given: object) -> int:
    """The exit code of `sys.exit(given)`."""
    if given is None:
        return 0
    return given & 0xFF if isinstance(given, int) else FAILED


def _die_with(life: int) -> None:
    """Have the kernel kill this process when the other end of a pipe is closed, however busy it is."""
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([life], [], [], 0)[0]:  # it was closed before
        os._exit(FAILED)


def _reset_signals(ignored: list[int]) -> None:
    """Heed signals as a new Python does whose parent ignores some."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        is_ignored = number in ignored or number in (signal.SIGPIPE, signal.SIGXFSZ)
        signal.signal(number, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
    if signal.SIGINT not in ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
