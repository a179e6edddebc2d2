"""Running `edgecap deploy` and `edgecap worker` as a person does."""

import os
import subprocess
import sys
from pathlib import Path

from tasks.runtime.prefect_server import AUTH_STRING

EDGECAP = Path(sys.executable).with_name("edgecap")
ROOT = Path(__file__).parents[2]


def deploy(folder, **env):
    """Run `edgecap deploy` in a folder, with no settings of Prefect but those given."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_") or name == AUTH_STRING
    }
    return subprocess.run(
        [EDGECAP, "deploy"], cwd=folder, env={**kept, **env}, capture_output=True, text=True, check=False
    )


def environment(api_url):
    """That of a person's shell with an activated environment: nothing says where the settings are."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EDGECAP_", "PREFECT_")) or name == AUTH_STRING
    }
    path = f"{EDGECAP.parent}:{kept['PATH']}"
    return {**kept, "PATH": path, "PREFECT_API_URL": api_url, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
