"""A real Alertmanager, as Debian has it, set up as docs/alerts/alertmanager.md says."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from deployments.local.processes import LOOPBACK, Program, answers, free_port
from tests.deployments.conftest import http, until

PAGE = Path(__file__).parents[3] / "docs/alerts/alertmanager.md"
SECRET = "what-alertmanager-knows"
# `make apt` unpacks it into the environment: installed, it would listen on this machine from then on.
UNPACKED = Path(sys.prefix) / "debian"
PLACES = os.pathsep.join([str(UNPACKED / "usr/bin"), os.environ.get("PATH", "")])
ALERTMANAGER = shutil.which("prometheus-alertmanager", path=PLACES)
AMTOOL = shutil.which("amtool", path=PLACES)

pytestmark = pytest.mark.skipif(
    not (ALERTMANAGER and AMTOOL), reason="prometheus-alertmanager is not installed"
)


def documented(address, secret_file):
    """The configuration of the page, with this receiver's address and secret, and a pager that nobody has."""
    [block] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    config = yaml.safe_load(block)
    [webhook] = config["receivers"][0]["webhook_configs"]
    webhook["url"] = webhook["url"].replace("https://<receiver>", address)
    webhook["http_config"]["authorization"]["credentials_file"] = str(secret_file)
    config["receivers"].append({"name": "pager"})
    config["route"]["receiver"] = "pager"
    return config


@pytest.fixture
def alertmanager(command, prefect, tmp_path):
    """Alertmanager's address; it tells a receiver, which tells a stand-in for Prefect."""
    prefect.start()
    command.env = {"PREFECT_API_URL": prefect.api_url, "EDGECAP_ALERTS__ALERTMANAGER__SECRET": SECRET}
    command.start()
    secret, config, port = tmp_path / "edgecap.secret", tmp_path / "alertmanager.yml", free_port()
    secret.write_text(f"{SECRET}\n")
    config.write_text(yaml.safe_dump(documented(command.address, secret)))
    program = Program(
        "alertmanager",
        [
            ALERTMANAGER,
            f"--config.file={config}",
            f"--storage.path={tmp_path / 'alertmanager'}",
            f"--web.listen-address={LOOPBACK}:{port}",
            "--cluster.listen-address=",
        ],
        log=tmp_path / "alertmanager.log",
        folder=UNPACKED if UNPACKED.exists() else None,
    )
    program.start()
    try:
        program.wait_ready(
            lambda: answers(port) and http.get(f"http://{LOOPBACK}:{port}/-/ready").is_success, timeout=240
        )
        yield f"http://{LOOPBACK}:{port}"
    finally:
        program.stop()


def test_its_alerts_become_incidents_each_by_itself_and_end_with_them(alertmanager, command, prefect):
    began = datetime.now(UTC)

    def tell(name, address, **times):
        labels = {"alertname": name, "capture": "yes", "target_ip": address, "severity": "critical"}
        alert = {"labels": labels, "startsAt": began.isoformat(), **times}
        http.post(f"{alertmanager}/api/v2/alerts", json=[alert]).raise_for_status()

    def incidents():
        with command.inbox as inbox:
            return {each.alert.kind: each for each in inbox.incidents()}

    tell("SynFlood", "203.0.113.7")
    until(lambda: set(incidents()) == {"SynFlood"})
    tell("UdpFlood", "203.0.113.9")
    until(lambda: set(incidents()) == {"SynFlood", "UdpFlood"})
    assert incidents()["SynFlood"].alert.targets == ("203.0.113.7",)
    assert incidents()["SynFlood"].closed is None

    tell("SynFlood", "203.0.113.7", endsAt=datetime.now(UTC).isoformat())
    until(lambda: incidents()["SynFlood"].closed)
    assert incidents()["UdpFlood"].closed is None
    until(lambda: len(prefect.runs) == 3)
    told = [(run["parameters"]["alert"]["kind"], run["parameters"]["event"]) for run in prefect.runs]
    assert told == [("SynFlood", "start"), ("UdpFlood", "start"), ("SynFlood", "end")]


def test_the_command_of_the_page_opens_one_too(alertmanager, command, tmp_path):
    tried = re.search(r"`amtool (alert add .*?)`", PAGE.read_text())[1].split()
    subprocess.run([AMTOOL, *tried, f"--alertmanager.url={alertmanager}"], check=True)
    with command.inbox as inbox:
        until(inbox.incidents)
        assert inbox.incidents()[0].alert.kind == "EdgeTest"
    asked = ["config", "routes", "test", f"--config.file={tmp_path / 'alertmanager.yml'}", "capture=yes"]
    routed = subprocess.run([AMTOOL, *asked], check=True, capture_output=True, text=True).stdout
    assert routed.split() == ["edgecap"]
