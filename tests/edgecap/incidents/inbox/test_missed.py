"""Alerts that led to nothing, as the inbox keeps them: counted, bounded, and told once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from edgecap.incidents.inbox.alert_inbox import AlertInbox
from edgecap.incidents.inbox.missed import LONGEST_REASON, MOST_ROWS, Missed, reason_of
from tests.edgecap.incidents.inbox.inbox_parts import NOON

MINUTE = timedelta(minutes=1)
LARGE = Missed("refused", "grafana", "198.51.100.7", "413: the body is larger", NOON, NOON, size=5_000_000)


def test_they_are_counted_by_the_hour_and_the_reason(inbox):
    inbox.missed.note([LARGE])
    inbox.missed.note([replace(LARGE, first=NOON + MINUTE, last=NOON + MINUTE, count=2, size=6_000_000)])
    inbox.missed.note([replace(LARGE, first=NOON + 61 * MINUTE, last=NOON + 61 * MINUTE)])
    inbox.missed.note([replace(LARGE, sender="198.51.100.8"), replace(LARGE, kind="cut off", sender="")])
    newest, first, *others = inbox.missed.newest(["refused"], -1)
    assert (newest.count, newest.first) == (1, NOON + 61 * MINUTE)
    assert first == replace(LARGE, last=NOON + MINUTE, count=3, size=6_000_000)
    assert [each.sender for each in others] == ["198.51.100.8"]
    assert len(inbox.missed.newest(["refused", "cut off"], 2)) == 2


def test_they_are_there_after_a_restart(inbox, path):
    inbox.missed.note([LARGE])
    inbox.close()
    with AlertInbox(path) as again:
        assert again.missed.newest(["refused"], 5) == [LARGE]
    with AlertInbox(path, read_only=True) as read:
        assert read.missed.newest(["refused"], 5) == [LARGE]


def test_only_the_newest_of_a_kind_are_kept(inbox):
    """Strangers with wrong secrets push out no real alert."""
    inbox.missed.note([LARGE])
    many = [
        replace(LARGE, kind="unauthorized", sender=f"198.51.{n // 250}.{n % 250}", last=NOON + n * MINUTE)
        for n in range(MOST_ROWS + 50)
    ]
    inbox.missed.note(many)
    kept = inbox.missed.newest(["unauthorized"], -1)
    assert len(kept) == MOST_ROWS
    assert kept[-1].last == NOON + 50 * MINUTE
    assert inbox.missed.newest(["refused"], -1) == [LARGE]


def test_what_goes_on_for_an_hour_is_told_once(inbox):
    inbox.missed.note([LARGE, replace(LARGE, kind="put aside", count=9)])
    told = inbox.missed.untold(NOON - MINUTE, 10)
    assert [each.kind for each in told] == ["put aside", "refused"], "the most frequent first"
    inbox.missed.tell(told)
    inbox.missed.note([replace(LARGE, last=NOON + MINUTE)])
    assert inbox.missed.untold(NOON - MINUTE, 10) == []
    inbox.missed.note([replace(LARGE, first=NOON + 61 * MINUTE, last=NOON + 61 * MINUTE)])
    assert len(inbox.missed.untold(NOON - MINUTE, 10)) == 1
    assert inbox.missed.untold(NOON + 62 * MINUTE, 10) == []


def test_what_nobody_is_told_of_is_never_untold(inbox):
    inbox.missed.note([replace(LARGE, told=1)])
    inbox.missed.note([replace(LARGE, count=3, told=3)])
    assert inbox.missed.untold(NOON - MINUTE, 10) == []
    assert inbox.missed.newest(["refused"], 5)[0].count == 4


def test_they_are_forgotten_with_everything_else_of_their_time(inbox):
    inbox.missed.note([LARGE, replace(LARGE, kind="put aside", last=NOON + timedelta(days=2))])
    inbox.prune(NOON + timedelta(days=1))
    assert [each.kind for each in inbox.missed.newest(["refused", "put aside"], 5)] == ["put aside"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\n b\t c", "a b c"),
        ("x" * 1000, "x" * (LONGEST_REASON - 3) + "..."),
        ("api_key=hush", "api_key=***"),
        ("half \ud800", "half ?"),
    ],
)
def test_a_reason_is_one_safe_line(text, kept):
    assert reason_of(text) == kept
