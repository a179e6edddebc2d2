"""Each folder reaches only to the ones on its right: cli -> deployments -> flows -> tasks -> edgecap."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ["cli", "deployments", "flows", "tasks", "edgecap"]


def imported_names(path: Path) -> set[str]:
    """Top-level packages that the module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


MODULES = sorted(path for layer in ORDER for path in (ROOT / layer).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_reaches_only_downwards(path):
    layer = path.relative_to(ROOT).parts[0]
    forbidden = set(ORDER[: ORDER.index(layer)]) | {"tests"}
    if layer == "edgecap":
        forbidden.add("prefect")
    assert not imported_names(path) & forbidden


def test_every_layer_has_modules():
    for layer in ORDER:
        assert list((ROOT / layer).glob("*.py")), layer
