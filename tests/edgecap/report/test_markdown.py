"""What Prefect's artifacts show, as a Markdown reader that lets HTML through would show it."""

import base64
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from edgecap.report.links import links_to
from edgecap.report.markdown import entry_markdown, plain
from edgecap.report.markup import visible
from tests.edgecap.report.hostile import NAMES, Seen, hostile_entry, hostile_summary
from tests.edgecap.report.summaries import FLOOD, TARGET, entry_of, file_record, flood, nothing, reflection

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
READER.validateLink = lambda _: True  # whatever a reader may let through
SHOWN = {"h1", "p", "ul", "li", "strong", "img", "table", "thead", "tbody", "tr", "th", "td", "code"}


def test_the_verdict_comes_first_then_findings_then_the_picture_then_tables():
    text = entry_markdown(entry_of(flood()), flood(), title="full ORD 203.0.113.7:443")
    assert text.startswith(f"# {flood().verdict}\n\nfull ORD 203.0.113.7:443, complete: ")
    order = [
        text.index(part) for part in ("**SYN flood", "**Difference**", "![Packets", "| capture |", "| file |")
    ]
    assert order == sorted(order)


def test_the_picture_is_self_contained():
    text = entry_markdown(entry_of(flood()), flood())
    data = re.search(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", text)[1]
    assert ET.fromstring(base64.b64decode(data)).tag.endswith("svg")
    assert len(text) < 60_000


def test_it_renders_as_tables_and_an_image():
    seen = Seen(READER.render(entry_markdown(entry_of(flood()), flood())))
    assert {"h1", "table", "img", "strong", "code"} <= seen.tags <= SHOWN
    assert "198.51.100.7" in seen.text
    assert "PSH+ACK" in seen.text
    assert not seen.unbalanced


def test_it_ends_with_a_link_to_the_report():
    entry = entry_of(reflection())
    assert "`edgecap report 0af10af1` makes the whole report" in entry_markdown(entry, reflection())
    there = entry_markdown(entry, reflection(), links=links_to("https://edgecap.example.net"))
    assert (
        there.rstrip()
        .splitlines()[-1]
        .startswith(f"[The whole report](https://edgecap.example.net/captures/{FLOOD});")
    )


@pytest.mark.parametrize(
    ("entry", "summary", "said"),
    [
        (entry_of(flags=("truncated",)), None, "# 2,408 packets in 2 files, 217 kB"),
        (entry_of(packets=0), None, "# No packets were captured"),
        (entry_of(nothing(), packets=0), nothing(), "# No packets"),
    ],
)
def test_it_works_without_a_summary_or_packets(entry, summary, said):
    text = entry_markdown(entry, summary)
    assert text.startswith(said + "\n")
    assert "![" not in text
    assert "raw/ord02-s1.pcap" in text


def test_flags_are_printed_with_their_meaning():
    text = entry_markdown(entry_of(flags=("truncated", "limit-reached")), None)
    assert "- **truncated**: a file ends inside a packet" in text
    assert "- limit-reached: the packet or byte limit ended the capture" in text


@pytest.mark.parametrize("name", NAMES)
def test_names_that_others_chose_stay_text(name):
    text = entry_markdown(hostile_entry(name), hostile_summary(name), title=name)
    rendered = READER.render(text)
    seen = Seen(rendered)
    assert seen.tags <= SHOWN
    assert {source[:26] for source in seen.attributes.get("src", set())} <= {"data:image/svg+xml;base64,"}
    assert not seen.attributes.get("href")
    assert set(seen.attributes) <= {"src", "alt", "style", "title"}
    # Readers make links of what looks like one, but not in code.
    assert not re.search(r"://|www\.|\w@\w", re.sub(r"<code>.*?</code>|<img[^>]*>", "", rendered))


def test_no_name_breaks_the_columns_of_a_table():
    record = file_record("raw/a|b`c.pcap", packets=1)
    rendered = READER.render(entry_markdown(entry_of(files=(record,)), None))
    row = re.search(r"<tr>\s*<td><code>raw/a\|b'c\.pcap</code></td>(.*?)</tr>", rendered, re.DOTALL)
    assert row[1].count("<td") == 5


def test_many_files_are_counted_not_listed():
    files = tuple(file_record(f"raw/{number:05}.pcap", packets=1) for number in range(5_000))
    text = entry_markdown(entry_of(files=files), None)
    assert "And 4,952 more, in the manifest." in text
    assert len(text) < 20_000


def test_its_incident_is_named():
    entry = entry_of(intent={"incident": "e3fb" * 8, "alert": {"source": "cloudflare", "targets": [TARGET]}})
    assert f"| incident | `e3fbe3fb` cloudflare {TARGET} |" in entry_markdown(entry, None)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("advanced_ddos_attack_l4 (high), 3 + 4 = 7!", "advanced_ddos_attack_l4 (high), 3 + 4 = 7!"),
        ("_it_ *b* `c`", "\\_it\\_ \\*b\\* \\`c\\`"),
        ("a | b", "a \\| b"),
        ("# one", "\\# one"),
        ("1. one", "1\\. one"),
        ("203.0.113.7 port 53", "203.0.113.7 port 53"),
        (
            "see https://noc.example/a_b or mail a@b.example",
            "see `https://noc.example/a_b` or mail `a@b.example`",
        ),
        ("- one", "\\- one"),
    ],
)
def test_words_without_markup_stay_readable_unrendered(words, shown):
    """Notifications carry the same text as the artifacts."""
    assert plain(words) == shown


@given(st.text(min_size=1, max_size=60))
def test_any_words_make_one_unchanged_paragraph(words):
    seen = Seen(READER.render(f"x {plain(words)} x\n\n{plain(words)}"))
    assert seen.tags <= {"p", "pre", "code"}
    assert not seen.attributes
    assert visible(plain(words)) == plain(words)  # what is copied is what is seen
    said = " ".join(seen.text.split())
    assert said.startswith(" ".join(f"x {visible(words)} x".split()))
