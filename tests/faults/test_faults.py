"""A seeded handful of the fault matrix, on one site: `make faults` plays all of it."""

import os

import pytest

from tests.faults.cases import matrix, short
from tests.faults.play import play
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


def test_every_variant_of_the_api_meets_every_crash_point():
    met = {}
    for case in matrix(SEED):
        if case.group.startswith("crash ") and case.deaths == 1:
            met.setdefault(case.group, set()).add(case.place.variant)
    assert len(met) == 11
    assert all(len(variants) == 5 for variants in met.values()), met
