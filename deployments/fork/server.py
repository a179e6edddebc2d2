"""The fork server: forks a process for each client, and tells the client how that process ended.

It has one thread and no event loop, so that a fork is a whole Python. A fork is like the process that the
client would have started, see `child`, but is in the server's control group. If only a new process would do,
the server refuses, and the client starts one.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn

from deployments.fork.child import Child, Request
from deployments.fork.code import Code
from deployments.fork.protocol import (
    ANSWER,
    DESCRIPTORS,
    EXIT,
    HELLO,
    LONGEST,
    NO,
    SIGNAL,
    SIZE,
    SUFFIX,
    ShortAddress,
    connect,
    needs_new_process,
)

CHILDREN = "EDGECAP_FORK_SERVER_CHILDREN"  # from a server to itself when it starts anew: sockets by process
_BACKLOG = 256
_CHUNK = 1 << 18  # bytes
_PAUSE = 0.1  # seconds, when no descriptor is left
_CREDENTIALS = struct.Struct("3i")  # process, user, group


@dataclass
class _Client:
    """A client whose request is not complete."""

    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    descriptors: list[int] = field(default_factory=list)

    def close(self) -> None:
        self.connection.close()
        for descriptor in self.descriptors:
            os.close(descriptor)


class ForkServer:
    """Listens at a Unix socket in a private folder.

    Args:
        path: of the socket. A file that is there is replaced.
        code: as it was before anything was imported.
        environment: with which this process was started.
        prepare: called before each fork with the client's variables. What it does here, no fork needs to do.

    Raises:
        PermissionError: others may use the folder.
        OSError: it is not there, or cannot hold a socket.
    """

    def __init__(
        self,
        path: Path,
        *,
        code: Code,
        environment: dict[str, str],
        prepare: Callable[[dict[str, str]], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._code = code
        self._environment = dict(environment)
        self._prepare = prepare
        self._selector = selectors.DefaultSelector()
        self._clients: list[_Client] = []
        self._children: dict[int, socket.socket] = {}
        for pid, connection in json.loads(self._environment.pop(CHILDREN, "{}")).items():
            self._watch(int(pid), socket.socket(fileno=connection))
        _check_private(path.parent)
        _remove_stale(path.parent)
        self._listener = _listen(path)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def __repr__(self) -> str:
        return f"<ForkServer {self._path} [{len(self._children)} children]>"

    def serve(self) -> Child:
        """Serve until SIGTERM. Returns only in a fork, with what it is to become."""
        # Python calls handlers between two steps of its own: a signal just before the wait must end the wait.
        signals, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._selector.register(signals, selectors.EVENT_READ, partial(os.read, signals, 64))
        signal.set_wakeup_fd(self._wake)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._leave)
        gc.collect()
        gc.freeze()  # a collection would write to every object, and so copy the memory that forks share
        gc.disable()
        while True:
            for key, _ in self._selector.select():
                heed: Callable[[], object] = key.data
                if isinstance(child := heed(), Child):
                    return child

    def _leave(self, *_: object) -> NoReturn:
        self._path.unlink(missing_ok=True)
        os._exit(0)  # what is registered for the end is for forks

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            _say(f"no connection: {error}")
            time.sleep(_PAUSE)
            return
        given = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(given)[1:] != (os.getuid(), os.getgid()):
            connection.close()
            return
        connection.setblocking(False)
        with suppress(OSError):  # the client may be gone; then there is nothing to receive
            connection.send(HELLO + b"\0")
        client = _Client(connection)
        self._clients.append(client)
        self._selector.register(connection, selectors.EVENT_READ, partial(self._receive, client))

    def _receive(self, client: _Client) -> Child | None:
        try:
            data, descriptors, _, _ = socket.recv_fds(client.connection, _CHUNK, DESCRIPTORS)
        except BlockingIOError:
            return None
        except OSError:
            data, descriptors = b"", []
        client.received += data
        client.descriptors += descriptors
        size = int.from_bytes(client.received[:SIZE], "big")
        if data and size <= LONGEST and len(client.received) < SIZE + size:
            return None  # more is to come
        self._selector.unregister(client.connection)
        self._clients.remove(client)
        child = self._answer(client, bytes(client.received[SIZE:]))
        if child is None:
            for descriptor in client.descriptors:
                os.close(descriptor)
        return child

    def _answer(self, client: _Client, body: bytes) -> Child | None:
        """Fork, or refuse."""
        try:
            request = Request.decode(body)
        except (ValueError, TypeError):
            client.connection.close()  # a client that went away, or none of ours
            return None
        if self._code.has_changed():
            self._refuse(client.connection, "the code has changed; starting anew")
            self._start_anew()
        if objection := self._objection(client, request):
            self._refuse(client.connection, objection)
            return None
        self._prepare(request.environment)
        try:
            pid = os.fork()
        except OSError as error:
            self._refuse(client.connection, f"no fork: {error.strerror}")
            return None
        if pid == 0:
            self._let_go()
            return Child(request, client.connection.detach(), client.descriptors)
        self._watch(pid, client.connection)
        return None

    def _objection(self, client: _Client, request: Request) -> str:
        """Why a fork cannot stand for the process that the client would start; empty if it can."""
        executable, *rest = request.interpreter
        if [os.path.realpath(executable), *rest] != [
            os.path.realpath(sys.executable),
            sys.prefix,
            sys.version,
        ]:
            return f"the client runs {executable}"
        if len(client.descriptors) != DESCRIPTORS:
            return f"{len(client.descriptors)} descriptors came"
        if needs_new_process(self._environment, request.environment):
            return "the environment has what only a new process heeds"
        if (threads := len(list(Path("/proc/self/task").iterdir()))) != 1:
            return f"{threads} threads run here"
        return ""

    def _refuse(self, connection: socket.socket, why: str) -> None:
        _say(why)
        _tell(connection, NO, 0)

    def _watch(self, pid: int, connection: socket.socket) -> None:
        """Report the end of a child to its client."""
        self._children[pid] = connection
        process = os.pidfd_open(pid)
        self._selector.register(process, selectors.EVENT_READ, partial(self._ended, pid, process))

    def _ended(self, pid: int, process: int) -> None:
        self._selector.unregister(process)
        os.close(process)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _tell(self._children.pop(pid), SIGNAL if code < 0 else EXIT, abs(code))

    def _let_go(self) -> None:
        """In a fork, close what is the server's.

        The objects are closed: one that is freed later would close a descriptor that has its number by then.
        """
        signal.set_wakeup_fd(-1)
        os.close(self._wake)
        for key in self._selector.get_map().values():
            if isinstance(key.fileobj, int):
                os.close(key.fileobj)
        self._selector.close()
        self._listener.close()
        for connection in self._children.values():
            connection.close()
        for client in self._clients:
            client.close()

    def _start_anew(self) -> NoReturn:
        """Become a new server, with the code of now and the same children. Meanwhile, clients find none."""
        self._path.unlink(missing_ok=True)
        children = {str(pid): connection.fileno() for pid, connection in self._children.items()}
        for entry in [*Path("/proc/self/fd").iterdir()]:
            with suppress(OSError):  # the listing's own
                os.set_inheritable(int(entry.name), int(entry.name) in (0, 1, 2, *children.values()))
        argv = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, argv, {**self._environment, CHILDREN: json.dumps(children)})  # noqa: S606


def _check_private(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(f"{folder} is not private")


def _remove_stale(folder: Path) -> None:
    """Remove the sockets of servers that were killed."""
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            connect(str(path), timeout=1).close()
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            pass


def _listen(path: Path) -> socket.socket:
    """Listen at `path`, which is never there without a server that listens."""
    aside = path.with_suffix(f".{os.getpid()}")
    aside.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with ShortAddress(str(aside)) as address:
        listener.bind(address)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    aside.rename(path)
    return listener


def _tell(connection: socket.socket, kind: bytes, number: int) -> None:
    with connection, suppress(OSError):  # the client may be gone
        connection.setblocking(False)
        connection.send((kind + bytes([number]))[:ANSWER])


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
    sys.stderr.flush()
