"""A rule that can never match is found; one that can is never said to be such."""

from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.alerts.model import Alert, derive
from edgecap.alerts.policy.coverage import shadowed
from edgecap.alerts.policy.rules import BUILT_IN, Rule
from edgecap.alerts.sources.registry import SOURCES

LETTERS = "ab"
WORDS = ["".join(letters) for length in range(5) for letters in product(LETTERS, repeat=length)]
GLOBS = st.text("ab*?", min_size=1, max_size=5)


def rule(number, **fields):
    return Rule(name=f"rule {number}", **fields)


def over(*fields):
    return shadowed([rule(number, **each) for number, each in enumerate(fields)])


def test_the_built_in_rules_all_match_something():
    assert shadowed(BUILT_IN) == [()] * len(BUILT_IN)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"kind": "dos_*"}, {"kind": "dos_attack_l4"}),
        ({"kind": "DOS_*"}, {"kind": "dos_attack_*"}),
        ({"kind": "a?*"}, {"kind": "a??"}),
        ({"source": "grafana"}, {"source": "grafana", "kind": "x", "severity": "high"}),
        ({"severity": ["high", "critical"]}, {"severity": "high"}),
        ({"kind": ["a", "b"]}, {"kind": ["b", "a"]}),
        ({"kind": "[ab]"}, {"kind": "[ab]"}),
    ],
)
def test_a_narrower_rule_after_a_wider_one(wide, narrow):
    assert over(wide, narrow) == [(), ("rule 0",)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"kind": "dos_*"}, {"kind": "dos*"}),
        ({"kind": "dos_attack_l4"}, {"kind": "dos_*"}),
        ({"kind": "a?"}, {"kind": "a*"}),
        ({"kind": "a?*"}, {"kind": "a*"}),
        ({"source": "grafana"}, {"source": ["grafana", "datadog"]}),
        ({"severity": "high"}, {}),
        ({"source": "grafana", "kind": "a"}, {"source": "datadog", "kind": "a"}),
    ],
)
def test_a_rule_with_unmatched_alerts_left_is_not_shadowed(first, second):
    assert over(first, second) == [(), ()]


def test_several_rules_together_can_shadow_one():
    halves = ({"source": "grafana", "kind": "a"}, {"source": "datadog", "kind": "*"})
    assert over(*halves, {"source": ["grafana", "datadog"], "kind": "a"})[2] == ("rule 0", "rule 1")
    each = [{"source": name} for name in SOURCES]
    assert over(*each, {"source": "*", "kind": "a"})[-1] == tuple(f"rule {n}" for n in range(len(SOURCES)))


@given(wide=st.lists(GLOBS, min_size=1, max_size=2), narrow=GLOBS)
def test_a_shadowed_rule_matches_nothing_new(wide, narrow):
    """Against all words of up to four letters; and each glob alone is within itself."""
    (_, takers) = over({"kind": wide}, {"kind": narrow})
    taken = [word for word in WORDS if fnmatchcase(word, narrow)]
    if takers:
        assert all(any(fnmatchcase(word, glob) for glob in wide) for word in taken)
    assert over({"kind": narrow}, {"kind": narrow})[1]


@given(st.lists(st.builds(
    dict,
    kind=GLOBS,
    source=st.sampled_from(["*", "grafana", "datadog"]),
    severity=st.sampled_from([[], ["high"], ["high", "low"]]),
), min_size=2, max_size=5))  # fmt: skip
def test_no_alert_ever_reaches_a_rule_that_never_matches(fields):
    rules = [rule(number, **each) for number, each in enumerate(fields)]
    never = {each.name for each, takers in zip(rules, shadowed(rules), strict=True) if takers}
    for kind, source, severity in product(WORDS, ["grafana", "generic"], ["high", "low", "unknown"]):
        if kind:
            reached = next((each for each in rules if each.matches(alert(kind, source, severity))), None)
            assert reached is None or reached.name not in never


def alert(kind, source, severity):
    facts = {"identity": derive(kind), "incident": derive(kind), "received": "2026-11-23T12:00:00Z"}
    return Alert(source=source, kind=kind, event="start", severity=severity, **facts)
