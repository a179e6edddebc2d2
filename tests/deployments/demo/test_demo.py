"""What the demonstration waits for, what it gives up on, and what it takes for a failure."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from deployments.demo.attack import Attack
from deployments.demo.demo import Demo
from deployments.demo.runs import ShownRun, is_over
from edgecap.cli.demo_board import board, why_waiting
from edgecap.errors import SetupError
from edgecap.simulator.traffic import open_traffic

BUSY = SetupError("the Prefect server answers 503", where="POST /flow_runs/filter")


@pytest.mark.parametrize(
    ("state", "minutes", "given_up"),
    [
        ("CRASHED", 1, False),
        ("CRASHED", 16, True),
        ("SCHEDULED", 60, False),
        ("FAILED", 0, True),
    ],
)
def test_a_crashed_run_is_given_up_once_nothing_resumes_it(state, minutes, given_up):
    since = datetime.now(UTC) - timedelta(minutes=minutes)
    assert is_over({"type": state, "timestamp": since.isoformat()}) == given_up


def test_a_run_without_a_state_is_not_over():
    assert not is_over({})


@pytest.mark.parametrize(
    ("phase", "verdict", "right"),
    [
        ("during", "Likely SYN flood on 203.0.113.7 port 443, peak 2,513 packets/s.", True),
        ("during", "Nothing stands out: 786 packets, 100 % tcp.", False),
        ("during", "-", False),
        ("after", "Nothing stands out: 786 packets, 100 % tcp.", True),
        ("after", "Possibly SYN flood on 203.0.113.7 port 443.", False),
        ("before", "Nothing stands out: 786 packets, 100 % tcp.", True),
    ],
)
def test_a_verdict_that_misses_the_attack_is_reported(phase, verdict, right):
    assert (Attack().contradicted(phase, verdict) == "") == right


def test_the_attack_has_begun_and_does_not_end_by_itself():
    traffic = open_traffic(Attack().traffic)
    later = datetime.now(UTC) + timedelta(hours=12)
    for moment in (datetime.now(UTC), later):
        assert list(traffic.packets(moment, moment + timedelta(seconds=0.1), colo="ORD"))
        [(attack, _, _)] = traffic.attacks(moment, moment + timedelta(seconds=1))
        assert (attack.kind, attack.target) == ("syn_flood", "203.0.113.7")


def test_a_waiting_run_shows_its_state_and_message():
    run = ShownRun("full", state="WaitingForLane", message="Waiting for the full lane:\n  one is running")
    assert why_waiting(run) == "WaitingForLane: Waiting for the full lane: one is running"
    assert why_waiting(ShownRun("full")) == "Waiting for its time"


def test_the_board_says_what_how_far_and_how_long_within_80_columns():
    waiting = "Waiting for the full lane: full capture ee9f4ae6b1c24f0e is running; next start 20:03:53Z"
    runs = [
        ShownRun("simple, by a schedule", state="Completed", ended=True, good=True, progress=100.0),
        ShownRun("full at ORD, by hand", name="n", state="WaitingForLane", message=waiting, progress=20.0),
        ShownRun("incident, by an alert", url="http://127.0.0.1:41234/v2/runs/flow-run/" + "a" * 36),
    ]
    screen = io.StringIO()
    Console(file=screen, width=80).print(board(runs, elapsed=75.4))
    lines = screen.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert lines[-1].startswith("1 of 3 are over, 75 s so far")
    assert "100%" in screen.getvalue()
    assert "20:03:53Z" in screen.getvalue()


class Server:
    """A Prefect server that is too busy to answer, then tells of a crash, then of the end."""

    def __init__(self, *states):
        self.states = list(states)
        self.busy = [BUSY, BUSY]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def deployment(self, name):
        return {"id": name}

    def add_interval_schedule(self, *_, **__):
        if self.busy:
            raise self.busy.pop()

    def start_run(self, *_, **__):
        return {"id": "full"}

    def scheduled_runs(self, _, *, since):
        return [{"id": "simple", "expected_start_time": since.isoformat()}]

    def tagged(self, _):
        start = {
            "id": "incident",
            "tags": ["alert"],
            "state": {"type": "RUNNING"},
            "parameters": {"event": "start"},
        }
        during = {"id": "d", "tags": ["alert", "during"], "state": self.state, "parameters": {}}
        return [start, during]

    def run(self, run_id):
        return {"name": run_id, "state": self.state}

    def progress(self, _):
        return None

    @property
    def state(self):
        state = self.states[0]
        if len(self.states) > 1:
            self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        return {
            "type": state,
            "name": state.title(),
            "message": "",
            "timestamp": datetime.now(UTC).isoformat(),
        }


def test_a_busy_server_and_a_resumed_crash_do_not_end_the_demo(tmp_path, monkeypatch):
    server = Server(BUSY, "RUNNING", BUSY, "CRASHED", "CRASHED", "SCHEDULED", "RUNNING", "COMPLETED")
    monkeypatch.setattr("deployments.demo.demo.PrefectApi", lambda _: server)
    monkeypatch.setattr("deployments.demo.demo.time.sleep", lambda _: None)
    demo = Demo(tmp_path / "demo", lambda _, **__: None)
    told = []
    monkeypatch.setattr(demo.attack, "tell", lambda _address, _secret, event: told.append(event))
    monkeypatch.setattr(demo.attack, "end", lambda _: told.append("over"))
    monkeypatch.setattr(demo, "check", lambda: None)
    seen = set()
    runs = demo.run(lambda every: seen.update(run.state for run in every))
    assert all(run.good for run in runs)
    assert {"Crashed", "Running", "Completed"} <= seen
    assert told == ["START", "over", "END"]
