"""What the benches of whole runs share: the simulated edge on the real clock, and figures of processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from deployments.fork.protocol import COMMAND_NAME
from deployments.local.processes import LOOPBACK, Program, answers, free_port, marked
from deployments.local.setup import LocalSetup
from deployments.project import PROJECT
from edgecap.settings import Account

ACCOUNT = "c" * 32
TOKEN = "token-of-the-bench"  # noqa: S105 - of a simulated account
RESIDENT, MOST_RESIDENT = "VmRSS", "VmHWM"


@contextmanager
def simulated_edge(home: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Account]:
    """Run the simulated edge as a program; yields an account on it. Its log is `home`/edge.jsonl."""
    port = free_port()
    edge = Program(
        "edge",
        [
            sys.executable, "-m", "edgecap.simulator",
            "--port", str(port), "--log", str(home / "edge.jsonl"), *arguments,
        ],
        log=home / "edge.log",
        env={"CLOUDFLARE_ACCOUNT_ID": ACCOUNT, "CLOUDFLARE_API_TOKEN": TOKEN, **(env or {})},
        folder=PROJECT,
    )  # fmt: skip
    edge.start()
    try:
        edge.wait_ready(lambda: answers(port), timeout=60)
        base_url = f"http://{LOOPBACK}:{port}/client/v4"
        yield Account(account_id=ACCOUNT, api_token=SecretStr(TOKEN), base_url=base_url)
    finally:
        edge.stop()


def write_settings(home: Path, account: Account, more: str) -> dict[str, str]:
    """Write the settings of a setup with an archive in a folder; return the environment that names them."""
    (home / "archive").mkdir()
    (home / "edgecap.toml").write_text(
        f"""
        [accounts.default]
        account_id = "{ACCOUNT}"
        api_token = "{TOKEN}"
        base_url = "{account.base_url}"
        [archives.default]
        uri = "file:{home / "archive"}"
        {more}
        """
    )
    return {"EDGECAP_CONFIG": str(home / "edgecap.toml")}


def start(setup: LocalSetup) -> None:
    """Start a setup, and return when runs can start."""
    setup.start_server()
    setup.wait_for_server()
    setup.start_workers()
    setup.deploy()
    setup.wait_for_workers()


def runs(setup: LocalSetup) -> list[int]:
    """The processes of flow runs, forked or not."""
    return [
        pid
        for pid in marked(setup.mark)
        if b"prefect.engine" in _read(pid, "cmdline") or _read(pid, "comm").decode().strip() == COMMAND_NAME
    ]


def memory(pid: int, which: str = RESIDENT) -> int:
    """The resident memory of a process, now or at its peak, in bytes; 0 if it has ended."""
    lines = _read(pid, "status").decode().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(which)), 0)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
