"""Schedules in words, and which are on at first."""

import pytest
import yaml

from deployments.local.schedules import in_words
from deployments.local.setup import check_own_file
from deployments.project import prefect_yaml
from edgecap.errors import ConfigError


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"cron": "30 3 * * *", "timezone": "Europe/Vienna"}, "cron 30 3 * * *, Europe/Vienna"),
        ({"cron": "@hourly", "timezone": None}, "cron @hourly, UTC"),
        ({"interval": 3600.0, "anchor_date": "2026-01-01T00:05:00Z"}, "every 1 h"),
        ({"rrule": "FREQ=DAILY", "timezone": "UTC"}, "FREQ=DAILY, UTC"),
    ],
)
def test_a_schedule_is_put_in_words(schedule, words):
    assert in_words(schedule) == words


def test_edgecaps_own_file_starts_no_capture_by_itself():
    """The first `edgecap up` took a capture of the whole account every ten minutes, unasked."""
    declared = yaml.safe_load(prefect_yaml().read_text())["deployments"]
    on = {
        each["name"]
        for each in declared
        for schedule in each.get("schedules", ())
        if schedule.get("active", True) and each["work_pool"]["work_queue_name"] != "upkeep"
    }
    assert on == set()


def test_a_file_that_does_not_exist_is_named_before_anything_starts(tmp_path):
    check_own_file(None)
    with pytest.raises(ConfigError, match=r"prefect_yaml names does not exist \(.*own.yaml\)"):
        check_own_file(tmp_path / "own.yaml")
