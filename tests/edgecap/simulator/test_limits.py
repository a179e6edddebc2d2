"""The limits hold under every variant, for every request at any time."""

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgecap.simulator.clock import Clock
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import Edge
from edgecap.simulator.envelope import Refused
from edgecap.simulator.limits import RequestLimit
from edgecap.simulator.traffic import SyntheticTraffic
from edgecap.simulator.variants import VARIANTS
from edgecap.stores import FolderStore

NOW = datetime.fromisoformat("2026-11-23T06:34:06.123456+00:00")
ACCOUNTS = ["a" * 32, "b" * 32]
FINAL = {"success", "complete", "failed"}


class Lanes(RuleBasedStateMachine):
    """Two accounts start, stop and wait as they like."""

    @initialize(variant=st.sampled_from(sorted(VARIANTS)))
    def open(self, variant):
        self.stack = ExitStack()
        root = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.seconds = 0.0
        self.variant = VARIANTS[variant]
        self.edge = Edge(
            traffic=SyntheticTraffic(3, rate=0.5, attacks=()),
            buckets=lambda uri: FolderStore(root),
            credentials=[Credential("t", frozenset(ACCOUNTS), token="t")],
            clock=Clock(start=NOW, source=lambda: self.seconds),
            variant=self.variant,
        )
        self.stack.callback(self.edge.close)
        self.accepted = {account: [] for account in ACCOUNTS}
        for account in ACCOUNTS:
            body = {"destination_conf": "s3://caps"}
            name = self.edge.ownerships.create(account, body)["filename"]
            self.pass_time(5)
            body["ownership_challenge"] = (root / name).read_text()
            self.edge.ownerships.validate(account, body)
            self.pass_time(70)

    def teardown(self):
        if hasattr(self, "stack"):
            self.stack.close()

    def pass_time(self, seconds):
        self.seconds += seconds
        self.edge.tick()

    @rule(seconds=st.sampled_from([0.001, 0.5, 1, 3, 10, 29.999, 31, 59.999999, 60, 61]))
    def wait(self, seconds):
        self.pass_time(seconds)

    @rule(seconds=st.sampled_from([1, 20, 60]))
    def wait_without_a_tick(self, seconds):
        self.seconds += seconds

    @rule(account=st.sampled_from(ACCOUNTS))
    def simple(self, account):
        body = {"type": "simple", "system": "magic-transit", "time_limit": 1, "packet_limit": 5}
        last = max(self.accepted[account], default=NOW - timedelta(days=1))
        now = self.edge.clock.now()
        refused = self.refused(account, body)
        if refused is not None:
            assert refused == self.variant.too_soon.message
            assert now - last < timedelta(minutes=1), "refused without a reason"
        else:
            assert now - last >= timedelta(minutes=1), "two within a minute"
            self.accepted[account].append(now)

    @rule(
        account=st.sampled_from(ACCOUNTS),
        seconds=st.sampled_from([1, 7, 90]),
        packets=st.sampled_from([None, 3]),
    )
    def full(self, account, seconds, packets):
        body = {
            "type": "full",
            "system": "magic-transit",
            "time_limit": seconds,
        }
        body |= {"packet_limit": packets} if packets else {}
        held = self.holding(account)
        refused = self.refused(account, {**body, "colo_name": "ord01", "destination_conf": "s3://caps"})
        if refused is not None:
            assert refused == self.variant.busy.message
            assert held, "refused without a reason"
        else:
            assert not held, "two at a time"

    @precondition(lambda self: any(self.holding(account) for account in ACCOUNTS))
    @rule()
    def stop(self):
        for account in ACCOUNTS:
            for capture in self.holding(account):
                if capture["status"] in ("pending", "running"):
                    self.edge.stop(account, capture["id"])

    def refused(self, account, body):
        """Why a capture is refused, or None if it is accepted."""
        try:
            self.edge.create(account, body)
        except Refused as refused:
            return refused.problems[0].message
        return None

    def holding(self, account):
        """Full captures that nobody may start another one beside."""
        states = self.edge.state()["captures"]
        fulls = [state for state in states if state["type"] == "full" and state["account_id"] == account]
        if self.variant.lane_until == "final":
            return [state for state in fulls if state["status"] not in FINAL]
        return [state for state in fulls if state["status"] in ("pending", "running")]

    @invariant()
    def never_two_full_captures_of_an_account(self):
        if hasattr(self, "edge"):
            for account in ACCOUNTS:
                assert len(self.holding(account)) <= 1

    @invariant()
    def the_log_tells_the_same(self):
        """What tests judge by: between two `taken` of a lane there is a `free`."""
        if hasattr(self, "edge"):
            for account in ACCOUNTS:
                lane = [
                    event["lane"]
                    for event in self.edge.log.events("state")
                    if event.get("lane") and event["account_id"] == account and event["type"] == "full"
                ]
                assert lane == ["taken", "free"] * (len(lane) // 2) + ["taken"] * (len(lane) % 2)
                times = [
                    datetime.fromisoformat(event["time"])
                    for event in self.edge.log.events("state")
                    if event.get("lane") == "taken"
                    and event["account_id"] == account
                    and event["type"] == "simple"
                ]
                assert times == self.accepted[account]


TestLanes = Lanes.TestCase
TestLanes.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_refusals_are_worded_as_the_variant_says(make_world, variant):
    world = make_world(variant)
    world.register()
    expected = world.edge.variant
    for ask, refusal in ((world.simple, expected.too_soon), (world.full, expected.busy)):
        assert ask().status_code == 200
        answer = ask()
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["code"], error["message"]) == (
            refusal.status,
            refusal.code,
            refusal.message,
        )
        assert ("retry-after" in answer.headers) == refusal.retry_after


