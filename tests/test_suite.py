"""The rules that the tests keep, and their machinery where it can fail silently."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PRODUCT = ("edgecap", "tasks", "flows", "deployments")
# `"edgecap.cli.running._private"`, as monkeypatch takes it.
HIDDEN = re.compile(rf"({'|'.join(PRODUCT)})(\.\w+)*\._[a-z]\w*")
every_file = pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS))
)


@cache
def nodes(path):
    return list(ast.walk(ast.parse(path.read_text())))


@pytest.mark.xdist_group("guard")
def test_a_group_of_tests_stays_on_one_worker(request):
    """Some pairs of pytest and pytest-xdist scatter groups: each worker then starts every server itself."""
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("the tests run without --dist loadgroup")
    assert request.node.nodeid.endswith("@guard")


@every_file
def test_a_test_s_name_has_at_most_twelve_words(path):
    """It says what the test proves; the docstring says the rest."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = [each.name for each in nodes(path) if isinstance(each, kinds)]
    tests = [name.removeprefix("test_") for name in names if name.startswith("test_")]
    assert [name for name in tests if len(name.split("_")) > 12] == []


@every_file
def test_no_test_imports_or_patches_what_is_private(path):
    """ruff's SLF001 keeps attributes; it reads neither imports nor the strings that monkeypatch takes."""
    taken = []
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PRODUCT:
            taken += [alias.name for alias in node.names if alias.name.startswith("_")]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and HIDDEN.fullmatch(node.value):
            taken.append(node.value)
    assert taken == []
