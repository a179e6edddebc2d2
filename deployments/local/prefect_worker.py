"""Prefect's command line for a worker, with the canceller and the fork server as child processes.

The canceller stops the captures of cancelled runs. The fork server starts the processes of runs faster than a
new Python starts. Each is restarted if it ends, and ends with the worker.
"""

from __future__ import annotations

import os
import sys
import threading

from deployments.fork.protocol import FORK_SERVER, SUFFIX
from deployments.local.processes import Program
from deployments.local.watching import Watch
from edgecap.errors import EdgecapError
from edgecap.files.private_folder import private_folder
from edgecap.settings import load_settings


def main() -> None:
    """Run the `prefect` command with the arguments of this program."""
    logs = load_settings().home / "logs"
    beside = {"canceller": "deployments.canceller", "fork-server": "deployments.fork_server"}
    try:
        os.environ[FORK_SERVER] = str(private_folder("edgecap-fork") / f"{os.getpid()}{SUFFIX}")
        programs = [
            Program(name, [sys.executable, "-m", module], log=logs / f"{name}.log")
            for name, module in beside.items()
        ]
        for program in programs:
            program.start()
    except EdgecapError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    threading.Thread(target=Watch(programs, _say).forever, name="watch", daemon=True).start()
    from deployments.local import mended_worker  # noqa: PLC0415 - it imports Prefect, for a second

    mended_worker.main()


def _say(line: str) -> None:
    sys.stderr.write(f"edgecap: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
