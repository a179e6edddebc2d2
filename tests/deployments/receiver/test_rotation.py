"""A secret is changed while the receiver runs, and no alert is refused meanwhile."""

import json

import pytest

from deployments.receiver.pages import ReportPages
from deployments.receiver.rotation import SecretRotation
from edgecap.alerts.sources.enabled import enabled_sources
from edgecap.settings import load_settings
from tests.deployments.conftest import http, until


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the settings file anew, with tables."""
    file = tmp_path / "edgecap.toml"
    monkeypatch.setenv("EDGECAP_CONFIG", str(file))

    def written(**tables):
        lines = []
        for name, values in tables.items():
            lines.append(f"[{name.replace('_', '.', 1)}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        beside = tmp_path / "new"
        beside.write_text("\n".join(lines))
        beside.replace(file)

    return written


def lets_in(source, secret):
    return source.accepts({"authorization": f"Bearer {secret}"}, b"{}")


def test_old_and_new_secret_count_until_the_old_one_goes(write):
    write(alerts_alertmanager={"secret": "old"})
    enabled = enabled_sources(load_settings().alerts)
    rotation = SecretRotation(enabled, None)
    write(alerts_alertmanager={"secret": "new", "former_secret": "old"})
    rotation.look()
    assert lets_in(enabled["alertmanager"], "old")
    assert lets_in(enabled["alertmanager"], "new")
    write(alerts_alertmanager={"secret": "new"})
    rotation.look()
    assert not lets_in(enabled["alertmanager"], "old")
    assert lets_in(enabled["alertmanager"], "new")


def test_settings_that_became_wrong_leave_the_secrets(write, caplog):
    write(alerts_alertmanager={"secret": "old"})
    enabled = enabled_sources(load_settings().alerts)
    rotation = SecretRotation(enabled, None)
    for wrong in ({"secret": ""}, {"sekret": "new"}):
        write(alerts_alertmanager=wrong)
        rotation.look()
        assert lets_in(enabled["alertmanager"], "old")
        assert not lets_in(enabled["alertmanager"], "")
    assert "the former secrets stay" in caplog.text


def test_the_token_of_reports_changes_too(write):
    write(alerts_alertmanager={"secret": "s"}, receiver={"report_token": "old"})
    pages = ReportPages("old", lambda: None)
    rotation = SecretRotation(enabled_sources(load_settings().alerts), pages)
    write(alerts_alertmanager={"secret": "s"}, receiver={"report_token": "new"})
    rotation.look()
    assert pages.lets_in("Bearer new")
    assert not pages.lets_in("Bearer old")


def test_a_source_that_is_new_takes_a_restart(write):
    """The processor of alerts knows those of the start."""
    write(alerts_alertmanager={"secret": "s"})
    enabled = enabled_sources(load_settings().alerts)
    rotation = SecretRotation(enabled, None)
    write(alerts_alertmanager={"secret": "s"}, alerts_grafana={"secret": "s"})
    rotation.look()
    assert set(enabled) == {"alertmanager"}


def test_a_running_receiver_takes_a_new_secret(command):
    file = command.folder / "edgecap.toml"
    file.write_text('[alerts.alertmanager]\nsecret = "old-secret"\n')
    command.start()

    def answer(secret):
        url = f"{command.address}/alerts/alertmanager"
        return http.post(url, json={"alerts": []}, headers={"Authorization": f"Bearer {secret}"}).status_code

    assert (answer("old-secret"), answer("new-secret")) == (202, 401)
    file.write_text('[alerts.alertmanager]\nsecret = "new-secret"\nformer_secret = "old-secret"\n')
    until(lambda: answer("new-secret") == 202)
    assert answer("old-secret") == 202
    file.write_text('[alerts.alertmanager]\nsecret = "new-secret"\n')
    until(lambda: answer("old-secret") == 401)
    assert answer("new-secret") == 202
