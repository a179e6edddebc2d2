"""Keys of the archive: readable, safe whatever they are made from, and always the same."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.archive.layout import (
    LONGEST_NAME,
    accepted_key,
    entry_prefix,
    incident_key,
    intent_key,
    parse_prefix,
    raw_names,
    safe_name,
)
from edgecap.cloudflare.models import Capture
from edgecap.errors import UnexpectedAnswer
from edgecap.stores.keys import check_file_key

ID = "0af1" * 8


def test_a_full_capture_lies_under_its_day_time_type_place_and_id(capture):
    prefix = entry_prefix(capture())
    assert prefix == f"captures/2026/11/23/2026-11-23T06-34-06Z_full_ORD_{ID}/"


def test_a_simple_capture_is_from_everywhere(capture):
    assert "_simple_all_" in entry_prefix(capture(type="simple"))


def test_the_time_is_utc_whatever_the_api_writes(capture):
    assert entry_prefix(capture(submitted="2026-11-23T23:30:00-02:00")).startswith(
        "captures/2026/11/24/2026-11-24T01-30-00Z_"
    )


def test_without_a_submitted_time_the_decision_counts(capture):
    odd = capture(submitted="")
    assert "2026-11-23T06-00-00Z" in entry_prefix(odd, decided=datetime(2026, 11, 23, 6, tzinfo=UTC))
    with pytest.raises(UnexpectedAnswer, match="not known when"):
        entry_prefix(odd)
    with pytest.raises(UnexpectedAnswer, match="no id"):
        entry_prefix(capture(capture_id=""))


@given(
    capture_id=st.text(min_size=1),
    kind=st.text(),
    colo=st.text(),
    submitted=st.datetimes(min_value=datetime(2, 1, 2), max_value=datetime(9999, 12, 30)),
)
def test_any_answer_gives_a_safe_prefix_that_can_be_read_back(capture_id, kind, colo, submitted):
    answer = {
        "id": capture_id,
        "type": kind,
        "colo_name": colo,
        "submitted": submitted.replace(tzinfo=UTC).isoformat(),
    }
    prefix = entry_prefix(Capture.model_validate(answer))
    check_file_key(prefix + "manifest.json")
    place = parse_prefix(prefix + "raw/x.pcap")
    assert place is not None
    assert place.prefix == prefix
    assert place.submitted == submitted.replace(tzinfo=UTC, microsecond=0)
    assert place.capture_id == safe_name(Capture.model_validate(answer).id)


@pytest.mark.parametrize("key", ["", "captures/", "captures/2026/11/23/x", "intents/x/intent.json"])
def test_other_keys_belong_to_no_entry(key):
    assert parse_prefix(key) is None


def test_a_day_that_does_not_exist_is_no_entry():
    assert parse_prefix(f"captures/2026/02/31/2026-02-31T00-00-00Z_full_ORD_{ID}/") is None


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (f"ord02-s1/pcap_{ID}.pcap", "ord02-s1.pcap"),
        (f"ord02-s1/pcap_{ID}.pcap.gz", "ord02-s1.pcap"),
        (f"ord02-s1/pcap_{ID}.pcapng", "ord02-s1.pcapng"),
        (f"20261123/ord02-s1/pcap_{ID}.pcap", "20261123_ord02-s1.pcap"),
        (f"{ID}/ord02-s1/{ID}.pcap", "ord02-s1.pcap"),
        (f"ord02-s1/part3_{ID}.pcap", None),
        (f"pcap_{ID}.pcap", "packets.pcap"),
        (f"../../etc/pcap_{ID}.pcap", None),
    ],
)
def test_the_name_is_what_tells_a_key_from_its_siblings(key, name):
    found = raw_names([key], ID)[key]
    if name is None:
        check_file_key(found)
        assert "/" not in found
    else:
        assert found == name


@given(st.lists(st.text(alphabet="aAbB_/.\0\n ü-", max_size=12).map(lambda s: f"{s}/pcap_{ID}.pcap")))
def test_names_are_safe_bounded_and_all_different_even_without_case(keys):
    names = raw_names(keys, ID)
    assert set(names) == set(keys)
    assert len({name.lower() for name in names.values()}) == len(names)
    for name in names.values():
        check_file_key(name)
        assert "/" not in name
        assert name.isascii()
        assert name.isprintable()
    assert raw_names(list(reversed(keys)), ID) == names


def test_a_key_that_arrives_later_does_not_rename_earlier_ones():
    early = [f"ord02-s{i}/pcap_{ID}.pcap" for i in range(5)]
    names = raw_names(early, ID)
    more = raw_names([*early, f"ord03-s9/pcap_{ID}.pcap"], ID)
    assert {key: more[key] for key in early} == names


@given(st.text(min_size=1), st.text(min_size=1))
def test_safe_names_tell_different_texts_apart(one, other):
    assert (safe_name(one) == safe_name(other)) == (one == other)
    assert len(safe_name(one * 100)) <= LONGEST_NAME
    for key in (intent_key(one), accepted_key(one), incident_key(one)):
        check_file_key(key)
