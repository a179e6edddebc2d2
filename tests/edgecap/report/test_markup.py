from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.report.markup import Html, escape, join, tag, visible
from tests.edgecap.report.hostile import NAMES, Seen


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_text_in_an_element_and_in_an_attribute(name):
    seen = Seen(tag("p", tag("a", name, title=name), name))
    assert seen.tags == {"p", "a"}
    assert seen.attributes == {"title": {visible(name)}}
    assert seen.text == visible(name) * 2


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_any_text_makes_well_formed_markup_and_reads_back_unchanged(inside, attribute):
    """XML's parser forgives nothing: neither controls nor half characters nor an open quote."""
    parsed = ET.fromstring(tag("text", inside, title=attribute).encode("utf-8"))
    assert (parsed.text or "", parsed.get("title")) == (visible(inside), visible(attribute))


def test_markup_is_not_escaped_twice():
    assert join(["<", tag("b", "&"), None, [Html("<br/>")]]) == "&lt;<b>&amp;</b><br/>"
    assert escape(escape("<")) == "&lt;"


def test_marks_that_turn_a_file_name_around_are_shown():
    assert visible("invoice\u202egnp.exe") == "invoice\N{REPLACEMENT CHARACTER}gnp.exe"


def test_numbers_are_as_fine_as_pixels():
    assert tag("rect", x=1 / 3, width=2.0, height=None) == '<rect x="0.3" width="2"/>'
