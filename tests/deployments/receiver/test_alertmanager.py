"""A real Alertmanager, as Debian has it, set up as docs/alerts/alertmanager.md says."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
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


@dataclass
class Alertmanager:
    """A real one, with its data in a folder; it may be stopped and started again."""

    folder: Path
    config: Path
    port: int

    def start(self):
        """Start it, and wait until it takes alerts."""
        self.program = Program(
            "alertmanager",
            [
                ALERTMANAGER,
                f"--config.file={self.config}",
                f"--storage.path={self.folder / 'alertmanager'}",
                f"--web.listen-address={LOOPBACK}:{self.port}",
                "--cluster.listen-address=",
            ],
            log=self.folder / "alertmanager.log",
            folder=UNPACKED if UNPACKED.exists() else None,
        )
        self.program.start()
        self.program.wait_ready(
            lambda: answers(self.port) and http.get(f"{self.address}/-/ready").is_success, timeout=240
        )

    def stop(self):
        """Stop it; it writes down what it notified of."""
        self.program.stop()

    @property
    def address(self):
        return f"http://{LOOPBACK}:{self.port}"

    def tell(self, name, address, began, *, severity="critical", **more):
        """Tell it of an alert, as Prometheus does again and again while the alert fires."""
        ends = more.pop("ends", None)
        labels = {"alertname": name, "capture": "yes", "target_ip": address, "severity": severity, **more}
        alert = {"labels": labels, "startsAt": began.isoformat()} | (
            {"endsAt": ends.isoformat()} if ends else {}
        )
        http.post(f"{self.address}/api/v2/alerts", json=[alert]).raise_for_status()


@pytest.fixture
def alertmanager(command, prefect, tmp_path):
    """Alertmanager; it tells a receiver, which tells a stand-in for Prefect."""
    prefect.start()
    command.env = {"PREFECT_API_URL": prefect.api_url, "EDGECAP_ALERTS__ALERTMANAGER__SECRET": SECRET}
    with command.same_port():
        command.start()
        secret, config = tmp_path / "edgecap.secret", tmp_path / "alertmanager.yml"
        secret.write_text(f"{SECRET}\n")
        config.write_text(yaml.safe_dump(documented(command.address, secret)))
        alertmanager = Alertmanager(tmp_path, config, free_port())
        alertmanager.start()
        try:
            yield alertmanager
        finally:
            alertmanager.stop()


def judged(command):
    """The alerts as the receiver judged them: kind, event and outcome, in the order of time."""
    with command.inbox as inbox:
        found = [(each.alert.kind, each.alert.event, str(each.outcome)) for each in inbox.alerts(1000)]
    return found[::-1]


def hears_more(command, known):
    """How many alerts the receiver has judged, once they are more than it knew."""
    until(lambda: len(judged(command)) > known)
    return len(judged(command))


def incidents(command):
    with command.inbox as inbox:
        return {each.alert.kind: each for each in inbox.incidents()}


def test_its_alerts_become_incidents_each_by_itself_and_end_with_them(alertmanager, command, prefect):
    began = datetime.now(UTC)
    alertmanager.tell("SynFlood", "203.0.113.7", began)
    until(lambda: set(incidents(command)) == {"SynFlood"})
    alertmanager.tell("UdpFlood", "203.0.113.9", began)
    until(lambda: set(incidents(command)) == {"SynFlood", "UdpFlood"})
    assert incidents(command)["SynFlood"].alert.targets == ("203.0.113.7",)
    assert incidents(command)["SynFlood"].closed is None

    alertmanager.tell("SynFlood", "203.0.113.7", began, ends=datetime.now(UTC))
    until(lambda: incidents(command)["SynFlood"].closed)
    assert incidents(command)["UdpFlood"].closed is None
    until(lambda: len(prefect.runs) == 3)
    told = [(run["parameters"]["alert"]["kind"], run["parameters"]["event"]) for run in prefect.runs]
    assert told == [("SynFlood", "start"), ("UdpFlood", "start"), ("SynFlood", "end")]


def test_the_attack_of_the_page_opens_escalates_and_ends(alertmanager, command, prefect, tmp_path):
    """The page's commands, in a shell, one after the other."""
    lines = re.findall(r"^\$ (amtool alert add .*)$", PAGE.read_text(), re.MULTILINE)
    assert len(lines) == 4
    wanted = [("start", "opened"), ("start", "escalated"), ("end", "joined"), ("end", "ended")]
    for number, line in enumerate(lines, 1):
        shell = f"{line.replace('amtool', str(AMTOOL), 1)} --alertmanager.url={alertmanager.address}"
        done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        until(lambda number=number: len(judged(command)) >= number)
        assert [(event, outcome) for _, event, outcome in judged(command)] == wanted[:number]
    until(lambda: len(prefect.runs) == 3)
    phases = [[each["phase"] for each in run["parameters"]["plan"]["captures"]] for run in prefect.runs]
    assert phases == [["before", "during"], ["during"], ["after"]]
    asked = ["config", "routes", "test", f"--config.file={tmp_path / 'alertmanager.yml'}", "capture=yes"]
    routed = subprocess.run([AMTOOL, *asked], check=True, capture_output=True, text=True).stdout
    assert routed.split() == ["edgecap"]


