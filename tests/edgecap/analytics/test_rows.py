"""Rows of Logpush in every form: times, missing fields, other datasets, broken lines."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.analytics.rows import BATCH, DROPPED, FIELDS, LONGEST_LINE, PASSED, RECORD, RowReader, bit
from edgecap.packets.inspection import NO_TIME
from edgecap.packets.native import rows as native
from tests.edgecap.analytics.logpush_rows import NOON, lines, passed, row

NANOSECONDS = int(NOON.timestamp()) * 10**9


def read(*pieces):
    """All records of one file, and the reader."""
    reader = RowReader()
    found = [batch.copy() for piece in pieces for batch in reader.feed(piece)]
    found += [batch.copy() for batch in reader.end_file()]
    found += [batch.copy() for batch in reader.finish()]
    return np.concatenate([np.zeros(0, RECORD), *found]), reader


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (int(NOON.timestamp()), NANOSECONDS),
        (str(int(NOON.timestamp())), NANOSECONDS),
        (int(NOON.timestamp()) + 0.25, NANOSECONDS + 250_000_000),
        (int(NOON.timestamp()) * 1000 + 7, NANOSECONDS + 7_000_000),
        (int(NOON.timestamp()) * 10**6 + 7, NANOSECONDS + 7_000),
        (NANOSECONDS + 7, NANOSECONDS + 7),
        (str(NANOSECONDS + 7), NANOSECONDS + 7),
        ("2026-11-29T12:00:00Z", NANOSECONDS),
        ("2026-11-29t12:00:00.123456789z", NANOSECONDS + 123_456_789),
        ("2026-11-29 13:30:00+01:30", NANOSECONDS),
        ("2026-11-29T04:00:00.5-08:00", NANOSECONDS + 500_000_000),
    ],
)
def test_times_in_every_format(value, expected):
    records, reader = read(lines(row(Datetime=value)))
    assert records["time"].tolist() == [expected]
    assert reader.counts.not_understood == 0


@pytest.mark.parametrize(
    "value",
    ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-29T12:00:00", "2026-11-29", -5, True, [], {}, None],
)
def test_a_time_that_cannot_be_read_is_none(value):
    records, _ = read(lines(row(Datetime=value)))
    assert value is True or records["time"].tolist() == [NO_TIME]


@given(st.datetimes(datetime(1972, 1, 1), datetime(2261, 1, 1)))
def test_any_rfc_3339_time_is_read_exactly(moment):
    records, _ = read(lines(row(Datetime=moment.isoformat(timespec="microseconds") + "Z")))
    since = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert records["time"].tolist() == [since // timedelta(microseconds=1) * 1000]


def test_a_row_is_read_with_all_that_it_tells():
    records, reader = read(lines(row(), passed("udp", SampleInterval=10_000)))
    assert records["source"][0].tolist() == [0] * 10 + [0xFF, 0xFF, 198, 51, 100, 9]
    assert records["destination"][0].tolist()[12:] == [203, 0, 113, 7]
    assert records["outcome"].tolist() == [DROPPED, PASSED]
    assert records["sample_interval"].tolist() == [1000, 10_000]
    assert records["source_port"].tolist() == [40_001, 53]
    assert (records["tcp_sequence"][0], records["tcp_flags"][0], records["ttl"][0]) == (3_000_000_000, 2, 57)
    texts = reader.texts
    named = {
        name: texts[int(records[name][0])] for name in ("system", "reason", "rule_name", "vector", "colo")
    }
    assert named == {
        "system": "dosd",
        "reason": "BLOCKED",
        "rule_name": "Generic high-volume floods",
        "vector": "SYN Flood",
        "colo": "ORD",
    }
    assert texts[int(records["system"][1])] == ""


def test_numbers_may_be_strings_and_names_of_protocols_suffice():
    told = row(without=["IPProtocol"], IPProtocolName="UDP", SourcePort="53", IPMoreFragments=True)
    records, reader = read(lines(told))
    assert (records["protocol"][0], records["source_port"][0], records["more_fragments"][0]) == (17, 53, 1)
    assert reader.counts.not_understood == 0


def test_every_field_may_be_missing_or_null():
    for name in row():
        for changed in (row(without=[name]), row(**{name: None}), row(**{name: ""})):
            records, reader = read(lines(changed))
            assert len(records) == 1
            if name in FIELDS:
                assert int(records["present"][0] & bit(name)) == 0
            assert reader.counts.not_understood == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("SourcePort", 70_000), ("IPTTL", -1), ("IPSourceAddress", "198.51.100.300"), ("TCPFlags", "SYN"),
     ("SampleInterval", 0), ("IPDestinationAddress", 7), ("IPTotalLength", [1]), ("Direction", "sideways")],
)  # fmt: skip
def test_a_value_that_is_none_counts_as_missing_and_is_counted(field, value):
    records, reader = read(lines(row(**{field: value})))
    assert int(records["present"][0] & bit(field)) == 0
    assert reader.counts.not_understood == 1


def test_addresses_of_two_versions_make_no_packet():
    records, reader = read(lines(row(IPSourceAddress="2001:db8::1")))
    assert int(records["present"][0] & bit("IPSourceAddress")) == 0
    assert reader.counts.not_understood == 1


def test_rows_of_other_datasets_and_broken_lines_are_counted():
    http = {"ClientIP": "198.51.100.9", "EdgeStartTimestamp": 1, "SampleInterval": 1}
    data = lines(row(), http, {}) + b'\n  \nnot json\n[1]\n{"a":\n' + lines(row())
    records, reader = read(data)
    assert len(records) == 2
    found = reader.counts
    assert (found.lines, found.blank, found.foreign, found.broken, found.cut) == (9, 2, 2, 3, 0)


def test_a_last_line_counts_whole_without_newline_and_cut_if_not_whole():
    whole = lines(row())
    records, reader = read(whole + whole[:-1])
    assert (len(records), reader.counts.cut) == (2, 0)
    records, reader = read(whole + whole[:-20])
    assert (len(records), reader.counts.cut, reader.counts.broken) == (1, 1, 0)


def test_a_line_that_never_ends_takes_no_memory():
    endless = b"x" * (LONGEST_LINE // 2)
    records, reader = read(lines(row()), endless, endless, endless, endless, b"\n" + lines(row()))
    assert len(records) == 2
    assert (reader.counts.broken, reader.counts.lines) == (1, 3)


def test_more_rows_than_a_batch_are_all_read():
    data = lines(*[row()] * 300) * (2 * BATCH // 300 + 1)
    records, reader = read(data)
    assert len(records) == reader.counts.lines == data.count(b"\n")


@settings(max_examples=50)
@given(st.data())
def test_how_a_file_is_cut_into_pieces_changes_nothing(data):
    whole = lines(row(), passed("udp"), row("icmp", RuleName='ä"\\/\n\t\U0001f600'), {"a": [1, {"b": "]"}]})
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    records, reader = read(*pieces)
    assert records["time"].tolist() == [NANOSECONDS] * 3
    assert reader.texts[int(records["rule_name"][2])] == 'ä"\\/ \U0001f600'
    assert reader.counts.foreign == 1


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail(data):
    _, reader = read(data[:7], data[7:], lines(row()))
    assert reader.counts.lines >= 1


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(), _JSON, max_size=8))
def test_any_json_object_is_a_row_or_of_another_dataset(fields):
    data = json.dumps(fields, ensure_ascii=False).encode(errors="replace") + b"\n"
    records, reader = read(data)
    assert len(records) + reader.counts.foreign == 1
    assert reader.counts.broken == 0


def test_too_many_different_texts_are_left_out_and_counted():
    reader = RowReader()
    for start in range(0, 70_000, 1000):
        many = [row(RuleID=f"rule-{number}") for number in range(start, start + 1000)]
        for _ in reader.feed(lines(*many)):
            pass
    assert len(reader.texts) == 1 << 16
    assert reader.texts.without_room == pytest.approx(70_000 - (1 << 16), abs=20)


def test_tables_that_do_not_fit_are_refused():
    texts, records = RowReader().texts, np.zeros(4, RECORD)
    counts = np.zeros(5, "u8")
    good = (b"", 0, records, 0, texts.index, texts.entries, texts.pool, texts.state, counts)
    assert native.read(*good) == (0, 0)
    bad = {1: 1, 3: 5, 4: texts.index[:100], 7: texts.state[:2], 8: counts[:3]}
    for place, value in bad.items():
        with pytest.raises(ValueError, match="do not fit"):
            native.read(*good[:place], value, *good[place + 1 :])
