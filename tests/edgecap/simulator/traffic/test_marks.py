"""Numbers that look random and are not."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.simulator.traffic.marks import Dice, derived, named, part_of_one


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32))
def test_a_mark_alone_and_in_an_array_is_derived_the_same(mark, number):
    alone = derived(np.uint64(mark), number)
    marks, numbers = np.array([0, mark], np.uint64), np.array([[0], [number]])
    assert int(derived(marks, numbers)[1, 1]) == int(alone)


def test_parts_of_one_are_even_and_independent():
    marks = derived(named("some name"), np.arange(100_000))
    parts, others = part_of_one(marks), part_of_one(derived(marks, 7))
    assert parts.min() >= 0
    assert parts.max() < 1
    assert np.histogram(parts, 10, (0, 1))[0] == pytest.approx(np.full(10, 10_000), rel=0.05)
    assert abs(np.corrcoef(parts, others)[0, 1]) < 0.02
    assert abs(np.corrcoef(parts[1:], parts[:-1])[0, 1]) < 0.02


def test_names_have_the_same_mark_in_every_process():
    program = "from edgecap.simulator.traffic.marks import named; print(int(named('ord')))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(found.stdout) == int(named("ord"))


@given(st.integers(0, 2**64 - 1), st.integers(1, 128))
def test_restarted_dice_fall_the_same(mark, bits):
    dice, other = Dice(), Dice()
    dice.getrandbits(9)
    first = [dice.restart(mark).getrandbits(bits), dice.random(), dice.choice("abc")]
    again = [other.restart(mark).getrandbits(bits), other.random(), other.choice("abc")]
    assert first == again
    assert 0 <= first[0] < 2**bits
    assert 0 <= first[1] < 1


def test_dice_are_fair():
    dice = Dice().restart(1)
    counted = Counter(dice.choice(range(6)) for _ in range(60_000))
    assert list(counted.values()) == pytest.approx([10_000] * 6, rel=0.05)
