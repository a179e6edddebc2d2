"""Where full captures go: what counts before what, and that the fewest places hold what is wanted."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.analytics.choice import Known, choose
from edgecap.analytics.places import Carried, Share

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
AWAY = "Network Analytics did not answer within 2 s"


def seen(*shares, behind=0):
    until = NOW - timedelta(minutes=behind)
    ordered = sorted(shares, key=lambda each: (-each.passed, -each.dropped, each.colo))
    return Carried(tuple(ordered), until - timedelta(minutes=2), until, NOW)


def exact(colo, passed, dropped):
    """As if every packet were sampled."""
    return Share(colo, passed, dropped, interval=1e-6)


def passed(**packets):
    return seen(*(Share(colo, count, 0) for colo, count in packets.items()))


def pick(carried=None, *, share=0.9, most=3, **known):
    targets = ("203.0.113.7",)
    return choose(Known(targets, carried, "" if carried else AWAY, **known), share=share, most=most)


@pytest.mark.parametrize(
    ("packets", "places"),
    [
        ({"ZRH": 95, "ORD": 5}, ("ZRH",)),
        ({"ZRH": 60, "ORD": 30, "AMS": 10}, ("ZRH", "ORD")),
        ({"ZRH": 50, "ORD": 30, "AMS": 15, "FRA": 5}, ("ZRH", "ORD", "AMS")),
        ({"AAA": 1, "BBB": 1, "CCC": 1, "DDD": 1}, ("AAA", "BBB", "CCC")),
    ],
)
def test_the_fewest_places_that_hold_the_share(packets, places):
    choice = pick(passed(**packets))
    assert (choice.by, choice.places) == ("analytics", places)
    assert choice.held == pytest.approx(sum(packets[each] for each in places) / sum(packets.values()))


def test_passed_packets_count_and_not_dropped_ones():
    choice = pick(seen(exact("ORD", 1, 900), exact("ZRH", 99, 0)))
    assert choice.places == ("ZRH",)
    assert "the edge dropped 90.0% of all" in choice.words


def test_a_handful_of_sampled_packets_that_passed_decides_nothing_alone():
    """The edge drops nine of ten everywhere. A single sample that passed does not outweigh fifty in all."""
    few = [Share("ZRH", 20_000, 480_000), Share("AMS", 20_000, 180_000), Share("SIN", 10_000, 0)]
    assert pick(seen(*few), most=2).places == ("ZRH", "AMS")


def test_where_nothing_passes_the_most_dropped_packets_count():
    choice = pick(seen(Share("ORD", 0, 950), Share("ZRH", 0, 50)))
    assert choice.places == ("ORD",)
    assert choice.words.startswith("ORD: the edge dropped all 1 k packets to 203.0.113.7")


def test_without_an_answer_the_policy_names_the_places():
    choice = pick(policy=("ORD", "AMS"), usual=(Share("ZRH", 9, 0),))
    assert (choice.by, choice.places) == ("policy", ("ORD", "AMS"))
    assert choice.words == f"ORD and AMS, as the rule says: {AWAY}"


def test_then_the_usual_ones_the_most_packets_first():
    choice = pick(usual=(Share("ZRH", 900, 0), Share("ORD", 50, 0), Share("AMS", 50, 0)))
    assert (choice.by, choice.places) == ("usual", ("ZRH",))
    assert AWAY in choice.words


def test_only_then_none_in_words():
    choice = pick()
    assert (choice.by, choice.places) == ("none", ())
    assert choice.words == (
        f"no data centre can be chosen: {AWAY}, and the archive has no other full capture with packets"
    )


def test_an_answer_without_rows_falls_back_and_says_so():
    choice = pick(seen(), usual=(Share("ZRH", 9, 0),))
    assert (choice.by, choice.places) == ("usual", ("ZRH",))
    assert "has no packets to 203.0.113.7 in 2 min until 12:00:00 UTC" in choice.words


def test_a_place_that_disappointed_is_taken_last():
    choice = pick(passed(ZRH=60, ORD=25, AMS=15), disappointed={"zrh"})
    assert choice.places == ("ORD", "AMS", "ZRH")
    assert "ZRH is taken last: a capture there had few packets in the last hour" in choice.words


def test_a_place_that_disappointed_and_finds_no_room_is_left_out():
    choice = pick(passed(ZRH=60, ORD=25, AMS=10, FRA=5), disappointed={"ZRH"})
    assert choice.places == ("ORD", "AMS", "FRA")
    assert "ZRH is left out" in choice.words


def test_places_that_were_tried_are_left_out():
    choice = pick(passed(ZRH=60, ORD=25, AMS=15), tried={"ZRH"}, most=1)
    assert choice.places == ("ORD",)
    assert pick(passed(ZRH=60), tried={"ZRH"}).words.startswith("no further data centre carries packets to")


def test_the_age_of_the_newest_rows_is_said():
    assert "8 min ago" in pick(seen(Share("ZRH", 1, 0), behind=8)).words


def test_what_a_capture_may_expect_at_its_place():
    choice = pick(passed(ZRH=1200, ORD=100))
    assert choice.expected("ZRH") == 10
    assert choice.expected("FRA") is None
    assert pick(policy=("ZRH",)).expected("ZRH") is None


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z]{3}", fullmatch=True),
        st.tuples(st.integers(0, 9**9), st.integers(0, 9**9)),
        max_size=30,
    ),
    st.floats(0.01, 1),
    st.integers(1, 3),
    st.sets(st.from_regex(r"[A-Z]{3}", fullmatch=True), max_size=3),
)
def test_no_fewer_places_hold_the_wanted_share(packets, share, most, disappointed):
    carried = seen(*(exact(colo, *both) for colo, both in packets.items()))
    choice = pick(carried, share=share, most=most, disappointed=disappointed)
    assert len(choice.places) <= most
    assert set(choice.places) <= set(packets)
    total = sum(count for count, _ in packets.values())
    if not total:
        return
    held = [packets[each][0] for each in choice.places]
    good = [each for each in packets if each not in disappointed]
    wanted = share * total * 0.999  # the numbers are no whole ones
    assert len(held) == most or sum(held) >= wanted
    assert sum(held[:-1]) <= share * total * 1.001
    if len(good) == len(packets):  # then no other places of the same number hold more
        best = sorted((count for count, _ in packets.values()), reverse=True)[: len(held)]
        assert sum(held) == sum(best)
