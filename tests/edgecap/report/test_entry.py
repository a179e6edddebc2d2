import re

import pytest

from edgecap.alerts.model import summary_of
from edgecap.packets.summary import Flow
from edgecap.packets.verdict.intervals import Estimate
from edgecap.report.entry import entry_html
from edgecap.report.links import HERE, Links, links_to
from tests.edgecap.report.hostile import NAMES, Seen, hostile_entry, hostile_summary
from tests.edgecap.report.incidents import alert
from tests.edgecap.report.summaries import (
    FLOOD,
    START,
    TARGET,
    entry_of,
    file_record,
    flood,
    nothing,
    quiet,
    reflection,
)

PAGES = {
    "flood": (entry_of(flood()), flood()),
    "reflection": (entry_of(reflection(), type="simple", colo="", raw=("raw/all.pcap",)), reflection()),
    "quiet": (entry_of(quiet(), type="simple", colo=""), quiet()),
    "no summary": (entry_of(flags=("truncated",)), None),
    "no packets": (entry_of(nothing(), packets=0), nothing()),
    "no files": (entry_of(packets=0, raw=()), None),
}


@pytest.fixture(params=PAGES)
def page(request):
    return entry_html(*PAGES[request.param])


def heading(page):
    return re.search("<h1>(.*?)</h1>", page)[1]


def test_a_page_is_complete_and_loads_nothing(page):
    Seen(page).check()
    assert "://" not in re.sub(r'xmlns="http://www.w3.org/2000/svg"|<code>s3://', "", page)
    assert "<script" not in page
    assert "url(" not in page
    assert "@import" not in page


def test_its_policy_stands_before_anything_else_and_allows_no_scripts(page):
    head = page.partition("<title>")[0]
    assert head.startswith('<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/><meta http-equiv=')
    assert "default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;; img-src data:;" in head


def test_rates_of_samples_say_how_far_they_are_from_the_true_ones():
    """If the sampling is known, from what is said of it; the chart's peak is in the unit of its axis."""
    from_samples = quiet()
    known = from_samples.model_copy(
        update={"conditions": from_samples.conditions.model_copy(update={"sampled": True, "sampling": 500.0})}
    )
    text = Seen(entry_html(entry_of(known, type="simple", colo=""), known)).text
    assert "These are samples, 1 in 500: the true rates are that many times as high." in text
    assert re.search(r"most in 1 s: [\d.]+ k?pps of samples at", text)
    told = Estimate(value=500, low=470, high=532)
    estimated = known.model_copy(
        update={"conditions": known.conditions.with_sampling(told, "from a full capture")}
    )
    text = Seen(entry_html(entry_of(estimated, type="simple", colo=""), estimated)).text
    assert "These are samples, 1 in 470 to 532 (95 %): the true rates" in text


def test_the_verdict_comes_first_and_is_in_the_tab():
    page = entry_html(*PAGES["flood"])
    assert heading(page) == flood().verdict
    assert f"<title>{flood().verdict} - {FLOOD[:8]}</title>" in page
    assert page.index("<h1>") < page.index("<dl") < page.index("likely: ") < page.index("<svg")


def test_it_shows_talkers_sizes_flags_difference_and_every_hash():
    entry, summary = PAGES["flood"]
    text = Seen(entry_html(entry, summary)).text
    assert "Sources: about 48,212" in text
    assert "Destinations: 3" in text
    assert "tcp 1024" in text
    assert "PSH+ACK" in text
    assert "Unlike the 3 captures before" in text
    assert "1280-1518" in text
    assert all(file.name in text and file.sha256 in text for file in entry.manifest.files)
    assert "s3://network-captures/edge/captures/2026/11/23/" in text


def test_ids_of_earlier_captures_are_links_where_reports_are():
    entry, summary = PAGES["flood"]
    earlier = summary.difference.captures
    page = entry_html(entry, summary, links=Links(beside={earlier[0]: "edgecap-earlier.html"}))
    Seen(page).check(links={"edgecap-earlier.html"})
    assert f'<a href="edgecap-earlier.html"><code>{earlier[0][:8]}</code></a>' in page


def test_bars_and_the_highest_rate_are_told_apart():
    entry, summary = PAGES["flood"]
    page = Seen(entry_html(entry, summary)).text
    assert "most in 500 ms: 103 kpps at 06:34:26.25" in page
    assert "so it can be higher than\nthe most in 500 ms." in page
    assert "peak" not in page


