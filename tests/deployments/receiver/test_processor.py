"""What becomes of alerts once they are on disk."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deployments.receiver.metrics import Metrics
from deployments.receiver.processor import PRUNE_EVERY, AlertProcessor
from edgecap.alerts.policy.decision import Policy, read_policy
from edgecap.alerts.sources.registry import SOURCES
from edgecap.errors import StoreFull
from edgecap.incidents.inbox.alert_inbox import Outcome
from edgecap.requests import Bounds
from tests.deployments.conftest import attack, until

NOW = datetime(2026, 11, 23, 6, 31, 30, tzinfo=UTC)


class Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(inbox, clock, missed):
    """Makes settlers, which are stopped at the end."""
    made = []

    def settler(sources=SOURCES, *, the_book=inbox, on_processed=lambda: None, policy=None, metrics=None):
        made.append(
            AlertProcessor(
                the_book,
                sources,
                policy or Policy(),
                bounds=Bounds(),
                keep=timedelta(days=30),
                metrics=metrics or Metrics(),
                on_processed=on_processed,
                missed=missed,
                clock=clock,
            )
        )
        made[-1].loop.start()
        return made[-1]

    yield settler
    for each in made:
        assert each.loop.end(patience=10)


def keep(inbox, *payloads, source="cloudflare", received=NOW):
    bodies = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in payloads]
    return inbox.keep([(source, body, received) for body in bodies])


def test_alerts_left_by_the_last_process_are_settled_first_in_order(make, inbox):
    keep(inbox, attack(1), attack(2))
    told = []
    make(on_processed=lambda: told.append(1))
    until(lambda: inbox.counts().pending == 0)
    assert [order.alert.targets for order in inbox.orders()] == [("203.0.0.2",), ("203.0.0.3",)]
    assert len(told) == 2


def test_an_arriving_alert_is_settled_after_a_wake_up(make, inbox):
    settler = make()
    keep(inbox, attack(1), attack(1))
    settler.loop.wake()
    until(lambda: inbox.counts().pending == 0)
    assert [each.outcome for each in inbox.alerts()] == [Outcome.REPEATED, Outcome.OPENED]


def test_an_alert_that_is_not_understood_is_quarantined_with_the_reason(make, inbox):
    keep(inbox, b"[]", attack(1))
    make()
    until(lambda: inbox.counts().pending == 0)
    (aside,) = inbox.asides()
    assert aside.body == b"[]"
    assert aside.reason.startswith("the body is a list, not a JSON object")
    assert len(inbox.orders()) == 1


def test_an_alert_of_a_removed_source_is_put_aside_by_name(make, inbox):
    keep(inbox, {"id": 1}, source="scrubber")
    keep(inbox, attack(1))
    make()
    until(lambda: inbox.counts().pending == 0)
    assert inbox.asides()[0].reason == "the source scrubber is no longer in the settings (alerts.custom)"
    assert len(inbox.orders()) == 1


def test_an_alert_that_breaks_its_parser_holds_up_no_other(make, inbox):
    def broken(payload, *, received):
        if payload["alert_correlation_id"] == "attack-1":
            raise ZeroDivisionError("hush-hush")
        return SOURCES["cloudflare"].parse(payload, received=received)

    keep(inbox, attack(1), attack(2))
    make({"cloudflare": replace(SOURCES["cloudflare"], parse=broken)})
    until(lambda: inbox.counts().pending == 0)
    assert inbox.asides()[0].reason == "a bug in edgecap: ZeroDivisionError"
    assert len(inbox.orders()) == 1


def test_a_full_disk_quarantines_nothing(make, inbox):
    """It waits, and goes on when there is room."""

    class FullBook:
        full = True
        tries = 0

        def __getattr__(self, name):
            return getattr(inbox, name)

        def settle(self, *given):
            self.tries += 1
            if self.full:
                raise StoreFull("no space is left")
            return inbox.settle(*given)

    full = FullBook()
    keep(inbox, attack(1))
    make(the_book=full)
    until(lambda: full.tries >= 2)
    assert inbox.counts().asides == 0
    full.full = False
    until(lambda: len(inbox.orders()) == 1)


def test_the_plan_is_made_for_the_time_at_which_it_is_decided(make, inbox, clock):
    """What waited for hours, since the receiver was down, is not planned as if it had just come."""
    keep(inbox, {**attack(1), "data": {**attack(1)["data"], "start_time": NOW.isoformat()}})
    clock.now = NOW + timedelta(hours=30)
    make()
    until(lambda: inbox.counts().pending == 0)
    (judged,) = inbox.alerts()
    assert "no longer keeps" in judged.plan.reason
    assert (judged.outcome, inbox.orders()) == (Outcome.NOTHING, [])


def test_old_incidents_are_pruned(make, inbox, clock):
    keep(inbox, b"[]", received=NOW - timedelta(days=30) + PRUNE_EVERY / 2)
    settler = make()
    until(lambda: inbox.counts().asides == 1)
    clock.now += PRUNE_EVERY
    settler.loop.wake()
    until(lambda: inbox.counts().asides == 0)


def noted(inbox):
    """What a receiver finds that is killed right after its decision: nothing is in memory only."""
    return {
        (each.kind, each.source, each.reason) for each in inbox.missed.untold(NOW - timedelta(days=1), 10)
    }


def test_an_attack_that_led_to_nothing_is_noted_with_the_reason(make, inbox):
    began = NOW.isoformat()
    aimless = {"alert_type": "dos_attack_l4", "data": {"target_ip": "127.0.0.1", "start_time": began}}
    keep(inbox, b"[]", aimless)
    keep(inbox, {"kind": "loss"}, source="generic")
    firing = [{"status": "firing", "labels": {"target": "203.0.113.7"}, "startsAt": began}]
    keep(inbox, {"alerts": firing, "truncatedAlerts": 7}, source="alertmanager")
    make()
    until(lambda: len(noted(inbox)) == 4)
    found = noted(inbox)
    assert {(kind, source) for kind, source, _ in found} == {
        ("put aside", "cloudflare"),
        ("not captured", "cloudflare"),
        ("not captured", "generic"),
        ("cut off", "alertmanager"),
    }
    reasons = " ".join(reason for _, _, reason in found)
    for why in ("the body is a list", "test alerts have it", "names no target", "left 7 alerts out"):
        assert why in reasons


def test_what_a_rule_leaves_alone_is_no_news(make, inbox):
    """Nor is an end, or news of an incident that is open."""
    keep(inbox, {"alert_type": "billing_usage_alert", "data": {}}, attack(9, event="UPDATE"))
    policy = read_policy('[[rules]]\nname = "none"\nsource = "generic"\ncapture = false\n')
    keep(inbox, {"kind": "loss", "target": "203.0.113.7"}, source="generic")
    keep(inbox, {"status": "resolved", "id": "9"}, source="grafana")
    keep(inbox, {"title": "[Recovered on {target:203.0.113.9}] x", "id": "9"}, source="datadog")
    make(policy=policy)
    until(lambda: inbox.counts().pending == 0)
    assert {kind for kind, _, _ in noted(inbox)} == {"put aside"}  # the one of Grafana has no alerts


def test_incidents_are_counted_by_whether_they_have_captures(make, inbox):
    metrics = Metrics()
    policy = read_policy(
        '[[rules]]\nname = "one"\ndaily_budget = 1\nreserve = 0\ntarget_budget = 1\nduring = { colos = [] }'
    )
    keep(inbox, attack(1), attack(2))
    make(policy=policy, metrics=metrics)
    until(lambda: inbox.counts().pending == 0)
    page = metrics.page().decode()
    assert 'edgecap_incidents_opened_total{captures="all"} 1.0' in page
    assert 'edgecap_incidents_opened_total{captures="limited"} 1.0' in page


def test_a_more_severe_alert_without_a_budget_left_is_noted(make, inbox):
    """It joins an incident, and so opens none that would say so."""
    policy = read_policy(
        '[[rules]]\nname = "one"\ndaily_budget = 1\nreserve = 0\ntarget_budget = 1\nduring = { colos = [] }'
    )
    flood = {"kind": "flood", "target": "203.0.113.7"}
    keep(inbox, {**flood, "id": "1", "severity": "low"}, source="generic")
    later = NOW + timedelta(minutes=3)
    keep(inbox, {**flood, "id": "2", "severity": "low"}, source="generic", received=later)
    keep(inbox, {**flood, "id": "3", "severity": "critical"}, source="generic", received=later)
    make(policy=policy)
    until(lambda: inbox.counts().pending == 0)
    assert [str(each.outcome) for each in inbox.alerts()] == ["joined", "joined", "opened"]
    [(kind, _, reason)] = noted(inbox)
    assert kind == "not captured"
    assert "critical: left out, since the daily budget of 1 captures" in reason


def test_starts_that_a_cooldown_holds_back_are_noted_with_a_count(make, inbox):
    """It was counted with an incident that was over, and nobody was told."""
    flood = {"kind": "flood", "target": "203.0.113.7"}
    keep(inbox, {**flood, "id": "1", "incident": "a"}, source="generic")
    keep(inbox, {**flood, "id": "2", "incident": "a", "event": "end"}, source="generic")
    for number in range(3):
        keep(inbox, {**flood, "id": f"b{number}", "incident": f"b{number}"}, source="generic")
    make()
    until(lambda: inbox.counts().pending == 0)
    assert [str(each.outcome) for each in inbox.alerts()] == ["joined"] * 3 + ["ended", "opened"]
    [found] = inbox.missed.untold(NOW - timedelta(days=1), 10)
    assert (found.kind, found.count) == ("not captured", 3)
    short = inbox.incidents()[0].id[:8]
    assert found.reason == (
        "Flood on 203.0.113.7: held back by the cooldown of 600 s of rule 'built-in: default':"
        f" incident {short} of 203.0.113.7 ended shortly before"
    )
