"""What edgecap needs of Prefect's server beyond its documented interface, and what it mends in it."""

import importlib
import json
import sqlite3
import threading
from uuid import uuid4

import pytest
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.utilities.messaging.memory import MemoryMessage, Subscription, Topic
from prefect.settings.models.server.concurrency import ServerConcurrencySettings
from sqlalchemy.exc import OperationalError

from tasks.runtime.alert_runs import plain
from tasks.runtime.prefect_names import AUTO_SCHEDULED, FILE_LEASES, MEMORY_LEASES, TEMPLATE_KEY
from tasks.runtime.rest import PrefectApi
from tests.deployments.conftest import until
from tests.reading_first import read_then_write

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]


@pytest.fixture
def api(deployed):
    with PrefectApi(deployed.prefect) as api:
        yield api


async def test_a_transaction_that_reads_first_still_cannot_write_in_prefect(tmp_path):
    """When this fails, `begin_to_write` in deployments/local/prefect_server.py may go."""
    with pytest.raises(OperationalError, match="database is locked"):
        await read_then_write(tmp_path / "prefect.db", AioSqliteConfiguration.begin_transaction)


async def test_prefect_still_drops_an_event_after_four_tries_without_a_pause(tmp_path):
    """When this fails, `retry_later` in deployments/local/prefect_server.py may go."""
    subscription = Subscription(Topic("events"), dead_letter_queue_path=tmp_path / "dropped")
    message = MemoryMessage(data="{}", attributes={})
    for _ in range(4):
        await subscription.retry(message)
    assert len(list((tmp_path / "dropped").iterdir())) == 1


def test_a_cursor_that_is_collected_still_waits_for_its_connection(tmp_path):
    """When this fails, the collector thread in deployments/local/prefect_server.py may go."""

    def connect(timeout):
        return sqlite3.connect(
            tmp_path / "x.db", isolation_level=None, check_same_thread=False, timeout=timeout
        )

    writer, waiter = connect(1), connect(0.05)
    writer.execute("CREATE TABLE t (x)")
    writer.execute("BEGIN IMMEDIATE")
    cursor = waiter.cursor()
    with pytest.raises(sqlite3.OperationalError):
        cursor.execute("INSERT INTO t VALUES (1)")
    waiter.execute("PRAGMA busy_timeout = 2000")
    begun, ended = threading.Event(), threading.Event()

    def waits():
        begun.set()
        with pytest.raises(sqlite3.OperationalError):
            waiter.execute("INSERT INTO t VALUES (2)")
        ended.set()

    thread = threading.Thread(target=waits)
    thread.start()
    begun.wait()
    ended.wait(0.5)  # for the statement to be under way
    assert not ended.is_set()
    del cursor
    thread.join(0.5)
    assert ended.is_set()
    thread.join()


def test_prefect_keeps_leases_in_memory_unless_told_to_use_files():
    assert ServerConcurrencySettings.model_fields["lease_storage"].default == MEMORY_LEASES
    assert importlib.import_module(FILE_LEASES).ConcurrencyLeaseStorage
    assert importlib.import_module(MEMORY_LEASES).ConcurrencyLeaseStorage


def test_a_server_says_where_it_keeps_its_leases(api):
    assert not api.keeps_leases_in_memory()
    settings = api.call("GET", "/admin/settings")
    assert settings["server"]["concurrency"]["lease_storage"] == FILE_LEASES


def test_the_server_renders_templates_in_parameters_unless_they_are_plain(api):
    """When this fails, `plain` in tasks/runtime/alert_runs.py need not rename the key any more."""
    template = {TEMPLATE_KEY: "json", "value": json.dumps({"type": "simple", "time_limit": 7})}
    now = api.deployment("capture/capture-by-program")["id"]
    rendered = api.start_run(now, {"request": template}, tags=[], idempotency_key=uuid4().hex)
    assert rendered["parameters"]["request"] == {"type": "simple", "time_limit": 7}
    alert = {"labels": template}
    parameters = {"incident": "1" * 32, "event": "start", "alert": plain(alert)}
    body = {"parameters": parameters, "enforce_parameter_schema": False, "state": {"type": "SCHEDULED"}}
    respond = api.deployment("respond/incident-response")["id"]
    kept = api.call("POST", f"/deployments/{respond}/create_flow_run", json=body)
    assert kept["parameters"]["alert"]["labels"] == {"_prefect_kind": "json", "value": template["value"]}


def test_runs_that_a_schedule_makes_carry_a_tag(api):
    deployment = api.deployment("capture/simple-every-10-min")["id"]
    wanted = {"tags": {"all_": [AUTO_SCHEDULED]}, "deployment_id": {"any_": [deployment]}}
    [schedule] = api.deployment("capture/simple-every-10-min")["schedules"]
    path = f"/deployments/{deployment}/schedules/{schedule['id']}"
    api.call("PATCH", f"/deployments/{deployment}", json={"paused": False})
    api.call("PATCH", path, json={"active": True})
    try:
        api.call("POST", f"/deployments/{deployment}/schedule", json={"min_runs": 2})
        until(lambda: api.find_runs(wanted), timeout=60)
        assert all(run["auto_scheduled"] for run in api.find_runs(wanted))
    finally:
        api.call("PATCH", path, json={"active": False})
        api.call("PATCH", f"/deployments/{deployment}", json={"paused": True})
