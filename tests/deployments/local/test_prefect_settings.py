"""The environment that edgecap gives to Prefect's clients."""

import os
import subprocess
import sys

import pytest

from deployments.local.setup import prefect_settings
from deployments.local.worker import PREFECT
from tests.stand_ins import JsonHandler, serving

ASK = """
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print(client.request("GET", "/flows/count").text)
"""


class LockedDatabase(JsonHandler):
    """Answers the first request as a Prefect server whose database is locked, and the others with 200."""

    def do_GET(self):
        self.server.asked += 1
        if self.server.asked == 1:
            self.say({"exception_message": "Internal Server Error"}, status=500)
        else:
            self.say("well")


@pytest.mark.parametrize("of", ["setup", "worker"])
def test_programs_take_no_package_from_the_current_folder(of, tmp_path):
    """A person starts a worker in the folder of another Prefect project, which has flows and tasks, too."""
    for name in ("deployments", "flows", "tasks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('another project')")
    settings = prefect_settings(tmp_path, 1) if of == "setup" else PREFECT
    ours = [sys.executable, "-m", "tasks.runtime.prefect_names"]
    done = subprocess.run(
        ours, env={**os.environ, **settings}, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("of", ["setup", "worker"])
def test_an_error_of_the_server_is_asked_again(of, tmp_path):
    with serving(LockedDatabase, asked=0) as server:
        settings = (
            prefect_settings(tmp_path, 1) if of == "setup" else {**PREFECT, "PREFECT_HOME": str(tmp_path)}
        )
        settings |= {
            "PREFECT_API_URL": f"{server.url}/api",
            "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
            "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        said = subprocess.check_output([sys.executable, "-c", ASK], env={**kept, **settings}, text=True)
    assert (said.strip(), server.asked) == ('"well"', 2)
