import re
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest

from edgecap.incidents.drops import Drops
from edgecap.incidents.overview import Overview
from edgecap.report.charts.incident_timeline import incident_chart, shared_scales, shortened
from edgecap.report.charts.scales import whole
from edgecap.report.charts.scene import scene_of
from edgecap.report.charts.series import KINDS
from edgecap.report.charts.timeline import BROAD, NARROW, time_axis
from edgecap.report.incident import incident_html
from edgecap.report.incident_markdown import incident_page
from edgecap.report.incident_words import cut_short, incident_verdict
from edgecap.report.links import HERE
from edgecap.report.loading import Pictured
from edgecap.report.phases import phases_of
from edgecap.units import clock, duration, period, stamp
from tests.edgecap.report.filters import proposals
from tests.edgecap.report.hostile import NAMES, Seen
from tests.edgecap.report.incidents import (
    ID,
    NO_PACKETS,
    alert,
    attack,
    hostile,
    just_begun,
    mitigated,
    noted,
)
from tests.edgecap.report.summaries import START, TARGET

SVG = "{http://www.w3.org/2000/svg}"


def picture(incident, captures, width=BROAD):
    return ET.fromstring(incident_chart(scene_of(incident, captures), width=width).encode())


def texts(drawn):
    return ["".join(each.itertext()) for each in drawn.iter(f"{SVG}text")]


def test_a_page_is_complete_and_loads_nothing():
    for incident, captures in (attack(), just_begun(), (Overview(ID), [])):
        Seen(incident_html(incident, captures)).check()


def test_proposed_filters_are_shown_with_their_proofs():
    page = incident_html(*attack(), proposals=proposals())
    text = Seen(page).text
    assert '<a href="#filters">Filters</a>' in page
    assert "3 vectors; filters: 1 proven, 1 not proven harmless." in text
    assert "8,700 of the vector's 8,776 packets match: 99.1%; without the usual packets" in text
    assert "baseline to compare with" not in text
    assert (
        "3 of the 5,210 usual packets to this target match: 0.058% (95 % interval: 0.012% to 0.17%)." in text
    )
    assert "It cannot express the filter: FlowSpec cannot look at the TTL." in text
    assert "No filter is good enough" in text
    assert "Nothing was changed anywhere" in text
    assert "Filters" not in Seen(incident_html(*attack())).text
    for name in NAMES:
        Seen(incident_html(*attack(), proposals=proposals(name))).check()


def test_the_verdict_is_that_of_the_most_telling_packets():
    page = incident_html(*attack())
    assert re.search("<h1>(.*?)</h1>", page)[1].startswith("SYN flood on 203.0.113.7:443")
    text = Seen(page).text
    assert "The attack ended 2026-11-23 07:14:46 UTC, after 41 min 21 s." in text
    assert "4 of 5 captures archived, 1 missing." in text


def test_the_alert_is_told_in_words_and_its_labels_as_its_own():
    incident, captures = just_begun()
    labelled = noted(alert(labels={"dropped": "96%", "collector": "c1"}))
    text = Seen(incident_html(replace(incident, opened=labelled), captures)).text
    words = (
        f"Advanced DDoS attack (layer 4) on {TARGET} port 443, began 2026-11-23 06:33:25 UTC, from Cloudflare"
    )
    assert text.count(words) == 2
    assert "advanced_ddos" not in text
    assert "dropped, says the alert" in text
    assert "collector" not in text
    assert "says the alert" not in Seen(incident_html(incident, captures)).text


def short_of(incident, captures):
    """The incident, its first capture ended by the packet limit; and when its packets begin and end."""
    first, *others = captures
    manifest = first.entry.manifest
    begins = first.planned.request.offset_time - timedelta(seconds=first.planned.request.time_limit)
    ends = begins + timedelta(seconds=15)
    short = manifest.model_copy(
        update={
            "type": "simple",
            "request": first.planned.request.model_dump(mode="json") | {"packet_limit": 10},
            "capture": {},
            "flags": ("limit-reached",),
            "totals": manifest.totals.model_copy(update={"first": begins, "last": ends}),
        }
    )
    cut = replace(
        first,
        entry=replace(first.entry, manifest=short),
        summary=first.summary.model_copy(update={"first": begins, "last": ends}),
    )
    return incident, [cut, *others], ends


