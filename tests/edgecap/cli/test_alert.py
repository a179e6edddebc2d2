"""`alert replay`, `explain` and `list`, with the products' own payloads and a real receiver."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.receiver.serve import Receiving
from edgecap.alerts.policy.decision import Policy
from edgecap.alerts.sources.registry import SOURCES
from edgecap.alerts.understanding import understand
from edgecap.incidents.inbox.alert_inbox import INBOX, AlertInbox
from edgecap.incidents.inbox.missed import Missed
from edgecap.requests import Bounds, FullRequest, SimpleRequest
from edgecap.settings import Settings
from edgecap.settings.alerts import AlertSettings
from tests.deployments.conftest import SECRET, attack, served, until

DATA = Path(__file__).parents[2] / "data" / "alerts"
FIXTURES = sorted(DATA.glob("*/*.json"))
START = DATA / "cloudflare/advanced-ddos-l4-start.json"
PINGS = {"save-and-test", "test-button", "ping"}


@pytest.fixture
def receiver(shell, tmp_path):
    """A whole receiver for every source, without Prefect; the command's settings know its secrets."""
    for name in SOURCES:
        shell.env[f"EDGECAP_ALERTS__{name.upper()}__SECRET"] = SECRET
    own = {"secret": SECRET, "signature_header": "X-Signature", "target": "/victim"}
    shell.env |= {f"EDGECAP_ALERTS__CUSTOM__MINE__{name.upper()}": value for name, value in own.items()}
    alerts = AlertSettings.model_validate(
        {name: {"secret": SECRET} for name in SOURCES} | {"custom": {"mine": own}}
    )
    given = Settings(home=tmp_path / ".edgecap", alerts=alerts)
    with Receiving(given, prefect=str) as receiving, served(receiving.receiver().application()) as address:
        shell.env["EDGECAP_RECEIVER__PORT"] = address.rpartition(":")[2]
        receiving.address = address
        yield receiving


@pytest.fixture
def inbox(shell):
    """The inbox that the command reads, to be written to."""
    with AlertInbox(shell.folder / ".edgecap" / INBOX) as inbox:
        yield inbox


@pytest.fixture
def enter(inbox):
    """Takes Cloudflare payloads into the inbox; the policy decides."""

    def settle(*payloads, ago=timedelta()):
        now = datetime.now(UTC) - ago
        for payload in payloads:
            body = json.dumps(payload).encode()
            (number,) = inbox.keep([("cloudflare", body, now)])
            taken = understand(SOURCES["cloudflare"], body, Policy(), received=now, now=now, bounds=Bounds())
            inbox.settle(number, taken)

    return settle


def test_the_help_names_every_source(call):
    shown = " ".join(call("alert", "explain", "--help").stdout.replace("│", " ").split())
    assert f"{', '.join(SOURCES)} or one of your own" in shown


