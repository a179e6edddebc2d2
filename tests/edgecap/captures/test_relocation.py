"""A place that was chosen and is refused, or was chosen long ago: another one, and still one capture.

The simulated edge has no QQQ and no AAA.
"""

from datetime import timedelta

import pytest

from edgecap.analytics.choice import Known, choose
from edgecap.analytics.places import Carried, Share
from edgecap.captures.intent import decide
from edgecap.captures.order import CaptureOrder
from edgecap.captures.relocation import CHOICE_HOLDS
from edgecap.captures.submission import Submitter
from edgecap.errors import NoPlace, RequestRefused
from edgecap.requests import FullRequest
from edgecap.settings import Settings
from tests.edgecap.captures.test_submission import Submitting

REQUEST = FullRequest(colo="auto", time_limit=5)
DESTINATION = "s3://caps/full?region=us-east-1"


def chosen(now, **passed):
    shares = tuple(Share(colo, packets, 0) for colo, packets in passed.items())
    answer = Carried(shares, now - timedelta(minutes=2), now, now)
    return choose(Known(carried=answer), share=0.9, most=1)


class Choosing(Submitting):
    """A world whose full captures choose their places."""

    def intent(self, run, **passed):
        now = self.edge.clock.now()
        order = CaptureOrder(REQUEST, run)
        return decide(order, Settings(), now=now, choice=chosen(now, **passed))

    async def attempt(self, intent, again=None):
        async with self.client() as client:

            async def choose_again(_):
                return again

            submitter = Submitter(client, self.journal, self.lane, self.timing, choose=choose_again)
            return await submitter.attempt(intent, destination_conf=DESTINATION)


@pytest.fixture
async def world(tmp_path):
    with Choosing(tmp_path) as world:
        owned, variant = world.edge.ownerships, world.edge.variant
        owned.create(world.account_id, {"destination_conf": DESTINATION})
        world.jump(variant.challenge_after + 1)
        [key] = [info.key for info in world.bucket.list("")]
        proof = world.bucket.local(key).read_text()
        owned.validate(world.account_id, {"destination_conf": DESTINATION, "ownership_challenge": proof})
        world.jump(variant.validation_takes + 1)
        yield world


def places(world):
    return [record.intent.body["colo_name"] for record in world.journal.records()]


def test_a_request_without_a_place_is_never_posted():
    with pytest.raises(NoPlace, match="name one such as ORD in place of auto"):
        decide(CaptureOrder(REQUEST, "one"), Settings(), now=None)


async def test_the_first_place_is_asked_for_and_its_evidence_journalled(world):
    intent = world.intent("one", FRA=90, ORD=10)
    started = await world.attempt(intent)
    assert started.capture.colo == started.intent.request.colo == "FRA"
    assert world.journal.find(intent.intent_id).intent.choice["evidence"]["shares"][1]["colo"] == "ORD"


async def test_a_place_that_is_refused_leads_to_the_next_one(world):
    started = await world.attempt(world.intent("one", QQQ=90, ORD=10))
    assert started.capture.colo == started.intent.request.colo == "ORD"
    assert started.intent.choice["words"].startswith("ORD, since Cloudflare did not accept QQQ")
    assert len(world.posts()) == 1
    # The run is started again, with the intent that it decided on first.
    again = await world.attempt(world.intent("one", QQQ=90, ORD=10))
    assert (again.adopted, again.capture.id) == (True, started.capture.id)
    assert again.intent == started.intent
    assert len(world.posts()) == 1


async def test_no_more_than_four_places_are_asked_for(world):
    with pytest.raises(RequestRefused):
        await world.attempt(world.intent("one", AAA=5, BBB=4, CCC=3, DDD=2, EEE=1))
    assert sorted(places(world)) == ["AAA", "BBB", "CCC", "DDD"]
    assert world.memories["full"] is None


async def test_a_place_that_was_named_is_not_replaced(world):
    now = world.edge.clock.now()
    intent = decide(CaptureOrder(REQUEST.at("QQQ"), "one"), Settings(), now=now)
    with pytest.raises(RequestRefused):
        await world.attempt(intent)
    assert places(world) == ["QQQ"]


async def test_a_capture_that_waited_goes_where_the_packets_are_now(world):
    intent = world.journal.begin(world.intent("one", FRA=90, ORD=10))
    world.jump(CHOICE_HOLDS.total_seconds() + 5)
    started = await world.attempt(intent, chosen(world.edge.clock.now(), AMS=90, FRA=10))
    assert started.capture.colo == started.intent.request.colo == "AMS"
    assert len(world.posts()) == 1
    assert world.journal.find(intent.intent_id).ended.outcome == "repeated"
    assert world.journal.follow(intent.intent_id).capture_id == started.capture.id


async def test_a_choice_that_is_fresh_or_falls_back_changes_nothing(world):
    intent = world.journal.begin(world.intent("one", FRA=90, ORD=10))
    world.jump(CHOICE_HOLDS.total_seconds() + 5)
    fallen_back = choose(Known(policy=("AMS",)), share=0.9, most=1)
    assert (await world.attempt(intent, fallen_back)).capture.colo == "FRA"


async def test_a_place_is_not_chosen_again_once_it_was_posted(world):
    """Its answer was lost: another place would be a second capture."""
    intent = world.intent("one", FRA=90, ORD=10)
    started = await world.attempt(intent)
    world.jump(CHOICE_HOLDS.total_seconds() + 600)
    again = await world.attempt(intent, chosen(world.edge.clock.now(), AMS=90))
    assert again.capture.id == started.capture.id
    assert len(world.posts()) == 1
