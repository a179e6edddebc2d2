"""The manifest: state, flags and totals follow from the files; it has no secrets; its schema is published."""

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from edgecap.archive.manifest import (
    ENTRY_FLAGS,
    FileRecord,
    Manifest,
    Times,
    Totals,
    make_manifest,
    manifest_schema,
)
from edgecap.archive.text import read_json, to_json
from edgecap.errors import Damaged
from edgecap.packets.inspect import Inspector
from edgecap.requests import FullRequest

SCHEMA = Path(__file__).parents[3] / "docs" / "manifest.schema.json"


def record(data: bytes, name: str = "raw/a.pcap", **more) -> FileRecord:
    inspector = Inspector()
    inspector.feed(data)
    return FileRecord.of(name, size=len(data), sha256="0" * 64, found=inspector.finish(), **more)


def test_totals_are_sums_over_raw_files_only(pcap):
    files = [
        record(pcap(3)),
        record(pcap(2, start=1_795_000_100), "raw/b.pcap"),
        record(pcap(5), "packets.pcapng", role="merged"),
        FileRecord.of("summary.json", size=9, sha256="1" * 64, role="summary"),
    ]
    totals = Totals.of(files)
    assert (totals.files, totals.packets, totals.bytes_on_wire) == (2, 5, 7500)
    assert totals.size == len(pcap(3)) + len(pcap(2))
    assert totals.first == datetime.fromtimestamp(1_795_000_000, UTC)
    assert totals.last == datetime.fromtimestamp(1_795_000_101, UTC).replace(microsecond=1)


@pytest.mark.parametrize(
    ("cut", "answer", "missing", "state", "flags"),
    [
        (0, {}, False, "complete", ()),
        (1, {}, False, "partial", ("truncated",)),
        (0, {}, True, "partial", ("partial",)),
        (0, {"packet_limit": 3}, False, "complete", ("limit-reached",)),
        (0, {"packet_limit": 4}, False, "complete", ()),
        (0, {"byte_limit": 4500}, False, "complete", ("limit-reached",)),
        (0, {"stop_requested": "2026-11-23T06:35:00Z"}, False, "complete", ("stopped",)),
        (3 * 76, {}, False, "empty", ("empty",)),
    ],
)
def test_state_and_flags_follow_from_files_and_answer(capture, pcap, cut, answer, missing, state, flags):
    data = pcap(3)
    manifest = make_manifest(
        capture(**answer), [record(data[: len(data) - cut])], times=Times(), missing=missing
    )
    assert (manifest.state, manifest.flags) == (state, flags)
    assert set(flags) <= ENTRY_FLAGS.keys()


@pytest.mark.parametrize(
    ("data", "flags"),
    [
        (b"<html>", ("empty", "not-pcap")),
        (b"", ("empty", "not-pcap")),
        (b"\x1f\x8b\x08\x00", ("damaged", "empty", "not-pcap")),
    ],
)
def test_an_unreadable_file_makes_the_entry_partial_not_empty(capture, data, flags):
    manifest = make_manifest(capture(), [record(data)], times=Times())
    assert (manifest.state, manifest.flags) == ("partial", flags)


def test_a_capture_without_files_is_empty(capture):
    assert make_manifest(capture(), [], times=Times()).state == "empty"


def test_it_tells_the_whole_story_without_secrets(capture, pcap):
    secret = "r2://b?access-key-id=AKAK&secret-access-key=SKSK"
    decided = datetime(2026, 11, 23, 6, 34, tzinfo=UTC)
    manifest = make_manifest(
        capture(destination_conf=secret, surprise={"x": secret}),
        [record(pcap(3), source_key="s1/x.pcap", verified_by="md5", encoding="gzip")],
        times=Times(decided=decided),
        request=FullRequest(colo="ORD", bucket="edge"),
    )
    text = to_json(manifest).decode()
    assert "AKAK" not in text
    assert "SKSK" not in text
    data = json.loads(text)
    assert data["format"] == "edgecap/1"
    assert data["request"]["colo"] == "ORD"
    assert data["times"]["decided"] == "2026-11-23T06:34:00Z"
    assert data["times"]["submitted"] == "2026-11-23T06:34:06.123456Z"
    assert data["versions"].keys() == {"edgecap", "python", "platform"}
    assert data["files"][0]["verified_by"] == "md5"
    assert data["capture"]["surprise"] == {"x": "r2://b?access-key-id=***&secret-access-key=***"}


def test_a_manifest_of_a_newer_version_can_be_read(capture, pcap, folder):
    data = json.loads(to_json(make_manifest(capture(), [record(pcap())], times=Times())))
    data["novelty"] = 1
    data["format"] = "edgecap/2"
    data["files"][0]["novelty"] = 2
    folder.put("m.json", json.dumps(data).encode())
    manifest = read_json(folder, "m.json", Manifest)
    assert manifest.model_extra == {"novelty": 1}
    assert manifest.files[0].model_extra == {"novelty": 2}


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "other/1"}', "\ud800"])
def test_a_file_that_is_no_manifest_is_one_clear_line(folder, text):
    folder.put("m.json", text.encode("utf-8", "surrogatepass"))
    with pytest.raises(Damaged, match="this is no manifest that this version reads") as caught:
        read_json(folder, "m.json", Manifest)
    assert "\n" not in str(caught.value)


def test_two_files_of_one_name_are_refused(capture, pcap):
    with pytest.raises(ValidationError, match="two files have one name"):
        make_manifest(capture(), [record(pcap()), record(pcap())], times=Times())


def test_the_published_schema_is_in_step_and_holds(capture, pcap):
    assert SCHEMA.read_text() == manifest_schema(), (
        "write it anew: python -c 'from edgecap.archive.manifest import manifest_schema as s; "
        'print(s(), end="")\' > docs/manifest.schema.json'
    )
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    manifest = make_manifest(capture(), [record(pcap())], times=Times(decided=datetime.now(UTC)))
    data = json.loads(to_json(manifest))
    jsonschema.validate(data, schema)
    del data["totals"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema)
