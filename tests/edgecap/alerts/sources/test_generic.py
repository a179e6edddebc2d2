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


def read(body, received, **mapping):
    return generic_source(GenericMapping.model_validate(mapping)).parse(body, received=received)


@pytest.mark.parametrize("field", ["event", "status", "state", "action"])
@pytest.mark.parametrize(
    ("word", "event"),
    [
        *((word, "end") for word in GenericMapping().end_words),
        *((word, "start") for word in GenericMapping().start_words),
        *((word, "other") for word in GenericMapping().other_words),
    ],
)
def test_start_and_end_by_the_value_of_any_usual_field(field, word, event, received):
    (alert,) = read({field: word.upper(), "target": "203.0.113.7", "event_id": "123456"}, received)
    assert alert.event == event


def test_a_status_ends_what_a_status_began(received):
    """The same attack whether its messages have an id, or one that is the message's."""
    for first, second in (({"event_id": "1"}, {"event_id": "2"}), ({"id": "1"}, {"id": "1"}), ({}, {})):
        (start,) = read({"status": "triggered", "target": "203.0.113.7", **first}, received)
        (end,) = read({"status": "resolved", "target": "203.0.113.7", "title": "over", **second}, received)
        assert (start.event, end.event) == ("start", "end")
        assert start.incident == end.incident


def test_event_ids_tell_one_attack_from_the_next(received):
    one, two = ({"status": "open", "target": "203.0.113.7", "event_id": each} for each in "12")
    assert read(one, received)[0].identity != read(two, received)[0].identity


@pytest.mark.parametrize(
    ("field", "word", "event"),
    [
        ("type", "alert.resolved", "end"),
        ("event_type", "attack_ended", "end"),
        ("current_state", "Incident.Triggered", "start"),
        ("event", "incident.acknowledged", "other"),
        ("event", "not_resolved", "other"),
        ("event", "no longer active", "other"),
        ("status", "INCIDENT_RESOLVED", "end"),
        ("status", "attack ended", "end"),
        ("status", "Resolved - back to normal", "end"),
        ("status", "new alert", "start"),
        ("status", "problem resolved", "end"),
        ("status", "no_data", "other"),
        ("status", "NoData", "other"),
        ("event", "opened and closed", "other"),
        ("event", "resolved " * 9, "other"),
        ("eventType", "resolved", "end"),
        ("alertStatus", "Cleared", "end"),
        ("notification_type", "RECOVERY", "end"),
        ("phase", "end", "end"),
        ("transition", "recovered", "end"),
    ],
)
def test_dotted_words_and_other_names_of_the_field(field, word, event, received):
    assert read({field: word, "target": "203.0.113.7"}, received)[0].event == event


def test_a_value_that_says_something_else_is_passed_over(received):
    body = {"target": "203.0.113.7", "action": "block", "status": "200"}
    assert read(body, received)[0].event == "start"
    assert read({**body, "event": "pondering"}, received)[0].event == "other"
    assert read({**body, "event": "pondering", "status": "resolved"}, received)[0].event == "end"


@pytest.mark.parametrize(
    ("flag", "event"),
    [
        ({"active": False}, "end"),
        ({"active": True}, "start"),
        ({"isActive": "false"}, "end"),
        ({"ongoing": False}, "end"),
        ({"firing": False}, "end"),
        ({"resolved": True}, "end"),
        ({"is_resolved": False}, "start"),
        ({"resolved": "yes"}, "start"),
        ({"active": False, "status": "firing"}, "start"),
    ],
)
def test_flags_tell_the_end_if_no_word_does(flag, event, received):
    body = {"target": "203.0.113.7", **flag}
    assert read(body, received)[0].event == event
    assert read(body, received, event="/nowhere")[0].event == "start"


def test_a_boolean_or_a_number_can_be_mapped_to_start_and_end(received):
    words = {"event": "/ongoing", "start_words": ["true", "1"], "end_words": ["false", "0"]}
    for value, event in ((True, "start"), (False, "end"), (1, "start"), (0, "end"), ("1", "start")):
        assert read({"target": "203.0.113.7", "ongoing": value}, received, **words)[0].event == event


