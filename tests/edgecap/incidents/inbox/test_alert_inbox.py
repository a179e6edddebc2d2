"""The inbox rules on alerts as the policy says: incidents, their ends, budgets, orders."""

from datetime import timedelta

import pytest

from edgecap.alerts.model import derive
from edgecap.incidents.inbox.alert_inbox import Outcome, RunRequest
from tests.edgecap.incidents.inbox.inbox_parts import NOON, alert, incident_of, plan, take

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


# Incidents


def test_a_start_opens_an_incident_and_orders_its_run(inbox):
    start = alert(raw={"deep": [1, {"half": "\ud800"}]})
    assert take(inbox, start) == [Outcome.OPENED]
    (incident,) = inbox.incidents()
    assert incident.id == derive(start.incident, start.identity)
    assert (incident.key, incident.about, incident.rule) == (start.incident, "203.0.113.7", "floods")
    assert (incident.opened, incident.last, incident.closed) == (NOON, NOON, None)
    assert str(incident) == f"{incident.id[:8]} is open: generic flood start 203.0.113.7"
    assert incident_of(inbox, incident.id) == incident
    assert inbox.orders() == [
        RunRequest(
            1, incident.id, "start", start, plan(start), key=derive(incident.id, "start"), created=NOON
        )
    ]


def test_a_repeated_alert_changes_only_the_count(inbox):
    start = alert()
    take(inbox, start)
    assert take(inbox, alert(at=NOON + HOUR)) == [Outcome.REPEATED]
    assert take(inbox, alert(at=NOON + 2 * HOUR), wanted=False, captures=0) == [Outcome.REPEATED]
    (incident,) = inbox.incidents()
    assert (incident.repeated, incident.joined, incident.last) == (2, 0, NOON + 2 * HOUR)
    assert len(inbox.orders()) == 1


def test_alerts_of_one_arrival_are_decided_in_order(inbox):
    assert take(inbox, alert(), alert(identity="2"), alert("end"), alert("end")) == [
        Outcome.OPENED,
        Outcome.JOINED,
        Outcome.ENDED,
        Outcome.REPEATED,
    ]
    assert [order.event for order in inbox.orders()] == ["start", "end"]


def test_a_start_joins_the_open_incident_whatever_its_target_or_rule(inbox):
    take(inbox, alert())
    second = alert(identity="2", about="198.51.100.1", at=NOON + 20 * HOUR)
    assert take(inbox, second, cooldown=0, wanted=False, captures=0) == [Outcome.JOINED]
    assert inbox.incidents()[0].joined == 1


@pytest.mark.parametrize(
    ("after", "cooldown", "outcome"),
    [
        (599, 600, Outcome.JOINED),
        (600, 600, Outcome.OPENED),
        (0, 0, Outcome.OPENED),
        (-5, 600, Outcome.JOINED),  # the clock was set back
        (-5, 0, Outcome.OPENED),
    ],
)
def test_another_attack_on_the_same_target_joins_within_the_cooldown(inbox, after, cooldown, outcome):
    take(inbox, alert())
    assert take(inbox, alert(key="other", at=NOON + after * SECOND), cooldown=cooldown) == [outcome]


def test_the_cooldown_begins_anew_with_every_alert_of_the_incident(inbox):
    take(inbox, alert())
    take(inbox, alert(at=NOON + 500 * SECOND))
    assert take(inbox, alert(key="other", at=NOON + 1000 * SECOND)) == [Outcome.JOINED]
    assert take(inbox, alert(key="third", at=NOON + 1500 * SECOND)) == [Outcome.JOINED]
    assert inbox.incidents()[0].last == NOON + 1500 * SECOND


def test_no_alert_joins_an_ended_incident(inbox):
    take(inbox, alert(), alert("end"))
    assert take(inbox, alert(key="other", at=NOON + SECOND)) == [Outcome.OPENED]


