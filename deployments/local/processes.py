"""Starting, watching and stopping the programs of a setup on one machine."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from deployments.local.log_cause import Cause, find_cause
from deployments.local.progress import StallDetector, activity_of
from edgecap.errors import SetupError
from edgecap.network.environment import network_environment

LOOPBACK = "127.0.0.1"
ROOM = 200_000_000  # bytes: the Prefect server's database and logs, and a little for the first captures
_FULL = 1_000_000  # bytes free; with less, a full disk is taken for the reason of any failure


def free_port() -> int:
    """A free TCP port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int, host: str = LOOPBACK) -> bool:
    """Whether something accepts connections on `port` of an address of this machine."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - all of them, so loopback too
        host = LOOPBACK
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def check_port(port: int, host: str = LOOPBACK, *, hint: str) -> None:
    """Return if this machine lets us listen at a port.

    Args:
        port: TCP.
        host: an address of this machine.
        hint: what to do otherwise, for the message.

    Raises:
        SetupError: something listens there, we may not, or the address is not this machine's.
    """
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a connection in TIME_WAIT does not matter, a listening socket does.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        what = f"port {port} is taken" if taken else f"nothing can listen at port {port}: {error.strerror}"
        raise SetupError(what, where=f"{host}:{port}", hint=hint) from None


def check_room(folder: Path, *, least: int = ROOM) -> None:
    """Check that the disk has room for a setup's state.

    Args:
        folder: where the state goes; it need not be there yet.
        least: bytes.

    Raises:
        SetupError: the disk is full, or nearly so.
    """
    there = next(path for path in [folder, *folder.parents] if path.exists())
    free = free_space(there)
    if free < least:
        raise SetupError(
            f"the disk is full: {free / 1e6:,.0f} MB are free, and a start takes {least / 1e6:,.0f} MB",
            where=str(folder),
            hint="make room, or set another home",
        )


def free_space(folder: Path) -> int:
    """Bytes that this user can write on the disk of a folder that is there."""
    found = os.statvfs(folder)
    # Some file systems count no files; then both numbers are 0.
    return 0 if found.f_files and not found.f_favail else found.f_bavail * found.f_frsize


class Stoppable(ABC):
    """Something that a `with` block stops at its end, however it ends."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def stop(self) -> None:
        """Stop whatever was started."""


