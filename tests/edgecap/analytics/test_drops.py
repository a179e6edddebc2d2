"""What was dropped, in one question to Network Analytics, whatever of it the schema or the answer lacks."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.analytics.client import Analytics
from edgecap.analytics.drops import ask_drops
from edgecap.errors import AnalyticsRefused, AnalyticsUnavailable
from edgecap.settings import Account
from tests.drops_graphql import attack, dropping, packets
from tests.graphql import ACCOUNT

NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TARGET = "203.0.113.7"


def look(server, *targets, within=20.0):
    async def ask():
        account = Account(account_id=ACCOUNT, api_token="t" * 20, base_url=server.url)
        async with Analytics(account) as analytics:
            return await ask_drops(
                analytics, targets or (TARGET,), NOON, NOON + 5 * MINUTE, now=NOON + 6 * MINUTE, within=within
            )

    return asyncio.run(ask())


def test_all_of_it_takes_one_query():
    with dropping(attack(NOON)) as server:
        found = look(server)
    assert len(server.behaviour.asked) == 1
    assert (found.passed.value, found.dropped.value) == (4_000_000, 36_000_000)
    assert found.dropped.low < 36_000_000 < found.dropped.high
    assert found.share == 0.9
    assert (found.samples, found.dropped_bits) == (4000, 36_000_000 * 320)
    assert found.notes == ()
    assert [(each.words, each.dropped.value) for each in found.by("rule")] == [("Floods (r1)", 36_000_000)]
    assert [(each.name, each.passed.value) for each in found.by("colo")] == [("AMS", 0), ("ORD", 4_000_000)]
    assert [each.words for each in found.by("network")] == ["EXAMPLE-CLOUD (AS64500)"]
    assert [each.name for each in found.by("vector")] == ["SYN Flood"]


def test_the_series_has_passed_beside_dropped():
    with dropping(attack(NOON)) as server:
        series = look(server).series
    assert (series.start, series.seconds) == (NOON, 60)
    assert series.passed[:5] == (1e6, 1e6, 1e6, 1e6, 0)
    assert series.dropped[:5] == (9e6, 9e6, 9e6, 9e6, 0)


def test_a_wide_network_is_asked_for_by_address():
    others = [packets(7_000_000, NOON, "drop", address="198.51.100.1")]
    with dropping(attack(NOON), others) as server:
        found = look(server, "203.0.113.0/22")
    assert "ipDestinationAddress_in" not in server.behaviour.asked[0]
    assert found.dropped.value == 36_000_000


def test_a_dimension_that_the_schema_lacks_is_left_out_and_said():
    with dropping(attack(NOON), unknown=("ruleName", "attackVector")) as server:
        found = look(server)
    assert {each.by for each in found.groupings} == {"system", "network", "country", "colo"}
    assert found.dropped.value == 36_000_000
    assert found.notes == (
        "the schema has no numbers by rule",
        "the schema has no numbers by attack vector",
    )


def test_data_beside_errors_is_used_and_what_lacks_is_said():
    with dropping(attack(NOON), beside=("colo", "series")) as server:
        found = look(server)
    assert found.dropped.value == 36_000_000
    assert found.series is None
    assert "the answer has no numbers by data centre" in found.notes
    assert "beside the rows, the answer says: internal error" in found.notes


def test_a_lower_limit_is_taken():
    with dropping(attack(NOON), most=50) as server:
        assert look(server).dropped.value == 36_000_000
        assert "limit: 50," in server.behaviour.asked[-1]


def test_nothing_seen_has_an_interval_up_to_some_samples():
    with dropping() as server:
        found = look(server)
    assert (found.share, found.dropped.value, found.series) == (None, 0, None)
    assert 20_000 < found.dropped.high < 40_000


def test_an_answer_that_is_refused_or_slow_is_an_error():
    with dropping(attack(NOON), refuses=True) as server, pytest.raises(AnalyticsRefused):
        look(server)
    with dropping(attack(NOON), delay=5) as server, pytest.raises(AnalyticsUnavailable, match="within"):
        look(server, within=0.3)
