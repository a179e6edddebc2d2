"""`python -m deployments.fork_server`: forks the processes of runs, with what a run needs already imported.

Starting Python and importing Prefect, NumPy and edgecap costs a run more than its work does. The clients are
`deployments.run`, the command of runs in `prefect.yaml`, and `edgecap capture`. If this program is away, each
of them starts or goes on by itself, so only speed depends on it.
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

from deployments.fork.child import Ending
from deployments.fork.code import Code
from deployments.fork.protocol import COMMAND, FORK_SERVER

if TYPE_CHECKING:
    from deployments.fork.prefect_settings import PrefectSettings

# What the process of a run imports, at once or later. One that is not there is only not imported.
_MODULES = (
    "flows.capture",
    "flows.reconcile",
    "flows.register_bucket",
    "flows.respond",
    "flows.respond_to",
    "flows.tell",
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
    COMMAND,
    "edgecap.cli.app",
    "edgecap.cli.capture",
    # What the programs of a setup import.
    "deployments.local.mended_worker",
    "prefect.workers.process",
    "prefect.cli.worker",
    "uvicorn",
    "starlette.applications",
)


def main() -> NoReturn:
    """Serve until SIGTERM, at the socket that `EDGECAP_FORK_SERVER` names."""
    environment, ending = dict(os.environ), Ending()
    # Threads that an import starts would be missing in a fork.
    os.environ.update(OPENBLAS_NUM_THREADS="1", DO_NOT_TRACK="1")
    code = Code()
    if sys.path[0] == os.getcwd():  # noqa: PTH109 - as Python wrote it; a run's folder takes its place
        del sys.path[0]
    for module in _MODULES:
        with suppress(ModuleNotFoundError):
            import_module(module)
    # After the code was looked at.
    from deployments.fork.models import complete_models  # noqa: PLC0415
    from deployments.fork.prefect_settings import PrefectSettings  # noqa: PLC0415
    from deployments.fork.server import ForkServer  # noqa: PLC0415

    complete_models()
    path = Path(os.environ[FORK_SERVER])
    settings = PrefectSettings(path.parent)
    server = ForkServer(path, code=code, environment=environment, prepare=settings.prepare)
    server.serve().run(partial(run, settings), ending)


def run(settings: PrefectSettings, arguments: list[str]) -> None:
    """Run what the first argument names, with the others."""
    program, *sys.argv[1:] = arguments
    if program != COMMAND:
        settings.ensure()
        sys.modules.pop(program, None)  # a new process has not imported it before it runs it
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.argv[0] = "edgecap"
        del sys.path[0]  # the folder, which a command must not import from
        # By name: the command line may import this package, and not the other way round.
        import_module(COMMAND).main()


if __name__ == "__main__":
    main()
