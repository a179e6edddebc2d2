"""Incidents whose alert names no data centre: where full captures go, whatever Network Analytics does."""

import json
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client

from edgecap.alerts.model import derive
from edgecap.archive.entries import read_entry
from edgecap.incidents.incidents import Incidents
from edgecap.report.words import place_chosen
from edgecap.settings import load_settings
from flows.register_bucket import register_bucket
from tasks.choose import remembered_name
from tasks.runtime.variables import read_variable
from tests.edgecap.analytics.past import keep
from tests.flows.test_respond import alert, ended, send
from tests.graphql import Row, refusal

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]

POLICY = """
[[rules]]
name = "test"
before = 240
after = 0
filter = {}
during = { seconds = 20, colos = COLOS }
"""


async def respond(deployed, warm, colos='"auto"'):
    """An incident, from its alert to its record."""
    incident = derive(uuid4().hex)
    run = await send(deployed, warm, incident, alert(), POLICY.replace("COLOS", colos))
    state = await ended(run, seconds=240)
    assert state.is_completed(), state
    return incident


def captures(store, incident):
    return [
        (part.phase, part.number, part.request, part.state)
        for part in Incidents(store).closed(incident).captures
    ]


async def test_full_captures_go_where_most_arrives_the_largest_share_first(
    deployed, warm, world, store, told
):
    rows = [Row("AMS", 60), Row("FRA", 35), Row("ORD", 5), Row("SIN", 900, "drop")]
    with told(*rows, interval=1) as server:
        await register_bucket()
        incident = await respond(deployed, warm)
        assert len(server.behaviour.asked) == 1
    assert captures(store, incident) == [
        ("before", 1, "simple 240s everything", "archived"),
        ("during", 1, "full AMS everything", "archived"),
        ("during", 2, "full FRA everything", "archived"),
    ]
    record = Incidents(store).closed(incident)
    assert any(each.startswith("full captures: AMS and FRA carry 9") for each in record.remarks)
    posted = [world.edge.captures[event["capture_id"]].wanted.colo for event in world.posts()[1:]]
    assert posted == ["AMS", "FRA"]
    entry = read_entry(store, record.captures[1].entry)
    assert place_chosen(entry.manifest).startswith("AMS and FRA carry")
    assert entry.manifest.intent["choice"]["evidence"]["dropped"] == 900


async def test_where_few_packets_were_the_next_capture_goes_elsewhere(deployed, warm, world, store, told):
    """Network Analytics promises millions of packets, and the captures have thousands."""
    with told(Row("AMS", 900_000_000), Row("FRA", 90_000_000)):
        await register_bucket()
        incident = await respond(deployed, warm)
    assert [each[2] for each in captures(store, incident)] == [
        "simple 240s everything",
        "full AMS everything",
        "full FRA everything",
    ]
    remarks = Incidents(store).closed(incident).remarks
    assert any(each.startswith("few packets at AMS, so another place is tried: FRA") for each in remarks)
    assert any(each.startswith("no further full capture: no further data centre") for each in remarks)


async def test_an_answer_that_takes_ten_seconds_is_not_waited_for(deployed, warm, world, store, told):
    keep(store, "ORD", 9_000)
    with told(Row("AMS", 60), interval=1, delay=10):
        await register_bucket()
        incident = await respond(deployed, warm)
    assert [each[2] for each in captures(store, incident)] == [
        "simple 240s everything",
        "full ORD everything",
    ]
    [_, full] = Incidents(store).closed(incident).captures
    choice = read_entry(store, full.entry).manifest.intent["choice"]
    assert (choice["by"], choice["places"]) == ("usual", ["ORD"])
    assert choice["evidence"]["took"] < 10


async def test_the_rule_s_places_count_where_nothing_is_known(deployed, warm, world, store, told):
    with told(status=503, body=b"away"):
        await register_bucket()
        incident = await respond(deployed, warm, '["auto", "AMS"]')
    assert captures(store, incident)[1:] == [("during", 1, "full AMS everything", "archived")]


async def test_a_refusal_costs_no_other_capture_and_is_said_once(deployed, warm, world, store, told):
    with told(body=json.dumps(refusal("not authorized for that account")).encode()):
        first, second = await respond(deployed, warm), await respond(deployed, warm)
        async with get_client() as client:
            said = await read_variable(client, remembered_name(load_settings().account()))
    for incident in (first, second):
        assert captures(store, incident) == [("before", 1, "simple 240s everything", "archived")]
        assert any(
            each.startswith("no full capture: no data centre can be chosen: Network Analytics refuses")
            for each in Incidents(store).closed(incident).remarks
        )
    log = (deployed.home / "logs" / "warm-runner.log").read_text()
    assert log.count("'Account Analytics: Read'") == 1
    assert "'Account Analytics: Read'" in said
