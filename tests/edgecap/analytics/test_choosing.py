"""Choosing in a run: whatever Network Analytics and the archive do, there is a choice, in time."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgecap.analytics.choice import Known, choose
from edgecap.analytics.choosing import Wanted, choose_places
from edgecap.analytics.history import PastCaptures, has_few_packets
from edgecap.analytics.places import Carried, Share
from edgecap.errors import AnalyticsRefused, AnalyticsUnavailable
from edgecap.settings import Account, StoreLocation
from edgecap.settings.analytics import AnalyticsSettings
from edgecap.stores import open_store
from tests.edgecap.analytics.past import TARGET, keep
from tests.graphql import ACCOUNT, Row, network_analytics, refusal
from tests.stand_ins import Silent, one_answer

ROWS = [Row("ZRH", 9_000_000), Row("AMS", 800_000), Row("ORD", 700_000)]
NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path):
    return open_store(StoreLocation(uri=f"file:{tmp_path}"))


def pick(url, store=None, *, policy=(), tried=(), most=3, **settings):
    account = Account(
        account_id=ACCOUNT, api_token="t" * 20, base_url=url, analytics=AnalyticsSettings(**settings)
    )
    wanted = Wanted("default", (TARGET,), policy, tried, most)
    return asyncio.run(choose_places(wanted, account, store))


def test_network_analytics_decides_and_its_evidence_is_kept(store):
    keep(store, "SIN", 9_000)
    with network_analytics(*ROWS) as server:
        chosen = pick(server.url, store, policy=("FRA",), share=0.95)
    choice = chosen.choice
    assert (choice.by, choice.places, chosen.problem) == ("analytics", ("ZRH", "AMS", "ORD"), None)
    assert choice.evidence.passed == 10_500_000
    assert [each.colo for each in choice.evidence.shares] == ["ZRH", "AMS", "ORD"]
    assert choice.evidence.took is not None
    assert type(choice).model_validate(json.loads(choice.model_dump_json())) == choice


def away(how):
    """A server that does not answer as wanted, and what is said of it."""
    ways = {
        "silent": (Silent, (), {}),
        "slow": (network_analytics, ROWS, {"delay": 10}),
        "half": (network_analytics, ROWS, {"cut": True}),
        "portal": (one_answer, (), {}),
        "failing": (network_analytics, (), {"status": 500, "body": b"{}"}),
        "another account's": (network_analytics, ROWS, {"account": "d" * 32}),
        "refused": (network_analytics, (), {"body": json.dumps(refusal("not authorized")).encode()}),
        "limited": (network_analytics, (), {"status": 429, "body": b'{"errors": [{"message": "budget"}]}'}),
        "without rows": (network_analytics, (), {}),
    }
    kind, rows, more = ways[how]
    return kind(*rows, **more)


@pytest.mark.parametrize(
    "how",
    [
        "silent",
        "slow",
        "half",
        "portal",
        "failing",
        "another account's",
        "refused",
        "limited",
        "without rows",
    ],
)
def test_a_capture_goes_where_it_usually_does_if_there_is_no_answer(store, how):
    keep(store, "SIN", 9_000)
    with away(how) as server:
        began = time.monotonic()
        chosen = pick(server.url, store)
        took = time.monotonic() - began
    assert (chosen.choice.by, chosen.choice.places) == ("usual", ("SIN",))
    assert "Network Analytics" in chosen.choice.words
    assert took < 10  # of 2 s that are allowed: this machine may be busy
    assert (chosen.choice.evidence.took or 0) < took
    if how in ("another account's", "refused"):
        assert isinstance(chosen.problem, AnalyticsRefused)
    elif how != "without rows":
        assert isinstance(chosen.problem, AnalyticsUnavailable)


def test_the_policys_places_come_before_the_usual_ones(store):
    keep(store, "SIN", 9_000)
    with away("failing") as server:
        choice = pick(server.url, store, policy=("ORD", "AMS")).choice
    assert (choice.by, choice.places) == ("policy", ("ORD", "AMS"))


def test_nothing_at_all_is_no_place_in_words(store):
    with away("refused") as server:
        choice = pick(server.url, store).choice
    assert (choice.by, choice.places) == ("none", ())
    assert "refuses the credentials" in choice.words


def test_it_is_not_asked_where_it_is_switched_off(store):
    with network_analytics(*ROWS) as server:
        choice = pick(server.url, store, enabled=False, policy=("ORD",)).choice
        assert server.behaviour.asked == []
    assert choice.places == ("ORD",)


def test_an_archive_that_hangs_costs_no_more_than_the_deadline(store):
    class Hanging:
        def __getattr__(self, name):
            time.sleep(3)
            raise AssertionError(name)

    with network_analytics(*ROWS) as server:
        choice = pick(server.url, Hanging(), wait=0.5).choice
    assert choice.places[0] == "ZRH"
    assert (choice.evidence.took or 0) < 3


def test_a_place_that_disappointed_in_the_last_hour_comes_last(store):
    keep(store, "ZRH", 3, ago=timedelta(minutes=20))
    keep(store, "ZRH", 9_000, ago=timedelta(minutes=40))
    keep(store, "AMS", 3, ago=timedelta(minutes=90))
    keep(store, "ORD", 3, ago=timedelta(minutes=20), target="198.51.100.1")
    with network_analytics(*ROWS) as server:
        choice = pick(server.url, store).choice
    assert choice.places == ("AMS", "ORD", "ZRH")
    assert choice.evidence.disappointed == ("ZRH",)


def test_usual_places_are_those_of_the_account_with_packets(store):
    keep(store, "SIN", 9_000)
    keep(store, "ORD", 9_000_000, account="another")
    keep(store, "AMS", 3)
    keep(store, "FRA", 20_000, ago=timedelta(days=20))
    keep(store, "GRU", 90_000, ago=timedelta(days=40))
    past = PastCaptures(store, "default", (TARGET,), now=datetime.now(UTC))
    past.read_the_hour()
    past.read_the_rest()
    assert past.usual == (Share("FRA", 20_000, 0), Share("SIN", 9_000, 0))


def test_reading_the_archive_is_bounded(store):
    for number in range(25):
        keep(store, f"A{number:02}".translate(str.maketrans("0123456789", "ABCDEFGHIJ")), 9_000)
    past = PastCaptures(store, "default", (), now=datetime.now(UTC))
    past.read_the_hour()
    past.read_the_rest()
    assert len(past.usual) == 20


def test_damage_in_the_archive_does_not_count(store):
    kept = keep(store, "SIN", 9_000)
    keep(store, "FRA", 9_000, ago=timedelta(hours=3))
    Path(store.uri.removeprefix("file:"), kept.prefix, "manifest.json").write_text("{")
    past = PastCaptures(store, "default", (), now=datetime.now(UTC))
    past.read_the_rest()
    assert past.usual == (Share("FRA", 9_000, 0),)


@pytest.mark.parametrize(
    ("packets", "rate", "asked", "few"),
    [
        (59, None, {}, True),
        (60, None, {}, False),
        (2_999, 1_000, {}, True),  # of 60,000
        (3_000, 1_000, {}, False),
        (500, 1_000, {"packet_limit": 10_000}, False),
        (499, 1_000, {"packet_limit": 10_000}, True),
    ],
)
def test_few_packets_are_few_for_what_was_expected(store, packets, rate, asked, few):
    choice = None
    if rate:
        until = datetime.now(UTC)
        answer = Carried((Share("ZRH", rate * 120, 0),), until - timedelta(minutes=2), until, until)
        choice = choose(Known(carried=answer), share=0.9, most=1).model_dump(mode="json")
    assert has_few_packets(keep(store, "ZRH", packets, choice=choice, **asked)) is few


@pytest.mark.parametrize("flag", ["stopped", "limit-reached", "partial"])
def test_a_capture_that_was_cut_short_says_nothing_of_its_place(store, flag):
    manifest = keep(store, "ZRH", 3).model_copy(update={"flags": (flag,)})
    assert not has_few_packets(manifest)
