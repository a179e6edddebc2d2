"""The file by which other commands find a setup that runs here, and which Prefect server a command uses."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edgecap.errors import SetupError
from edgecap.files.private import write_private
from edgecap.network import prefect_api_url
from tasks.runtime.prefect_server import PrefectServer

RUNNING = "running.json"  # in the state folder; it holds the server's secret


@dataclass(frozen=True, slots=True)
class RunningSetup:
    """A setup that runs on this machine.

    Args:
        api_url: of its Prefect server's API.
        ui_url: of its Prefect server's pages.
        auth_string: the server's secret.
        fork_server: the path of the fork server's socket; empty if there is none.
        pid: of the process that keeps the setup running.
    """

    api_url: str
    ui_url: str
    auth_string: str = field(default="", repr=False)
    fork_server: str = ""
    pid: int = field(default_factory=os.getpid)

    @property
    def server(self) -> PrefectServer:
        """Its Prefect server."""
        return PrefectServer(self.api_url, self.auth_string)


def announce(home: Path, setup: RunningSetup) -> None:
    """Write the file into the state folder `home`. It is readable for this user alone.

    Raises:
        StoreError: it cannot be written.
    """
    write_private(home / RUNNING, json.dumps(asdict(setup)) + "\n")


def running_setup(home: Path) -> RunningSetup | None:
    """The setup that runs with the state folder `home`; None if none does.

    Raises:
        SetupError: one may run, but its file belongs to another user.
    """
    file = home / RUNNING
    try:
        word = json.loads(file.read_text())
        found = RunningSetup(**{name: word[name] for name in RunningSetup.__slots__ if name in word})
        os.kill(found.pid, 0)
    except PermissionError:
        raise SetupError(
            "the state folder belongs to another user",
            where=str(file),
            hint="run this as the user who runs `edgecap up`, or set another home",
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found


def find_server(home: Path) -> PrefectServer | None:
    """The server that `PREFECT_API_URL` names, else that of the setup in `home`, else None.

    Raises:
        ConfigError: `PREFECT_API_URL` is not a valid URL.
        SetupError: the state folder belongs to another user.
    """
    if address := prefect_api_url():
        return PrefectServer(address)
    setup = running_setup(home)
    return setup.server if setup else None


def require_server(home: Path) -> PrefectServer:
    """The server that `find_server` finds.

    Raises:
        SetupError: it finds none, or the state folder belongs to another user.
        ConfigError: `PREFECT_API_URL` is not a valid URL.
    """
    if server := find_server(home):
        return server
    raise SetupError(
        "no Prefect server is named, and no `edgecap up` runs here",
        where="PREFECT_API_URL",
        hint="name a server of your own there, or start `edgecap up`, which runs its own server and worker",
    )
