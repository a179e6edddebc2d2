"""What edgecap needs of Prefect's package beyond its documented interface (`tasks.runtime.compat`)."""

import logging
import os
import shutil
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from uuid import uuid4

import certifi
import pytest
from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, concurrency
from prefect.runtime import flow_run as this_run
from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL, temporary_settings
from prefect.states import Pending, Scheduled

from tasks.runtime.compat import (
    Abort,
    TerminationSignal,
    forget_process,
    gives_back,
    is_missing,
    is_taken,
    last_change,
    run_here,
    scheduled_time,
)
from tasks.runtime.prefect_names import RUN_LOGGERS

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

HOUR = timedelta(hours=1)


@flow
async def gives_itself_back() -> None:
    """Set a state of its own, and raise Abort."""
    get_run_logger().info("working")
    async with get_client() as client:
        later = Scheduled(scheduled_time=datetime.now(UTC) + HOUR)
        later.name = "WaitingForLane"
        await client.set_flow_run_state(this_run.id, later)
    raise Abort("later")


async def a_run(client, **more):
    return await client.create_flow_run(gives_itself_back, state=Scheduled(), **more)


def test_a_changed_environment_reaches_settings_and_logging_once():
    """In a process of its own: it changes all of Prefect in its process."""
    code = """
import logging, os
import prefect.main
from prefect.settings import get_current_settings
from tasks.runtime.compat import read_environment_again
os.environ.update(PREFECT_API_URL="http://b/api", PREFECT_INTERNAL_LOGGING_LEVEL="CRITICAL")
for _ in range(2):
    read_environment_again()
print(get_current_settings().api.url, logging.getLogger("prefect._internal").level)
print(len(logging.getLogger("extra").handlers), len(logging.getLogger().handlers))
"""
    env = {
        **os.environ,
        "PREFECT_API_URL": "http://a/api",
        "PREFECT_INTERNAL_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "extra",
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["http://b/api", str(logging.CRITICAL), "1", "1"]


def test_clients_share_their_certificates_until_the_file_changes(tmp_path):
    file = tmp_path / "authorities.pem"
    shutil.copy(certifi.where(), file)
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_API_SSL_CERT_FILE: str(file)}),
        patch("ssl.create_default_context", wraps=ssl.create_default_context) as made,
    ):
        for sync in (False, False, True):
            get_client(sync_client=sync)
        assert made.call_count == 1
        os.utime(file, ns=(1, 1))
        get_client()
        assert made.call_count == 2


async def test_only_one_process_can_claim_a_run(prefect_server):
    async with get_client() as client:
        run = await a_run(client)
        answers = [(await client.set_flow_run_state(run.id, Pending())).status for _ in range(2)]
    assert answers == [SetStateStatus.ACCEPT, SetStateStatus.ABORT]


async def test_a_run_that_exists_runs_here_and_can_give_itself_back(prefect_server, caplog):
    async with get_client() as client:
        run = await a_run(client)
        await client.set_flow_run_state(run.id, Pending())
        with caplog.at_level(logging.INFO), pytest.raises(Abort):
            await run_here(gives_itself_back, await client.read_flow_run(run.id))
        run = await client.read_flow_run(run.id)
    assert (run.state.type, run.state.name, run.run_count) == (StateType.SCHEDULED, "WaitingForLane", 1)
    [said] = [record for record in caplog.records if record.getMessage() == "working"]
    assert said.name in RUN_LOGGERS
    assert said.flow_run_id == str(run.id)


@pytest.mark.parametrize("announced", [True, False])
async def test_prefect_logs_an_error_for_a_run_that_gives_itself_back(prefect_server, caplog, announced):
    """Unless it was announced. The day Prefect logs none, our filter of its lines can go."""
    async with get_client() as client:
        run = await a_run(client)
        await client.set_flow_run_state(run.id, Pending())
        if announced:
            gives_back(str(run.id))
        with pytest.raises(Abort):
            await run_here(gives_itself_back, await client.read_flow_run(run.id))
    errors = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert [each.startswith("Finished in state") for each in errors] == ([] if announced else [True])


@pytest.mark.parametrize(("forgets", "name"), [(True, "Cancelled"), (False, "Cancelling")])
async def test_only_a_scheduled_run_without_a_process_is_cancelled_at_once(prefect_server, forgets, name):
    async with get_client() as client:
        run = await a_run(client)
        await client.update_flow_run(run.id, infrastructure_pid="4242")
        if forgets:
            await forget_process(client, run.id)
        body = {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": False}
        await client.request("POST", "/flow_runs/{id}/set_state", path_params={"id": run.id}, json=body)
        assert (await client.read_flow_run(run.id)).state.name == name


async def test_a_slot_that_is_held_says_so_and_since_when(prefect_server):
    name = f"slot-{uuid4()}"  # an id alone is looked up as one
    async with get_client() as client:
        await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
        before = last_change(await client.read_global_concurrency_limit_by_name(name))
        async with concurrency(name, strict=True, max_retries=0):
            taken = last_change(await client.read_global_concurrency_limit_by_name(name))
            with pytest.raises(ConcurrencySlotAcquisitionError) as refused:
                await concurrency(name, strict=True, max_retries=0).__aenter__()
    assert is_taken(refused.value)
    assert before < taken
    with pytest.raises(ConcurrencySlotAcquisitionError) as unknown:
        await concurrency(f"slot-{uuid4()}", strict=True, max_retries=0).__aenter__()
    assert not is_taken(unknown.value)
    assert is_missing(unknown.value)
    assert not is_missing(refused.value)


async def test_a_run_knows_for_when_it_was_scheduled_in_plain_python(prefect_server):
    """Prefect 3.9 warns of what pendulum does with its times."""
    when = datetime(2026, 7, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    seen = []

    @flow
    async def looks() -> None:
        seen.append(scheduled_time())

    async with get_client() as client:
        run = await client.create_flow_run(looks, state=Scheduled(scheduled_time=when))
        await client.set_flow_run_state(run.id, Pending())
        await run_here(looks, await client.read_flow_run(run.id))
    assert seen == [when]
    assert type(seen[0]) is datetime


def test_a_terminated_run_ends_past_handlers_of_exceptions():
    assert not issubclass(TerminationSignal, Exception)
    assert not issubclass(Abort, Exception)
