"""The demonstration as a person runs it: everything real but Cloudflare, from the schedule to the archive."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deployments.local.processes import MARK

EDGECAP = Path(sys.executable).with_name("edgecap")

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("site")]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


def environment(home):
    return {**os.environ, "EDGECAP_HOME": str(home), MARK: home.name, "NO_COLOR": "1"}


def children_of(home):
    """Processes that carry this test's mark: `edgecap` gives them one of its own, so the home tells."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(home).encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def once(home, prefect_database):
    """`edgecap demo --once`, run to its end, as on a machine that is set up."""
    shutil.copy(prefect_database, home / "demo-prefect.db")
    done = subprocess.run(
        [EDGECAP, "demo", "--once"],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_schedule_starts_a_simple_capture_that_is_archived(once, home):
    """Also the guard against pairs of packages under which Prefect's scheduler silently does nothing."""
    intents = [json.loads(path.read_text()) for path in home.rglob("intents/*/intent.json")]
    # More than one if the schedule of every ten minutes had its time during the test.
    simple = [each for each in intents if each["request"]["type"] == "simple" and not each["incident"]]
    assert all(intent["scheduled"] for intent in simple)
    assert "complete" in [manifest["state"] for manifest in manifests(home, "simple")]


def test_the_full_capture_arrives_as_one_file_per_server(once, home):
    [full] = [each for each in manifests(home, "full") if not each["intent"]["incident"]]
    assert len(full["files"]) > 2
    assert full["totals"]["packets"] == full["capture"]["packets_captured"]


def test_an_alert_becomes_an_incident_with_packets_of_all_three_phases(once, home):
    [path] = home.rglob("incidents/*.json")
    record = json.loads(path.read_text())
    assert [(part["phase"], part["state"]) for part in record["captures"]] == [
        ("before", "archived"),
        ("during", "archived"),
        ("after", "archived"),
    ]
    assert record["alert"]["kind"] == "advanced_ddos_attack_l4_alert"
    entries = {each["prefix"]: each for each in manifests(home, "simple") + manifests(home, "full")}
    for part in record["captures"]:
        assert entries[part["entry"]]["intent"]["incident"] == record["incident"]
        assert entries[part["entry"]]["request"]["filter"]["destination_address"] == "203.0.113.7"
    assert f"Incident {record['incident']}: L4 attacks on 203.0.113.7 port 443, began " in once.stdout


def test_all_are_listed_verified_and_nothing_runs_on(once, home):
    entries, _ = re.search(
        r"(\d+) entries: every file matches the SHA-256 in (its) manifest", once.stdout
    ).groups()
    assert int(entries) >= 5
    assert children_of(home) == []


def test_the_archive_can_be_used_after_it(once, home):
    env = {**environment(home), "EDGECAP_CONFIG": str(home / "demo" / "edgecap.toml")}
    listed = subprocess.run([EDGECAP, "list", "--json"], env=env, capture_output=True, check=True)
    assert {entry["type"] for entry in json.loads(listed.stdout)} == {"simple", "full"}
    subprocess.run([EDGECAP, "verify"], env=env, check=True, capture_output=True)


def test_ctrl_c_while_it_starts_leaves_no_process(tmp_path):
    running = subprocess.Popen(
        [EDGECAP, "demo"], env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        deadline = time.monotonic() + 240
        while len(children_of(tmp_path)) < 3 and time.monotonic() < deadline:
            time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=240)
    finally:
        running.kill()
    assert running.returncode == 130
    assert children_of(tmp_path) == []


def manifests(home, kind):
    found = [json.loads(path.read_text()) for path in home.rglob("manifest.json")]
    return [manifest for manifest in found if manifest["type"] == kind]
