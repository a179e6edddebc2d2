"""Which packets of an incident are the attack's, which are usual traffic, and what is proposed of them."""

from datetime import timedelta

import pytest

from edgecap.incidents import propose as bounds
from edgecap.incidents.comparison import comparison_of
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.propose import propose_for
from edgecap.stores import open_store
from tests.edgecap.proposals import traffic
from tests.edgecap.proposals.archive import BEGAN, capture, incident


@pytest.fixture(params=["folder", "s3"])
def store(request, place_of):
    return open_store(place_of(request.param))


def test_usual_traffic_ends_before_the_attack_begins(store):
    compared = comparison_of(store, *incident(store))
    assert [each.name for each in compared.attack] == ["during 1", "before 1"]
    assert compared.attack[1].since == BEGAN
    [usual] = compared.baseline
    assert (usual.name, usual.until) == ("before 1", BEGAN - timedelta(seconds=10))


def test_without_a_start_the_minutes_before_the_alert_count_as_neither(store):
    opened, parts = incident(store, started=False)
    compared = comparison_of(store, opened, parts)
    received = BEGAN + timedelta(seconds=40)
    assert compared.baseline[0].until == received - timedelta(minutes=5)
    assert compared.attack[1].since == received
    assert "does not say when the attack began" in compared.remarks[0]


def test_earlier_captures_of_the_target_are_usual_traffic(store):
    """Not of another target, of another incident, of weeks ago, or with a narrower filter."""
    opened, parts = incident(store)
    day = timedelta(days=1)
    good = capture(store, 11, traffic.usual(300), start=BEGAN - day)
    capture(store, 12, traffic.usual(300), start=BEGAN - day, fields={"protocol": 6})
    capture(store, 13, traffic.usual(300), start=BEGAN - day, fields={"destination_address": "203.0.113.99"})
    capture(store, 14, traffic.usual(300), start=BEGAN - 20 * day)
    capture(store, 15, traffic.usual(300), start=BEGAN - day, incident="f" * 32)
    capture(store, 16, [], start=BEGAN - day)
    compared = comparison_of(store, opened, parts)
    assert [each.entry.manifest.entry_id for each in compared.baseline[1:]] == [good.manifest.entry_id]


def test_an_incident_gets_proven_filters_and_keeps_them(store):
    opened, parts = incident(store)
    found = propose_for(store, opened, parts)
    [proposal] = found.proposals
    assert (proposal.grade, proposal.filter) == ("proven", "IPv4 UDP from port 123 to 203.0.113.7")
    assert [(each.name.split(" (")[0], each.sampled) for each in found.attack] == [
        ("during 1", False),
        ("before 1", True),
    ]
    assert proposal.proof.attack.packets == 3500  # those in both captures
    assert 3000 < proposal.proof.baseline.packets < 4000  # without the last ten seconds
    incidents = Incidents(store)
    assert incidents.proposals(opened.incident) is None
    assert incidents.propose(opened.incident, found) == found
    assert incidents.propose(opened.incident, found.model_copy(update={"reason": "again"})) == found
    assert incidents.proposals(opened.incident) == found
    assert incidents.told(opened.incident).opened == opened


def test_a_capture_that_is_too_large_is_left_out_and_named(store, monkeypatch):
    opened, parts = incident(store)
    monkeypatch.setattr(bounds, "MOST", 1_400_000)
    found = propose_for(store, opened, parts)
    assert [each.name.split(" (")[0] for each in found.attack] == ["before 1"]
    assert any("during 1" in remark and "is left out" in remark for remark in found.remarks)


def test_an_incident_without_packets_gets_none(store):
    opened, _ = incident(store)
    assert propose_for(store, opened, []) is None
