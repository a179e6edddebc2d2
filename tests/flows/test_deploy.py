"""`edgecap deploy` on a real Prefect server that knows nothing yet."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.local import POOL, QUEUES
from deployments.prefect_api import PrefectApi

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]
EDGECAP = Path(sys.executable).with_name("edgecap")


def deploy(folder, **env):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [EDGECAP, "deploy"], cwd=folder, env={**kept, **env}, capture_output=True, text=True, check=False
    )


def test_a_server_of_ones_own_gets_the_queues_in_their_order_and_every_deployment(prefect_server, tmp_path):
    done = deploy(tmp_path, PREFECT_API_URL=prefect_server.api_url)
    assert done.returncode == 0, done.stderr
    assert "prefect worker start --pool edgecap" in done.stderr
    with PrefectApi(prefect_server.api_url) as prefect:
        queues = prefect._call("POST", f"/work_pools/{POOL}/queues/filter", json={})
        assert {each["name"]: each["priority"] for each in queues if each["name"] in QUEUES} == QUEUES
        for name in ("capture/now", "respond/alert", "reconcile/every-10-min", "register-bucket/once"):
            assert prefect.deployment(name)["work_queue_name"] in QUEUES


def test_without_a_server_it_says_what_to_set(tmp_path):
    done = deploy(tmp_path)
    assert (done.returncode, done.stdout) == (15, "")
    assert done.stderr.startswith("edgecap: no Prefect server is named (PREFECT_API_URL)")
