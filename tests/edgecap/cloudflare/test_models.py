"""Whatever the API answers becomes a model, keeps what it said, and shows no secret."""

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.cloudflare.models import Capture, Ownership

OPENAPI = json.loads((Path(__file__).parents[2] / "data/pcaps-openapi.json").read_text())
SCHEMAS = OPENAPI["components"]["schemas"]
ID = "66802ca5668e47a2b82c2e6746e45037"
FULL = {
    "id": ID,
    "type": "full",
    "status": "running",
    "system": "magic-transit",
    "submitted": "2026-11-23T12:00:00.123456Z",
    "time_limit": 60,
    "packet_limit": 1000,
    "byte_limit": 500_000,
    "filter_v1": {"destination_address": "203.0.113.7", "destination_port": 443},
    "colo_name": "ORD",
    "destination_conf": "s3://bucket?region=us-east-1",
    "error_message": "",
    "packets_captured": 7,
    "packets_remaining": 993,
    "stop_requested": "2026-11-23T12:00:30Z",
}
R2 = "r2://b?account-id=1&access-key-id=AKAKAK&secret-access-key=SKSKSK"


def test_reads_a_full_capture():
    capture = Capture.model_validate(FULL)
    assert (capture.id, capture.type, capture.status, capture.colo) == (ID, "full", "running", "ORD")
    assert capture.submitted == datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
    assert capture.stop_requested == datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
    assert (capture.time_limit, capture.packet_limit, capture.byte_limit) == (60, 1000, 500_000)
    assert (capture.packets_captured, capture.packets_remaining) == (7, 993)
    assert capture.filter_v1 == FULL["filter_v1"]
    assert capture.raw == FULL


def test_an_empty_answer_is_a_capture_of_which_nothing_is_known():
    capture = Capture.model_validate({})
    assert (capture.id, capture.status, capture.submitted, capture.time_limit) == ("", "unknown", None, None)
    assert not capture.is_final
    assert capture.raw == {}


STATUSES = [
    # status, final, succeeded, failed
    ("success", True, True, False),
    ("complete", True, True, False),
    ("failed", True, False, True),
    ("SUCCESS", True, True, False),
    ("unknown", False, False, False),
    ("pending", False, False, False),
    ("running", False, False, False),
    ("conversion_pending", False, False, False),
    ("conversion_running", False, False, False),
    ("never_heard_of", False, False, False),
    ("", False, False, False),
    (None, False, False, False),
    (3, False, False, False),
]


@pytest.mark.parametrize(("status", "final", "succeeded", "failed"), STATUSES)
def test_an_undocumented_status_is_not_final(status, final, succeeded, failed):
    capture = Capture.model_validate({"status": status})
    assert (capture.is_final, capture.succeeded, capture.failed) == (final, succeeded, failed)


def test_every_documented_status_is_judged_here():
    documented = set(SCHEMAS["magic-visibility-pcaps_pcaps_status"]["enum"])
    assert documented <= {status for status, *_ in STATUSES}


@pytest.mark.parametrize("kind", ["simple", "full"])
def test_every_documented_field_has_a_place(kind):
    fields = set(SCHEMAS[f"magic-visibility-pcaps_pcaps_response_{kind}"]["properties"])
    assert fields <= set(Capture.model_fields)
    ownership = set(SCHEMAS["magic-visibility-pcaps_pcaps_ownership_response"]["properties"])
    assert ownership == set(Ownership.model_fields)


