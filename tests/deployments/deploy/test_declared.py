"""`prefect.yaml` is read as Prefect reads it, and what is wrong in it is named."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prefect.cli.deploy._config import _load_deploy_configs_and_actions
from rich.console import Console

from deployments.deploy.declared import read_declared
from edgecap.errors import InvalidRequest
from edgecap.requests import Bounds

ROOT = Path(__file__).parents[3]
FILES = ("prefect.yaml", "deployments/prefect-cloud/prefect.yaml")
STEP = [{"deployments.checkout.enter": {}}]


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    """Entrypoints count from the current folder."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("file", FILES)
async def test_both_readers_see_the_same_in_it(file):
    console = Console(record=True, quiet=True)
    theirs, actions = _load_deploy_configs_and_actions(ROOT / file, console=console)
    ours = await read_declared(ROOT / file)
    assert console.export_text() == ""
    assert [each["name"] for each in theirs] == [each.name for each in ours]
    assert actions["pull"] == STEP
    for config, declared in zip(theirs, ours, strict=True):
        assert declared.fields["pull_steps"] == STEP
        assert declared.fields["job_variables"] == config["work_pool"]["job_variables"]
        assert declared.fields["parameters"] == config.get("parameters", {})
        assert list(declared.schedules) == [each["slug"] for each in config.get("schedules", [])]
        assert len(declared.automations()) == len(config.get("triggers", []))


async def test_the_project_s_schedules_have_the_expected_times():
    found = {declared.key: declared for declared in await read_declared(ROOT / "prefect.yaml")}
    assert {
        "capture/incident-capture",
        "respond/incident-response",
        "register-bucket/register-bucket-once",
    } <= set(found)
    nightly = found["capture/full-nightly"].schedules["nightly"]
    assert nightly.body["schedule"] == {"cron": "30 3 * * *", "timezone": "America/Chicago", "day_or": True}
    assert not nightly.active
    hourly = found["capture/simple-hourly-5-min"].schedules["hourly"]
    assert hourly.body["schedule"]["interval"] == timedelta(hours=1).total_seconds()
    assert hourly.body["schedule"]["anchor_date"].startswith("2026-01-01T00:05:00")


async def test_forms_have_the_bounds_of_the_settings(monkeypatch):
    async def fields(name):
        found = {declared.key: declared for declared in await read_declared(ROOT / "prefect.yaml")}
        return found[f"capture/{name}"].fields["parameter_openapi_schema"]["properties"]

    assert (await fields("simple-capture-now"))["seconds"]["maximum"] == Bounds().simple_time_limit
    bounds = {"SIMPLE_TIME_LIMIT": 400, "FULL_TIME_LIMIT": 3_600, "PACKET_LIMIT": 20_000, "BYTE_LIMIT": 7_000}
    for name, value in bounds.items():
        monkeypatch.setenv(f"EDGECAP_BOUNDS__{name}", str(value))
    simple, full = await fields("simple-capture-now"), await fields("full-capture-now")
    assert [simple[name]["maximum"] for name in ("seconds", "packets")] == [400, 20_000]
    assert simple["packets"]["default"] == 10_000
    assert simple["seconds"]["description"] == "How far to look back, 1 to 400."
    assert [full[name]["maximum"] for name in ("seconds", "packets", "bytes")] == [3_600, 20_000, 7_000]
    assert full["bytes"]["description"].startswith("The capture ends after this many, 1 to 7000. Empty")
    assert full["seconds"]["default"] == 60
    assert full["source_port"]["maximum"] == 65_535


GOOD = {"name": "mine", "entrypoint": "flows/capture.py:capture", "work_pool": {"name": "edgecap"}}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**GOOD, "colour": "red"}, "unknown field 'colour'"),
        ({**GOOD, "build": [{"a.step": {}}]}, "edgecap does not support 'build'.*prefect deploy --all"),
        ({"name": "mine", "work_pool": {"name": "edgecap"}}, "it has no entrypoint"),
        ({**GOOD, "entrypoint": "flows/nowhere.py:capture"}, "nowhere"),
        ({**GOOD, "schedules": [{"slug": "odd"}]}, "schedule odd has neither cron nor interval nor rrule"),
        (
            {**GOOD, "schedules": [{"cron": "every 2 minutes"}]},
            'schedule schedule-1: cron "every 2 minutes" is not a cron expression .*; such as "',
        ),
        ({**GOOD, "schedules": [{"interval": -3}]}, 'interval "-3" is not a number of seconds above 0'),
        ({**GOOD, "schedules": [{"interval": "soon"}]}, 'interval "soon" is not a number of seconds'),
        ({**GOOD, "schedules": [{"rrule": "daily"}]}, 'rrule "daily" is not a recurrence rule'),
        (
            {**GOOD, "schedules": [{"cron": "1 * * * *", "timezone": "Mars"}]},
            'timezone "Mars" is not a known time zone',
        ),
        ({**GOOD, "schedules": ["0 * * * *"]}, "schedules is not a list of tables"),
        ({**GOOD, "parameters": "all"}, "parameters is not a table"),
        ({**GOOD, "triggers": [{"type": "event", "posture": "Sitting"}]}, "posture"),
    ],
)
async def test_an_error_names_its_deployment(tmp_path, config, said):
    file = tmp_path / "prefect.yaml"
    file.write_text(yaml.safe_dump({"deployments": [config]}))
    with pytest.raises(InvalidRequest, match=said) as caught:
        await read_declared(file)
    assert f"{file}: deployment mine" in str(caught.value)
    assert "pydantic" not in str(caught.value)


async def test_two_of_one_name_are_refused(tmp_path):
    file = tmp_path / "prefect.yaml"
    file.write_text(yaml.safe_dump({"deployments": [GOOD, GOOD]}))
    with pytest.raises(InvalidRequest, match="two deployments are called capture/mine"):
        await read_declared(file)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (
            {"type": "simple", "destination_port": 53},
            "request.destination_port: unknown field; a request has",
        ),
        ({"type": "simple", "expresion": "udp"}, "request.expresion: unknown field"),
        (
            {"type": "simple", "filter": {"port": 53}},
            "request.filter.port: unknown field; a request has source",
        ),
        ({"type": "simple", "time_limit": 600}, "its request is refused: time_limit 600 is out of bounds"),
        ({"type": "full", "time_limit": 60}, "request.colo: Field required"),
        (
            {"type": "simple", "expression": "udp prot 53"},
            "the filter has the unknown word 'prot' (expression",
        ),
    ],
)
async def test_a_request_that_could_only_fail_is_refused_by_name(request_, words, tmp_path):
    file = tmp_path / "prefect.yaml"
    config = {
        "name": "mine",
        "entrypoint": "flows/capture.py:capture",
        "work_pool": {"name": "edgecap", "work_queue_name": "schedules"},
        "parameters": {"request": request_},
    }
    file.write_text(yaml.safe_dump({"pull": STEP, "deployments": [config]}))
    with pytest.raises(InvalidRequest, match="deployment mine") as refused:
        await read_declared(file)
    assert words in str(refused.value).replace(f" ({file}: deployment mine)", "")
