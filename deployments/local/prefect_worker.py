"""Prefect's command line for a worker, with the canceller as a child process.

The canceller stops the captures of cancelled runs. It is restarted if it ends, and ends with the worker.
"""

from __future__ import annotations

import runpy
import sys
import threading

from deployments.local.processes import Program
from deployments.local.watching import Watch
from edgecap.errors import SetupError
from edgecap.settings import load_settings


def main() -> None:
    """Run the `prefect` command with the arguments of this program."""
    log = load_settings().home / "logs" / "canceller.log"
    canceller = Program("canceller", [sys.executable, "-m", "deployments.canceller"], log=log)
    try:
        canceller.start()
    except SetupError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    threading.Thread(target=Watch([canceller], _say).forever, name="watch", daemon=True).start()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


def _say(line: str) -> None:
    sys.stderr.write(f"edgecap: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
