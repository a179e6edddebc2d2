"""What an alert that escalates an incident adds: only what the incident does not have yet."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.alerts.model import Alert, derive
from edgecap.alerts.policy.decision import Planned, decide, read_policy
from edgecap.incidents.escalation import added
from edgecap.requests import Filter, SimpleRequest

NOW = datetime(2026, 11, 23, 6, 40, tzinfo=UTC)
POLICY = read_policy("[[rules]]\nname = 'all'\nbefore = 240\nafter = 60\nduring = { colos = [] }")


def plan(*, seconds=0, severity="medium", target="203.0.113.7", policy=POLICY):
    """The plan for an attack that began `seconds` after `NOW`. Its alert arrived at once."""
    at = NOW + timedelta(seconds=seconds)
    alert = Alert(
        source="generic",
        kind="flood",
        event="start",
        severity=severity,
        identity=derive(str(seconds)),
        incident=derive("attack"),
        received=at,
        started=at,
        targets=(target,),
    )
    return decide(alert, policy)


def windows(captures):
    return [
        (each.request.offset_time - timedelta(seconds=each.request.time_limit), each.request.offset_time)
        for each in captures
    ]


def escalate(later, *before, seconds):
    at = NOW + timedelta(seconds=seconds)
    return added(later, [(each, NOW) for each in before], more_severe=True, at=at)


def test_a_second_look_back_takes_only_the_time_since_the_first():
    found = escalate(plan(seconds=50, severity="critical"), plan(), seconds=50)
    assert windows(found) == [(NOW, NOW + timedelta(seconds=50))]
    assert [each.number for each in found] == [2]
    assert found[0].why == (
        "06:40:00 to 06:40:50 UTC: packets from before the alert, of all data centres, "
        "that the incident does not have yet"
    )


@pytest.mark.parametrize("seconds", [0, 0.4])
def test_a_second_look_back_over_the_same_time_is_left_out(seconds):
    assert escalate(plan(seconds=seconds, severity="critical"), plan(), seconds=seconds) == ()


def test_a_look_back_at_another_target_is_whole():
    [found] = escalate(plan(seconds=50, target="203.0.113.8"), plan(), seconds=50)
    assert found.request.time_limit == 240


SECONDS = st.integers(0, 400)


@given(st.lists(st.tuples(SECONDS, st.integers(1, 300)), max_size=4), st.tuples(SECONDS, st.integers(1, 300)))
def test_no_second_that_was_wanted_is_in_no_capture(before, wanted):
    """Seconds are counted one by one: those of the new capture, and those that earlier ones have."""

    def planned(ends, length):
        request = SimpleRequest(
            time_limit=length,
            offset_time=NOW + timedelta(seconds=ends),
            filter=Filter(destination_address="203.0.113.7"),
        )
        return Planned(phase="before", number=1, request=request, why="x: y")

    def seconds(captures):
        return {
            int((begins - NOW).total_seconds()) + second
            for begins, ends in windows(captures)
            for second in range(int((ends - begins).total_seconds()))
        }

    had = [planned(*each) for each in before]
    new = plan().model_copy(update={"captures": (planned(*wanted),)})
    old = plan().model_copy(update={"captures": tuple(had)})
    found = seconds(added(new, [(old, NOW)], more_severe=True, at=NOW))
    lacking = seconds(new.captures) - seconds(had)
    assert lacking <= found <= seconds(new.captures)
    if lacking:  # no longer than it must be
        assert (min(found), max(found)) == (min(lacking), max(lacking))
    else:
        assert not found
