"""`python -m deployments.fork_server`: forks the processes of runs, with what a run needs already imported.

Starting Python and importing Prefect, NumPy and edgecap costs a run more than its work does. The client is
`deployments.run`, the command of runs in `prefect.yaml`. If this program is away, each run starts a Python of
its own, so only speed depends on it.
"""

from __future__ import annotations

import os
import runpy
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from deployments.fork.code import Code
from deployments.fork.protocol import FORK_SERVER

if TYPE_CHECKING:
    from deployments.fork.prefect_settings import PrefectSettings

# What the process of a run imports, at once or later. One that is not there is only not imported.
_MODULES = (
    "flows.capture",
    "flows.reconcile",
    "flows.register_bucket",
    "flows.respond",
    "flows.respond_to",
    "deployments.checkout",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.deployments.steps.core",
    "prefect.runner.storage",
    "prefect.utilities.visualization",
    "prefect.locking.filesystem",
    "prefect._internal.metrics",
    "anyio._backends._asyncio",
    "encodings.idna",
    "rich._emoji_codes",
)


def main() -> NoReturn:
    """Serve until SIGTERM, at the socket that `EDGECAP_FORK_SERVER` names."""
    environment = dict(os.environ)
    # Threads that an import starts would be missing in a fork.
    os.environ.update(OPENBLAS_NUM_THREADS="1", DO_NOT_TRACK="1")
    code = Code()
    if sys.path[0] == os.getcwd():  # noqa: PTH109 - as Python wrote it; a run's folder takes its place
        del sys.path[0]
    for module in _MODULES:
        with suppress(ModuleNotFoundError):
            import_module(module)
    # After the code was looked at.
    from deployments.fork.prefect_settings import PrefectSettings  # noqa: PLC0415
    from deployments.fork.server import ForkServer  # noqa: PLC0415

    path = Path(os.environ[FORK_SERVER])
    settings = PrefectSettings(path.parent)
    server = ForkServer(path, code=code, environment=environment, prepare=settings.prepare)
    server.serve().run(partial(run_engine, settings))


def run_engine(settings: PrefectSettings, arguments: list[str]) -> None:
    """What `python -m prefect.engine` does."""
    settings.ensure()
    sys.modules.pop("prefect.engine", None)  # a new process has not imported it before it runs it
    sys.argv[1:] = arguments
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
