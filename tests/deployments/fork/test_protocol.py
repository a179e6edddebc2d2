"""Which environments a fork can have, and which only a new process."""

import pytest

from deployments.fork.protocol import needs_new_process


@pytest.mark.parametrize(
    ("given", "wanted", "needed"),
    [
        ({"HOME": "/a"}, {"HOME": "/b"}, False),
        ({}, {"PYTHONPATH": "/elsewhere"}, True),
        ({"LC_ALL": "C"}, {}, True),
        ({}, {"PREFECT_PLUGINS_ENABLED": "1"}, True),
        # A setup's programs have it, and the shell in which a person types `edgecap capture` has not.
        ({"PYTHONSAFEPATH": "1"}, {}, False),
        ({"PYTHONSAFEPATH": "1"}, {"PYTHONPATH": "/elsewhere"}, True),
    ],
)
def test_variables_that_are_read_at_the_start_need_a_new_process(given, wanted, needed):
    assert needs_new_process(given, wanted) is needed