class TestReplay:
    def test_a_custom_source_is_signed_and_read_by_its_mapping(self, call, receiver, tmp_path):
        (tmp_path / "mine.json").write_text('{"victim": "203.0.113.7"}')
        done = call("alert", "replay", str(tmp_path / "mine.json"), "--source", "mine")
        assert done.returncode == 0, done.stderr
        until(lambda: receiver.inbox.counts().pending == 0)
        (judged,) = receiver.inbox.alerts()
        assert str(judged.alert) == "mine unknown start 203.0.113.7"

    def test_an_unknown_source_is_one_clear_line(self, call, receiver, tmp_path):
        (tmp_path / "mine.json").write_text("{}")
        done = call("alert", "replay", str(tmp_path / "mine.json"), "--source", "mien")
        assert done.returncode == 3
        assert "there is no source 'mien': known are cloudflare" in done.stderr

    @pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name} {path.stem}")
    def test_every_payload_gets_in_as_its_product_would_send_it(self, call, receiver, path, tmp_path):
        """Byte for byte: what the receiver kept is the file."""
        done = call("alert", "replay", str(path), "--source", path.parent.name, "--json")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["url"] == f"{receiver.address}/alerts/{path.parent.name}"
        if path.stem in PINGS:
            assert (said["status"], said["arrival"]) == (200, None)
            return
        assert said == {**said, "status": 202, "arrival": 1}
        with closing(sqlite3.connect(tmp_path / ".edgecap" / INBOX)) as inbox:
            row = inbox.execute("SELECT source, body FROM arrivals WHERE id = 1").fetchone()
        assert row == (path.parent.name, path.read_bytes())

    def test_a_replayed_alert_is_in_the_list(self, call, receiver, tmp_path):
        (tmp_path / "now.json").write_text(json.dumps(attack(1)))
        done = call("alert", "replay", "now.json", "--source", "cloudflare")
        assert done.returncode == 0
        assert "202" in done.stdout
        assert "arrival 1" in done.stdout
        assert SECRET not in done.stdout + done.stderr
        until(lambda: not receiver.inbox.pending())
        (line,) = json.loads(call("alert", "list", "--json").stdout)
        assert (line["arrival"], line["outcome"], line["source"]) == (1, "opened", "cloudflare")
        assert line["incident"]

    def test_a_trial_message_leads_to_nothing_and_says_so(self, call, receiver):
        done = call("alert", "replay", str(DATA / "pagerduty/ping.json"), "--source", "pagerduty")
        assert done.returncode == 0
        assert "test message" in done.stdout

    def test_another_secret_is_refused(self, call, receiver):
        secret = {"EDGECAP_ALERTS__CLOUDFLARE__SECRET": "another"}
        done = call("alert", "replay", str(START), "--source", "cloudflare", **secret)
        assert (done.returncode, done.stdout) == (3, "")
        assert "another secret for cloudflare" in done.stderr
        assert receiver.inbox.counts().pending == 0

    def test_a_body_that_no_product_sends(self, call, receiver, tmp_path):
        (tmp_path / "text").write_text("hello")
        done = call("alert", "replay", "text", "--source", "generic")
        assert done.returncode == 16
        assert "not JSON" in done.stderr

    def test_a_source_that_is_off_here_or_there(self, call, shell, receiver):
        del shell.env["EDGECAP_ALERTS__CLOUDFLARE__SECRET"]
        done = call("alert", "replay", str(START), "--source", "cloudflare")
        assert done.returncode == 3
        assert "EDGECAP_ALERTS__CLOUDFLARE__SECRET" in done.stderr
        url = f"{receiver.address}/elsewhere"
        done = call("alert", "replay", str(START), "--source", "grafana", "--url", url)
        assert done.returncode == 3
        assert "404" in done.stderr

    def test_nobody_answers(self, call, shell):
        shell.env["EDGECAP_ALERTS__CLOUDFLARE__SECRET"] = SECRET
        done = call("alert", "replay", str(START), "--source", "cloudflare", "--url", "http://127.0.0.1:1")
        assert done.returncode == 15
        assert "edgecap receive" in done.stderr
        done = call("alert", "replay", str(START), "--source", "cloudflare", "--url", "receiver")
        assert done.returncode == 3
        assert "not a valid address" in done.stderr

    def test_a_file_that_is_not_there(self, call):
        done = call("alert", "replay", "nowhere.json", "--source", "cloudflare")
        assert done.returncode == 2
        assert "nowhere.json" in done.stderr


