"""The data centres of an incident: decided once, in numbers of their own, and elsewhere if need be."""

from datetime import UTC, datetime, timedelta

import pytest

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import decide, read_policy
from edgecap.analytics.choice import Known, choose
from edgecap.analytics.places import Carried, Share
from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Ended
from edgecap.captures.intent import decide as decide_intent
from edgecap.captures.order import CaptureOrder
from edgecap.incidents.escalation import added
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.placing import Elsewhere, awaiting, elsewhere_wanted, placed
from edgecap.incidents.record import OPENED, IncidentEvent, Part, escalation_name
from edgecap.settings import Settings, StoreLocation
from edgecap.stores import open_store
from tests.edgecap.analytics.past import keep

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
INCIDENT = "a1" * 16
POLICY = read_policy("[[rules]]\nname = 'all'\n")


@pytest.fixture
def store(tmp_path):
    return open_store(StoreLocation(uri=f"file:{tmp_path}"))


def event(number=0, severity="high"):
    alert = Alert(
        source="generic",
        kind="flood",
        event="start",
        severity=severity,
        identity=f"{number}" * 32,
        incident="2" * 32,
        received=NOW,
        started=NOW,
        targets=("203.0.113.7",),
    )
    return IncidentEvent(
        incident=INCIDENT,
        alert=alert.model_dump(mode="json"),
        plan=decide(alert, POLICY),
        account="default",
        at=NOW,
    )


def choice(*places):
    shares = tuple(Share(place, 60 * (9 - number), 0) for number, place in enumerate(places))
    return choose(Known(carried=Carried(shares, NOW - timedelta(minutes=1), NOW, NOW)), share=1, most=3)


def place(store, name, noted, *places):
    """Choose places for an event, as the flow does."""
    incidents = Incidents(store)
    before = incidents.told(INCIDENT).placed(name)
    record = placed(awaiting(noted), choice(*places), before, at=NOW)
    return incidents.place(INCIDENT, name, len(before) + 1, record)


def names(noted):
    return [
        f"{each.phase} {each.number} {getattr(each.request, 'colo', '')}".strip()
        for each in noted.plan.captures
    ]


def test_the_captures_are_at_the_chosen_places_in_their_order(store):
    noted = Incidents(store).open(event())
    place(store, OPENED, noted, "ZRH", "AMS")
    found = Incidents(store).told(INCIDENT).opened
    assert names(found) == ["before 1", "during 1 ZRH", "during 2 AMS"]
    assert "full captures: ZRH and AMS carry 100.0% of the packets" in found.plan.remarks[-1]
    [_, first, _] = [part for part, _ in found.parts]
    assert first.choice["places"] == ["ZRH", "AMS"]
    assert found.plan.captures[1].why == "every packet for 60 s, whole; Network Analytics names ZRH"


def test_before_the_choice_the_capture_has_no_place(store):
    Incidents(store).open(event())
    found = Incidents(store).told(INCIDENT).opened
    assert found.awaits_places
    assert names(found) == ["before 1", "during 1 auto"]


def test_no_place_is_no_capture_and_a_remark(store):
    noted = Incidents(store).open(event())
    place(store, OPENED, noted)
    found = Incidents(store).told(INCIDENT).opened
    assert names(found) == ["before 1"]
    assert found.plan.remarks[-1].startswith("no full capture: no data centre can be chosen")


def test_the_first_choice_stands(store):
    """A run that died after it chose, and is started again, may be told another one."""
    noted = Incidents(store).open(event())
    place(store, OPENED, noted, "ZRH")
    record = placed(awaiting(noted), choice("ORD"), [], at=NOW)
    stands = Incidents(store).place(INCIDENT, OPENED, 1, record)
    assert names(noted.placed([stands])) == ["before 1", "during 1 ZRH"]


