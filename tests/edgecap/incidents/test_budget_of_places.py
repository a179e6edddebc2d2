"""A capture whose places are chosen may become three, and the budget of the day counts three."""

from datetime import UTC, datetime

import pytest

from edgecap.alerts.policy.decision import decide, read_policy
from edgecap.incidents.budget import within_budget
from tests.edgecap.alerts.policy.decided import alert

POLICY = read_policy("[[rules]]\nname = 'all'\nreserve = 0\n")


class Spent:
    """The inbox's table of what was spent."""

    def __init__(self, captures):
        self.captures = captures

    def execute(self, *_):
        return self

    def fetchall(self):
        return [("another", 0, self.captures)] if self.captures else []


@pytest.mark.parametrize(
    ("left", "kept", "remark"),
    [
        (4, [("before", 1), ("during", 3)], ""),
        (3, [("before", 1), ("during", 2)], "during 1 at 1 of its 3 places"),
        (1, [("before", 1)], ": during 1"),
        (0, [], ": before 1, during 1"),
    ],
)
def test_a_small_rest_goes_to_fewer_places(left, kept, remark):
    plan = decide(alert(), POLICY).model_copy(update={"daily_budget": 10, "target_budget": None})
    found = within_budget(
        Spent(10 - left), plan, "high", int(datetime(2026, 11, 29, tzinfo=UTC).timestamp() * 1e6)
    )
    assert [(each.phase, each.most) for each in found.captures] == kept
    assert remark in (found.remarks or ("",))[-1]
