"""Noting what led to nothing, and having people told without flooding a channel."""

import re
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
import yaml  # type: ignore[import-untyped]

from deployments.receiver.metrics import Metrics
from deployments.receiver.missed import AGAIN, FLUSH, GATHER, MOST_NOTED, SPACING, MissedLog, digest
from edgecap.errors import SetupError, StoreFull
from edgecap.incidents.inbox.missed import Kind, Missed
from tests.edgecap.incidents.inbox.inbox_parts import NOON


class Clock:
    seconds = 1000.0

    def now(self):
        return NOON + timedelta(seconds=self.seconds - 1000)

    def ticks(self):
        return self.seconds


class Teller:
    """What people were told; `away` as long as Prefect is."""

    def __init__(self):
        self.told = {}
        self.away = False
        self.failed = 0

    def tell(self, key, subject, page):
        self._answer()
        self.told.setdefault(key, f"{subject}\n{page}")
        return f"run {len(self.told)}"

    def failed_notifications(self, since):
        self._answer()
        return self.failed

    def _answer(self):
        if self.away:
            raise SetupError("the Prefect server does not answer")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def teller():
    return Teller()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def make(inbox, teller, clock, metrics):
    return lambda **options: MissedLog(
        inbox, **{"teller": teller, "metrics": metrics, "clock": clock.now, "ticks": clock.ticks, **options}
    )


@pytest.fixture
def log(make):
    return make()


def run(log, clock, seconds):
    """Let it work for so long, without waiting."""
    until = clock.seconds + seconds
    steps = 0
    while clock.seconds < until:
        clock.seconds += min(log.step(), max(0.05, until - clock.seconds))
        steps += 1
    return steps


def test_people_are_told_once_of_what_came_together(log, clock, teller, inbox):
    log.note("put aside", "grafana", "the body has no list of alerts")
    log.note("not captured", "generic", "loss: no captures: the alert names no target")
    log.note("not captured", "generic", "loss: no captures: the alert names no target")
    run(log, clock, GATHER + 2 * FLUSH)
    (told,) = teller.told.values()
    subject, _, page = told.partition("\n")
    assert subject == "edgecap: alerts led to no capture: 2 not captured, 1 put aside"
    assert "generic, not captured (2 times): loss: no captures: the alert names no target" in page
    assert "edgecap alert list --refused" in page
    run(log, clock, 4000)
    assert len(teller.told) == 1
    assert inbox.missed.untold(NOON - timedelta(days=1), 10) == []


def test_people_are_told_of_what_was_written_with_a_decision(log, clock, teller, inbox, metrics):
    decided = log.make("not captured", "generic", "loss: no captures: the alert names no target")
    inbox.missed.note([decided])
    log.written([decided])
    run(log, clock, GATHER + 2 * FLUSH)
    (told,) = teller.told.values()
    assert "generic, not captured: loss" in told
    assert 'edgecap_alerts_missed_total{kind="not captured",source="generic"} 1.0' in metrics.page().decode()


def test_a_storm_is_a_notification_in_ten_minutes(log, clock, teller, inbox):
    """Two hours of it, with a new reason each second."""
    for second in range(7200):
        log.note("put aside", "grafana", f"reason {second}")
        run(log, clock, 1)
    assert 7200 / SPACING - 1 <= len(teller.told) <= 7200 / SPACING + 1
    assert all(len(told.splitlines()) < 20 for told in teller.told.values())
    assert "and 490 other reasons" in [*teller.told.values()][1]


def test_the_same_reason_is_told_once_an_hour(log, clock, teller):
    for _ in range(120):
        log.note("not captured", "alertmanager", "the alert names no target")
        run(log, clock, 60)
    assert 2 <= len(teller.told) <= 3