@pytest.mark.parametrize(
    ("given_", "read"),
    [
        ({"time_limit": "60"}, {"time_limit": 60}),
        ({"time_limit": 60.0, "byte_limit": "5e5"}, {"time_limit": 60, "byte_limit": 500_000}),
        ({"packets_captured": "many"}, {"packets_captured": None}),
        ({"packets_captured": True}, {"packets_captured": None}),
        ({"packets_captured": "inf"}, {"packets_captured": None}),
        ({"filter_v1": None}, {"filter_v1": {}}),
        ({"filter_v1": "all"}, {"filter_v1": {}}),
        (
            {"filter_v1": {"source_port": "53", "protocol": 17.0, "source_address": "", "x": None}},
            {"filter_v1": {"source_port": 53, "protocol": 17}},
        ),
        ({"colo": "ord02"}, {"colo": "ord02", "colo_name": ""}),
        ({"colo": "x", "colo_name": "ORD"}, {"colo": "ORD"}),
        ({"colo": None}, {"colo": ""}),
        ({"stop_requested": ""}, {"stop_requested": None}),
        ({"stop_requested": None}, {"stop_requested": None}),
        ({"stop_requested": "0001-01-01T00:00:00Z"}, {"stop_requested": None}),
        ({"submitted": "2020-01-01T08:00:00"}, {"submitted": datetime(2020, 1, 1, 8, tzinfo=UTC)}),
        ({"submitted": "2020-01-01T10:00:00+02:00"}, {"submitted": datetime(2020, 1, 1, 8, tzinfo=UTC)}),
        (
            {"submitted": "2020-01-01T08:00:00.123456789Z"},
            {"submitted": datetime(2020, 1, 1, 8, 0, 0, 123456, tzinfo=UTC)},
        ),
        ({"submitted": "9999-12-31T23:59:59-23:00"}, {"submitted": None}),
        ({"submitted": 1_600_000_000}, {"submitted": None}),
        ({"offset_time": "an hour ago"}, {"offset_time": None}),
        ({"id": 7, "type": None, "error_message": ["no"]}, {"id": "7", "type": "", "error_message": ""}),
    ],
)
def test_odd_values_are_read_and_unreadable_ones_are_empty(given_, read):
    capture = Capture.model_validate(given_)
    for name, value in read.items():
        assert getattr(capture, name) == value
    assert capture.raw == given_


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
answers = st.dictionaries(
    st.sampled_from([*Capture.model_fields, *Ownership.model_fields, "colo", "raw", "_raw", "model_config"])
    | st.text(max_size=8),
    json_values | st.datetimes().map(str),
)


@given(answer=answers, model=st.sampled_from([Capture, Ownership]))
def test_any_answer_can_be_read(answer, model):
    read = model.model_validate(answer)
    repr(read)
    assert set(read.raw) == set(answer)
    assert isinstance(read.succeeded or read.failed, bool)


@given(answer=answers)
def test_models_survive_json_and_pickling(answer):
    answer = json.loads(json.dumps(answer, allow_nan=True).replace("NaN", "1").replace("Infinity", "1"))
    capture = Capture.model_validate(answer)
    again = Capture.model_validate_json(capture.model_dump_json())
    assert again == capture
    assert again.raw == capture.raw == capture.model_dump()
    assert pickle.loads(pickle.dumps(capture)).raw == capture.raw


@pytest.mark.parametrize("model", [Capture, Ownership])
def test_no_secret_of_a_destination_is_in_a_model(model):
    read = model.model_validate({"destination_conf": R2, "other": {"deep": [f"x {R2}"]}})
    for shown in (repr(read), str(read), str(read.raw), read.model_dump_json(), str(vars(read))):
        assert "AKAKAK" not in shown
        assert "SKSKSK" not in shown
    assert read.destination_conf.startswith("r2://b?account-id=1")


def test_raw_is_a_copy():
    capture = Capture.model_validate(FULL)
    capture.raw["filter_v1"]["destination_port"] = 1
    assert capture.raw == FULL


def test_an_ownership_is_read():
    name = "ownership-challenge-9883874ecac311ec8475433579a6bf5f.txt"
    answer = {
        "id": ID,
        "status": "pending",
        "submitted": "2020-01-01T08:00:00Z",
        "validated": "",
        "filename": name,
    }
    ownership = Ownership.model_validate(answer)
    assert (ownership.id, ownership.filename, ownership.validated) == (ID, name, None)
    assert not ownership.succeeded
    assert not ownership.failed
    assert Ownership.model_validate({**answer, "status": "success"}).succeeded
    assert Ownership.model_validate({**answer, "status": "failed"}).failed
