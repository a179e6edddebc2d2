"""The inbox rules on alerts as the policy says: incidents, their ends, budgets, orders."""

from datetime import timedelta

import pytest

from edgecap.alerts.model import derive
from edgecap.alerts.policy.decision import decide, read_policy
from edgecap.incidents.inbox.alert_inbox import Outcome, RunRequest
from edgecap.requests import Bounds
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


def test_the_cooldown_counts_from_the_end_too(inbox):
    take(inbox, alert(), alert("end", at=NOON + 3 * HOUR))
    again = alert(key="other", at=NOON + 3 * HOUR + 599 * SECOND)
    assert take(inbox, again) == [Outcome.JOINED]
    short = inbox.incidents()[0].id[:8]
    assert inbox.alerts()[0].plan.reason == (
        f"no captures: held back by the cooldown of 600 s of rule 'floods': incident {short} of 203.0.113.7"
        " is over, and had its last alert 9 min 59 s before"
    )
    assert len(inbox.orders()) == 2
    later = alert(key="third", at=again.received + 601 * SECOND)
    assert take(inbox, later) == [Outcome.OPENED]


def test_a_more_severe_alert_does_not_join_an_ended_incident(inbox):
    take(inbox, alert(severity="info"), alert("end"))
    assert take(inbox, alert(key="b", severity="info", at=NOON + SECOND)) == [Outcome.JOINED]
    assert take(inbox, alert(key="c", severity="critical", at=NOON + 2 * SECOND)) == [Outcome.OPENED]


@pytest.mark.parametrize(("opener", "start"), [(120, 600), (600, 120)])
def test_after_an_end_the_shorter_cooldown_of_both_rules_counts(inbox, opener, start):
    """The incident showed 120 s; a start 209 s after its end was held back by its own rule's 600 s."""
    take(inbox, alert(), alert("end"), cooldown=opener, rule="opener")
    early = alert(key="early", at=NOON + 119 * SECOND)
    assert take(inbox, early, cooldown=start, rule="start") == [Outcome.JOINED]
    shorter = "opener" if opener < start else "start"
    assert f"the cooldown of 120 s of rule '{shorter}'" in inbox.alerts()[0].plan.reason
    later = alert(key="later", at=NOON + (119 + 209) * SECOND)
    assert take(inbox, later, cooldown=start, rule="start") == [Outcome.OPENED]


def test_an_attack_that_outlasts_its_cooldown_is_captured_when_its_alert_repeats(inbox):
    """It was held back, and then only repeated: for as long as it went on, nothing was captured."""
    take(inbox, alert(), alert("end"))
    held = alert(key="again", at=NOON + 100 * SECOND)
    assert take(inbox, held) == [Outcome.JOINED]
    for after, outcome in ((600, "repeated"), (700, "opened"), (800, "repeated")):
        again = held.model_copy(update={"received": NOON + after * SECOND})
        assert take(inbox, again) == [Outcome(outcome)]
    assert [order.event for order in inbox.orders()] == ["start", "end", "start"]


def test_an_attack_that_ended_within_the_cooldown_stays_held_back(inbox):
    take(inbox, alert(), alert("end"))
    held = alert(key="again", at=NOON + 100 * SECOND)
    end = alert("end", key="again", at=NOON + 200 * SECOND)
    assert take(inbox, held, end) == [Outcome.JOINED, Outcome.REPEATED]
    late = held.model_copy(update={"received": NOON + 900 * SECOND})
    assert take(inbox, late) == [Outcome.REPEATED]


def test_an_alert_that_grew_worse_is_no_repetition(inbox):
    """Its incident never escalated, since it came with the same id."""
    take(inbox, alert(severity="medium"))
    worse = alert(severity="critical", at=NOON + 300 * SECOND)
    assert take(inbox, worse) == [Outcome.ESCALATED]
    assert take(inbox, worse, alert(severity="low"), worse) == [Outcome.REPEATED] * 3
    assert [order.event for order in inbox.orders()] == ["start", "escalation"]


def test_an_alert_that_grew_after_its_end_reopens_nothing(inbox):
    """It was delayed: the same attack with the same start has ended."""
    take(inbox, alert(severity="medium"), alert(key="other"), alert("end", at=NOON + 60 * SECOND))
    worse = alert(severity="critical", at=NOON + 90 * SECOND)
    assert take(inbox, worse) == [Outcome.REPEATED]
    assert take(inbox, alert("end", key="other", at=NOON + 99 * SECOND)) == [Outcome.ENDED]