class TestStartAndEndInOneMessage:
    BEGAN, CEASED = 1795415400, 1795415460  # both before the message arrived

    def body(self, **changes):
        return {"target": "203.0.113.7", "start": self.BEGAN, **changes}

    @pytest.mark.parametrize("end", [0, None, "", "0", "ongoing", "0001-01-01T00:00:00Z"])
    def test_without_an_end_it_is_a_start(self, end, received):
        (alert,) = read(self.body(end=end), received)
        assert (alert.event, alert.notes) == ("start", ())

    @pytest.mark.parametrize("field", ["end", "ended", "end_time", "ended_at"])
    def test_with_an_end_it_is_both_in_order(self, field, received):
        start, end = read(self.body(**{field: self.CEASED}), received)
        assert (start.event, end.event) == ("start", "end")
        assert start.started == end.started == datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
        assert start.ended == end.ended == datetime(2026, 11, 23, 6, 31, tzinfo=UTC)
        assert start.incident == end.incident
        assert start.identity != end.identity

    @pytest.mark.parametrize("alert_id", [{}, {"id": "7"}, {"attack_id": "7"}])
    def test_the_start_that_came_before_is_the_same_alert(self, alert_id, received):
        (first,) = read(self.body(**alert_id, end=0), received)
        start, end = read(self.body(**alert_id, end=self.CEASED), received)
        assert start.identity == first.identity
        assert end.incident == first.incident

    def test_a_word_can_tell_of_both(self, received):
        found = read(self.body(event="attack_short_term", end=self.CEASED), received)
        assert [each.event for each in found] == ["start", "end"]

    @pytest.mark.parametrize("alert_id", [{}, {"id": "7"}, {"attack_id": "7"}, {"attack_id": "7", "id": "9"}])
    def test_an_end_that_tells_its_start_is_both(self, alert_id, received):
        """Its start may never have come; if it has, it is the same alert, or joins the open incident."""
        start, end = read(self.body(event="resolved", end=self.CEASED, **alert_id), received)
        (first,) = read(self.body(event="firing", **alert_id), received)
        assert [start.event, end.event] == ["start", "end"]
        assert start.incident == end.incident == first.incident
        assert (start.identity == first.identity) == (len(alert_id) < 2)

    def test_ends_of_one_attack_tell_of_one_start(self, received):
        ends = (self.body(event="end", end=self.CEASED, attack_id="7", event_id=each) for each in "12")
        assert len({read(body, received)[0].identity for body in ends}) == 1

    def test_a_message_with_the_start_needs_no_other(self, received):
        body = [self.body(event="start", id="1"), self.body(event="end", end=self.CEASED, id="1")]
        assert [each.event for each in read(body, received)] == ["start", "end"]

    @pytest.mark.parametrize("began", [None, BEGAN + 120, "soon"])
    def test_an_end_without_a_start_before_it_is_an_end_alone(self, began, received):
        found = read(self.body(event="end", start=began, end=self.CEASED), received)
        assert [each.event for each in found] == ["end"]

    def test_an_end_in_the_future_is_none(self, received):
        (alert,) = read(self.body(end=self.CEASED + 3600), received)
        assert alert.event == "start"


class TestListsInAPayload:
    def test_a_list_at_the_top_is_a_list_of_alerts(self, received):
        body = [{"id": "1", "target": "203.0.113.7"}, {"id": "2", "target": "203.0.113.8", "event": "end"}]
        assert [(each.event, each.targets) for each in read(body, received)] == [
            ("start", ("203.0.113.7",)),
            ("end", ("203.0.113.8",)),
        ]

    def test_lists_within_a_list_are_one_list(self, received):
        body = [[{"id": "1"}], [{"id": "2"}, {"id": "3"}]]
        assert len(read(body, received)) == 3

    @pytest.mark.parametrize("name", ["alerts", "events", "attacks", "alert", "event", "data", "payload"])
    def test_alerts_within_an_object_that_is_none_itself(self, name, received):
        one = {"id": "1", "target": "203.0.113.7", "status": "resolved"}
        for inner, count in ((one, 1), ([one, {**one, "id": "2"}], 2)):
            found = read({"severity": "P1", "status": "firing", name: inner}, received)
            assert [str(each) for each in found] == ["generic unknown end critical 203.0.113.7"] * count

    def test_an_alert_is_not_looked_for_within_itself(self, received):
        (alert,) = read({"id": "1", "target": "203.0.113.7", "alert": {"target": "203.0.113.8"}}, received)
        assert alert.targets == ("203.0.113.7",)
        (alert,) = read({"victim_ip": "203.0.113.7", "data": {"target": "203.0.113.8"}}, received)
        assert alert.targets == ("203.0.113.7",)

    @pytest.mark.parametrize("inner", [{"id": 7, "address": "203.0.113.7/24"}, {"id": 7}, [1], [], "x", None])
    def test_data_without_a_target_is_no_alert(self, inner, received):
        with pytest.raises(AlertNotUnderstood, match="has none of"):
            read({"event": "created", "model": "ipaddress", "data": inner}, received)

    def test_a_list_of_messages_each_with_a_list(self, received):
        body = [{"events": [{"id": "1"}, {"id": "2"}]}, {"events": [{"id": "3"}]}]
        assert len(read(body, received, alerts="/events")) == 3

    @pytest.mark.parametrize(
        ("body", "what"),
        [
            ([], "an empty list"),
            ([{"id": "1"}, 5], "item 1 of the body is a number"),
            ("x", "text"),
            (5, "number"),
        ],
    )
    def test_anything_else_is_refused(self, body, what, received):
        with pytest.raises(AlertNotUnderstood, match=what):
            read(body, received)

    @pytest.mark.parametrize(
        "pair",
        [
            ("name", "value"),
            ("key", "value"),
            ("DimensionName", "DimensionValue"),
            ("tag", "value"),
            ("Label", "Value"),
            ("title", "value"),
        ],
    )
    def test_a_pointer_reads_lists_of_names_and_values(self, pair, received):
        name, value = pair
        body = {"fields": [{name: "severity", value: "P1"}, {name: "victim", value: "203.0.113.7"}, None, {}]}
        (alert,) = read(body, received, target="/fields/victim", severity="/fields/severity")
        assert (alert.targets, alert.severity) == (("203.0.113.7",), "critical")

    @pytest.mark.parametrize(
        "labels",
        [
            {"victim_ip": "203.0.113.7", "proto": "udp"},
            [{"name": "victim_ip", "value": "203.0.113.7"}, {"name": "proto", "value": "udp"}],
            ["victim_ip:203.0.113.7", "proto:udp"],
            "victim_ip:203.0.113.7,proto:udp",
        ],
    )
    def test_labels_name_the_packets_in_every_form(self, labels, received):
        (alert,) = read({"id": "1", "labels": labels}, received)
        assert (alert.targets, alert.protocol) == (("203.0.113.7",), 17)
        assert alert.labels == {"victim_ip": "203.0.113.7", "proto": "udp"}

    @pytest.mark.parametrize(
        "field", ["details", "fields", "attributes", "dimensions", "annotations", "custom_details"]
    )
    def test_labels_are_looked_for_in_the_usual_fields(self, field, received):
        pairs = [{"name": "victim_ip", "value": "203.0.113.7"}]
        assert read({"id": "1", field: pairs}, received)[0].targets == ("203.0.113.7",)
        (alert,) = read({"id": "1", field: "a sentence: with a colon, and more"}, received)
        assert alert.labels == {}

    def test_a_payload_of_names_and_values_alone_is_one_alert(self, received):
        fields = {"status": "resolved", "target": "203.0.113.7", "severity": "P1", "api_key": "hush"}
        body = [{"name": name, "value": value} for name, value in fields.items()]
        (alert,) = read(body, received)
        assert str(alert) == "generic unknown end critical 203.0.113.7"
        assert "hush" not in alert.model_dump_json()

    def test_the_payload_itself_may_have_well_known_names(self, received):
        (alert,) = read({"status": "firing", "victim_ip": "203.0.113.7", "dst_port": 53}, received)
        assert (alert.targets, alert.target_port) == (("203.0.113.7",), 53)