@pytest.mark.parametrize("kind", ["simple", "full"])
def test_of_many_at_the_same_moment_one_is_accepted(world, kind):
    world.register()
    body = {"type": kind, "system": "magic-transit", "time_limit": 5, "packet_limit": 10}
    if kind == "full":
        body |= {"colo_name": "ORD", "destination_conf": world.destination}
    barrier = threading.Barrier(16)

    def ask(_):
        barrier.wait()
        try:
            return world.edge.create(world.account, body)["id"]
        except Refused:
            return None

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(16)))
    assert len([answer for answer in answers if answer]) == 1
    assert len(world.call("GET", "").json()["result"]) == 1


def test_retry_after_says_when_the_next_simple_capture_is_taken(world):
    world.simple()
    world.seconds += 18.25
    wait = int(world.simple().headers["retry-after"])
    assert wait == 42
    world.seconds += wait - 0.5
    assert world.simple().status_code == 429
    world.seconds += 0.5
    assert world.simple().status_code == 200


def test_a_refused_capture_does_not_count(world):
    world.simple()
    for _ in range(5):
        world.seconds += 11
        assert world.simple().status_code == 429
    world.seconds += 5
    assert world.simple().status_code == 200


def test_twelve_hundred_calls_in_five_minutes_and_then_none_for_five():
    limit = RequestLimit(VARIANTS["documented"])
    headers = {}
    for call in range(1200):
        headers = limit.count("u", "127.0.0.1", NOW + timedelta(seconds=call / 10))
    assert headers["Ratelimit"] == '"default";r=0;t=180'
    moment = NOW + timedelta(seconds=120)
    with pytest.raises(Refused) as caught:
        limit.count("u", "127.0.0.1", moment)
    assert (caught.value.status, caught.value.headers["retry-after"]) == (429, "300")
    with pytest.raises(Refused) as caught:
        limit.count("u", "127.0.0.1", moment + timedelta(seconds=299))
    assert caught.value.headers["retry-after"] == "1"
    assert limit.count("v", "127.0.0.1", moment), "others are not concerned"
    headers = limit.count("u", "127.0.0.1", moment + timedelta(seconds=300))
    assert headers["Ratelimit"] == '"default";r=1199;t=300'


def test_two_hundred_calls_a_second_from_one_address():
    limit = RequestLimit(VARIANTS["documented"])
    for _ in range(200):
        limit.count("u", "127.0.0.1", NOW)
    with pytest.raises(Refused):
        limit.count("v", "127.0.0.1", NOW + timedelta(seconds=0.9))
    assert limit.count("u", "127.0.0.1", NOW + timedelta(seconds=1))


def test_the_general_limit_is_an_answer_with_both_headers(world):
    for call in range(1200):
        world.edge.limit.count("token", "x", world.now + timedelta(seconds=call / 100 - 12))
    answer = world.call("GET", "")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, 10500)
    assert answer.headers["retry-after"] == "300"
    assert answer.headers["ratelimit"].startswith('"default";r=0;')
    assert world.edge.log.events("request")[-1]["outcome"] == "refused"
