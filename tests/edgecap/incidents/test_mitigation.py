"""A capture is quiet, and not missing, where the edge dropped what it was to capture."""

from dataclasses import replace
from datetime import timedelta

import pytest

from edgecap.incidents.drops import Drops
from edgecap.incidents.mitigation import found_nothing, mitigation_in
from tests.edgecap.report.incidents import ID, NO_PACKETS, attack, dropped, estimate
from tests.edgecap.report.summaries import START

MINUTE = timedelta(minutes=1)


def told(gone=None):
    drops = Drops(incident=ID, round="closing", at=START, analytics=gone or dropped())
    return replace(attack()[0], drops=(drops,))


def parts(reason=NO_PACKETS, capture_id="ab" * 16):
    return [
        each.part.model_copy(update={"reason": reason, "capture_id": capture_id})
        if each.part.state == "missing"
        else each.part
        for each in attack()[1]
    ]


def test_a_capture_without_packets_is_quiet_if_the_edge_dropped_them():
    found = told().with_mitigation(parts())
    assert [each.state for each in found] == ["archived", "archived", "archived", "mitigated", "archived"]
    assert found[3].reason.startswith("the edge dropped 99.")
    assert found[3].reason.endswith(" M (dosd, flowtrackd)")


@pytest.mark.parametrize("reason", ["the API refuses the token", "it was stopped"])
def test_a_capture_that_failed_otherwise_is_missing_all_the_same(reason):
    assert "missing" in {each.state for each in told().with_mitigation(parts(reason))}


def test_a_capture_that_never_ran_is_missing():
    assert "missing" in {each.state for each in told().with_mitigation(parts(capture_id=""))}


def test_a_capture_is_missing_if_the_edge_dropped_little():
    few = dropped().model_copy(update={"dropped": estimate(5.0), "series": None})
    much_passed = dropped().model_copy(update={"passed": estimate(9e9), "series": None})
    for gone in (few, much_passed):
        assert "missing" in {each.state for each in told(gone).with_mitigation(parts())}


def test_the_record_of_a_closed_incident_calls_nothing_missing():
    incident = told()
    record = incident.record.model_copy(update={"captures": tuple(incident.with_mitigation(parts()))})
    assert (len(record.missing), len(record.mitigated)) == (0, 1)
    line = str(record)
    assert line.startswith("4 of 5 captures archived")
    assert "missing" not in line
    assert "no packets passed: during 2 (the edge dropped 99." in line
    assert record.counts == line.partition("; ")[0]


def test_only_the_time_of_a_capture_counts():
    gone = dropped()
    before = mitigation_in(gone, (gone.since, gone.since + MINUTE))
    during = mitigation_in(gone, (START + MINUTE, START + 2 * MINUTE))
    assert before is None
    assert during.share > 0.99
    assert during.dropped < gone.dropped.value / 10


def test_an_archived_capture_has_found_nothing_without_packets():
    part = attack()[1][0].part
    assert not found_nothing(part)
    assert found_nothing(part.model_copy(update={"packets": 0}))
