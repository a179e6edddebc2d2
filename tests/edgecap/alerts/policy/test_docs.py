"""docs/alerts/policy.md: its examples are policies, and it has every field and every default."""

import re
from pathlib import Path

import pytest

from edgecap.alerts.policy.coverage import shadowed
from edgecap.alerts.policy.rules import BUILT_IN, DEFAULT_POLICY_TOML, LONGEST, During, Rule, read_policy
from edgecap.alerts.sources.registry import SOURCES
from edgecap.requests import Filter

PAGE = (Path(__file__).parents[4] / "docs" / "alerts" / "policy.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
ROWS = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize("example", EXAMPLES[:-1])
def test_each_example_is_a_policy_of_which_every_rule_can_match(example):
    policy = read_policy(example)
    assert policy.rules
    assert not any(shadowed(policy.rules))


def test_the_built_in_rules_are_shown_as_they_are():
    assert EXAMPLES[-1] == DEFAULT_POLICY_TOML


def test_every_field_is_documented_and_no_other():
    assert list(ROWS) == [*Rule.model_fields, *During.model_fields]
    assert all(f"`{field}`" in PAGE for field in Filter.model_fields)


@pytest.mark.parametrize("model", [Rule, During])
def test_documented_defaults_are_the_real_ones(model):
    for name, field in model.model_fields.items():
        if isinstance(field.default, bool):
            assert f", `{str(field.default).lower()}`" in ROWS[name]
        elif isinstance(field.default, int):
            assert ROWS[name].endswith(f", `{field.default}`")


def test_bounds_and_sources_are_the_real_ones():
    assert f"At most {LONGEST}" in PAGE
    assert all(f"`{source}`" in PAGE for source in SOURCES)
    assert BUILT_IN[-1].matches_all