def test_flapping_is_one_incident_with_a_count(inbox):
    """Sixty starts and ends of five minutes each: one incident, and its captures once."""
    for n in range(60):
        at = NOON + n * 300 * SECOND
        take(inbox, alert(identity=str(n), at=at), alert("end", identity=str(n), at=at + 100 * SECOND))
    (incident,) = inbox.incidents()
    assert incident.joined == 59
    assert [order.event for order in inbox.orders()] == ["start", "end"]


def test_what_flaps_for_more_than_a_day_opens_another(inbox):
    for n in range(25 * 7):
        at = NOON + n * 540 * SECOND
        take(inbox, alert(identity=str(n), at=at), alert("end", identity=str(n), at=at + SECOND))
    assert len(inbox.incidents()) == 2


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


def test_an_end_before_its_start_ends_the_incident(inbox):
    end = alert("end", at=NOON + SECOND)
    assert take(inbox, end) == [Outcome.NOTHING]
    assert take(inbox, alert(at=NOON + 2 * SECOND)) == [Outcome.OPENED]
    assert inbox.incidents()[0].closed == NOON + 2 * SECOND
    start_order, end_order = inbox.orders()
    assert (start_order.event, end_order.event, end_order.alert) == ("start", "end", end)
    assert [each.outcome for each in inbox.alerts()] == [Outcome.OPENED, Outcome.ENDED]
    assert take(inbox, end) == [Outcome.REPEATED]


def test_an_end_of_an_earlier_attack_does_not_end_a_new_one(inbox):
    """Its start has another time, or none."""
    for timed in (True, False):
        key = f"attack {timed}"
        take(inbox, alert("end", key=key, at=NOON - SECOND))
        take(inbox, alert(key=key, about=key, timed=timed))
        assert inbox.incidents()[0].closed is None


def test_the_end_of_a_joined_attack_does_not_end_the_incident(inbox):
    take(inbox, alert(), alert(key="other"))
    assert take(inbox, alert("end", key="other")) == [Outcome.JOINED]
    assert take(inbox, alert("end", key="other")) == [Outcome.REPEATED]
    assert inbox.incidents()[0].closed is None
    end = next(
        each for each in inbox.alerts() if each.outcome is Outcome.JOINED and each.alert.event == "end"
    )
    assert end.plan.reason == "no captures: the incident goes on: Flood has not ended"
    assert end.plan.captures == ()
    assert take(inbox, alert("end")) == [Outcome.ENDED]
    assert take(inbox, alert("end", key="other", identity="late")) == [Outcome.REPEATED]


def test_an_incident_is_open_until_all_that_joined_have_ended(inbox):
    take(inbox, alert(), alert(key="other"))
    assert take(inbox, alert("end", at=NOON + SECOND)) == [Outcome.JOINED]
    assert take(inbox, alert("start", key="third", at=NOON + 2 * SECOND)) == [Outcome.JOINED]
    assert take(inbox, alert("end", key="other", at=NOON + 3 * SECOND)) == [Outcome.JOINED]
    assert [order.event for order in inbox.orders()] == ["start"]
    last = alert("end", key="third", at=NOON + 4 * SECOND)
    assert take(inbox, last) == [Outcome.ENDED]
    assert inbox.orders()[-1].alert == last


def test_a_start_after_its_end_goes_on_in_the_open_incident(inbox):
    take(inbox, alert(), alert(key="other"), alert("end", key="other"))
    assert take(inbox, alert(key="other", identity="again", at=NOON + SECOND)) == [Outcome.JOINED]
    assert take(inbox, alert("end")) == [Outcome.JOINED]
    assert take(inbox, alert("end", key="other", identity="again")) == [Outcome.ENDED]


# Escalation


NAMED = read_policy("[[rules]]\nname = 'where the alert says'\nduring = { colos = [] }")


def flood(key="flood", colos=("ORD",), severity="critical", at=NOON):
    told = alert(key=key, severity=severity, at=at)
    return told, decide(told.model_copy(update={"colos": colos}), NAMED, now=told.received, bounds=Bounds())


def settle(inbox, *taken):
    (arrival,) = inbox.keep([("generic", b"{}", taken[0][0].received)])
    return inbox.settle(arrival, taken)


