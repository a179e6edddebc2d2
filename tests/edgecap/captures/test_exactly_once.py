"""One intent, at most one accepted capture: whatever is killed, doubled, late or wrong about the time.

A state machine drives the submission of many runs through every seam; the edge's own log is the judge.
"""

import dataclasses
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgecap.captures.queue import Priority
from edgecap.requests import Filter, FullRequest, SimpleRequest
from edgecap.simulator.envelope import Refused
from edgecap.simulator.faults import Fault
from edgecap.simulator.variants import FINISHED, VARIANTS
from tests.edgecap.captures.lane_runs import POINTS
from tests.edgecap.captures.lane_world import ACCOUNT, BUCKET, LaneWorld

MOST_RUNS = 6
MAX_LIVES = 4  # at once

# Where a life stops, and what becomes of it there. The second time is after the POST.
NOWHERE = ("", 1)
AROUND_THE_POST = [("before POST", 1), ("after POST", 1), ("before accept", 1), ("after accept", 1)]
STOPS = [*AROUND_THE_POST, *((point, nth) for point in POINTS for nth in (1, 2))]
stops = st.sampled_from([*[NOWHERE] * 12, *AROUND_THE_POST, *STOPS])
fates = st.sampled_from(["stays", "killed", "in flight", "late", "cancelled"])
pick = st.integers(0, MOST_RUNS - 1)

runs = st.one_of(
    st.tuples(
        st.builds(SimpleRequest, time_limit=st.sampled_from([5, 60])),
        st.sampled_from(Priority),
        st.sampled_from([0, 0, 90, 3600]),
        st.just(0),
    ),
    st.tuples(
        st.builds(
            FullRequest,
            colo=st.just("ORD"),
            time_limit=st.sampled_from([1, 40, 300]),
            filter=st.builds(Filter, destination_port=st.sampled_from([53, 443])),
        ),
        st.sampled_from(Priority),
        st.just(0),
        st.sampled_from([0, 0, 1]),
    ),
)
POST = {"method": st.just("POST"), "path": st.just("*/pcaps")}
posts = st.one_of(
    st.builds(
        Fault, kind=st.sampled_from(["reset", "truncate", "garbage", "error"]), after=st.booleans(), **POST
    ),
    # An answer that refuses, and lies, would be the only sign of the capture: this is taken at its word.
    st.builds(Fault, kind=st.just("rate_limit"), after=st.just(False), **POST),
)
lists = st.builds(
    Fault,
    kind=st.sampled_from(["reset", "garbage", "error"]),
    method=st.just("GET"),
    path=st.just("*/pcaps"),
    count=st.sampled_from([1, 4]),  # a GET is made four times
)
LIST_IS_GONE = ["refused"] * 4
wires = st.one_of(
    st.lists(st.sampled_from([None, "refused", 2.0, 10.0, 100.0]), min_size=1, max_size=5),
    st.sampled_from([[None, 2.0, *LIST_IS_GONE], [100.0, *LIST_IS_GONE], [None, None, *LIST_IS_GONE]]),
)
happenings = st.one_of(
    st.none(),
    st.tuples(st.just("run"), runs),
    st.tuples(st.just("death"), st.sampled_from(["killed", "in flight", "late", "cancelled"])),
    st.tuples(st.just("person"), st.sampled_from(["simple", "full", "same", "other limit"])),
    st.tuples(st.just("crowd"), st.none()),
    st.tuples(
        st.just("time"), st.one_of(st.floats(0, 100), st.sampled_from([1.0, 30.0, 61.0, 600.0, 7200.0]))
    ),
    st.tuples(st.just("jump"), st.sampled_from([-600.0, -61.0, -5.0, 0.0, 5.0, 61.0, 600.0])),
    st.tuples(st.just("fault"), st.lists(st.one_of(posts, lists), min_size=1, max_size=2)),
    st.tuples(st.just("wire"), wires),
    st.tuples(st.just("stop"), pick),
)
PERSON = {"type": "simple", "system": "magic-transit", "time_limit": 7, "packet_limit": 100}
FULL = {"type": "full", "colo_name": "AMS", "destination_conf": BUCKET}


