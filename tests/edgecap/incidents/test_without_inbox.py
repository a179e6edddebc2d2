"""Where there is no inbox, the archive tells which incident an alert belongs to."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.alerts.model import Alert, derive
from edgecap.alerts.policy.decision import decide, read_policy
from edgecap.incidents.inbox.rows import Outcome
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import HeldBack, closed_record
from edgecap.incidents.without_inbox import enter, first_true
from edgecap.settings import StoreLocation
from edgecap.stores import open_store

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
POLICY = read_policy('[[rules]]\nname = "test"\nkind = "flood"\n[[rules]]\nname = "none"\ncapture = false\n')


@pytest.fixture
def incidents(tmp_path):
    return Incidents(open_store(StoreLocation(uri=f"file:{tmp_path}")))


def alert(event="start", *, key="attack", time=0, minutes=0, kind="flood"):
    """An alert of the attack that began at `time`, which arrives `minutes` minutes after noon."""
    return Alert(
        source="generic",
        kind=kind,
        event=event,
        identity=derive(key, event, str(time)),
        incident=derive(key),
        received=NOON + timedelta(minutes=minutes),
        targets=("203.0.113.7",),
    )


def take(incidents, given, at=None):
    return enter(incidents, given, decide(given, POLICY), account="default", at=at or given.received)


def outcomes(incidents, *alerts):
    entered = [take(incidents, each) for each in alerts]
    return [each.outcome for each in entered], [each.noted and each.noted.incident for each in entered]


def test_a_start_opens_and_its_end_ends_the_same_incident(incidents):
    (opened, ended), (one, other) = outcomes(incidents, alert(), alert("end", minutes=9))
    assert (opened, ended) == (Outcome.OPENED, Outcome.ENDED)
    assert one == other
    assert incidents.opened(one).plan.captures[0].phase == "before"
    assert incidents.ended(one).plan.captures[0].phase == "after"


def test_a_repeat_is_recognised_and_another_alert_joins(incidents):
    """What is run for it is always what was planned first, so that asking twice makes one run."""
    told, ids = outcomes(incidents, alert(), alert(minutes=1), alert(time=2, minutes=2))
    assert told == [Outcome.OPENED, Outcome.REPEATED, Outcome.JOINED]
    assert len(set(ids)) == 1
    assert take(incidents, alert(time=3, minutes=3)).noted.plan == decide(alert(), POLICY)
    assert len(incidents.ids()) == 1


def test_a_second_end_is_recognised_even_if_the_first_never_ran(incidents):
    told, ids = outcomes(incidents, alert(), alert("end", minutes=9), alert("end", minutes=10))
    assert told[1:] == [Outcome.ENDED, Outcome.REPEATED]
    assert ids[1] == ids[2]
    assert take(incidents, alert("end", minutes=11)).noted.alert["event"] == "end"


def test_a_late_repeat_of_a_start_does_not_reopen_its_incident(incidents):
    told, ids = outcomes(incidents, alert(), alert("end", minutes=9), alert(minutes=10))
    assert told[2] == Outcome.REPEATED
    assert ids[2] == ids[0]


def test_after_the_end_the_next_attack_is_another_incident(incidents):
    seen = []
    for number in range(7):
        for event in ("start", "end"):
            entered = take(incidents, alert(event, time=number, minutes=number))
            seen.append(entered.noted.incident)
    assert len(set(seen)) == 7
    assert seen[::2] == seen[1::2]


def test_after_a_day_the_same_words_are_another_attack(incidents):
    """A product that tells no time says the same of each attack."""
    told, ids = outcomes(
        incidents,
        alert(),
        alert("end", minutes=9),
        alert(minutes=24 * 60 + 1),
        alert("end", minutes=24 * 60 + 10),
    )
    assert told == [Outcome.OPENED, Outcome.ENDED, Outcome.OPENED, Outcome.ENDED]
    assert ids[0] == ids[1] != ids[2] == ids[3]


def test_a_closed_incident_without_an_end_counts_as_over(incidents):
    opened = take(incidents, alert()).noted
    incidents.close(closed_record(opened, None, (), held_back=HeldBack(), at=NOON + timedelta(days=1)))
    entered = take(incidents, alert(time=1, minutes=60))
    assert entered.outcome == Outcome.OPENED
    assert entered.noted.incident != opened.incident


@pytest.mark.parametrize("event", ["end", "other"])
def test_an_end_without_a_known_start_does_nothing(incidents, event):
    assert take(incidents, alert(event)) == take(incidents, alert("start", kind="bill"))
    assert str(take(incidents, alert(event))) == "nothing"
    assert incidents.ids() == []


@given(st.integers(0, 5000))
def test_the_first_number_is_found_in_few_questions(wanted):
    asked = []

    def true(number):
        asked.append(number)
        return number >= wanted

    assert first_true(true) == wanted
    assert len(asked) <= 2 * wanted.bit_length() + 2
