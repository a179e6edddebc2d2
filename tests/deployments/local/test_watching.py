"""Programs that end are started again: real programs, and a clock that the test turns."""

import sys
import time

import pytest

from deployments.local.processes import Program
from deployments.local.watching import FIRST, HEALTHY, MOST, Watch

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
ENDER = [sys.executable, "-c", "print('that was it')"]


@pytest.fixture
def make(tmp_path):
    """Makes programs that are stopped at the end."""
    made = []

    def program(name, argv):
        made.append(Program(name, argv, log=tmp_path / f"{name}.log"))
        made[-1].start()
        return made[-1]

    yield program
    for each in made:
        each.stop()


def wait_for_the_end(program):
    deadline = time.monotonic() + 240
    while program.running:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_running_program_is_left_alone(make, clock):
    said = []
    program = make("sleeper", SLEEPER)
    pid = program.pid
    watch = Watch([program], said.append, clock=clock)
    watch.look()
    clock.now += 1000
    watch.look()
    assert (program.pid, said) == (pid, [])


def test_a_killed_program_is_restarted_after_a_pause(make, clock):
    said = []
    program = make("sleeper", SLEEPER)
    watch = Watch([program], said.append, clock=clock)
    program.stop()
    watch.look()
    assert "sleeper ended" in said[0]
    assert str(program.log) in said[0]
    clock.now += FIRST / 2
    watch.look()
    assert not program.running
    clock.now += FIRST
    watch.look()
    assert program.running
    assert said[1:] == ["sleeper started again"]


def test_pauses_grow_to_a_minute_and_shrink_after_a_healthy_life(make, clock):
    said = []
    program = make("ender", ENDER)
    watch = Watch([program], said.append, clock=clock)
    pauses = []
    for _ in range(8):
        wait_for_the_end(program)
        watch.look()
        assert "that was it" in said[-1]
        pauses.append(float(said[-1].split(" again in ")[1].split(" s")[0]))
        clock.now += pauses[-1]
        watch.look()
    assert pauses == [1, 2, 4, 8, 16, 32, MOST, MOST]
    clock.now += HEALTHY
    wait_for_the_end(program)
    watch.look()
    assert f"again in {FIRST:.0f} s" in said[-1]


def test_it_looks_for_ever_until_interrupted(make, clock):
    naps = []

    def sleep(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    watch = Watch([make("sleeper", SLEEPER)], print, sleep=sleep, clock=clock)
    with pytest.raises(KeyboardInterrupt):
        watch.forever()
    assert len(naps) == 3
    assert repr(watch) == "<Watch [<Program sleeper [running]>]>"
