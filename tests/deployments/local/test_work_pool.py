"""A worker starts edgecap's own command for each run, whatever a run or a deployment says."""

from types import SimpleNamespace

import yaml
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from deployments.local.work_pool import COMMAND, TEMPLATE, lets_runs_choose
from deployments.project import prefect_yaml


async def test_a_worker_ignores_what_a_run_says_of_its_process():
    """The server refuses such a run; this holds for one that it let through."""
    asked = {
        "command": "touch /tmp/owned",
        "env": {"LD_PRELOAD": "/tmp/owned.so"},
        "env.PATH": "/tmp",
        "working_dir": "/tmp",
    }
    made = await ProcessJobConfiguration.from_template_and_values(TEMPLATE, asked, client=SimpleNamespace())
    assert (made.command, made.env, made.working_dir) == (COMMAND, {}, None)


def test_a_template_that_lets_runs_choose_is_told_from_ours():
    assert not lets_runs_choose(TEMPLATE)
    assert lets_runs_choose(ProcessWorker.get_default_base_job_template())
    assert lets_runs_choose({})
    assert lets_runs_choose({"job_configuration": {"command": COMMAND, "env": {}}})


def test_the_deployments_of_prefect_yaml_fit_the_template():
    variables = TEMPLATE["variables"]["properties"]
    for deployment in yaml.safe_load(prefect_yaml().read_text())["deployments"]:
        told = deployment["work_pool"]["job_variables"]
        assert told["command"] == COMMAND
        assert set(told["env"]) <= set(variables["env"]["properties"])