def test_a_capture_that_a_limit_ended_is_named_at_the_top():
    incident, captures, ends = short_of(*attack())
    asked = captures[0].planned.request
    until, length = asked.offset_time, duration(asked.time_limit)
    page = incident_html(incident, captures)
    top = Seen(page.partition("<dl")[0]).text
    assert f"the packet limit ended it after 15 s of {length}" in top
    assert f"nothing from {clock(ends)} to {clock(until)} UTC" in top
    assert f"packets from {period(ends - timedelta(seconds=15), ends)}, 15 s" in Seen(page).text
    assert "limit ended it" not in incident_html(*attack())


def test_a_gap_up_to_the_start_of_the_attack_says_so():
    _, captures, ends = short_of(*attack())
    until = captures[0].planned.request.offset_time
    [(name, words)] = cut_short(captures, until + timedelta(seconds=1))
    assert name == "before 2"  # numbered by time, captured first
    assert words.endswith(f"nothing from {clock(ends)} to the attack")


def test_an_escalated_incident_says_from_which_severity_to_which():
    incident, captures = attack()
    later = START + timedelta(minutes=3)
    worse = noted(alert(identity="worse", severity="critical", at=later))
    other = noted(alert(identity="other", severity="low", at=later))
    page = Seen(incident_html(replace(incident, escalations=(other, worse)), captures)).text
    assert f"high → critical at {clock(later)}" in page
    risen = replace(incident, escalations=(other, worse))
    assert risen.alert == incident.alert.replace(", high", ", high → critical")
    assert ", high, " in incident.alert
    assert "→" not in Seen(incident_html(incident, captures)).text


def test_the_end_and_when_it_was_told_are_two_things_everywhere():
    incident, captures = attack()
    ended, told = incident.attack_ended, incident.end_told
    assert told - ended == timedelta(seconds=20)
    for page in (Seen(incident_html(incident, captures)).text, incident_page(incident, captures)):
        assert f"The attack ended {stamp(ended)}, after 41 min 21 s." in page.replace("\\", "")
        assert "end told" in page
    marks = {mark.label: mark.at for mark in scene_of(incident, captures).marks}
    assert (marks["attack ends"], marks["end told"]) == (ended, told)


def test_without_packets_the_verdict_is_what_the_alert_says():
    opened = noted(alert(title="L4 attack"))
    assert incident_verdict(Overview(ID, opened=opened), []) == f"L4 attack: {TARGET}:443"
    assert incident_verdict(Overview(ID, opened=noted(alert())), []).startswith("Advanced DDoS attack")
    assert incident_verdict(Overview(ID), []) == "An incident without a readable alert"


def test_missing_captures_are_named_at_the_top_with_the_reason():
    page = incident_html(*attack())
    assert f'<b class="alarm">during 2 is missing</b>: {NO_PACKETS}' in page
    assert page.index("is missing") < page.index("<svg")


def test_one_reason_for_several_missing_captures_is_told_once_at_the_top():
    incident, captures = just_begun()
    lost = [
        replace(each, part=each.part.model_copy(update={"state": "missing", "reason": "no bucket"}))
        for each in captures
        if not each.entry
    ]
    top = incident_html(incident, lost).partition("<dl")[0]
    assert "during 1, during 2 are missing</b>: no bucket" in top
    assert top.count("no bucket") == 1


def test_the_picture_has_a_row_per_capture_and_a_line_per_event():
    drawn = picture(*attack())
    said = texts(drawn)
    assert [name for name in said if re.fullmatch(r"(before|during|after) \d", name)] == [
        *("before 1", "before 2", "during 1", "during 2", "after 1"),
    ]
    assert {"ORD", "AMS"} <= set(said)
    for mark in ("attack begins 06:33:25", "alert 06:34:06", "decided 06:34:07", "attack ends 07:14:46"):
        assert mark in said
    assert f"missing: {NO_PACKETS}" in said
    classes = [each.get("class") for each in drawn.iter()]
    assert (classes.count("edge"), classes.count("absent"), classes.count("attack")) == (2, 1, 1)