def test_an_end_closes_its_incident_and_orders_the_captures_of_after(inbox):
    take(inbox, alert())
    end = alert("end", at=NOON + 60 * SECOND)
    assert take(inbox, end, captures=1) == [Outcome.ENDED]
    (incident,) = inbox.incidents()
    assert incident.closed == incident.last == NOON + 60 * SECOND
    assert not incident.superseded
    assert "is over" in str(incident)
    order = inbox.orders()[-1]
    assert (order.incident, order.event, order.alert) == (incident.id, "end", end)
    assert [each.phase for each in order.plan.captures] == ["after"]
    assert order.key == derive(incident.id, "end")


def test_a_second_end_is_a_repetition_even_as_another_message(inbox):
    take(inbox, alert(), alert("end"))
    assert take(inbox, alert("end")) == [Outcome.REPEATED]
    assert take(inbox, alert("end", identity="another message")) == [Outcome.REPEATED]
    assert take(inbox, alert("end", identity="another", at=NOON + 50 * HOUR)) == [Outcome.REPEATED]
    assert len(inbox.orders()) == 2
    assert (inbox.incidents()[0].repeated, inbox.incidents()[0].last) == (0, NOON)  # only while it goes on


def test_an_end_before_its_start_counts_when_sent_again(inbox):
    assert take(inbox, alert("end")) == [Outcome.NOTHING]
    assert take(inbox, alert()) == [Outcome.OPENED]
    assert take(inbox, alert("end")) == [Outcome.ENDED]


def test_the_end_of_a_joined_attack_does_not_end_the_incident(inbox):
    take(inbox, alert(), alert(key="other"))
    assert take(inbox, alert("end", key="other")) == [Outcome.JOINED]
    assert take(inbox, alert("end", key="other")) == [Outcome.REPEATED]
    assert inbox.incidents()[0].closed is None
    assert take(inbox, alert("end")) == [Outcome.ENDED]
    assert take(inbox, alert("end", key="other", identity="late")) == [Outcome.REPEATED]


def test_a_start_after_the_end_is_a_new_incident(inbox):
    take(inbox, alert(), alert("end"))
    again = alert(identity="2", at=NOON + SECOND)
    assert take(inbox, again) == [Outcome.OPENED]
    second, first = inbox.incidents()
    assert second.id == derive(again.incident, again.identity) != first.id
    assert first.key == second.key
    assert take(inbox, alert("end", identity="2", at=NOON + 2 * SECOND)) == [Outcome.ENDED]
    assert incident_of(inbox, second.id).closed == NOON + 2 * SECOND


@pytest.mark.parametrize(("event", "wanted"), [("start", False), ("other", True), ("end", True)])
def test_unwanted_alerts_and_unknown_ends_do_nothing(inbox, event, wanted):
    assert take(inbox, alert(event), captures=0, wanted=wanted) == [Outcome.NOTHING]
    assert inbox.incidents() == inbox.orders() == []
    assert inbox.alerts()[0].outcome is Outcome.NOTHING


def test_an_alert_that_came_to_nothing_is_judged_again_when_resent(inbox):
    take(inbox, alert(), captures=0, wanted=False)
    assert take(inbox, alert()) == [Outcome.OPENED]


def test_a_rule_with_only_captures_after_the_end_opens_an_incident(inbox):
    assert take(inbox, alert(), captures=0) == [Outcome.OPENED]
    assert take(inbox, alert("end"), captures=1) == [Outcome.ENDED]
    assert [len(order.plan.captures) for order in inbox.orders()] == [0, 1]


# What nobody ended


def test_a_start_after_a_long_silence_supersedes_an_open_incident(inbox):
    take(inbox, alert())
    assert take(inbox, alert(identity="2", at=NOON + 24 * HOUR)) == [Outcome.JOINED]
    assert take(inbox, alert(identity="3", at=NOON + 48 * HOUR + SECOND)) == [Outcome.OPENED]
    second, first = inbox.incidents()
    assert first.superseded
    assert (first.last, first.closed) == (NOON + 24 * HOUR, NOON + 48 * HOUR + SECOND)
    assert "was superseded" in str(first)
    assert [order.event for order in inbox.orders()] == ["start", "start"]
    assert take(inbox, alert("end", at=NOON + 50 * HOUR)) == [Outcome.ENDED]
    assert incident_of(inbox, second.id).closed == NOON + 50 * HOUR