def test_an_escalation_takes_numbers_that_no_choice_can_take(store):
    noted, graver = event(), event(1, "critical")
    later = added(graver.plan, [(noted.plan, NOW)], more_severe=True, at=NOW + timedelta(minutes=5))
    more = graver.model_copy(update={"plan": graver.plan.model_copy(update={"captures": later})})
    Incidents(store).open(noted)
    Incidents(store).escalate(more)
    place(store, OPENED, noted, "AAA", "BBB", "CCC")
    place(store, escalation_name(more), more, "DDD", "EEE")
    told = Incidents(store).told(INCIDENT)
    numbers = [each.number for one in told.events for each in one.plan.captures if each.phase == "during"]
    assert numbers == [1, 2, 3, 4, 5]
    known = Incidents(store).told(INCIDENT, told)
    assert [names(each) for each in known.events] == [names(each) for each in told.events]


def part(planned, packets=None, entry=None, state="archived"):
    return Part(
        phase=planned.phase,
        number=planned.number,
        request=str(planned.request),
        why="",
        state=state,
        entry=entry.prefix if entry else "",
        packets=packets,
    )


def outcomes(store, *packets):
    """What became of the captures: so many packets each; None while one is under way."""
    told = Incidents(store).told(INCIDENT)
    full = [each for each in told.opened.plan.captures if each.phase == "during"]
    parts = []
    for planned, count in zip(full, packets, strict=True):
        if count is None:
            parts.append(part(planned, state="pending"))
        else:
            parts.append(part(planned, count, keep(store, planned.request.colo, count)))
    return elsewhere_wanted(store, told, parts)


def test_another_place_is_tried_where_all_had_few_packets(store):
    noted = Incidents(store).open(event())
    place(store, OPENED, noted, "ZRH")
    assert outcomes(store, None) is None
    assert outcomes(store, 9_000) is None
    assert outcomes(store, 3) == Elsewhere(OPENED)
    place(store, OPENED, noted, "AMS")
    found = Incidents(store).told(INCIDENT).opened
    assert names(found) == ["before 1", "during 1 ZRH", "during 2 AMS"]
    assert found.plan.remarks[-1].startswith("few packets at ZRH, so another place is tried: AMS carries")
    assert outcomes(store, 3, 3) == Elsewhere(OPENED)
    assert outcomes(store, 3, 9_000) is None
    assert outcomes(store, 3, None) is None


def test_no_more_places_than_planned_are_tried(store):
    noted = Incidents(store).open(event())
    place(store, OPENED, noted, "ZRH", "AMS", "ORD")
    assert outcomes(store, 3, 3, 3) is None


def test_a_choice_of_none_ends_the_trying(store):
    noted = Incidents(store).open(event())
    place(store, OPENED, noted, "ZRH")
    place(store, OPENED, noted)
    assert outcomes(store, 3) is None


def test_nothing_is_tried_once_the_attack_is_over(store):
    noted = Incidents(store).open(event())
    place(store, OPENED, noted, "ZRH")
    Incidents(store).end(noted)
    assert outcomes(store, 3) is None


@pytest.mark.parametrize(
    ("error", "tried"),
    [("RequestRefused", True), ("CaptureFailed", True), ("BucketNotValidated", False), ("", False)],
)
def test_a_capture_without_packets_leads_elsewhere_if_that_may_help(store, error, tried):
    noted = Incidents(store).open(event())
    place(store, OPENED, noted, "ZRH")
    told = Incidents(store).told(INCIDENT)
    [(of, planned)] = [pair for pair in told.opened.parts if pair[0].phase == "during"]
    intent = decide_intent(CaptureOrder(planned.request, "run", part=of), Settings(), now=NOW)
    journal = Journal(store)
    journal.begin(intent)
    journal.end(intent.intent_id, Ended(outcome="failed", reason="no", error=error, at=NOW))
    missing = [part(planned, state="missing")]
    assert elsewhere_wanted(store, told, missing) == (Elsewhere(OPENED) if tried else None)
    assert journal.find(intent.intent_id).intent.choice["places"] == ["ZRH"]