def test_samples_are_called_samples():
    text = Seen(entry_html(*PAGES["reflection"])).text
    assert "packets (samples)" in text
    assert "sampled packets/s" in text
    assert "the true rates are higher" in text
    assert "samples" not in Seen(entry_html(*PAGES["flood"])).text.replace("Samples:", "")


def test_an_entry_without_a_summary_shows_its_manifest():
    entry, _ = PAGES["no summary"]
    page = entry_html(entry, None)
    text = Seen(page).text
    assert heading(page) == "2,408 packets in 2 files, 217 kB"
    assert "This capture has no summary" in text
    assert "truncated: a file ends inside a packet" in text
    assert "raw/ord02-s1.pcap" in text
    assert "<nav>" not in page
    assert "It was damaged on the way" in entry_html(entry, None, remark="It was damaged on the way")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (entry_of(packets=0), "No packets were captured"),
        (entry_of(packets=0, raw=()), "Nothing was captured: there are no files"),
    ],
)
def test_a_page_says_that_there_are_no_packets(entry, said):
    page = entry_html(entry, None)
    assert heading(page) == said
    assert "empty: no packet was captured" in Seen(page).text


def test_flags_that_lose_packets_look_like_alarms():
    page = entry_html(entry_of(flags=("limit-reached", "partial")), None)
    assert '<b class="warn">limit-reached</b>' in page
    assert '<b class="alarm">partial</b>' in page


def test_damage_says_from_which_byte_on():
    record = file_record(
        "raw/x.pcap", packets=2, flags=("truncated",), damage="it ends early", damage_offset=4_096
    )
    text = Seen(entry_html(entry_of(files=(record,)), None)).text
    assert "truncated: it ends early, from byte 4,096 on" in text


@pytest.mark.parametrize("name", NAMES)
def test_names_that_others_chose_stay_text(name):
    page = entry_html(hostile_entry(name), hostile_summary(name))
    Seen(page).check()
    page.encode("utf-8")


def test_invisible_characters_are_marked():
    """A name that is written from right to left looks like another one."""
    name = "invoice\u202egnp.exe\x1b[31m"
    page = entry_html(hostile_entry(name), hostile_summary(name))
    assert not {"\u202e", "\x1b"} & set(page)
    assert "invoice\ufffdgnp.exe\ufffd[31m" in page


def test_an_endpoint_has_brackets_for_ipv6_and_no_zero_port():
    flow = flood().flows.top[0]
    one = flow.model_copy(update={"source": "2001:db8::1", "source_port": 53, "destination_port": 0})
    summary = flood().model_copy(
        update={"flows": flood().flows.model_copy(update={"top": (Flow(**one.__dict__),)})}
    )
    text = Seen(entry_html(entry_of(summary), summary)).text
    assert "[2001:db8::1]:53" in text
    assert f"{TARGET}:0" not in text


def test_thousands_of_files_make_no_endless_page():
    files = tuple(file_record(f"raw/{number:05}.pcap", packets=1) for number in range(20_000))
    page = entry_html(entry_of(files=files), None)
    assert "And 19,502 more, in the manifest." in page
    assert len(page) < 400_000


def test_the_alert_is_told_in_words():
    intent = {"incident": "e3fb" * 8, "alert": summary_of(alert())}
    told = Seen(entry_html(entry_of(intent=intent), None)).text
    assert f"e3fbe3fb Advanced DDoS attack (layer 4) on {TARGET} port 443, began 2026-11-23" in told


def test_it_links_to_its_incident_where_reports_are_served():
    intent = {"incident": "e3fb" * 8, "alert": {"source": "cloudflare", "kind": "l4", "targets": [TARGET]}}
    entry = entry_of(intent=intent)
    assert f"e3fbe3fb cloudflare l4 {TARGET}" in Seen(entry_html(entry, None)).text
    Seen(entry_html(entry, None, links=HERE)).check(links={f"/incidents/{'e3fb' * 8}"})
    there = entry_html(entry, None, links=links_to("https://edgecap.example.net"))
    Seen(there).check(links={f"https://edgecap.example.net/incidents/{'e3fb' * 8}"})


def test_the_same_entry_always_makes_the_same_page():
    assert entry_html(*PAGES["flood"]) == entry_html(*PAGES["flood"])
    assert f"on {START:%Y-%m-%d}" in entry_html(*PAGES["flood"])
