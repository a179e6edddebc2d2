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
