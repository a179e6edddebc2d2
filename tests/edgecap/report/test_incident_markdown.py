"""An incident's page in Prefect's UI."""

import base64
import re
from dataclasses import replace

import pytest

from edgecap.incidents.overview import Overview
from edgecap.incidents.record import HeldBack
from edgecap.packets.verdict.model import Vector
from edgecap.report.incident import incident_html
from edgecap.report.incident_markdown import incident_headline, incident_page
from edgecap.report.incident_words import brief_verdict
from edgecap.report.links import links_to
from edgecap.report.loading import Pictured
from tests.edgecap.report.filters import proposals
from tests.edgecap.report.hostile import NAMES
from tests.edgecap.report.incidents import ID, alert, attack, just_begun, noted
from tests.edgecap.report.summaries import TARGET

IMAGE = re.compile(r"!\[Before, during and after the attack\]\(data:image/svg\+xml;base64,([^)]+)\)")


@pytest.fixture
def over():
    """The page of an incident that is over, and its captures."""
    overview, captures = attack()
    return incident_page(overview, captures, page_of="/v2/artifacts/{}".format), captures


def test_the_page_begins_with_verdict_state_target_and_times(over):
    page, _ = over
    lines = page.splitlines()
    assert lines[0].startswith(f"# SYN flood on {TARGET}:443: 93% of packets")
    assert "advanced_ddos" not in page
    why = page[page.index("## Why these captures") :]
    assert f"- alert: Advanced DDoS attack (layer 4) on {TARGET} port 443, began 2026-11-23" in why.replace(
        "\\", ""
    )
    assert lines[2].startswith("**The attack ended ")
    facts = page[: page.index("![")]
    for name in ("target", "attack began", "alert arrived", "attack ended", "rate in the alert"):
        assert f"| {name} | " in facts
    assert "unknown" not in facts


def test_the_picture_has_all_phases_and_every_capture_has_a_link(over):
    page, captures = over
    [image] = IMAGE.findall(page)
    picture = base64.b64decode(image).decode()
    assert all(phase in picture for phase in ("before", "during", "after"))
    for each in captures:
        if each.entry:
            capture_id = each.entry.manifest.entry_id
            assert f"{each.part.request}](/v2/artifacts/{capture_id}): " in page.replace("\\", "")
    order = [
        page.index(what) for what in ("![", "## Captures", "## What to do next", "## Why these captures")
    ]
    assert order == sorted(order)


def test_reports_of_the_receiver_are_linked_to_if_they_are_served():
    overview, captures = attack()
    links = links_to("https://edgecap.example.net")
    page = incident_page(overview, captures, links=links)
    first = next(each.entry.manifest.entry_id for each in captures if each.entry)
    assert f"](https://edgecap.example.net/captures/{first}): " in page


def test_what_the_alert_says_of_passed_packets_is_told_as_its_word():
    labels = {"packets_passed": "4%", "collector": "c1"}
    page = incident_page(Overview(ID, opened=noted(alert(labels=labels))), [])
    assert "| packets_passed, says the alert | 4% |" in page
    assert "collector" not in page


def test_an_open_incident_says_so():
    overview, captures = just_begun()
    page = incident_page(overview, captures)
    assert "**No end has been reported yet. " in page
    assert "| attack ended | not reported |" in page
    assert "The incident is open" in page


def test_all_decisions_are_told_in_lines_that_wrap(over):
    page, _ = over
    why = page[page.index("## Why these captures") :].replace("\\", "")
    assert why.index("**At the start**") < why.index("**At the end**")
    assert "- before 1: simple " in why
    assert "- after 1: simple " in why
    assert "```" not in page


def test_the_headline_begins_with_the_state_and_what_it_is():
    incident, captures = attack()
    assert incident_headline(incident, captures).startswith(f"closed, 4 of 5 captures: SYN flood on {TARGET}")
    assert incident_headline(*just_begun()).startswith("open, 1 of 4 captures: ")
    assert incident_headline(Overview(ID, opened=incident.opened), []) == (
        f"open: Advanced DDoS attack (layer 4): {TARGET} port 443"
    )


def only(*phases):
    """The incident with packets of these phases; it is open, and the others wait."""
    overview, captures = attack()
    kept = [
        each
        if each.part.phase in phases
        else Pictured(each.part.model_copy(update={"state": "pending", "entry": "", "packets": None}))
        for each in captures
    ]
    return replace(overview, record=None, ended=None), kept


