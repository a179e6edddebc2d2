"""Any JSON: targets and labels, wherever they stand."""

import pytest

from edgecap.errors import AlertNotUnderstood
from tests.edgecap.alerts.sources.generic import read


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
