"""The pull step of `prefect.yaml`: enter edgecap's own folder, and record where the worker was started.

Prefect runs each flow in a folder of its own, so `edgecap.toml` and the state folder would be looked for in
the wrong place. A flow's code lies where this module lies, so workers need not have the checkout at the same
path.
"""

from __future__ import annotations

import os
from pathlib import Path

from deployments.fork.protocol import STARTED_BY
from deployments.project import PROJECT
from edgecap.settings import CONFIG, FOLDER
from tasks.runtime.prefect_names import FLOW_RUN_ID


def enter() -> dict[str, str]:
    """Set `EDGECAP_FOLDER` for this process if it is not set, and return the folder for Prefect to enter."""
    os.environ.setdefault(FOLDER, str(_settings_folder()))
    return {"directory": str(PROJECT)}


def _settings_folder() -> Path:
    """The worker's folder, or the checkout if only the checkout has a settings file."""
    worker = worker_folder()
    return PROJECT if not (worker / CONFIG).is_file() and (PROJECT / CONFIG).is_file() else worker


def worker_folder() -> Path:
    """The folder in which the worker was started."""
    if FLOW_RUN_ID not in os.environ:
        # Prefect also takes this step in the worker itself, before it calls the hooks of a run that crashed.
        return Path.cwd()
    try:
        return Path(f"/proc/{os.environ.get(STARTED_BY) or os.getppid()}/cwd").readlink()
    except OSError:  # not Linux, or the worker is another user's
        return Path(os.environ.get("PWD") or Path.cwd())
