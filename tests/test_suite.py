"""The tests' own machinery, where it can fail without a sound."""

import pytest


@pytest.mark.xdist_group("guard")
def test_a_group_of_tests_stays_on_one_worker(request):
    """Some pairs of pytest and pytest-xdist scatter groups: each worker then starts every server itself."""
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("the tests run without --dist loadgroup")
    assert request.node.nodeid.endswith("@guard")
