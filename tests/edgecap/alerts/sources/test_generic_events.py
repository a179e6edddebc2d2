"""Any JSON: whether an alert starts or ends an attack, or both."""

from datetime import UTC, datetime

import pytest

from edgecap.alerts.sources.generic import GenericMapping
from tests.edgecap.alerts.sources.generic import read


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
