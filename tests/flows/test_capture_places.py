"""Full captures that choose their place, from the request to the entry."""

import json

import pytest

from edgecap.analytics.choice import Choice
from edgecap.archive.entries import find_entry
from edgecap.archive.layout import INTENTS
from edgecap.errors import NoPlace
from edgecap.requests import Filter, FullRequest
from flows.register_bucket import register_bucket
from tests.edgecap.analytics.past import keep
from tests.graphql import Row, refusal

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]

AUTO = FullRequest(colo="auto", time_limit=5)
WEB = Filter(destination_address="203.0.113.7")


def journalled(world):
    return [info.key for info in world.archive.list(INTENTS)]


async def test_it_is_taken_where_the_packets_of_its_filter_arrive(world, store, told, capture_here):
    rows = [Row("ORD", 900, address="203.0.113.8"), Row("AMS", 60), Row("FRA", 30)]
    with told(*rows, interval=1) as server:
        await register_bucket()
        summary = capture_here(AUTO.model_copy(update={"filter": WEB}))
        assert "203.0.113.7" in server.behaviour.asked[0]
    manifest = find_entry(store, summary.where).manifest
    assert (manifest.colo, manifest.request["colo"]) == ("AMS", "AMS")
    choice = Choice.model_validate(manifest.intent["choice"])
    assert (choice.by, choice.places) == ("analytics", ("AMS",))
    assert choice.words.startswith("AMS carries 66.7% of the packets to 203.0.113.7 that passed")


async def test_without_permission_it_goes_where_captures_usually_have_packets(
    world, store, told, capture_here
):
    keep(store, "FRA", 9_000)
    with told(body=json.dumps(refusal("not authorized for that account")).encode()):
        await register_bucket()
        summary = capture_here(AUTO)
    assert find_entry(store, summary.where).manifest.colo == "FRA"


async def test_where_nothing_says_where_it_fails_before_anything_is_decided(world, told, capture_here):
    with told(body=json.dumps(refusal("not authorized for that account")).encode()):
        await register_bucket()
        with pytest.raises(NoPlace, match=r"no data centre can be chosen: .* name one such as ORD"):
            capture_here(AUTO)
    assert journalled(world) == []
    assert world.posts() == []


async def test_a_place_that_cloudflare_does_not_accept_leads_to_the_next(world, store, told, capture_here):
    """The edge has no QQQ."""
    with told(Row("QQQ", 600), Row("AMS", 300), interval=1):
        await register_bucket()
        summary = capture_here(AUTO)
    manifest = find_entry(store, summary.where).manifest
    assert manifest.colo == "AMS"
    assert manifest.intent["choice"]["refused"] == ["QQQ"]
    assert [event["capture_id"] for event in world.posts()] == [manifest.entry_id]
