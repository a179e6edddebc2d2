"""The rules that the tests keep, and their machinery where it can fail silently."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.xdist_group("guard")
def test_a_group_of_tests_stays_on_one_worker(request):
    """Some pairs of pytest and pytest-xdist scatter groups: each worker then starts every server itself."""
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("the tests run without --dist loadgroup")
    assert request.node.nodeid.endswith("@guard")


@pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: str(path.relative_to(TESTS))
)
def test_a_test_s_name_has_at_most_twelve_words(path):
    """It says what the test proves; the docstring says the rest."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = [each.name for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, kinds)]
    tests = [name.removeprefix("test_") for name in names if name.startswith("test_")]
    assert [name for name in tests if len(name.split("_")) > 12] == []
