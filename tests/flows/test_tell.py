"""Telling people of alerts that led to no capture: a real Prefect server, a real channel."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from deployments.receiver.dispatch import Dispatch
from flows.tell import tell
from tasks.runtime.rest import PrefectApi


@pytest.fixture
def dispatch(prefect_server):
    """Speaks to Prefect as the receiver does."""
    return Dispatch(lambda: prefect_server.prefect, account="default", archive="default")


async def test_every_channel_is_told_and_one_that_fails_shows(deployed, world, on_call, dispatch):
    world.write(incidents={"notify": ["slack-webhook/nobody-made-it", "custom-webhook/on-call"]})
    since = datetime.now(UTC) - timedelta(seconds=1)
    before = await asyncio.to_thread(dispatch.failed_notifications, since)
    state = await tell("edgecap: 2 not captured", "- why", return_state=True)
    assert (state.is_failed(), state.message) == (True, "not told: slack-webhook/nobody-made-it")
    assert on_call == [{"subject": "edgecap: 2 not captured", "text": "- why"}]
    deadline = time.monotonic() + 240
    while await asyncio.to_thread(dispatch.failed_notifications, since) == before:
        assert time.monotonic() < deadline, "Prefect learns the states of tasks from events, some time later"
        await asyncio.sleep(0.3)


async def test_with_every_channel_told_the_run_is_well(deployed, world, on_call):
    world.write(incidents={"notify": ["custom-webhook/on-call"]})
    state = await tell("s", "p", return_state=True)
    assert (state.is_completed(), state.message) == (True, "1 channel told")


def test_the_receiver_has_a_run_made_once(deployed, dispatch):
    subject = "edgecap: alerts led to no capture: {{ 1 }}"
    first = dispatch.tell("some key", subject, "page")
    assert dispatch.tell("some key", subject, "page") == first
    with PrefectApi(deployed.prefect) as prefect:
        run = prefect.run(first)
        assert run["deployment_id"] == prefect.deployment("tell/alerts-without-captures")["id"]
        assert (run["name"], run["parameters"]) == (subject, {"subject": subject, "page": "page"})
        prefect.cancel(first)