def test_captures_stand_where_they_were_taken():
    incident, captures = attack()
    drawn = picture(incident, captures)
    windows = [each for each in drawn.iter(f"{SVG}rect") if each.get("class") in ("window", "absent")]
    left = [float(each.get("x")) for each in windows]
    attack_ground = next(each for each in drawn.iter(f"{SVG}rect") if each.get("class") == "attack")
    begins = float(attack_ground.get("x"))
    ends = begins + float(attack_ground.get("width"))
    assert left[0] < left[1] < begins < left[2] < ends
    assert left[4] >= ends - 0.5


def test_a_missing_capture_of_an_escalation_stands_at_its_time():
    """Not at the first alert's, when nobody had thought of it."""
    incident, captures = attack()
    later = START + timedelta(minutes=9)
    worse = noted(alert(identity="worse", severity="critical", at=later))
    lost = next(each for each in captures if each.part.state == "missing")
    planned = lost.planned.model_copy(update={"number": 3})
    plan = worse.plan.model_copy(update={"captures": (planned,)})
    part = lost.part.model_copy(update={"number": 3})
    incident = replace(incident, escalations=(worse.model_copy(update={"plan": plan}),))
    length = timedelta(seconds=planned.request.time_limit)
    accepted = later + timedelta(seconds=30)
    for submitted, begins in ((None, later + timedelta(seconds=1)), (accepted, accepted)):
        mine = Pictured(part.model_copy(update={"submitted": submitted}), planned)
        row = next(row for row in scene_of(incident, [*captures, mine]).rows if row.name == "during 3")
        assert row.window == (begins, begins + length)
    assert any(said.startswith("escalated ") for said in texts(picture(incident, captures)))


@pytest.mark.parametrize("width", [BROAD, NARROW])
def test_no_line_crosses_a_text(width):
    drawn = picture(*attack(), width=width)
    lines = [
        (float(x), float(top), float(bottom))
        for each in drawn.iter(f"{SVG}path")
        if each.get("class") in ("edge", "mark")
        for x, top, bottom in re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)", each.get("d"))
    ]
    assert len(lines) > 10  # they are interrupted
    for each in drawn.iter(f"{SVG}text"):
        if "over" not in (each.get("class") or "").split():
            continue
        letters = "".join(part for part in each.itertext())
        said = each.findtext(f"{SVG}title")
        letters = letters.removeprefix(said) if said else letters
        left, floor = float(each.get("x")), float(each.get("y"))
        for x, top, bottom in lines:
            beside = x < left or x > left + 5 * len(letters)
            assert beside or bottom <= floor - 10 or top >= floor


@pytest.mark.parametrize("width", [BROAD, NARROW])
def test_labels_of_lines_do_not_hide_each_other(width):
    drawn = picture(*attack(), width=width)
    labels = [
        each for each in drawn.iter(f"{SVG}text") if re.search(r"\d\d:\d\d:\d\d$", "".join(each.itertext()))
    ]
    places = [
        (float(each.get("y")), float(each.get("x")), len("".join(each.itertext())) * 5.5) for each in labels
    ]
    for one in places:
        for other in places:
            if one is not other and one[0] == other[0]:
                assert one[1] + one[2] <= other[1] or other[1] + other[2] <= one[1]


def test_the_first_label_of_the_time_axis_is_not_cut_off():
    """A stretch too short for a round time is marked where it begins, which is at the picture's edge."""
    scale = whole(START, START + timedelta(seconds=1), 6, 60)
    [label] = ET.fromstring(time_axis(scale, 10, apart=70).encode()).iter("text")
    half = len(label.text) * 6 / 2  # pixels; half of a text in this size
    assert float(label.get("x")) - half >= 0


