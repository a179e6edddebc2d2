"""What a deploy changes: what the file says anew, and nothing that a person set."""

from dataclasses import replace

import pytest

from deployments.deploy.declared import Declared, Schedule
from deployments.deploy.merging import Changes, Existing, changes, record_of


def schedule(slug="hourly", *, cron="0 * * * *", active=True):
    return Schedule(slug, {"cron": cron}, active, {"schedule": {"cron": cron}, "parameters": {}})


def declared(*schedules, triggers=(), **fields):
    given = {"tags": ["a"], "description": "as it was", **fields}
    return Declared("capture", "now", given, {each.slug: each for each in schedules}, tuple(triggers))


THEN = declared(schedule(), triggers=[{"type": "event"}])
RECORD = record_of(THEN)
EXISTING = Existing("an id", {"hourly": "its id"})


def test_a_missing_deployment_is_made():
    assert changes(THEN, None, None) == Changes(create=True)
    assert changes(THEN, None, RECORD) == Changes(create=True), "somebody deleted it"


def test_nothing_new_in_the_file_changes_nothing():
    assert not changes(THEN, EXISTING, RECORD)


def test_a_new_field_arrives_alone():
    now = replace(THEN, fields={**THEN.fields, "description": "anew"})
    assert changes(now, EXISTING, RECORD) == Changes(fields={"description": "anew"})


def test_a_new_time_is_deployed_and_the_schedule_stays_switched_off():
    now = declared(schedule(cron="5 * * * *"), triggers=THEN.triggers)
    expected = {"its id": {"schedule": {"cron": "5 * * * *"}, "parameters": {}}}
    assert changes(now, EXISTING, RECORD) == Changes(update=expected)


def test_the_file_switches_a_schedule_off():
    now = declared(schedule(active=False), triggers=THEN.triggers)
    assert changes(now, EXISTING, RECORD) == Changes(update={"its id": {"active": False}})


def test_new_schedules_are_added_and_deleted_ones_are_removed():
    now = declared(schedule("nightly"), triggers=THEN.triggers)
    assert changes(now, EXISTING, RECORD) == Changes(add=(schedule("nightly"),), remove=("its id",))


RETIRED = record_of(declared(schedule("nightly")), retired=["its id"])


def test_a_removed_schedule_is_remembered_until_it_is_deleted():
    """Prefect would delete overdue runs with it, so it may take more than one deploy."""
    now = declared(schedule("nightly"))
    there = Existing("an id", {"hourly": "its id", "nightly": "another id"}, active=frozenset(["another id"]))
    assert not changes(now, there, RETIRED)
    assert changes(now, there, RETIRED).retired == ("its id",)
    assert not changes(now, replace(there, schedules={"nightly": "another id"}), RETIRED).retired


def test_a_removed_schedule_that_a_person_switched_on_is_theirs():
    there = Existing("an id", {"hourly": "its id", "nightly": "another id"}, active=frozenset(["its id"]))
    assert changes(declared(schedule("nightly")), there, RETIRED) == Changes()


def test_a_removed_schedule_that_is_back_in_the_file_is_on_again():
    """It was us who switched it off."""
    there = Existing("an id", {"hourly": "its id", "nightly": "another id"})
    found = changes(declared(schedule(), schedule("nightly")), there, RETIRED)
    assert found == Changes(update={"its id": {**schedule().body, "active": True}})


def test_a_schedule_that_a_person_removed_or_added_stays_so():
    by_hand = Existing("an id", {"mine": "another id"}, ("a third",))
    assert not changes(THEN, by_hand, RECORD)


def test_new_triggers_are_made_anew():
    assert changes(replace(THEN, triggers=()), EXISTING, RECORD) == Changes(triggers=True)


@pytest.mark.parametrize("paused", [True, False])
def test_the_file_pauses_a_deployment_only_if_its_pause_is_new(paused):
    now = declared(*THEN.schedules.values(), triggers=THEN.triggers, paused=paused)
    assert changes(now, EXISTING, RECORD) == Changes(fields={"paused": paused})
    assert not changes(now, EXISTING, record_of(now))


def test_without_a_record_everything_but_switches_is_deployed():
    now = declared(schedule(), schedule("nightly"), triggers=THEN.triggers, paused=False)
    assert changes(now, EXISTING, None) == Changes(
        fields=THEN.fields,
        update={"its id": {"schedule": {"cron": "0 * * * *"}, "parameters": {}}},
        add=(schedule("nightly"),),
        triggers=True,
    )


def test_a_reset_undoes_changes_made_in_the_ui():
    by_hand = Existing("an id", {"hourly": "its id", "mine": "another id"}, ("a third",))
    assert changes(THEN, by_hand, RECORD, reset=True) == Changes(
        fields={"paused": False, **THEN.fields},
        update={"its id": {"schedule": {"cron": "0 * * * *"}, "parameters": {}, "active": True}},
        remove=("a third", "another id"),
        triggers=True,
    )