def calm(captures):
    """The same, and nothing stands out in any."""
    said = "Nothing stands out: 1,000 packets."
    return [
        replace(
            each,
            summary=each.summary.model_copy(update={"vectors": (), "strength": "nothing", "verdict": said}),
        )
        if each.summary
        else each
        for each in captures
    ]


@pytest.mark.parametrize("phase", ["before", "after"])
def test_calm_packets_from_before_or_after_are_no_all_clear(phase):
    overview, captures = only(phase)
    heading = incident_page(overview, calm(captures)).splitlines()[0]
    assert heading == (
        f"# Advanced DDoS attack (layer 4): {TARGET}:443; there are no packets from during the attack yet"
    )
    assert brief_verdict(overview, calm(captures)) == (
        f"no packets from during the attack on {TARGET} port 443"
    )
    during = only("during")
    assert incident_page(during[0], calm(during[1])).startswith("# Nothing stands out: ")


def test_an_escalation_leads_the_page_that_tells_of_it():
    overview, captures = only("before")
    lines = incident_page(overview, calm(captures), news="Escalated: DNS flood, critical.").splitlines()
    assert lines[0] == "# Escalated: DNS flood, critical."
    assert "no packets from during the attack yet" in lines[2]


def test_a_subject_has_the_verdict_in_a_few_words():
    overview, captures = attack()

    def named(title):
        vectors = (Vector(kind="syn-flood", title=title, strength="likely"),)
        return [
            replace(each, summary=each.summary.model_copy(update={"vectors": vectors}))
            if each.summary
            else each
            for each in captures
        ]

    said = brief_verdict(overview, named(f"SYN flood on {TARGET} port 443"))
    assert said == f"likely SYN flood on {TARGET} port 443"
    assert len(brief_verdict(overview, named("x" * 300))) == 100


def test_alerts_that_came_again_are_counted_in_a_sentence():
    overview, captures = attack()
    for repeated, words in ((1, "1 was sent again"), (2, "2 were sent again")):
        counted = replace(overview, record=None, counted=HeldBack(joined=1, repeated=repeated))
        assert f"| more alerts | 1 other alert joined it, {words} |" in incident_page(counted, captures)


def test_without_a_filter_nobody_is_told_to_read_one():
    none = proposals().model_copy(update={"proposals": (), "reason": "the attack's captures have no packets"})
    for page in (incident_page(*attack(), proposals=none), incident_html(*attack(), proposals=none)):
        assert "No filter is proposed" in page
        assert "read a filter" not in page
        assert "shows all forms" not in page


def test_a_notification_has_no_picture_in_it():
    assert not IMAGE.search(incident_page(*attack(), picture=False))


def test_a_reason_for_several_missing_captures_is_told_once_below():
    overview, captures = just_begun()
    lost = [
        Pictured(each.part.model_copy(update={"state": "missing", "reason": "no bucket", "packets": None}))
        for each in captures
    ]
    page = incident_page(overview, lost)
    below = page[page.index("## What to do next") :]
    assert "before 1, " in below
    assert below.count("no bucket") == 1
    assert "edgecap get" not in below  # there are no packets


def test_filters_come_with_their_proof_and_one_form():
    overview, captures = attack()
    page = incident_page(overview, captures, proposals=proposals())
    section = page[page.index("## Filters") : page.index("## What to do next")]
    assert "3 vectors; filters: 1 proven, 1 not proven harmless" in section
    assert "Possible filter, not proven harmless" in section
    assert (
        section.count("tcp.flags.syn and not tcp.flags.ack and ip.len eq 44\n```") == 2
    )  # none for the third
    assert f"`edgecap propose {overview.id[:8]}` shows all forms" in section
    assert "## Filters" not in incident_page(overview, captures)


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_in_a_filter_stays_text(name):
    page = incident_page(*attack(), proposals=proposals(name))
    outside = re.sub(r"```\n.*?\n```", "", page, flags=re.DOTALL)
    assert "# heading" not in outside.splitlines()
    assert not re.search(r"(?<!\\)<(script|img|b)\b", outside)
    assert "](javascript:" not in outside.replace("\\]", "")
