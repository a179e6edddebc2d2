"""Shapes of flows: known before a flow is made, and the same for each flow of the shape."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from edgecap.simulator.traffic import Attack, recipes
from edgecap.simulator.traffic.dissect import headers
from edgecap.simulator.traffic.marks import Dice
from edgecap.simulator.traffic.payloads import Payloads

PAYLOADS = Payloads(3)
START = datetime(2026, 11, 23, tzinfo=UTC)


def attacked(kind):
    return recipes.of_attack(3, PAYLOADS, Attack(kind, START, timedelta(seconds=9)))


@pytest.fixture(
    params=["ordinary", "syn_flood", "dns_amplification", "ntp_amplification"], scope="module", name="shapes"
)
def make_shapes(request):
    return recipes.ordinary(3, PAYLOADS) if request.param == "ordinary" else attacked(request.param)


def test_each_flow_of_a_shape_is_as_the_arrays_say(shapes):
    dice = Dice(), Dice()
    rng = Random(5)
    for number in range(shapes.count):
        span = slice(shapes.first[number], shapes.first[number] + shapes.packets[number])
        for _ in range(3):
            frames = shapes.frames(number, rng.getrandbits(64), bytes(12), dice)
            assert [later for later, _ in frames] == shapes.later[span].tolist()
            assert [(len(frame) - 14) * 8 for _, frame in frames] == shapes.bits[span].tolist()
            found = [headers(frame) for _, frame in frames]
            assert [each.destination for each in found] == [shapes.targets[at] for at in shapes.target[span]]
            assert [each.protocol for each in found] == shapes.protocol[span].tolist()


def test_flows_of_a_shape_have_sources_of_their_own(shapes):
    dice = Dice(), Dice()
    made = [shapes.frames(0, identity, bytes(12), dice)[0][1] for identity in range(50)]
    assert len({headers(frame).source for frame in made}) > 30
    assert shapes.frames(0, 7, bytes(12), dice)[0][1] == made[7]


def test_amplified_answers_come_in_fragments():
    assert attacked("dns_amplification").longest > 1
    assert attacked("syn_flood").longest == attacked("ntp_amplification").longest == 1