class TestExplain:
    def test_the_captures_with_their_windows_and_why(self, call, tmp_path):
        (tmp_path / "now.json").write_text(json.dumps(attack(7)))
        done = call("alert", "explain", "now.json", "--source", "cloudflare")
        assert done.returncode == 0
        for word in ("tcp 203.0.0.8:443", "rule      built-in: cloudflare attacks", "before  1 simple"):
            assert word in done.stdout
        assert "Nothing was captured." in done.stderr
        assert not (tmp_path / ".edgecap").exists()

    def test_the_request_of_each_capture_as_prefect_yaml_has_it(self, call, tmp_path):
        alert = {"kind": "udp flood", "target": "203.0.113.7:53", "protocol": "udp", "colos": ["ord02"]}
        (tmp_path / "now.json").write_text(json.dumps(alert))
        lines = call("alert", "explain", "now.json", "--source", "generic").stdout.splitlines()
        block = "\n".join(lines[lines.index("request:  # before 1") :])
        before, during = (
            yaml.safe_load(f"request:{part}")["request"] for part in block.split("request:")[1:]
        )
        wanted = {"destination_address": "203.0.113.7", "destination_port": 53, "protocol": 17}
        assert SimpleRequest.model_validate(before).filter.body() == wanted
        assert FullRequest.model_validate(during).colo == "ord02"
        assert before["time_limit"] == 240

    def test_the_policy_of_the_settings_counts(self, call, tmp_path):
        (tmp_path / "policy.toml").write_text('[[rules]]\nname = "quiet"\ncapture = false\n')
        done = call(
            "alert", "explain", str(START), "--source", "cloudflare", EDGECAP_RECEIVER__POLICY="policy.toml"
        )
        assert "rule      quiet\n" in done.stdout
        assert "no captures: the rule says capture = false" in done.stdout

    def test_an_expression_of_the_policy_narrows_it(self, call, tmp_path):
        (tmp_path / "now.json").write_text(json.dumps(attack(7)))
        rule = '[[rules]]\nname = "small"\nexpression = "src net 198.51.100.0/24 and less 100"\n'
        (tmp_path / "policy.toml").write_text(rule)
        arguments = ["alert", "explain", "now.json", "--source", "cloudflare"]
        lines = call(*arguments, EDGECAP_RECEIVER__POLICY="policy.toml").stdout.splitlines()
        assert "filter    tcp 203.0.0.8:443" in lines
        assert "residual  src net 198.51.100.0/24 and less 100: applied after the download" in lines
        assert any(
            "tcp 203.0.0.8:443 and src net 198.51.100.0/24 and less 100:" in line
            for line in lines
            if line.startswith("before")
        )
        [each] = json.loads(call(*arguments, "--json", EDGECAP_RECEIVER__POLICY="policy.toml").stdout)
        assert each["plan"]["residual"] == "src net 198.51.100.0/24 and less 100"
        assert each["plan"]["captures"][0]["request"]["expression"] == each["plan"]["expression"]

    def test_the_mapping_of_the_settings_counts(self, call):
        mapped = str(DATA / "generic/mapped.json")
        assert call("alert", "explain", mapped, "--source", "generic").returncode == 16
        pointers = {"alerts": "/events", "target": "/attack/victim", "kind": "/rule/name"}
        env = {f"EDGECAP_ALERTS__GENERIC__{name.upper()}": value for name, value in pointers.items()}
        done = call("alert", "explain", mapped, "--source", "generic", **env)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("alert     ")

    def test_each_of_several_alerts_is_explained(self, call):
        file = str(DATA / "alertmanager/firing-and-resolved.json")
        done = call("alert", "explain", file, "--source", "alertmanager")
        began, ended = [line for line in done.stdout.splitlines() if line.startswith("alert ")]
        assert ", began " in began
        assert ", ended " in ended
        plans = json.loads(call("alert", "explain", file, "--source", "alertmanager", "--json").stdout)
        assert [each["plan"]["event"] for each in plans] == ["start", "end"]
        assert [each["alert"]["source"] for each in plans] == ["alertmanager"] * 2

    @pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name} {path.stem}")
    def test_every_product_s_payload(self, call, path):
        done = call("alert", "explain", str(path), "--source", path.parent.name)
        if path.stem == "mapped":
            assert done.returncode == 16
            return
        assert done.returncode == 0, done.stderr
        if path.stem in PINGS:
            assert (done.stdout, done.stderr) == ("", "A test message: it starts nothing.\n")
        else:
            assert done.stdout.startswith("alert     ")

    def test_somebody_else_s_payload(self, call):
        done = call("alert", "explain", str(START), "--source", "pagerduty")
        assert (done.returncode, done.stdout) == (16, "")
        assert "docs/alerts/pagerduty.md" in done.stderr

    @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(title=st.text(max_size=30))
    def test_text_from_elsewhere_cannot_control_the_terminal(self, call, tmp_path, title):
        alert = {"kind": f"{title}\x1b[31m", "target": "203.0.113.7", "severity": title, "id": "1"}
        (tmp_path / "x.json").write_text(json.dumps(alert))
        done = call("alert", "explain", "x.json", "--source", "generic")
        assert done.returncode == 0
        assert all(letter.isprintable() for letter in done.stdout.replace("\n", ""))