def test_without_ids_attacks_on_other_targets_are_others_wherever_the_target_stands(received):
    for one, two in (
        ({"victim_ip": "203.0.113.7"}, {"victim_ip": "203.0.113.8"}),
        ({"tags": ["target_ip:203.0.113.7"]}, {"tags": ["target_ip:203.0.113.8"]}),
        ({"src_ip": "198.51.100.7", "kind": "x"}, {"src_ip": "198.51.100.8", "kind": "x"}),
    ):
        (first,), (second,) = read(one, received), read(two, received)
        assert first.identity != second.identity
        assert first.incident != second.incident


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


@pytest.mark.parametrize(
    "labels",
    [
        '[{"tag": "target_ip", "value": "203.0.113.7"}, {"tag": "proto", "value": "udp"}]',
        ' {"target_ip": "203.0.113.7", "proto": "udp"}',
        {"target_ip": ["203.0.113.7"], "proto": "udp"},
    ],
)
def test_labels_may_be_json_in_a_text_or_hold_lists(labels, received):
    (alert,) = read({"id": "1", "tags": labels}, received)
    assert (alert.targets, alert.protocol) == (("203.0.113.7",), 17)


@pytest.mark.parametrize("broken", ['[{"tag": "target_ip"', "[" * 5000, "{}", "[]", "[1]"])
def test_text_that_only_looks_like_json_has_no_labels(broken, received):
    assert read({"id": "1", "tags": broken}, received)[0].labels == {}


def test_several_targets_of_a_label_are_all_under_attack(received):
    (alert,) = read({"id": "1", "details": {"dest_ip": ["203.0.113.7", "203.0.113.8"]}}, received)
    assert alert.targets == ("203.0.113.7", "203.0.113.8")


@pytest.mark.parametrize(
    ("title", "targets", "local"),
    [
        ("flood on 203.0.113.9", ("203.0.113.9",), ()),
        ("flood on 10.0.0.9", (), ("10.0.0.9",)),
        ("flood from 198.51.100.9", (), ()),
        ("203.0.113.9 and 203.0.113.10", (), ()),
    ],
)
def test_a_title_names_the_target_if_nothing_else_does(title, targets, local, received):
    (alert,) = read({"title": title}, received)
    assert (alert.targets, alert.local_targets) == (targets, local)
    (alert,) = read({"title": title, "target": "203.0.113.7"}, received)
    assert (alert.targets, alert.notes) == (("203.0.113.7",), ())