def test_a_storm_is_a_commit_a_second(log, clock, inbox, monkeypatch):
    commits = []
    note = inbox.missed.note
    monkeypatch.setattr(inbox.missed, "note", lambda found: commits.append(1) or note(found))
    for _ in range(20):
        for number in range(500):
            log.note("refused", "cloudflare", "413: too large", sender=f"198.51.100.{number % 5}")
        run(log, clock, 1)
    assert len(commits) <= 21
    assert sum(each.count for each in inbox.missed.newest(["refused"], -1)) >= 19 * 500


def test_what_is_noted_between_two_commits_is_bounded(log, inbox, metrics):
    for number in range(MOST_NOTED + 500):
        log.note("unauthorized", "none", "404", sender=f"2001:db8::{number:x}", tell=False)
    assert f"[{MOST_NOTED} not written yet]" in repr(log)
    assert f'edgecap_alerts_missed_total{{kind="unauthorized",source="none"}} {MOST_NOTED + 500}.0' in (
        metrics.page().decode()
    )


def test_while_prefect_is_away_the_notification_waits(log, clock, teller):
    teller.away = True
    log.note("put aside", "grafana", "why")
    steps = run(log, clock, 1000)
    assert steps < 100
    assert teller.told == {}
    teller.away = False
    run(log, clock, 2 * AGAIN)
    assert len(teller.told) == 1


def test_after_a_restart_people_are_told_of_what_they_were_not(log, make, clock, teller):
    log.note("put aside", "grafana", "why")
    log.flush()
    again = make()
    run(again, clock, 2)
    assert len(teller.told) == 1
    run(make(), clock, 200)
    assert len(teller.told) == 1


def test_without_channels_it_is_only_written_down(make, clock, inbox):
    log = make(teller=None)
    log.note("put aside", "grafana", "why")
    run(log, clock, 1000)
    assert len(inbox.missed.newest(["put aside"], 5)) == 1


def test_what_a_stranger_can_cause_is_told_to_nobody(log, clock, teller):
    log.note("unauthorized", "cloudflare", "401: unauthorized", tell=False)
    run(log, clock, 1000)
    assert teller.told == {}


def test_a_full_disk_loses_no_note(log, clock, inbox, monkeypatch):
    def full(_):
        raise StoreFull("no space is left")

    with monkeypatch.context() as patch:
        patch.setattr(inbox.missed, "note", full)
        log.note("refused", "cloudflare", "503: it could not be kept")
        run(log, clock, 3)
        log.note("refused", "cloudflare", "503: it could not be kept")
    run(log, clock, 2 * AGAIN)
    [note] = inbox.missed.newest(["refused"], 5)
    assert note.count == 2


def test_failed_notifications_are_a_metric(log, clock, teller, metrics):
    teller.failed = 3
    run(log, clock, 1)
    assert "edgecap_notifications_failed 3.0" in metrics.page().decode()


def test_a_stranger_s_text_is_no_markdown():
    one = Missed("not captured", "generic", "", "# [x](http://evil) <b>*!*", NOON, NOON)
    line = digest([one])[1].splitlines()[2]
    assert line.endswith(r"\# \[x\](http://evil) \<b\>\*\!\*")


class TestThePage:
    PAGE = (Path(__file__).parents[3] / "docs/alerts/monitoring.md").read_text()

    def test_it_has_every_metric(self, metrics):
        names = {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in metrics.families()
        }
        assert set(re.findall(r"`(edgecap_\w+)", self.PAGE)) == names
        assert all(f"`{kind}`" in self.PAGE for kind in get_args(Kind))

    def test_its_rules_are_about_metrics_that_there_are(self, metrics):
        [block] = re.findall(r"```yaml\n(.*?)```", self.PAGE, re.DOTALL)
        [group] = yaml.safe_load(block)["groups"]
        known = set(re.findall(r"`(edgecap_\w+)", self.PAGE))
        used = {name for rule in group["rules"] for name in re.findall(r"edgecap_\w+", rule["expr"])}
        assert used <= known
