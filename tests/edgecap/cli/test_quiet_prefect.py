"""Threads of Prefect's own write nothing to a person's terminal in a run that ends well."""

import os
import subprocess
import sys

import pytest

CODE = """
import sys
from pathlib import Path
from edgecap.cli.prefect_client import point_at_prefect
if sys.argv[2] == "edgecap":
    point_at_prefect(Path(sys.argv[1]))
from prefect._internal.concurrency.services import QueueService

class ConcurrencySlotAcquisitionWithLeaseService(QueueService):
    async def _handle(self, item):
        raise ValueError("423 Locked")

service = ConcurrencySlotAcquisitionWithLeaseService.instance()
service.send("an item")
service.drain()
"""


@pytest.mark.parametrize(("who", "shown"), [("edgecap", False), ("prefect", True)])
def test_errors_of_prefect_s_services_are_not_shown(tmp_path, who, shown):
    """By itself Prefect shows it: else this test could not see it."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "EDGECAP_"))
    }
    env = {**kept, "PREFECT_HOME": str(tmp_path)}
    argv = [sys.executable, "-c", CODE, str(tmp_path), who]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    assert ("failed to process item" in done.stderr) is shown
