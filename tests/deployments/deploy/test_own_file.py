"""A `prefect.yaml` with only one's own deployments is added to edgecap's; a whole one is taken as it is."""

import pytest
import yaml

from deployments.deploy.declared import read_declared
from deployments.deploy.own_file import BUILT_IN, origin_of
from deployments.project import PROJECT, prefect_yaml
from edgecap.errors import InvalidRequest

SIMPLE = {"request": {"type": "simple", "time_limit": 60}}


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    """Entrypoints count from the current folder."""
    monkeypatch.chdir(PROJECT)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "prefect.yaml"


async def read(file, *deployments, **more):
    file.write_text(yaml.safe_dump({"deployments": list(deployments), **more}))
    return {each.key: each for each in await read_declared(file, base=prefect_yaml())}


async def built_in():
    return {each.key: each for each in await read_declared(prefect_yaml())}


def examples():
    """The files of docs/capture.md."""
    page = (PROJECT / "docs/capture.md").read_text().partition("## Schedules")[2].partition("\n## ")[0]
    return [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]


async def test_own_deployments_are_added_with_defaults(file):
    found = await read(
        file,
        {"name": "mine", "parameters": SIMPLE, "schedules": [{"cron": "*/5 * * * *"}]},
        {"name": "by-hand", "parameters": SIMPLE, "work_pool": None},
    )
    usual = await built_in()
    assert set(found) == {*usual, "capture/mine", "capture/by-hand"}
    mine, by_hand, hourly = (
        found["capture/mine"],
        found["capture/by-hand"],
        usual["capture/simple-hourly-5-min"],
    )
    for name in ("pull_steps", "work_pool_name", "work_queue_name", "job_variables", "tags"):
        assert mine.fields[name] == hourly.fields[name]
    assert by_hand.fields["work_queue_name"] == "manual"
    assert by_hand.fields["tags"] == ["simple", "manual"]
    assert mine.origin == by_hand.origin == origin_of(file)
    assert {found[key].origin for key in usual} == {BUILT_IN}
    assert {key: each.fields for key, each in usual.items()} == {key: found[key].fields for key in usual}


async def test_a_name_of_edgecap_s_own_changes_the_fields_that_are_given(file):
    found = await read(file, {"name": "simple-hourly-5-min", "schedules": [{"cron": "7 * * * *"}]})
    usual = await built_in()
    assert set(found) == set(usual)
    mine, other = found["capture/simple-hourly-5-min"], usual["capture/simple-hourly-5-min"]
    assert mine.fields == other.fields
    assert mine.schedules["schedule-1"].body["schedule"]["cron"] == "7 * * * *"
    assert mine.origin == origin_of(file)


async def test_a_pool_of_one_s_own_gets_nothing_of_edgecap_s(file):
    pool = {"name": "docker", "job_variables": {"image": "mine"}}
    found = await read(file, {"name": "mine", "parameters": SIMPLE, "work_pool": pool})
    fields = found["capture/mine"].fields
    assert fields["work_pool_name"] == "docker"
    assert (fields["work_queue_name"], fields["job_variables"]) == (None, {"image": "mine"})
    found = await read(file, {"name": "mine", "work_pool": {"work_queue_name": "alerts"}})
    assert found["capture/mine"].fields["work_pool_name"] == "edgecap"


async def test_a_whole_file_is_taken_as_it_is(file):
    file.write_text(prefect_yaml().read_text())
    found = await read_declared(file, base=prefect_yaml())
    assert [each.key for each in found] == list(await built_in())
    pool = {"name": "edgecap"}
    mine = {"name": "mine", "entrypoint": "flows/capture.py:capture", "work_pool": pool}
    assert list(await read(file, mine, pull=[{"deployments.checkout.enter": {}}])) == ["capture/mine"]
    mine.pop("entrypoint")
    with pytest.raises(InvalidRequest, match="it has no entrypoint"):
        await read(file, mine, pull=[{"deployments.checkout.enter": {}}])


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("mine", "it is not a table"),
        ({"parameters": SIMPLE}, "it has no name"),
        ({"name": "mine", "work_pool": "edgecap"}, "work_pool is not a table"),
        (
            {"name": "mine", "parameters": {"request": {"type": "simple", "port": 53}}},
            "request.port: unknown",
        ),
    ],
)
async def test_what_is_wrong_is_named_as_in_a_whole_file(file, config, words):
    with pytest.raises(InvalidRequest, match=words) as caught:
        await read(file, config)
    assert str(file) in str(caught.value)


async def test_a_description_has_no_parameters_of_the_code(file):
    found = await read(file, {"name": "mine", "parameters": SIMPLE})
    assert found["capture/mine"].fields["description"].startswith("Take one packet capture")
    for each in found.values():
        assert "Args:" not in each.fields["description"]


async def test_the_page_s_examples_are_files_of_one_s_own(file):
    first, second = examples()
    assert len(first.splitlines()) == 8
    file.write_text(f"{first}{second}")
    found = {each.key: each for each in await read_declared(file, base=prefect_yaml())}
    assert set(found) == {*await built_in(), "capture/dns-every-5-min"}
    assert found["capture/full-nightly"].schedules["nightly"].active
    assert found["capture/full-nightly"].fields["parameters"]["request"]["colo"] == "AMS"
