"""Any JSON: with the default fields, and with a mapping."""

import tomllib
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

import edgecap.alerts.sources.generic as module
from edgecap.alerts.sources.generic import GenericMapping, generic_source, parse_with
from edgecap.alerts.sources.registry import SOURCES, sources
from edgecap.errors import AlertNotUnderstood
from edgecap.settings.alerts import AlertSettings, GenericSettings
from edgecap.settings.pointer import look_up
from tests.edgecap.alerts.sources.generic import read

MAPPING = GenericMapping.model_validate(
    {
        "alerts": "/events",
        "kind": "/rule/name",
        "event": "/state",
        "id": "/event_id",
        "incident": "/attack/id",
        "target": "/attack/victim",
        "target_port": "/attack/dst~1port",
        "started": "/attack/began",
        "ended": "/attack/ceased",
        "bps": "/attack/rate/bits",
    }
)


def test_the_default_fields(payload, received):
    (alert,) = SOURCES["generic"].parse(payload("generic", "default-fields"), received=received)
    assert str(alert) == "generic udp flood start high 203.0.113.80:53"
    assert (alert.protocol, alert.colos, alert.labels) == (17, ("ord02", "AMS"), {"collector": "c1"})
    assert (alert.pps, alert.bps) == (500_000, 1.2e9)
    assert alert.started == datetime(2026, 11, 23, 6, 31, tzinfo=UTC)
    assert alert.notes == ()


def test_a_mapping_reads_a_list_of_alerts(payload, received):
    start, end = generic_source(MAPPING).parse(payload("generic", "mapped"), received=received)
    assert str(start) == "generic volumetric start 203.0.113.81:443"
    assert (end.event, end.incident) == ("end", start.incident)
    assert end.identity != start.identity
    assert start.bps == 9.5e9
    assert end.ended == datetime(2026, 11, 23, 6, 46, 5, tzinfo=UTC)


def test_every_source_is_there_with_any_settings(received):
    found = sources(AlertSettings(generic=GenericSettings(open=True, kind="/type")))
    assert list(found) == list(SOURCES)
    (alert,) = found["generic"].parse({"type": "flood"}, received=received)
    assert alert.kind == "flood"


@pytest.mark.parametrize(
    ("word", "event"),
    [
        ("firing", "start"),
        ("OPEN", "start"),
        (None, "start"),
        ("Resolved", "end"),
        ("acknowledged", "other"),
        (3, "other"),
    ],
)
def test_event_words_match_in_any_case_and_default_to_start(word, event, received):
    (alert,) = SOURCES["generic"].parse({"kind": "x", "event": word}, received=received)
    assert alert.event == event


def test_configured_words_replace_the_defaults(received):
    mapping = GenericMapping(start_words=["AUF"], end_words=["ZU"])
    events = [
        parse_with(mapping, {"kind": "x", "event": word}, received=received)[0].event
        for word in ("auf", "zu", "open")
    ]
    assert events == ["start", "end", "other"]


def joined(*bodies, received):
    return [SOURCES["generic"].parse(body, received=received)[0] for body in bodies]


def test_an_id_alone_joins_start_and_end(received):
    start, end = joined(
        {"id": 7, "event": "open"}, {"id": 7, "event": "closed", "target": "203.0.113.1"}, received=received
    )
    assert start.incident == end.incident
    assert start.identity != end.identity


def test_without_ids_the_other_fields_join(received):
    body = {"kind": "flood", "target": "203.0.113.1", "started": "2026-11-23T06:00:00Z"}
    start, end, other = joined(
        body, {**body, "event": "closed"}, {**body, "started": "2026-11-23T07:00:00Z"}, received=received
    )
    assert start.incident == end.incident != other.incident


@pytest.mark.parametrize("body", [{}, {"x": 1}, {"kind": None, "target": ""}, {"event": "firing", "pps": 5}])
def test_a_payload_without_any_mapped_field_is_refused(body, received):
    with pytest.raises(AlertNotUnderstood, match="has none of /kind, /id, /incident, /target"):
        SOURCES["generic"].parse(body, received=received)


@pytest.mark.parametrize("body", [{}, {"events": {}}, {"events": []}, {"events": [1]}])
def test_a_payload_without_the_mapped_list_is_refused(body, received):
    with pytest.raises(AlertNotUnderstood, match="/events"):
        generic_source(MAPPING).parse(body, received=received)


@pytest.mark.parametrize("pointer", ["", "kind", "a/b", "$.kind", "/a~2", "/a~"])
def test_a_mapping_must_be_a_json_pointer(pointer):
    with pytest.raises(ValidationError, match="is not a JSON pointer"):
        GenericMapping(kind=pointer)


def test_a_mapping_of_an_unknown_field_is_refused():
    with pytest.raises(ValidationError, match="flavour"):
        GenericMapping.model_validate({"flavour": "/x"})


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/a/b", 1),
        ("/l/1", "y"),
        ("/l/01", None),
        ("/l/2", None),
        ("/l/-", None),
        ("/x~1y", 2),
        ("/m~0n", 3),
        ("/a/b/c", None),
        ("/nothing", None),
        ("/", 4),
        ("/l/-1", None),
    ],
)
def test_pointers_are_those_of_rfc_6901(pointer, value):
    assert look_up({"a": {"b": 1}, "l": ["x", "y"], "x/y": 2, "m~n": 3, "": 4}, pointer) == value


def test_the_example_in_the_docstring_is_a_mapping():
    example = (module.__doc__ or "").partition("::")[2].partition("\n\n\n")[0].rpartition("\n\n")[0]
    table = tomllib.loads("\n".join(line.strip() for line in example.splitlines()))
    assert AlertSettings.model_validate(table["alerts"]).custom["mine"].target == "/attack/victim"


def test_the_first_pointer_with_a_usable_value_counts(received):
    pointers = ["/attack/victim", "/attack/prefix"]
    for attack, target in (
        ({"victim": "203.0.113.7", "prefix": "203.0.113.0/24"}, "203.0.113.7"),
        ({"victim": "", "prefix": "203.0.113.0/24"}, "203.0.113.0/24"),
        ({"victim": "web-1", "prefix": "203.0.113.0/24"}, "203.0.113.0/24"),
    ):
        assert read({"attack": attack, "id": 1}, received, target=pointers)[0].targets == (target,)


@pytest.mark.parametrize("pointers", [["/a", "b"], [""]])
def test_each_of_several_pointers_must_be_one(pointers):
    with pytest.raises(ValidationError, match="is not a JSON pointer"):
        GenericMapping(kind=pointers)
