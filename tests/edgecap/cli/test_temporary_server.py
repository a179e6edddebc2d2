"""The Prefect server that a capture starts for itself asks for a secret, which its own client has."""

import os
import subprocess
import sys

import pytest

CODE = """
import asyncio, os, sys
from pathlib import Path
from edgecap.cli.prefect_client import point_at_prefect, protect_temporary_server
point_at_prefect(Path(sys.argv[1]))
protect_temporary_server()
print(os.environ.get("PREFECT_API_AUTH_STRING", "none"))
if sys.argv[2] == "start":
    import httpx
    from prefect.client.orchestration import get_client

    async def ask():
        async with get_client() as client:
            await client.read_work_pools()
            return httpx.get(f"{client.api_url}admin/version").status_code

    print(asyncio.run(ask()))
"""


def play(tmp_path, what, **more):
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "EDGECAP_"))
    }
    env = {**kept, "PREFECT_HOME": str(tmp_path), **more}
    argv = [sys.executable, "-c", CODE, str(tmp_path), what]
    return subprocess.run(
        argv, env=env, capture_output=True, text=True, check=True, timeout=300
    ).stdout.split()


@pytest.mark.prefect
@pytest.mark.xdist_group("prefect 2")
def test_a_temporary_server_refuses_everybody_else(tmp_path):
    secret, answer = play(tmp_path, "start")
    assert secret.startswith("edgecap:")
    assert answer == "401"


def test_a_secret_of_ones_own_is_used(tmp_path):
    assert play(tmp_path, "-", PREFECT_SERVER_API_AUTH_STRING="me:mine") == ["me:mine"]


def test_a_server_of_a_profile_keeps_its_credentials(tmp_path):
    profiles = tmp_path / "profiles.toml"
    profiles.write_text('active = "b"\n[profiles.b]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n')
    assert play(tmp_path, "-", PREFECT_PROFILES_PATH=str(profiles)) == ["none"]