class Submissions(RuleBasedStateMachine):
    """Runs, their lives and deaths, people, time and trouble."""

    def __init__(self):
        super().__init__()
        self.world = None
        self.broken = False

    @initialize(
        name=st.sampled_from(sorted(VARIANTS)),
        lag=st.sampled_from([0.0, 0.0, 5.0, 30.0]),
        lane_until=st.sampled_from(["captured", "final"]),
        wanted=st.lists(runs, min_size=1, max_size=3),
    )
    def begin(self, name, lag, lane_until, wanted):
        self.world = LaneWorld(dataclasses.replace(VARIANTS[name], list_lag=lag, lane_until=lane_until))
        for request, priority, ago, archive in wanted:
            self.world.decide(request, priority, ago=ago, archive=archive)

    @property
    def waiting(self):
        return [run for run in self.world.runs if not run.over]

    @rule(what=happenings, number=pick, wait=st.booleans(), stop=stops, fate=fates)
    def live(self, what, number, wait, stop, fate):
        """A life of a run, now or when it was to wake. The run may have another life that has stopped."""
        self.happen(what)
        if not self.waiting or len(self.world.attempts) == MAX_LIVES:
            return
        run = self.waiting[number % len(self.waiting)]
        if wait:
            self.world.advance(self.world.wait_of(run))
        if not run.over:
            self.move(self.world.attempt(run), stop, fate)

    @precondition(lambda self: self.world.attempts)
    @rule(what=happenings, number=pick, stop=stops, fate=fates)
    def mark_running(self, what, number, stop, fate):
        """A life that has stopped goes on."""
        self.happen(what)
        if self.world.attempts:
            self.move(self.world.attempts[number % len(self.world.attempts)], stop, fate)

    @rule(
        number=pick,
        first=st.sampled_from(["before find", "before begin", "after begin", "before lane"]),
        second=stops,
        fate=fates,
        seconds=st.sampled_from([0, 5, 20, 61, 90]),
    )
    def two_lives(self, number, first, second, fate, seconds):
        """One is held up while another life of the same run gets somewhere, and then goes on."""
        if not self.waiting or len(self.world.attempts) + 2 > MAX_LIVES:
            return
        run = self.waiting[number % len(self.waiting)]
        held_up = self.world.attempt(run)
        held_up.go(first)
        if not run.over:
            self.move(self.world.attempt(run), second, fate)
        self.world.advance(seconds)
        if not held_up.done:
            held_up.go()

    def move(self, attempt, stop, fate):
        attempt.go(*stop)
        if attempt.at == stop[0] and not attempt.done and fate != "stays":
            attempt.die(fate)

    def happen(self, what):
        name, value = what or ("nothing", None)
        getattr(self, f"happens_{name}")(value)

    def happens_nothing(self, _):
        pass

    def happens_run(self, run):
        request, priority, ago, archive = run
        if len(self.world.runs) < MOST_RUNS:
            self.world.decide(request, priority, ago=ago, archive=archive)

    def happens_death(self, fate):
        if self.world.attempts:
            self.world.attempts[0].die(fate)

    def happens_person(self, kind):
        """Somebody's own; or a colleague's that is like a run's, but for its bucket or a limit."""
        full = [run for run in self.world.runs if run.kind == "full"]
        if kind in ("simple", "full"):
            self.world.person({**PERSON, **(FULL if kind == "full" else {})})
        elif full and kind == "same":
            bucket = self.world.buckets[1 - full[0].archive]
            if not any(run.archive != full[0].archive for run in full):  # else it is the other archive's
                self.world.person({**full[0].intent.body, "destination_conf": bucket})
        elif full:
            bucket = self.world.buckets[full[0].archive]
            self.world.person({**full[0].intent.body, "destination_conf": bucket, "byte_limit": 77_777})

    def happens_crowd(self, _):
        self.world.crowd(PERSON)

    def happens_time(self, seconds):
        self.world.advance(seconds)

    def happens_jump(self, seconds):
        self.world.jump(seconds)

    def happens_fault(self, faults):
        for fault in faults:
            self.world.edge.faults.add(fault.model_copy())

    def happens_wire(self, troubles):
        """Connections that are refused, or POSTs that arrive some seconds after their answer was given up."""
        self.world.wire_trouble += troubles

    def happens_stop(self, number):
        captures = self.world.edge.state()["captures"]
        running = [c for c in captures if c["type"] == "full" and c["status"] not in FINISHED]
        if running:
            try:
                self.world.edge.stop(ACCOUNT, running[number % len(running)]["id"])
            except Refused as late:
                note(str(late))
            self.world.edge.tick()

    @invariant()
    def the_edge_saw_nothing_wrong(self):
        if self.world:
            self.broken = True
            self.world.judge.check()
            self.broken = False

    def teardown(self):
        if self.world:
            try:
                if not self.broken:
                    self.world.settle()
            finally:
                self.world.close()


Submissions.TestCase.settings = settings(
    deadline=None,
    max_examples=settings.default.max_examples // 3,  # each is a small world that lives to its end
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestExactlyOnce = Submissions.TestCase


# What the machine has found, each as short as it gets.


@contextmanager
def a_world(**choices):
    world = LaneWorld(dataclasses.replace(VARIANTS["documented"], **choices))
    try:
        yield world
        world.settle()
    finally:
        world.close()


SIMPLE_5_S = SimpleRequest(time_limit=5)
FULL_1_S = FullRequest(colo="ORD", time_limit=1)
both = pytest.mark.parametrize("request_", [SIMPLE_5_S, FULL_1_S], ids=["simple", "full"])


@both
def test_a_process_that_waited_for_the_lane_sees_the_other_s_post(request_):
    with a_world() as world:
        run = world.decide(request_, Priority.MANUAL)
        first, second = world.attempt(run), world.attempt(run)
        first.go("before lane")
        second.go()
        world.advance(90)
        first.go()


@both
def test_a_process_that_waited_for_a_dead_lease_finds_the_capture(request_):
    with a_world() as world:
        run = world.decide(request_, Priority.MANUAL)
        first, second = world.attempt(run), world.attempt(run)
        first.go("before lane")
        second.go("after POST")
        second.die()
        world.advance(61)
        first.go()


def test_an_unanswered_post_counts_even_if_the_list_is_unreachable_then():
    with a_world(list_lag=30.0) as world:
        run = world.decide(FULL_1_S, Priority.MANUAL)
        world.attempt(run).go("before POST")
        world.edge.faults.add(Fault(kind="reset", method="POST", path="*/pcaps"))
        world.wire_trouble = [None, *["refused"] * 4]
        world.attempts[0].go()
        world.advance(15)
        world.attempt(run).go()


def test_a_clock_that_jumps_back_does_not_age_the_post():
    with a_world(list_lag=30.0) as world:
        run = world.decide(FULL_1_S, Priority.MANUAL)
        world.attempt(run).go("before POST")
        world.jump(-600)
        world.wire_trouble = [2.0, *["refused"] * 4]
        world.attempts[0].go()
        world.advance(20)
        world.attempt(run).go()