def test_a_more_severe_alert_adds_the_captures_that_are_missing(inbox):
    assert settle(inbox, flood("ping loss", (), "info")) == [Outcome.OPENED]
    assert settle(inbox, flood()) == [Outcome.ESCALATED]
    start, escalation = inbox.orders()
    assert (escalation.incident, escalation.event) == (start.incident, "escalation")
    # The time before it is covered already, since both began at noon.
    assert [(each.phase, each.number) for each in start.plan.captures] == [("before", 1)]
    assert [(each.phase, each.number) for each in escalation.plan.captures] == [("during", 1)]
    assert escalation.plan.captures[0].request.colo == "ORD"
    assert inbox.incidents()[0].escalations == inbox.incidents()[0].joined == 1
    assert settle(inbox, flood("again", at=NOON + SECOND)) == [Outcome.JOINED]


def test_a_new_data_centre_escalates_whatever_the_severity(inbox):
    settle(inbox, flood())
    at = NOON + 30 * SECOND
    assert settle(inbox, flood("b", ("ORD",), "info", at)) == [Outcome.JOINED]
    assert settle(inbox, flood("c", ("ORD", "AMS"), "info", at)) == [Outcome.ESCALATED]
    added = inbox.orders()[-1].plan.captures
    assert [(each.phase, each.number) for each in added] == [("before", 2), ("during", 2)]
    assert added[-1].request.colo == "AMS"


def test_an_escalation_is_in_the_budget(inbox):
    settle(inbox, flood("ping loss", (), "info"))
    told, decided = flood()
    assert settle(inbox, (told, decided.model_copy(update={"daily_budget": 1}))) == [Outcome.JOINED]
    assert "is used up" in inbox.alerts()[0].plan.reason
    assert len(inbox.orders()) == 1


def test_each_escalation_has_a_run_of_its_own(inbox):
    settle(inbox, flood("a", (), "info"))
    for number, colo in enumerate(("ORD", "AMS", "FRA")):
        settle(inbox, flood(colo, (colo,), "info", NOON + number * SECOND))
    assert len({order.key for order in inbox.orders()}) == 4


def test_a_start_after_the_end_is_a_new_incident(inbox):
    take(inbox, alert(), alert("end"))
    again = alert(identity="2", at=NOON + SECOND)
    assert take(inbox, again, cooldown=0) == [Outcome.OPENED]
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
    take(inbox, alert(key="other", about="b"), captures=2, budget=5)
    assert [len(order.plan.captures) for order in inbox.orders()] == [2, 2, 1]


def test_each_rule_has_a_budget_for_each_utc_day(inbox):
    midnight = NOON.replace(hour=0) + timedelta(days=1)
    late = midnight - timedelta(microseconds=1)
    take(inbox, alert(at=late), budget=2)
    assert take(inbox, alert(key="b", about="b", at=late), budget=2) == [Outcome.OVER_BUDGET]
    assert take(inbox, alert(key="c", about="c", at=late), budget=2, rule="other") == [Outcome.OPENED]
    assert take(inbox, alert(key="d", about="d", at=midnight), budget=2) == [Outcome.OPENED]


def test_a_part_of_the_budget_is_kept_for_grave_alerts(inbox):
    def told(key, severity):
        return alert(key=key, about=key, severity=severity)

    limits = {"captures": 3, "budget": 10, "reserved": 4}
    assert take(inbox, told("a", "info"), **limits) == [Outcome.OPENED]
    assert take(inbox, told("b", "medium"), **limits) == [Outcome.OPENED]
    assert take(inbox, told("c", "info"), **limits) == [Outcome.OVER_BUDGET]
    assert "4 are kept for critical and high alerts" in inbox.orders()[-1].plan.reason
    assert take(inbox, told("d", "critical"), **limits) == [Outcome.OPENED]
    assert take(inbox, told("e", "high"), **limits) == [Outcome.OVER_BUDGET]
    assert [len(order.plan.captures) for order in inbox.orders()] == [3, 3, 0, 3, 1]


def test_a_target_has_a_budget_and_grave_alerts_have_their_own(inbox):
    limits = {"captures": 2, "cooldown": 0, "target_budget": 3}
    told = [
        take(inbox, alert(key=key, severity=severity, about=about), **limits)[0]
        for key, severity, about in [
            ("a", "low", "x"),
            ("b", "low", "x"),
            ("c", "low", "y"),
            ("d", "critical", "x"),
        ]
    ]
    assert told == [Outcome.OPENED, Outcome.OVER_BUDGET, Outcome.OPENED, Outcome.OPENED]
    assert inbox.orders()[1].plan.reason == "captures: 1 of 2"
    assert "3 captures for x of rule 'floods'" in inbox.orders()[1].plan.remarks[0]


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
