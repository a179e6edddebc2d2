"""edgecap from its wheel, in an environment of its own: each command finds what it needs from any folder."""

import shutil
import site
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from edgecap.archive.entries import list_entries
from tasks.runtime.prefect_server import AUTH_STRING, PrefectServer

pytestmark = [pytest.mark.prefect, pytest.mark.e2e, pytest.mark.xdist_group("site")]

ROOT = Path(__file__).parents[3]
PACKETS = ROOT / "tests/data/packets/programs/iperf3.pcap"
SOURCES = ("edgecap", "tasks", "flows", "deployments")
FILES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "prefect.yaml")


@pytest.fixture
def installed(tmp_path):
    """The command, installed from a wheel; of the tests' environment it sees the dependencies alone."""
    source, environment = tmp_path / "source", tmp_path / "environment"
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in FILES:
        shutil.copy(ROOT / name, source)
    uv = [sys.executable, ROOT / "deployments/install.py", "--uv"]
    subprocess.run(
        [*uv, "build", "--wheel", "--out-dir", tmp_path / "wheel", source], check=True, capture_output=True
    )
    [wheel] = (tmp_path / "wheel").glob("*.whl")
    subprocess.run([*uv, "venv", "--python", sys.executable, environment], check=True, capture_output=True)
    python = environment / "bin/python"
    subprocess.run(
        [*uv, "pip", "install", "--no-deps", "--python", python, wheel], check=True, capture_output=True
    )
    [packages] = environment.glob("lib/python*/site-packages")
    # A path file within that folder counts for nothing there, so the checkout is not on the path.
    (packages / "dependencies.pth").write_text(site.getsitepackages()[0])
    return environment / "bin/edgecap"


def test_an_installation_works_from_any_folder(installed, shell, edge, store, prefect_database):
    shell.program = installed
    for name in ("deployments", "flows", "tasks"):  # of another project, in whose folder a person is
        (shell.folder / name).mkdir()
        (shell.folder / name / "__init__.py").write_text("raise ImportError('another project')")
    home = str(installed.parents[1])
    where = "import edgecap, flows.capture; print(edgecap.__file__, flows.capture.__file__)"
    found = subprocess.run(
        [installed.with_name("python"), "-P", "-c", where],
        cwd=shell.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [path.startswith(home) for path in found.stdout.split()] == [True, True], found
    assert shell.run("--version").stdout.strip()
    assert "90 packets" in shell.run("summary", str(PACKETS)).stdout

    with shell.up(prefect_database) as (up, url):
        secret = (shell.folder / ".edgecap" / "prefect-auth").read_text().strip()
        deployed = shell.run("deploy", **{"PREFECT_API_URL": f"{url}/api", AUTH_STRING: secret})
        assert deployed.returncode == 0, deployed.stderr
        [kept] = captured_by_the_worker(PrefectServer(f"{url}/api", secret), store)
    assert up.returncode == 0, up.err
    assert kept.manifest.totals.packets > 0
    report = shell.run("report", kept.manifest.entry_id)  # its templates are in the wheel, too
    assert report.returncode == 0, report.stderr


def captured_by_the_worker(server, store):
    """The entry of a run of `capture/capture-by-program`, which the worker of the installation takes."""
    with httpx.Client(base_url=server.api_url, headers=server.headers(), timeout=60) as prefect:
        deployment = prefect.get("/deployments/name/capture/capture-by-program").raise_for_status().json()
        wanted = {"request": {"type": "simple", "time_limit": 20, "filter": {"protocol": 17}}}
        run = prefect.post(
            f"/deployments/{deployment['id']}/create_flow_run",
            json={"parameters": wanted, "state": {"type": "SCHEDULED"}},
        )
        address = f"/flow_runs/{run.raise_for_status().json()['id']}"
        deadline = time.monotonic() + 300
        while (state := prefect.get(address).json()["state"])["type"] != "COMPLETED":
            assert state["type"] not in {"FAILED", "CRASHED", "CANCELLED"}, state
            assert time.monotonic() < deadline, state
            time.sleep(0.5)
    # The schedule of every ten minutes may have its time during the test.
    return [kept for kept in list_entries(store) if kept.manifest.request["time_limit"] == 20]
