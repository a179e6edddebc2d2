"""The real command, run as a person or a script runs it; archives and a simulated edge for it to work on."""

import fcntl
import hashlib
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.local.processes import LOOPBACK, free_port
from deployments.local.running import running_setup
from edgecap.archive.commit import commit, put_file
from edgecap.archive.layout import RAW, SUMMARY, entry_prefix
from edgecap.archive.manifest import FileRecord, Times, make_manifest
from edgecap.archive.text import to_json
from edgecap.cli.main import run
from edgecap.cloudflare.models import Capture
from edgecap.files.hashing import sha256_of
from edgecap.packets.inspect import Inspector
from edgecap.requests import rfc3339
from edgecap.settings import StoreLocation
from edgecap.stores import open_store
from tasks.runtime.rest import PrefectApi
from tests.prefect_database import place_database
from tests.world import SetClock, World

EDGECAP = Path(sys.executable).with_name("edgecap")
ACCOUNT = "c" * 32
SETS = ("EDGECAP_", "CLOUDFLARE_", "PREFECT_", "AWS_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")


@dataclass
class Shell:
    """A folder to run `edgecap` in, with an environment of its own."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    base_url: str = ""
    program: Path = EDGECAP

    def environment(self, **more):
        plain = {name: value for name, value in os.environ.items() if not name.startswith(SETS)}
        return {**plain, **self.env, **more}

    def run(self, *arguments, timeout=900, **env):
        """Run it to its end; stdin is closed, stdout and stderr are pipes."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.folder,
            env=self.environment(**env),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )

    def start(self, *arguments, **env):
        """Start it and let it run."""
        return subprocess.Popen(
            [self.program, *arguments],
            cwd=self.folder,
            env=self.environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def prefect(self):
        """The API of the Prefect server of `edgecap up` here."""
        return PrefectApi(running_setup(self.folder / ".edgecap").server)

    @contextmanager
    def up(self, prefect_database):
        """`edgecap up`, ended by SIGTERM; yields the process, and the address of its Prefect server."""
        place_database(prefect_database, self.folder / ".edgecap")
        port = free_port()
        with self.start("up", "--port", str(port)) as up:
            said = []
            try:
                for line in up.stderr:
                    said.append(line.strip())
                    if line.startswith("edgecap is running"):
                        break
                assert said
                assert said[-1].startswith("edgecap is running"), said
                yield up, f"http://{LOOPBACK}:{port}"
            finally:
                up.send_signal(signal.SIGTERM)
                up.out, up.err = up.communicate(timeout=240)


@pytest.fixture
def shell(tmp_path):
    """An empty folder."""
    return Shell(tmp_path)


@pytest.fixture
def on_terminal(shell):
    """Runs a command on a terminal of so many columns; its output, without colours."""

    def run_there(width, *arguments):
        main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        with subprocess.Popen(
            [shell.program, *arguments],
            cwd=shell.folder,
            env=shell.environment(NO_COLOR="1", TERM="xterm"),
            stdin=subprocess.DEVNULL,
            stdout=other,
            stderr=subprocess.STDOUT,
        ):
            os.close(other)
            said = b""
            with os.fdopen(main, "rb", buffering=0) as terminal, suppress(OSError):  # EIO at its end
                while more := terminal.read(65_536):
                    said += more
        return said.decode().replace("\r\n", "\n")

    return run_there


@pytest.fixture
def call(shell, monkeypatch, capsys):
    """Runs a command in this process, which saves most of a second each time."""

    def run_here(*arguments, **env):
        wanted = shell.environment(**env)
        with monkeypatch.context() as patch:
            patch.chdir(shell.folder)
            for name in set(os.environ) - set(wanted):
                patch.delenv(name)
            for name, value in wanted.items():
                patch.setenv(name, value)
            capsys.readouterr()
            code = run(arguments)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return run_here


@pytest.fixture
def store(shell):
    """An empty archive, which the command's settings name."""
    folder = shell.folder / "archive"
    folder.mkdir()
    shell.env["EDGECAP_ARCHIVES__DEFAULT__URI"] = f"file:{folder}"
    return open_store(StoreLocation(uri=f"file:{folder}"))


@pytest.fixture(scope="session")
def keep():
    """Makes a function that archives a capture of `packets` packets and returns its entry.

    `more` are fields of the API's answer, `changes` those of the manifest; `summary` is written beside it.
    """

    def archive(
        store,
        capture_id,
        *,
        packets=3,
        ago=timedelta(minutes=5),
        name="a.pcap",
        summary=None,
        changes=None,
        **more,
    ):
        answer = {
            "id": capture_id,
            "type": "full",
            "status": "success",
            "colo_name": "ORD",
            "submitted": rfc3339(datetime.now(UTC) - ago),
            **more,
        }
        capture = Capture.model_validate(answer)
        data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
        for number in range(packets):
            data += struct.pack("<IIII", 1_795_000_000 + number, 0, 60, 60) + bytes(60)
        inspector = Inspector()
        inspector.feed(data)
        digest = hashlib.sha256(data).hexdigest()
        kept = put_file(store, entry_prefix(capture), RAW + name, data, size=len(data), sha256=digest)
        record = FileRecord.of(kept, size=len(data), sha256=digest, found=inspector.finish())
        records = [record]
        if summary is not None:
            text = to_json(summary)
            digest = sha256_of([text])
            kept = put_file(store, entry_prefix(capture), SUMMARY, text, size=len(text), sha256=digest)
            records.append(FileRecord.of(kept, size=len(text), sha256=digest, role="summary"))
        manifest = make_manifest(capture, records, times=Times())
        return commit(store, manifest.model_copy(update=changes or {}))

    return archive


@pytest.fixture
def edge(shell, store, object_store):
    """A simulated edge that the settings of the shell name, with a bucket that is not registered yet."""
    timing = {"settle": 1.0, "poll_most": 1.0}
    clock = SetClock(30)
    with World(shell.folder, store=object_store, account_id=ACCOUNT, clock=clock, timing=timing) as world:
        shell.base_url = world.server.base_url
        world.write()
        yield world.edge
