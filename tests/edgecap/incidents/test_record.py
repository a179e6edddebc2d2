"""Incidents in an archive: what was written first stands, and the closed record says what is missing."""

from datetime import UTC, datetime

import pytest
from markdown_it import MarkdownIt

from edgecap.alerts.model import Alert, derive, summary_of
from edgecap.alerts.policy.decision import decide, read_policy
from edgecap.captures.incident_part import IncidentPart
from edgecap.captures.intent import decide as decide_intent
from edgecap.captures.order import CaptureOrder
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.overview import Overview
from edgecap.incidents.record import HeldBack, IncidentEvent, Part, closed_record
from edgecap.report.incident_markdown import incident_page
from edgecap.report.links import NOWHERE, links_to
from edgecap.report.loading import Pictured
from edgecap.requests import SimpleRequest
from edgecap.settings import Settings
from edgecap.stores.folder import FolderStore
from tests.edgecap.report.hostile import NAMES, Seen

NOW = datetime(2026, 11, 23, 6, 40, tzinfo=UTC)
INCIDENT = derive("an incident")
READER = MarkdownIt("commonmark", {"html": True}).enable("table")
READER.validateLink = lambda _: True
POLICY = """
[[rules]]
name = "test"
before = 240
after = 60
[rules.during]
seconds = 20
colos = ["ORD"]
"""


def alert(event="start", **more):
    facts = {
        "source": "generic", "kind": "flood", "event": event, "identity": derive(event),
        "incident": derive("attack"), "received": NOW, "started": NOW, "targets": ("203.0.113.7",),
        "raw": {"all": "of it"}, "text": "long",
    }  # fmt: skip
    return Alert(**{**facts, **more})


def noted(event="start", at=NOW, **more):
    given = alert(event, **more)
    return IncidentEvent(
        incident=INCIDENT,
        alert=summary_of(given),
        plan=decide(given, read_policy(POLICY)),
        account="default",
        at=at,
    )


def part(phase, state="archived", **more):
    return Part(phase=phase, number=1, request="simple 60s", why="to see", state=state, **more)


def page_of(opened, parts, *, record=None, links=NOWHERE):
    """The page of an incident in Prefect's UI."""
    known = Overview(INCIDENT, opened=opened, record=record)
    return incident_page(known, [Pictured(each) for each in parts], links=links)


@pytest.fixture
def incidents(tmp_path):
    return Incidents(FolderStore(tmp_path))


def test_the_first_record_stands(incidents):
    first = incidents.open(noted())
    again = incidents.open(noted(at=NOW.replace(hour=9), severity="low"))
    assert again == first == incidents.opened(INCIDENT)
    assert incidents.ended(INCIDENT) is None
    assert incidents.closed(INCIDENT) is None
    record = closed_record(first, None, (part("before"),), held_back=HeldBack(), at=NOW)
    assert incidents.close(record) == record
    other = closed_record(first, None, (), held_back=HeldBack(joined=9), at=NOW)
    assert incidents.close(other) == record


def test_incidents_are_found_by_the_beginning_of_their_id(incidents):
    incidents.open(noted())
    assert incidents.ids() == incidents.ids(INCIDENT[:6]) == [INCIDENT]
    assert incidents.ids("x") == []
    incidents.close(closed_record(noted(), None, (), held_back=HeldBack(), at=NOW))
    assert incidents.ids() == [INCIDENT]


def test_record_and_page_name_missing_captures_and_why(incidents):
    parts = (
        part("before", packets=1204, entry="captures/x/"),
        part("during", state="missing", reason="no packets | matched"),
    )
    record = closed_record(noted(), noted("end"), parts, held_back=HeldBack(joined=3, repeated=2), at=NOW)
    assert record.missing == parts[1:]
    expected = "1 of 2 captures archived, 1,204 packets; missing: during 1 (no packets | matched)"
    assert str(record) == expected
    page = page_of(noted(), parts, record=record)
    assert "1 of 2 captures archived, 1 missing.**" in page
    assert "- during 1: simple 60s: missing. no packets \\| matched" in page
    assert "3 other alerts joined it, 2 were sent again" in page
    assert "- during 1 is missing: no packets \\| matched. " in page
    assert "- rule: test" in page


def test_a_closed_incident_says_each_reason_once():
    parts = (
        part("before", packets=1204, entry="captures/x/"),
        *(
            part("during", state="missing", reason="no bucket").model_copy(update={"number": n})
            for n in (1, 2)
        ),
        part("after", state="missing", reason="refused"),
    )
    record = closed_record(noted(), None, parts, held_back=HeldBack(), at=NOW)
    counts = "1 of 4 captures archived, 1,204 packets"
    assert str(record) == f"{counts}; missing: during 1, during 2 (no bucket); after 1 (refused)"
    assert record.counts == counts


OF_PAGES = {"h2", "ul", "li", "strong"}


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_cannot_put_anything_into_its_page(name):
    opened = noted(kind=name, source=name, notes=(name,))
    page = page_of(
        opened, (part("during", state="missing", reason=name).model_copy(update={"request": name}),)
    )
    seen = Seen(READER.render(page))
    assert seen.tags <= {"h1", "p", "table", "thead", "tbody", "tr", "th", "td", "code", *OF_PAGES}
    assert set(seen.attributes) <= {"style"}


def test_a_page_ends_with_a_link_to_the_report():
    assert f"`edgecap report {INCIDENT[:8]} --captures` makes the whole report, " in page_of(noted(), ())
    there = page_of(noted(), (), links=links_to("https://edgecap.example.net"))
    assert f"[The whole report](https://edgecap.example.net/incidents/{INCIDENT})" in there


def test_an_incident_without_captures_says_why():
    refused = noted(targets=())
    record = closed_record(refused, None, (), held_back=HeldBack(), at=NOW)
    assert record.remarks[0] == refused.plan.reason
    assert "no captures" in record.remarks[0]


def test_a_manifest_gets_the_alert_without_its_payload():
    assert set(summary_of(alert())) >= {"source", "kind", "identity", "targets"}
    assert not {"raw", "text"} & set(summary_of(alert()))


def test_a_part_has_the_same_intent_in_every_run():
    parts = [each for each, _ in noted().parts]
    assert len({each.intent_id for each in parts}) == len(parts) == 2
    window = SimpleRequest(time_limit=60, offset_time=NOW.replace(minute=30))

    def intent(run, part):
        return decide_intent(CaptureOrder(window, run, part=part), Settings(), now=NOW)

    one, two = (intent(run, parts[0]) for run in ("run 1", "run 2"))
    other = intent("run 1", parts[1])
    assert one.intent_id == two.intent_id == parts[0].intent_id != other.intent_id
    assert one.body == two.body
    # By the microseconds the capture is recognised whose answer was lost.
    assert one.body["offset_time"] != other.body["offset_time"]
    assert one.request.offset_time.replace(microsecond=0) in (
        window.offset_time,
        window.offset_time.replace(minute=29, second=59),
    )
    assert (one.incident, one.alert["kind"]) == (INCIDENT, "flood")


def test_a_part_is_of_one_incident():
    with pytest.raises(ValueError, match="pattern"):
        IncidentPart(incident="../x", phase="before", number=1)