def test_hours_without_captures_are_left_out_visibly():
    assert any(re.fullmatch(r"3\d min( \d+ s)?", said) for said in texts(picture(*attack())))


def test_a_page_of_an_open_incident_says_what_it_waits_for():
    incident, captures = just_begun()
    text = Seen(incident_html(incident, captures)).text
    assert "No end has been reported yet. 1 of 4 captures archived, 3 pending." in text
    assert "pending: waits for the full lane" in text
    assert [each.get("class") for each in picture(incident, captures).iter()].count("waiting") == 3


def test_phases_are_compared_samples_apart_from_all_packets():
    text = Seen(incident_html(*attack())).text
    assert "before, samples" in text
    assert "during, all packets" in text
    assert "after, samples" in text
    assert "TCP with SYN alone" in text
    assert "Before, during, after" not in Seen(incident_html(*just_begun())).text


def tallest(drawn):
    """The height of the tallest bar of each capture with packets, in the order of the rows."""
    rows = {}
    for path in drawn.iter(f"{SVG}path"):
        if path.get("class") not in KINDS:
            continue
        bars = re.findall(r"M[\d.]+ ([\d.]+)H[\d.]+v([\d.]+)H", path.get("d"))
        for top, tall in bars:
            bottom = float(top) + float(tall)
            row = round((bottom if path.get("class") == "tcp" else float(top)) // 70)
            rows[row] = max(rows.get(row, 0), float(tall))
    return [rows[row] for row in sorted(rows)]


def test_captures_of_samples_share_a_scale_on_demand_and_no_other():
    incident, captures = attack()
    scene = scene_of(incident, captures)
    assert shared_scales(scene) == ["captures of samples"]
    own = tallest(ET.fromstring(incident_chart(scene).encode()))
    shared = tallest(ET.fromstring(incident_chart(scene, shared=True).encode()))
    # Two quiet captures and one of the attack are samples; the fourth is all packets of one data centre.
    assert len(own) == len(shared) == 4
    assert sorted(low < 0.8 * high for low, high in zip(shared, own, strict=True)) == [
        *([False] * 2),
        *([True] * 2),
    ]
    text = Seen(incident_html(incident, captures)).text
    assert "Compare the heights: one scale for captures of samples" in text
    assert "Compare the heights" not in Seen(incident_html(*just_begun())).text


def test_phases_have_bars_on_one_scale_a_row():
    _, captures = attack()
    table = phases_of(captures)
    rows = {name: [cell.share for cell in cells] for name, cells in table.rows}
    assert max(rows["highest rate"][0], rows["highest rate"][2]) == 1  # of the samples
    assert rows["highest rate"][1] == 1  # the only one of all packets
    assert all(0 <= share <= 1 for share in rows["TCP with SYN alone"])
    assert rows["packets kept"] == [None, None, None]


def test_the_phases_say_which_rates_are_estimates_of_all_packets():
    """Of two phases with samples, the sampling of one is known."""
    _, captures = attack()
    [unknown] = phases_of(captures).notes
    assert unknown.startswith("The rates of before and after are those of samples, lower than the true ones.")
    where = "estimated from 134 of the 1,242 packets of full capture 7be2"
    told = [
        replace(each, summary=each.summary.model_copy(update={"conditions": known_sampling(each, where)}))
        if each.part.phase == "after" and each.summary
        else each
        for each in captures
    ]
    scaled, unknown = phases_of(told).notes
    assert scaled == f"The rates of after are estimates of all packets: the sampling is {where}."
    assert unknown.startswith("The rates of before are those of samples")


def known_sampling(capture, where):
    return capture.summary.conditions.model_copy(update={"sampling": 10.0, "sampling_from": where})


def test_captures_link_to_their_reports_where_they_are_served():
    incident, captures = attack()
    Seen(incident_html(incident, captures)).check()
    ids = {each.entry.manifest.entry_id for each in captures if each.entry}
    Seen(incident_html(incident, captures, links=HERE)).check(links={f"/captures/{each}" for each in ids})


def test_an_alert_of_a_newer_version_does_not_hide_the_incident():
    incident, captures = attack()
    newer = incident.opened.model_copy(update={"alert": {"source": "cloudflare", "new": 1}})
    record = incident.record.model_copy(update={"alert": {"source": "cloudflare", "new": 1}})
    seen = Seen(incident_html(replace(incident, opened=newer, record=record, ended=None), captures))
    assert "SYN flood" in seen.text


def test_a_page_says_that_an_entry_is_gone():
    incident, captures = attack()
    gone = replace(captures[2], entry=None, summary=None, remark="its entry is no longer in the archive")
    text = Seen(incident_html(incident, [*captures[:2], gone, *captures[3:]])).text
    assert "its entry is no longer in the archive" in text


@pytest.mark.parametrize("name", NAMES)
def test_names_that_others_chose_stay_text(name):
    Seen(incident_html(*hostile(name))).check()


def test_two_hundred_captures_over_a_week_are_one_picture():
    incident, (first, *_) = just_begun()
    many = [
        replace(
            first,
            part=first.part.model_copy(update={"number": number}),
            planned=None,
            summary=None,
            entry=replace(
                first.entry,
                manifest=first.entry.manifest.model_copy(
                    update={
                        "totals": first.entry.manifest.totals.model_copy(
                            update={
                                "first": START + timedelta(hours=number),
                                "last": START + timedelta(hours=number, seconds=60),
                            }
                        )
                    }
                ),
            ),
        )
        for number in range(1, 201)
    ]
    page = incident_html(incident, many)
    Seen(page).check()
    assert len(page) < 1_000_000


def test_a_wrong_clock_does_not_stretch_the_picture_over_decades():
    incident, captures = attack()
    manifest = captures[2].entry.manifest
    totals = manifest.totals.model_copy(update={"first": START.replace(year=1970)})
    wrong = replace(
        captures[2],
        entry=replace(captures[2].entry, manifest=manifest.model_copy(update={"totals": totals})),
    )
    spans = scene_of(incident, [*captures[:2], wrong, *captures[3:]]).spans
    assert min(first for first, _ in spans) > START - timedelta(hours=1)


def test_words_are_cut_between_words():
    assert shortened("one two  three", 20) == "one two three"
    assert shortened("one two, three", 12) == "one two..."
    assert shortened("x" * 50, 10) == "x" * 7 + "..."


class TestWhatTheEdgeDropped:
    def test_passed_is_beside_dropped_in_one_table_and_one_timeline(self):
        page = incident_html(*mitigated())
        assert 'id="edge"' in page
        assert "The edge dropped 99.6% of about 218 M packets" in page
        assert "flowtrackd" in page
        assert 'class="dropped"' in page
        assert "at the edge" in page
        assert "dropped.pcapng" in page
        assert "From Logpush&#39;s rows of Network Analytics" in page
        assert "Not used: 2 rows are of another dataset." in page

    def test_a_capture_is_quiet_and_not_missing_if_the_edge_dropped_all(self):
        page = incident_html(*mitigated())
        assert "during 2 is quiet" in page
        assert "missing</b>" not in page
        assert "1 without packets because the edge dropped them" in page
        assert "during 2 is missing" in incident_html(*attack())

    def test_without_analytics_the_page_is_as_before(self):
        page = incident_html(*attack())
        assert 'id="edge"' not in page
        assert "at the edge" not in page

    def test_why_it_is_not_known_is_said_once(self):
        incident, captures = attack()
        drops = Drops(incident=incident.id, round="closing", at=START, problems=("it refuses the token",))
        page = incident_html(replace(incident, drops=(drops,)), captures)
        assert page.count("What the edge dropped is not known: it refuses the token") == 1
        assert "during 2 is missing" in page

    def test_markdown_has_the_table_and_the_note(self):
        page = incident_page(*mitigated(), picture=False)
        assert "## Passed and dropped" in page
        assert "- during 2 is quiet: the edge dropped" in page
        assert "no packets passed" in page
        assert "is missing" not in page
