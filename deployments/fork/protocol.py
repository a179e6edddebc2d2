"""What the client (`deployments.run`) and the fork server say to each other. Imports only small modules.

The client connects, and waits for `HELLO`: a server that hangs must not get the client's descriptors, since a
pipe that it holds looks open. Then the client sends one request with them. The server forks. The child
prepares itself and answers `READY`, with a descriptor of its process; or the server answers `NO`. Only when
the client sends `GO` does the child begin. A client that waits no longer starts a process of its own, and so
no run is started twice. When the child has ended, the server says how.
"""

from __future__ import annotations

import os
import socket

FORK_SERVER = "EDGECAP_FORK_SERVER"
"""The variable that names the server's socket. Without it, or without a server there, nothing is forked."""
SUFFIX = ".socket"  # of its name
STARTED_BY = "EDGECAP_STARTED_BY"
"""In a forked process: the id of the process that started its client. `os.getppid()` is the server there."""
COMMAND_NAME = "edgecap-run"
"""The short name of a forked run, as `ps -o comm` shows it: its command line is the server's."""

ENGINE, COMMAND = "prefect.engine", "edgecap.cli.main"
"""What a fork runs, the first of its arguments: a flow run, or edgecap's command line."""
IS_FORKED = "EDGECAP_IS_FORKED"
"""In the environment of a forked command, so that it is not forked again."""

SIZE = 4  # bytes before a request: its length
LONGEST = 16_000_000  # bytes of a request; the kernel allows an environment less
DESCRIPTORS = 5  # that come with a request: the three standard ones, the client's folder, and `life`
"""The last is a pipe. The client holds its other end, which the kernel closes when the client ends."""

# Answers, each followed by a byte: a code, a signal, or nothing.
ANSWER = 2  # bytes
HELLO, READY, NO, EXIT, SIGNAL = b"h", b"r", b"n", b"x", b"s"
LAST_WORD = b"w"  # the child's own exit code, in case the server cannot tell it
GO = b"g"  # the client's only answer

# The interpreter and its libraries read these variables when they start.
_READ_AT_START = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "OPENBLAS_", "OMP_", "OPENSSL_", "LANG", "LC_")
# It only keeps `python -m` from importing what lies in the current folder. The fork server never does that.
_WITHOUT_EFFECT = "PYTHONSAFEPATH"


def needs_new_process(given: dict[str, str], wanted: dict[str, str]) -> bool:
    """Whether only a new process does what the environment `wanted` says, where `given` is the server's."""
    if any(
        "PLUGINS" in name for name in wanted if name.startswith("PREFECT_")
    ):  # they start when it is imported
        return True
    names = {name for name in (*given, *wanted) if name.startswith(_READ_AT_START)} - {_WITHOUT_EFFECT}
    return any(given.get(name) != wanted.get(name) for name in names)


class ShortAddress:
    """`with ShortAddress(path) as address:` a name for a socket that has at most the 107 bytes allowed."""

    def __init__(self, path: str) -> None:
        self._folder, self._name = os.path.split(path)

    def __enter__(self) -> str:
        self._descriptor = os.open(self._folder or ".", os.O_PATH | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._descriptor}/{self._name}"

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def connect(path: str, *, timeout: float) -> socket.socket:
    """A connection to the server, each of whose steps takes at most `timeout` seconds.

    Raises:
        OSError: no server listens at `path`, or too many wait for it.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    with ShortAddress(path) as address:
        connection.connect(address)
    return connection
