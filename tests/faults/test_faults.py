"""A seeded handful of the fault matrix, on one site: `make faults` plays all of it."""

import os
from dataclasses import replace
from functools import partial
from importlib import import_module
from operator import attrgetter

import pytest

from tests.faults.__main__ import read_results
from tests.faults.case import Result, text_of
from tests.faults.cases import matrix, short
from tests.faults.play import play
from tests.faults.report import page
from tests.faults.site import Site

SEED = int(os.environ.get("FAULTS_SEED", "1"))


@pytest.fixture(scope="module")
def site(tmp_path_factory, prefect_database):
    with Site(tmp_path_factory.mktemp("faults") / "site", prefect_database) as site:
        yield site


@pytest.mark.e2e
@pytest.mark.xdist_group("site")
@pytest.mark.parametrize("case", short(SEED), ids=lambda case: case.name)
def test_no_rule_is_broken(case, site, object_store, tmp_path):
    result = play(case, site, object_store, tmp_path / "case")
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.violations == [], "\n".join([result.outcome, *result.history])


def test_names_tell_all_cases_of_the_matrix_apart():
    names = [case.name for case in matrix(SEED)]
    assert len(set(names)) == len(names)


def test_every_step_of_the_matrix_names_a_function_that_exists():
    """One that was renamed would stop no run, and its case would prove nothing."""
    for module, name in sorted({(step.module, step.name) for case in matrix(SEED) for step in case.steps}):
        assert module == "start" or callable(attrgetter(name)(import_module(module))), (module, name)


def test_every_variant_of_the_api_meets_every_crash_point():
    met = {}
    for case in matrix(SEED):
        if case.group.startswith("crash ") and case.deaths == 1:
            met.setdefault(case.group, set()).add(case.place.variant)
    assert len(met) == 12
    assert all(len(variants) == 5 for variants in met.values()), met


def test_a_resumed_matrix_plays_only_new_and_changed_cases(tmp_path):
    first, second, third = matrix(SEED)[:3]
    results = [
        Result(first, outcome="archived", violations=["a rule"], commit="a1"),
        Result(first, outcome="archived", back=[3.5], commit="b2"),
        Result(second, outcome="archived", commit="b2"),
        Result(third, outcome="archived", commit="b2"),
    ]
    file = tmp_path / "results.jsonl"
    file.write_text("".join(result.record() + "\n" for result in results))
    other = replace(third, accepts=7)
    found = read_results(file, [first, second, other])
    assert found == {first.name: results[1], second.name: results[2]}
    assert read_results(tmp_path / "none", [first]) == {}


def test_a_case_s_drive_is_part_of_its_definition():
    case = matrix(SEED)[0]

    def one(stage, seconds):
        stage.start(time_limit=seconds)

    def other(stage, seconds):
        stage.start(time_limit=seconds + 1)

    drives = [one, other, partial(one, seconds=1), partial(one, seconds=2), None]
    assert len({replace(case, drive=drive).definition for drive in drives}) == len(drives)
    # Where something lies in memory is no part of it.
    assert not [each.name for each in matrix(SEED) if " at 0x" in text_of(each.drive)]
    assert replace(case, drive=partial(one, seconds=1)).definition == (
        replace(case, drive=partial(one, seconds=1)).definition
    )


def test_the_report_names_the_commit_and_the_cases_not_played():
    first, second = matrix(SEED)[:2]
    done = [Result(first, commit="a1", at="2026-11-28T01:00:00Z"), Result(second, commit="b2", at="x")]
    text = page(done, seed=1, sites=2, of=5)
    assert "| a1 | 1 | 2026-11-28T01:00:00Z |" in text
    assert "| b2 | 1 |" in text
    assert "3 of 5 cases have not been played yet" in text