def test_fire_escalate_flap_and_resolve_with_restarts_in_the_middle(alertmanager, command, prefect):
    """Of one attack: a low alert that flaps, and a grave one that names a data centre."""
    target = "203.0.113.50"
    lost, flooded = datetime.now(UTC), datetime.now(UTC)

    def loss(**more):
        alertmanager.tell("PingLoss", target, lost, severity="info", **more)

    def flood(**more):
        alertmanager.tell("SynFlood", target, flooded, colo="ORD", **more)

    loss()
    until(lambda: judged(command) == [("PingLoss", "start", "opened")])

    # It grows more severe while the receiver is away, and Alertmanager restarts before it can tell.
    command.stop()
    flood()
    alertmanager.stop()
    alertmanager.start()
    loss()
    flood()
    command.start()
    until(lambda: ("SynFlood", "start", "escalated") in judged(command))

    heard = len(judged(command))
    for _ in range(3):
        loss(ends=datetime.now(UTC))
        heard = hears_more(command, heard)
        assert judged(command)[-1] == ("PingLoss", "end", "joined")
        lost = datetime.now(UTC)
        loss()
        heard = hears_more(command, heard)
        assert judged(command)[-1] == ("PingLoss", "start", "joined")
    loss(ends=datetime.now(UTC))
    hears_more(command, heard)
    assert len(incidents(command)) == 1
    assert incidents(command)["PingLoss"].closed is None, "the flood goes on"

    flood(ends=datetime.now(UTC))
    until(lambda: incidents(command)["PingLoss"].closed)
    outcomes = judged(command)
    assert outcomes[0] == ("PingLoss", "start", "opened")
    assert outcomes[-1] == ("SynFlood", "end", "ended")
    assert {each for each in outcomes if each[0] == "PingLoss"} <= {
        ("PingLoss", "start", "opened"),
        ("PingLoss", "start", "repeated"),  # after Alertmanager's restart
        ("PingLoss", "start", "joined"),
        ("PingLoss", "end", "joined"),
    }
    until(lambda: len(prefect.runs) == 3)
    runs = [run["parameters"] for run in prefect.runs]
    assert {run["incident"] for run in runs} == {incidents(command)["PingLoss"].id}
    captures = [
        (run["event"], [f"{each['phase']} {each['number']}" for each in run["plan"]["captures"]])
        for run in runs
    ]
    assert captures == [
        ("start", ["before 1", "during 1"]),
        ("escalation", ["before 2", "during 4"]),  # the first one may become three
        ("end", ["after 1"]),
    ]
    assert runs[1]["plan"]["captures"][1]["request"]["colo"] == "ORD"
    assert runs[2]["plan"]["captures"][0]["request"]["filter"]["destination_address"] == target
