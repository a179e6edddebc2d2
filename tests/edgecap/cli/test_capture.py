"""Captures and `edgecap up`, against a real Prefect server, object store and simulated edge."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress

import httpx
import pytest

from deployments.local.processes import free_port
from edgecap.archive.entries import list_entries
from edgecap.archive.journal import Journal
from edgecap.archive.manifest import STOPPED
from tasks.runtime.process_identity import ProcessMark
from tests.edgecap.cli.conftest import EDGECAP

PROCESS = "edgecap.process"  # the label of a run that says which process works on it

pytestmark = [pytest.mark.prefect, pytest.mark.e2e, pytest.mark.xdist_group("site")]


@pytest.fixture
def running(shell, edge, prefect_database):
    """`edgecap up` in the shell's folder, ended by SIGTERM."""
    with shell.up(prefect_database) as (up, url):
        yield url
    assert up.returncode == 0, up.err
    assert up.out == ""
    assert "Stopping." in up.err
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/api/health")


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

    deployed = shell.run("deploy")
    assert deployed.returncode == 0, deployed.stderr
    assert "0 new, 0 changed" in deployed.stderr
    assert "Workers   edgecap-1" in deployed.stderr
    assert "Start workers" not in deployed.stderr

    nothing = shell.run("capture", "full", "--colo", "ORD", "--seconds", "5")
    assert (nothing.returncode, nothing.stdout) == (8, "")
    assert nothing.stderr.splitlines()[-1].startswith("edgecap: the bucket is not registered")
    assert "Traceback" not in nothing.stderr

    assert shell.run("bucket", "register").returncode == 0
    with started(shell) as capture:
        capture_id, run_id = accepted(capture.stderr)
        with shell.prefect() as prefect:
            mark = prefect.run(run_id)["labels"][PROCESS]
        assert ProcessMark.parse(mark).pid != capture.pid, "the setup's fork server works on it"
        done = shell.run("cancel", run_id)
        assert done.returncode == 0, done.stderr
        assert f"Cloudflare was asked to stop full capture {capture_id}" in done.stdout
        out, err = capture.communicate(timeout=240)
    assert (capture.returncode, out) == (130, "")
    # The command stops it as well, and it may be over before the run's own process asks.
    either = (stopped_words(edge), f"full capture {capture_id} is over at Cloudflare")
    assert err.splitlines()[-1].startswith(
        tuple(f"edgecap: cancelled in Prefect; {each}" for each in either)
    ), err
    assert stops(edge) == [capture_id]
    with shell.prefect() as prefect:
        assert prefect.run(run_id)["state"]["type"] == "CANCELLED"
    # The worker's own run frees the lane, and fetches what Cloudflare saved.
    deadline = time.monotonic() + 300
    while not (full := [kept for kept in list_entries(store) if kept.manifest.type == "full"]):
        assert time.monotonic() < deadline, list(Journal(store).open())
        time.sleep(0.5)
    [stopped] = full
    assert STOPPED in stopped.manifest.flags

    ctrl_c_without_a_terminal(shell, edge)
    ctrl_c_with_detach(shell, edge)
    ctrl_c_twice_at_a_terminal(shell, edge)

    second = shell.run("up", "--port", str(free_port()))
    assert second.returncode == 15
    assert "edgecap is already running" in second.stderr


def ctrl_c_without_a_terminal(shell, edge):
    """As a shell's background job, which starts with SIGINT ignored: a capture heeds it all the same."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        capture = started(shell)
    finally:
        signal.signal(signal.SIGINT, before)
    with capture:
        capture_id, _ = accepted(capture.stderr)
        capture.send_signal(signal.SIGINT)
        out, err = capture.communicate(timeout=240)
    assert (capture.returncode, out) == (130, "")
    assert stops(edge)[-1] == capture_id
    assert err.splitlines()[-1].startswith(f"edgecap: interrupted; {stopped_words(edge)}"), err
    assert "may be lost" in err


def ctrl_c_with_detach(shell, edge):
    with started(shell, "--detach") as capture:
        capture_id, _ = accepted(capture.stderr)
        capture.send_signal(signal.SIGINT)
        out, err = capture.communicate(timeout=240)
    assert (capture.returncode, out) == (130, "")
    last = err.splitlines()[-1]
    assert last.startswith(f"edgecap: interrupted; full capture {capture_id} goes on at Cloudflare")
    assert "s3://" in last
    assert f"`edgecap cancel {capture_id}` stops it" in last
    stopped_by_hand(shell, edge, capture_id)


def ctrl_c_twice_at_a_terminal(shell, edge):
    ours, theirs = os.openpty()
    command = [EDGECAP, "capture", "full", "--colo", "ORD", "--seconds", "30000"]
    env = shell.environment(NO_COLOR="1")
    with (
        open(ours, errors="replace") as screen,  # noqa: PTH123 - a terminal has no path
        subprocess.Popen(command, cwd=shell.folder, env=env, stdin=theirs, stderr=theirs) as capture,
    ):
        os.close(theirs)
        capture_id, _ = accepted(screen)
        capture.send_signal(signal.SIGINT)
        asked = ""
        while not asked.endswith("[Y/n]"):
            asked += screen.read(1)
        assert f"Stop full capture {capture_id} at Cloudflare?" in asked
        capture.send_signal(signal.SIGINT)
        said = "".join(screen_lines(screen))
        assert capture.wait(timeout=60) == 130
    assert "interrupted twice, and left at once" in said
    assert f"`edgecap cancel {capture_id}` stops it" in said
    stopped_by_hand(shell, edge, capture_id)


def screen_lines(screen):
    """What a terminal still shows; it has no end of file, but an error."""
    with suppress(OSError):
        yield from screen


def stopped_by_hand(shell, edge, capture_id):
    assert capture_id not in stops(edge)
    done = shell.run("cancel", capture_id)
    assert done.returncode == 0, done.stderr
    assert stops(edge)[-1] == capture_id


def started(shell, *options):
    return shell.start("capture", "full", "--colo", "ORD", "--seconds", "30000", *options)


def accepted(stderr):
    """The ids of a started command's capture and run, once Cloudflare accepted it."""
    run_id = ""
    for line in stderr:
        if "Watch it at" in line:
            run_id = line.strip().rpartition("/")[2]
        if "Cloudflare accepted" in line:
            return line.split()[-1], run_id
    raise AssertionError("it ended before it was accepted")


def stops(edge):
    return [event["capture_id"] for event in edge.log.events("stop")]


def stopped_words(edge):
    return f"Cloudflare was asked to stop full capture {stops(edge)[-1]}, and accepted that"


def test_a_prefect_server_that_does_not_answer(shell, edge):
    done = shell.run("capture", "simple", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert done.returncode == 15
    assert "127.0.0.1:1/api" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not edge.log.events("request")