def test_a_cooldown_may_be_longer_than_a_day(inbox):
    take(inbox, alert())
    again = alert(identity="2", about="elsewhere", at=NOON + 30 * HOUR)
    assert take(inbox, again, cooldown=48 * 3600) == [Outcome.JOINED]


def test_an_untimed_identity_is_a_new_attack_a_day_later(inbox):
    for day in range(3):
        at = NOON + day * 26 * HOUR
        assert take(inbox, alert(timed=False, at=at)) == [Outcome.OPENED]
        assert take(inbox, alert(timed=False, at=at + HOUR)) == [Outcome.REPEATED]
    assert len({incident.id for incident in inbox.incidents()}) == 3
    assert len({order.key for order in inbox.orders()}) == 3


def test_a_reminder_a_week_later_is_a_repetition(inbox):
    take(inbox, alert())
    assert take(inbox, alert(at=NOON + 168 * HOUR)) == [Outcome.REPEATED]


def test_an_ended_identity_opens_another_incident_a_day_later(inbox):
    take(inbox, alert(), alert("end"))
    assert take(inbox, alert(at=NOON + 24 * HOUR)) == [Outcome.REPEATED]
    assert take(inbox, alert(at=NOON + 49 * HOUR)) == [Outcome.OPENED]
    assert len({incident.id for incident in inbox.incidents()}) == 2


# Budget


def test_captures_beyond_the_budget_are_left_out_and_named(inbox):
    start = alert()
    assert take(inbox, start, captures=3, budget=2, remarks=["because"]) == [Outcome.OVER_BUDGET]
    (order,) = inbox.orders()
    assert [each.number for each in order.plan.captures] == [1, 2]
    assert order.plan.reason == "captures: 2 of 3"
    budget = "the daily budget of 2 captures of rule 'floods'"
    assert order.plan.remarks == (
        "because",
        f"left out, since {budget} is used up until midnight UTC: before 3",
    )
    assert inbox.incidents()[0].plan == order.plan


def test_an_incident_without_budget_says_why_it_has_no_captures(inbox):
    take(inbox, alert(), captures=2, budget=2)
    assert take(inbox, alert(key="other", about="a"), budget=2) == [Outcome.OVER_BUDGET]
    order = inbox.orders()[-1]
    assert order.plan.captures == ()
    assert order.plan.reason == ("no captures: the daily budget of 2 captures of rule 'floods' is used up")


def test_the_budget_counts_ends_but_not_joins_or_repetitions(inbox):
    take(inbox, alert(), alert(), alert(identity="2"), captures=2, budget=5)
    assert take(inbox, alert("end"), captures=2, budget=5) == [Outcome.ENDED]
    take(inbox, alert(key="other"), captures=2, budget=5)
    assert [len(order.plan.captures) for order in inbox.orders()] == [2, 2, 1]


def test_each_rule_has_a_budget_for_each_utc_day(inbox):
    midnight = NOON.replace(hour=0) + timedelta(days=1)
    late = midnight - timedelta(microseconds=1)
    take(inbox, alert(at=late), budget=2)
    assert take(inbox, alert(key="b", about="b", at=late), budget=2) == [Outcome.OVER_BUDGET]
    assert take(inbox, alert(key="c", about="c", at=late), budget=2, rule="other") == [Outcome.OPENED]
    assert take(inbox, alert(key="d", about="d", at=midnight), budget=2) == [Outcome.OPENED]


# Orders


def test_a_sent_run_request_leaves_the_outbox_for_its_incident(inbox):
    take(inbox, alert(), alert("end"))
    start, end = inbox.orders()
    assert inbox.orders(limit=1) == [start]
    inbox.sent(start.id, "run 1")
    inbox.sent(start.id, "run 2")
    assert inbox.orders() == [end]
    inbox.sent(end.id, "run 3")
    assert inbox.orders() == []
    assert inbox.incidents()[0].runs == {"start": "run 1", "end": "run 3"}
