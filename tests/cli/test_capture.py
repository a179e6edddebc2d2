"""Captures and `edgecap up`, against a real Prefect server, object store and simulated edge."""

import json
import signal
import time

import httpx
import pytest

from deployments.processes import free_port
from edgecap.archive.entries import list_entries
from edgecap.archive.journal import Journal
from edgecap.archive.manifest import STOPPED
from tests.prefect_database import place_database

pytestmark = [pytest.mark.prefect, pytest.mark.e2e, pytest.mark.xdist_group("site")]


@pytest.fixture
def running(shell, edge, prefect_database):
    """`edgecap up` in the shell's folder, ended by SIGTERM."""
    place_database(prefect_database, shell.folder / ".edgecap")
    port = free_port()
    with shell.start("up", "--port", str(port)) as up:
        said = []
        try:
            for line in up.stderr:
                said.append(line.strip())
                if line.startswith("It runs"):
                    break
            assert said
            assert said[-1].startswith("It runs"), said
            yield f"http://127.0.0.1:{port}"
        finally:
            up.send_signal(signal.SIGTERM)
            out, err = up.communicate(timeout=240)
    assert up.returncode == 0, err
    assert out == ""
    assert "Stopping." in err
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/api/health")


def test_the_whole_way_beside_a_running_setup(shell, edge, store, running):
    """Started once, since a Prefect server takes its time: captures, failures, Ctrl-C, and a second `up`."""
    done = shell.run("capture", "simple", "--seconds", "20", "--proto", "udp", "--json")
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)
    # The schedule of every ten minutes may have its time during the test.
    [kept] = [kept for kept in list_entries(store) if kept.manifest.entry_id == entry["id"]]
    assert entry["packets"] == kept.manifest.totals.packets > 0
    assert f"Watch it at {running}/v2/runs/flow-run/" in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr

    nothing = shell.run("capture", "full", "--colo", "ORD", "--seconds", "5")
    assert (nothing.returncode, nothing.stdout) == (8, "")
    assert nothing.stderr.splitlines()[-1].startswith("edgecap: the bucket is not registered")
    assert "Traceback" not in nothing.stderr

    assert shell.run("bucket", "register").returncode == 0
    with shell.start("capture", "full", "--colo", "ORD", "--seconds", "30000") as capture:
        for line in capture.stderr:
            if "Watch it at" in line:
                run_id = line.strip().rpartition("/")[2]
            if "Cloudflare accepted" in line:
                break
        assert shell.run("cancel", run_id).returncode == 0
        out, err = capture.communicate(timeout=240)
    assert (capture.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith("edgecap: cancelled in Prefect;"), err
    assert httpx.get(f"{running}/api/flow_runs/{run_id}").json()["state"]["type"] == "CANCELLED"
    # The worker's own run stops it, frees the lane, and keeps what there is.
    deadline = time.monotonic() + 300
    while not (full := [kept for kept in list_entries(store) if kept.manifest.type == "full"]):
        assert time.monotonic() < deadline, list(Journal(store).open())
        time.sleep(0.5)
    [stopped] = full
    assert STOPPED in stopped.manifest.flags

    with shell.start("capture", "full", "--colo", "ORD", "--seconds", "30000") as capture:
        for line in capture.stderr:
            if "Cloudflare accepted" in line:
                break
        capture.send_signal(signal.SIGINT)
        out, err = capture.communicate(timeout=240)
    assert (capture.returncode, out) == (130, "")
    [record] = [each for each in Journal(store).open() if each.intent.request.type == "full"]
    last = err.splitlines()[-1]
    assert last.startswith(f"edgecap: interrupted; full capture {record.capture_id} goes on at Cloudflare")
    assert "s3://" in last

    second = shell.run("up", "--port", str(free_port()))
    assert second.returncode == 15
    assert "it runs already" in second.stderr


def test_a_prefect_server_that_does_not_answer(shell, edge):
    done = shell.run("capture", "simple", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert done.returncode == 15
    assert "127.0.0.1:1/api" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not edge.log.events("request")