class TestList:
    def test_without_a_receiver_on_this_machine(self, call):
        done = call("alert", "list")
        assert done.returncode == 13
        assert "there is no inbox of alerts" in done.stderr

    def test_an_empty_inbox_is_no_error(self, call, inbox):
        done = call("alert", "list")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "No alert has arrived yet.\n")
        assert call("alert", "list", "--json").stdout == "[]\n"
        assert call("alert", "list", "--aside").stderr == "No alert was quarantined.\n"

    def test_refused_and_cut_off_notifications_with_sender_and_size(self, call, inbox):
        assert call("alert", "list", "--refused").stderr == "No notification was refused or cut off.\n"
        noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
        large = Missed("refused", "grafana", "198.51.100.7", "413: the body is too large", noon, noon)
        inbox.missed.note([replace(large, size=5_000_000, count=3)])
        inbox.missed.note([replace(large, kind="cut off", sender="", reason="7 alerts (truncatedAlerts)")])
        inbox.missed.note([replace(large, kind="put aside", reason="no such thing")])
        shown = call("alert", "list", "--refused").stdout
        for word in (
            "2026-11-23 12:00:00",
            "refused",
            "198.51.100.7",
            "5 MB",
            "413: the body is too large",
        ):
            assert word in shown
        assert "cut off" in shown
        assert "no such thing" not in shown, "that is in the list of alerts"
        lines = json.loads(call("alert", "list", "--refused", "--json").stdout)
        assert {each["kind"]: each["count"] for each in lines} == {"refused": 3, "cut off": 1}
        assert lines[0]["last"].startswith("2026-11-23T12:00:00")
        assert "`edgecap alert list --refused` shows them" in call("alert", "list").stderr
        assert call("alert", "list", "--refused", "--aside").returncode == 2

    def test_newest_first_with_each_outcome(self, call, inbox, enter):
        """A receiver may have the inbox open; the list only looks."""
        enter(attack(1), attack(1), attack(1, event="END"), attack(2, event="END"), ago=timedelta(minutes=1))
        (aside,) = inbox.keep([("grafana", b'{"secret": 1}', datetime.now(UTC))])
        inbox.put_aside(aside, "the body has no list of alerts")
        inbox.keep([("datadog", b"{}", datetime.now(UTC))])
        lines = json.loads(call("alert", "list", "--json").stdout)
        assert [(each["arrival"], each["outcome"]) for each in lines] == [
            (6, "waits"),
            (5, "put aside"),
            (4, "nothing"),
            (3, "ended"),
            (2, "repeated"),
            (1, "opened"),
        ]
        assert [each["why"] for each in lines[1:5]] == [
            "the body has no list of alerts",
            "it ends an unknown incident",
            "captures: 1 after",
            "already known",
        ]
        assert lines[3]["incident"] == lines[5]["incident"]
        shown = call("alert", "list").stdout
        assert lines[5]["incident"][:8] in shown
        assert "from datadog, 2 bytes" in shown
        newest = call("alert", "list", "--limit", "2", "--json")
        assert [each["arrival"] for each in json.loads(newest.stdout)] == [6, 5]
        assert call("alert", "list", "--limit", "-1").returncode == 2

    def test_quarantined_alerts_and_refused_run_requests_are_shown(self, call, inbox, enter):
        enter(attack(1))
        (order,) = inbox.orders()
        inbox.refuse(order.id, "Prefect answered 422")
        (aside,) = inbox.keep([("grafana", b'{"api_key": "k3y", "a": "\xff"}', datetime.now(UTC))])
        inbox.put_aside(aside, "the body is not UTF-8")
        refused, body = json.loads(call("alert", "list", "--aside", "--json").stdout)
        assert (refused["outcome"], refused["incident"], refused["why"]) == (
            "start refused",
            order.incident,
            "Prefect answered 422",
        )
        assert (body["arrival"], body["why"]) == (2, "the body is not UTF-8")
        assert "k3y" not in body["body"]
        shown = call("alert", "list", "--aside").stdout
        assert "the body is not UTF-8" in shown
        assert "Prefect answered 422" in shown
