"""The map of docs/architecture.md as a test: each room imports only from the rooms below it, and no module
takes part in a circle."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = [  # from the top to the bottom
    "edgecap.cli",
    "deployments.demo",
    "deployments",
    "deployments.receiver",
    "deployments.local",
    "deployments.deploy",
    "deployments.fork",
    "deployments.project",
    "flows",
    "tasks",
    "tasks.runtime",
    "edgecap.simulator",
    "edgecap.report",
    "edgecap.incidents",
    "edgecap.alerts",
    "edgecap.alerts.policy",
    "edgecap.alerts.sources",
    "edgecap.alerts.model",
    "edgecap.reconcile",
    "edgecap.captures",
    "edgecap.analytics",
    "edgecap.proposals",
    "edgecap.archive",
    "edgecap.packets",
    "edgecap.cloudflare",
    "edgecap.stores",
    "edgecap.filters",
    "edgecap.network",
    "edgecap.settings",
    "edgecap.requests",
    "edgecap.files",
    "edgecap.clock",
    "edgecap.units",
    "edgecap.protocols",
    "edgecap.redact",
    "edgecap.errors",
    "edgecap",
]
LAYERS = ["deployments", "flows", "tasks", "edgecap"]
PATHS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for layer in LAYERS
    for path in (ROOT / layer).rglob("*.py")
}


@cache
def imports(module: str) -> set[str]:
    """All modules that a module imports, at any place in it; `prefect` stands for all of Prefect."""
    names = set()
    for node in ast.walk(ast.parse(PATHS[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in PATHS else node.module for name in inner}
    return {"prefect" if name.split(".")[0] == "prefect" else name for name in names} - {module}


def room_of(module: str) -> str:
    """The smallest room that a module is in."""
    return max((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), key=len)


@pytest.mark.parametrize("module", sorted(PATHS))
def test_imports_come_from_the_same_room_or_one_below(module):
    here = ROOMS.index(room_of(module))
    upwards = [name for name in imports(module) & set(PATHS) if ROOMS.index(room_of(name)) < here]
    assert not upwards


@pytest.mark.parametrize("module", sorted(name for name in PATHS if name.split(".")[0] == "edgecap"))
def test_the_domain_knows_no_prefect_and_no_tests(module):
    assert "tests" not in {name.split(".")[0] for name in imports(module)}
    if not module.startswith("edgecap.cli"):
        assert "prefect" not in imports(module)


def test_no_module_is_part_of_a_circle():
    left = {module: imports(module) & set(PATHS) for module in PATHS}
    while leaves := {module for module, names in left.items() if not names & set(left)}:
        left = {module: names for module, names in left.items() if module not in leaves}
    assert not left, f"in a circle, or above one: {sorted(left)}"


def test_every_room_has_modules():
    assert {room_of(module) for module in PATHS} == set(ROOMS)
