"""Priorities, and what a waiting run says of itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import yaml

from deployments.local.setup import QUEUES
from edgecap.captures.queue import Priority, Waiter
from edgecap.cli.worker import worker
from tasks.runtime.lane_waiters import WORK_QUEUES, marks_of, priority_of, waiter_of

PREFECT_YAML = Path(__file__).parents[3] / "prefect.yaml"
NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("run", "priority"),
    [
        ({"tags": ["alert"], "work_queue_name": "schedules"}, Priority.ALERT),
        ({"tags": [], "work_queue_name": "alerts"}, Priority.ALERT),
        ({"tags": [], "work_queue_name": "manual", "auto_scheduled": True}, Priority.MANUAL),
        ({"tags": [], "work_queue_name": "schedules"}, Priority.SCHEDULE),
        ({"tags": [], "work_queue_name": "default", "auto_scheduled": True}, Priority.SCHEDULE),
        ({"tags": [], "work_queue_name": None, "auto_scheduled": False}, Priority.MANUAL),
    ],
)
def test_a_run_has_the_priority_of_its_tag_queue_or_origin(run, priority):
    assert priority_of(run) == priority


def test_work_queues_and_lanes_agree_on_the_order():
    in_lanes = [priority for priority in WORK_QUEUES.values() if priority]
    assert in_lanes == sorted(in_lanes) == list(Priority)
    assert sorted(QUEUES, key=QUEUES.__getitem__) == list(WORK_QUEUES)


def test_deployments_and_the_command_know_the_same_work_queues():
    deployments = yaml.safe_load(PREFECT_YAML.read_text())["deployments"]
    assert {each["work_pool"]["work_queue_name"] for each in deployments} == set(WORK_QUEUES)
    [choices, _] = get_args(get_type_hints(worker)["queue"])
    assert list(get_args(choices)) == list(WORK_QUEUES)


def test_a_waiter_is_read_from_the_labels_that_it_left():
    waiter = Waiter("7", Priority.ALERT, NOW, NOW + timedelta(hours=1), timedelta(seconds=300))
    details = {"scheduled_time": waiter.wakes.isoformat()}
    run = {"id": "7", "labels": marks_of(waiter), "state": {"state_details": details}}
    assert waiter_of(run) == waiter


def test_a_run_that_keeps_its_process_looks_when_its_state_began():
    run = {"id": "7", "labels": {}, "state": {"state_details": {}, "timestamp": NOW.isoformat()}}
    assert waiter_of(run).wakes == NOW
