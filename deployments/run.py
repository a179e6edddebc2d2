"""`python -m deployments.run`: the command of a worker's runs. It does what `python -m prefect.engine` does.

`python -m deployments.run -m MODULE ARGUMENTS` does what `python -m MODULE ARGUMENTS` does: the programs of a
setup share the memory of what they import.

With a fork server (`EDGECAP_FORK_SERVER`), the run's process is forked from one that has imported everything,
and this program stands for it: it hands signals on, and ends as the run's process ends. If this program is
killed, the kernel kills the run's process. Without a fork server, or if that one does not answer, this
program becomes a new `python -m prefect.engine`: only speed depends on the server. It imports only small
modules.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import NoReturn

from deployments.fork.protocol import (
    ANSWER,
    ENGINE,
    EXIT,
    FORK_SERVER,
    GO,
    HELLO,
    LAST_WORD,
    READY,
    SIGNAL,
    SIZE,
    STARTED_BY,
    connect,
)

OF_RUN = {
    # Heartbeats as often as Prefect allows: if they stop, the run has died with its machine.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    # No messages about Prefect's own retries in the worker's terminal.
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
}
"""Variables of a run's process, unless its environment has them."""
_READY_WITHIN = 5.0  # seconds; a server that takes longer is taken for hung
_TOLD_WITHIN = 1.0  # seconds from the end of the run's process to the server's word, if that process left one
_TOLD_AT_LAST = 10.0  # likewise without one: the server may be starting anew
_HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]


def main() -> None:
    """Run a module, or the flow run that the environment names, as a fork if possible."""
    program = sys.argv[2:] if sys.argv[1:2] == ["-m"] else [ENGINE, *sys.argv[1:]]
    if program[0] == ENGINE:
        os.umask(0o077)  # its packets are for this user alone; Prefect's own worker has another umask
        for name, value in OF_RUN.items():
            os.environ.setdefault(name, value)
    if path := os.environ.get(FORK_SERVER):
        become_fork(path, program)
    os.environ.pop(STARTED_BY, None)  # of the fork that started this process, if one did
    os.execv(sys.executable, [sys.executable, "-m", *program])  # noqa: S606 - no shell


def become_fork(path: str, arguments: list[str]) -> None:
    """Stand for a fork until it ends, and end as it does. Returns if nothing was forked.

    Args:
        path: of the fork server's socket.
        arguments: what the fork runs, see `deployments.fork_server`.
    """
    try:
        connection, process = _forked(path, arguments)
    except OSError:  # also TimeoutError
        return
    _stand_for(connection, process)


def _forked(path: str, arguments: list[str]) -> tuple[socket.socket, int]:
    """A connection to a process that waits for `GO`, and the process's descriptor.

    Raises:
        OSError: there is none, and there will be none.
    """
    connection = connect(path, timeout=_READY_WITHIN)
    if connection.recv(ANSWER)[:1] != HELLO:
        raise ConnectionError
    life, ours = os.pipe()  # ours stays open as long as this process lives
    folder = os.open(".", os.O_PATH | os.O_DIRECTORY)
    try:
        body = json.dumps(_request(arguments)).encode()
        request = len(body).to_bytes(SIZE, "big") + body
        sent = socket.send_fds(connection, [request], [0, 1, 2, folder, life])
        connection.sendall(request[sent:])
        answer, descriptors, _, _ = socket.recv_fds(connection, ANSWER, 1)
        if not descriptors or answer[:1] != READY:
            raise ConnectionError
    except OSError:
        connection.close()
        os.close(ours)
        raise
    finally:
        os.close(life)
        os.close(folder)
    connection.settimeout(None)
    return connection, descriptors[0]


def _request(arguments: list[str]) -> dict[str, object]:
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "interpreter": [sys.executable, sys.prefix, sys.version],
        "arguments": arguments,
        "environment": dict(os.environ),
        "umask": umask,
        "limits": [[number, *resource.getrlimit(number)] for number in _LIMITS],
        "ignored": [number for number in _HANDED_ON if signal.getsignal(number) == signal.SIG_IGN],
        "started_by": os.getppid(),
    }


def _stand_for(connection: socket.socket, process: int) -> NoReturn:
    """Let the process begin, and end as it does."""
    for number in _HANDED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: _hand_on(process, number))
    with suppress(OSError):  # it was killed just now; the rest tells how
        connection.sendall(GO)
    _end_as(*_how_it_ended(connection, process))


def _hand_on(process: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it has ended
        signal.pidfd_send_signal(process, number)


def _how_it_ended(connection: socket.socket, process: int) -> tuple[bytes, int]:
    """Wait for the end of the process: `EXIT` and its code, or `SIGNAL` and the number."""
    looking = select.poll()
    # Python calls handlers between two steps of its own: a signal just before the wait must end the wait.
    signals, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for descriptor in (connection.fileno(), process, signals):
        looking.register(descriptor, select.POLLIN)
    word: int | None = None
    has_ended = is_closed = False
    while not (has_ended and is_closed):
        # In milliseconds. The server tells the end at once, unless it hangs or is starting anew.
        patience = (1000 * (_TOLD_AT_LAST if word is None else _TOLD_WITHIN)) if has_ended else None
        ready = {descriptor for descriptor, _ in looking.poll(patience)}
        if not ready:
            break
        if signals in ready:
            os.read(signals, 64)
        elif process in ready:
            looking.unregister(process)
            has_ended = True
        else:
            kind, number = _heard(connection)
            if kind in (EXIT, SIGNAL):
                return kind, number
            if kind == LAST_WORD:
                word = number
            else:  # the server is dead
                looking.unregister(connection)
                is_closed = True
    return (SIGNAL, signal.SIGKILL) if word is None else (EXIT, word)


def _heard(connection: socket.socket) -> tuple[bytes, int]:
    try:
        answer = connection.recv(ANSWER, socket.MSG_WAITALL)
    except OSError:
        answer = b""
    return (answer[:1], answer[1]) if len(answer) == ANSWER else (b"", 0)


def _end_as(kind: bytes, number: int) -> NoReturn:
    if kind == SIGNAL:
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(number)


if __name__ == "__main__":
    main()