class Program:
    """A child process with a log file, in a process group of its own.

    Args:
        name: what to call it in messages.
        argv: the program and its arguments.
        log: file that takes its output; its folder is made if missing.
        env: variables to set in addition to those of this process. Loopback takes no proxy.
        folder: where it runs; this process's own folder if not given.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self.env = dict(env or {})
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._log_before = 0  # bytes of the log that are of earlier starts

    def __repr__(self) -> str:
        if self._process is None:
            return f"<Program {self.name} [not started]>"
        code = self._process.poll()
        return f"<Program {self.name} [{'running' if code is None else f'ended {code}'}]>"

    @property
    def pid(self) -> int | None:
        """The process id, once started."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it.

        Raises:
            SetupError: there is no such program, or its log cannot be written.
            ConfigError: a variable about proxies, certificates or Prefect's address cannot be used.
            StoreError: the file of certificates for Prefect's client cannot be written below TMPDIR.
        """
        argv = self.argv
        if setpriv := shutil.which("setpriv"):
            # A parent that was killed cannot stop its children: the kernel does so then.
            argv = [setpriv, "--pdeathsig", "TERM", "--", *argv]
        env = {**os.environ, **self.env}
        env |= network_environment(env)
        with self._opened_log() as log:
            self._log_before = log.seek(0, os.SEEK_END)
            try:
                self._process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=env,
                    cwd=self.folder,
                    start_new_session=True,
                    umask=0o077,  # its database, its logs and its packets are for this user alone
                )
            except OSError as error:
                raise SetupError(
                    f"{self.name} does not start: {error.strerror}",
                    where=self.argv[0],
                    hint="run `make setup`",
                ) from error

    def _opened_log(self) -> BinaryIO:
        try:
            self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")
        except OSError as error:
            raise SetupError(
                f"{self.name} does not start: its log cannot be written: {error.strerror}",
                where=str(self.log),
                hint="make room, or set another home",
            ) from error

    def wait_ready(
        self,
        ready: Callable[[], bool],
        *,
        timeout: float = 60.0,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Return when `ready()` is true. A slow program is waited for as long as it works.

        Args:
            ready: asked about ten times a second.
            timeout: seconds for which it may stand still: write no line and use no processor.
            tell: called with a line now and then, if it takes long.

        Raises:
            SetupError: the program ended, or stands still; the message has the cause, as the log tells it.
        """
        stalls = self._stall_detector(timeout, tell)
        while not ready():
            if not self.running:
                raise self._failure("ended at once")
            if stalls.is_stalled():
                raise self._failure(f"is not ready, and did nothing for {timeout:.0f} s")
            time.sleep(0.1)

    def run(self, *, timeout: float = 60.0, tell: Callable[[str], None] | None = None) -> None:
        """Start it and wait for its end, as long as it works.

        Args:
            timeout: seconds for which it may stand still: write no line and use no processor.
            tell: called with a line now and then, if it takes long.

        Raises:
            SetupError: it stands still, or fails; the message has the cause, as the log tells it.
        """
        self.start()
        assert self._process is not None
        stalls = self._stall_detector(timeout, tell)
        code = None
        try:
            while code is None and not stalls.is_stalled():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = self._process.wait(0.2)
        finally:
            self.stop(grace=1)
        if code != 0:
            how = f"did nothing for {timeout:.0f} s" if code is None else f"ended with exit code {code}"
            raise self._failure(how)

    def _stall_detector(self, window: float, tell: Callable[[str], None] | None) -> StallDetector:
        pid = self.pid
        assert pid is not None
        return StallDetector(
            lambda: activity_of(pid, self.log),
            window,
            (lambda line: tell(f"{self.name} {line}")) if tell else None,
        )

    def _failure(self, how: str) -> SetupError:
        cause = self.cause_of_end()
        told = f": {cause.what}" if cause.what else ", without a word"
        return SetupError(f"{self.name} {how}{told}", where=str(self.log), hint=cause.hint)

    def lines(self) -> list[str]:
        """The lines that it wrote since its last start, without empty ones."""
        return [line.strip() for line in self._written().splitlines() if line.strip()]

    def last_line(self) -> str:
        """The last of its lines; empty if there is none."""
        return next(reversed(self.lines()), "")

    def cause_of_end(self) -> Cause:
        """Why it ended or stands still, as far as its log and the disk tell."""
        cause = find_cause(self._written())
        code = self._process.poll() if self._process else None
        if code is not None and code < 0:
            by = f"{signal.Signals(-code).name} ended it"
            hint = "the machine may be out of memory" if -code == signal.SIGKILL else ""
            cause = Cause(f"{by}; {cause.what}" if cause.what else by, hint)
        with contextlib.suppress(OSError):
            if free_space(self.log.parent) < _FULL:
                return Cause(f"the disk is full ({cause.what})", "make room, or set another home")
        return cause

    def _written(self) -> str:
        """What it wrote to its log since its last start."""
        try:
            with self.log.open("rb") as log:
                log.seek(self._log_before)
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def stop(self, *, grace: float = 5.0) -> None:
        """Ask it to end, wait `grace` seconds, then kill whatever is left of its process group."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


MARK = "EDGECAP_SETUP_MARK"


def marked(mark: str) -> list[int]:
    """All processes with `EDGECAP_SETUP_MARK=mark` in their environment.

    A Prefect worker starts flow runs in sessions of their own, which no process group reaches.
    """
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # it ended meanwhile, or is someone else's
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def kill_marked(mark: str) -> None:
    """Kill every process that carries `mark`, until there is none."""
    while pids := marked(mark):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def heed_interrupts() -> None:
    """Let this process and its children obey Ctrl-C again.

    A shell's background job inherits "ignore SIGINT", Prefect turns SIGTERM into SIGINT, and so its worker
    could not be stopped.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
