"""Which data centres carry a target, from rows of a real server."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.analytics.client import Analytics
from edgecap.analytics.places import Share, carried
from edgecap.errors import AnalyticsUnavailable
from edgecap.settings import Account
from tests.graphql import ACCOUNT, Row, network_analytics

NOW = datetime(2026, 11, 29, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TARGET = "203.0.113.7"


def at(ago, colo, packets, outcome="pass", address=TARGET):
    """A row of a minute that began so many minutes before 12:00."""
    return Row(colo, packets, outcome, address, NOW.replace(second=0) - ago * MINUTE)


def look(server, *targets, window=10 * MINUTE, whole=False, queries=1, now=NOW):
    server.behaviour.ahead = now - datetime.now(UTC)

    async def ask():
        account = Account(account_id=ACCOUNT, api_token="t" * 20, base_url=server.url)
        async with Analytics(account) as analytics:
            for _ in range(queries):
                found = await carried(analytics, targets, now=NOW, window=window, within=20, whole=whole)
            return found

    return asyncio.run(ask())


def test_passed_and_dropped_packets_by_data_centre():
    rows = [at(1, "ZRH", 4_000_000), at(1, "ZRH", 1_000_000, "drop"), at(1, "ORD", 9_000_000, "drop")]
    with network_analytics(*rows, at(1, "AMS", 99, address="203.0.113.8")) as server:
        found = look(server, TARGET)
    assert found.shares == (Share("ZRH", 4e6, 1e6), Share("ORD", 0, 9e6))
    assert found.notes == ()


def test_the_newest_minutes_count_if_they_have_enough_packets():
    rows = [at(1, "ZRH", 4_000_000), at(5, "ORD", 90_000_000)]
    with network_analytics(*rows) as server:
        found = look(server, TARGET)
        assert [each.colo for each in found.shares] == ["ZRH"]
        assert found.until - found.since == 2 * MINUTE
        assert [each.colo for each in look(server, TARGET, whole=True).shares] == ["ORD", "ZRH"]


def test_few_packets_lead_further_back():
    with network_analytics(at(1, "ZRH", 20_000), at(5, "ORD", 900_000)) as server:
        found = look(server, TARGET)
    assert [each.colo for each in found.shares] == ["ORD", "ZRH"]
    assert found.until - found.since <= 10 * MINUTE


@pytest.mark.parametrize("late", range(0, 11, 2))
def test_rows_that_come_up_to_ten_minutes_late_are_found(late):
    with network_analytics(at(late + 1, "ZRH", 4_000_000)) as server:
        found = look(server, TARGET)
    assert [each.colo for each in found.shares] == ["ZRH"]
    assert found.behind == timedelta(seconds=30) + late * MINUTE


@pytest.mark.parametrize(
    ("targets", "address"),
    [
        (["203.0.113.0/24"], "203.0.113.200"),
        (["203.0.112.0/20"], "203.0.113.200"),
        (["2001:db8::/32"], "2001:db8:7::1"),
        (["2001:db8::7"], "2001:db8::7"),
        (["198.51.100.1", "203.0.113.4/30"], "203.0.113.6"),
        ([], "192.0.2.77"),
    ],
)
def test_networks_and_ipv6_are_looked_for_by_address(targets, address):
    with network_analytics(at(1, "ZRH", 7), at(1, "ORD", 8, address="192.0.2.1")) as server:
        server.behaviour.rows += [at(1, "AMS", 9, address=address)]
        found = look(server, *targets)
    assert {each.colo for each in found.shares} == ({"AMS"} if targets else {"AMS", "ZRH", "ORD"}) | (
        {"ZRH"}
        if any("113.0/24" in each or "112.0/20" in each or "113.4/30" in each for each in targets)
        else set()
    )


def test_a_name_that_the_schema_lacks_is_replaced_and_remembered():
    names = {
        "ipDestinationAddress": "destinationAddress",
        "outcome": "verdict",
        "datetimeMinute": "datetimeFiveMinutes",
    }
    with network_analytics(at(1, "ZRH", 7), names=names) as server:
        found = look(server, TARGET, queries=2)
        assert [each.colo for each in found.shares] == ["ZRH"]
        assert len(server.behaviour.asked) == 1 + len(names) + 1
        assert "destinationAddress_in" in server.behaviour.asked[-1]


def test_a_name_without_another_one_is_an_error_in_words():
    with (
        network_analytics(at(1, "ZRH", 7), names={"coloCode": "place"}) as server,
        pytest.raises(AnalyticsUnavailable, match='unknown field "coloCode"'),
    ):
        look(server, TARGET)


def test_a_smaller_limit_of_rows_is_kept():
    with network_analytics(at(1, "ZRH", 7), most=1000) as server:
        assert look(server, TARGET).shares
        assert "limit: 1000" in server.behaviour.asked[-1]


def test_an_answer_that_is_full_says_so():
    rows = [at(1, "ZRH", 7), at(1, "ORD", 6), at(1, "AMS", 5)]
    with network_analytics(*rows, most=2) as server:
        found = look(server, TARGET)
    assert [each.colo for each in found.shares] == ["ZRH", "ORD"]
    assert found.notes == ("the answer has only the 2 largest rows",)


def test_codes_that_no_capture_takes_are_counted_and_left_out():
    rows = [at(1, "ZRH", 7), at(1, "T2-lab", 900), at(1, "", 900), at(1, "ams01", 3)]
    with network_analytics(*rows) as server:
        found = look(server, TARGET)
    assert [each.colo for each in found.shares] == ["ZRH", "ams01"]
    assert found.notes == ("2 rows name no data centre that can be captured, or no packets",)


def test_errors_beside_the_rows_are_said():
    with network_analytics(at(1, "ZRH", 7), errors=[{"message": "one colo is missing"}]) as server:
        assert look(server, TARGET).notes == ("beside the rows, the answer says: one colo is missing",)


def test_a_machine_whose_clock_is_wrong_asks_about_cloudflares_time():
    rows = [at(1, "ZRH", 4_000_000), at(121, "ORD", 4_000_000)]
    with network_analytics(*rows) as server:
        assert [each.colo for each in look(server, TARGET, now=NOW - timedelta(hours=2)).shares] == ["ORD"]
        assert len(server.behaviour.asked) == 2


def test_a_schema_without_the_sample_interval_is_asked_without():
    with network_analytics(at(1, "ZRH", 7), names={"sampleInterval": "x"}) as server:
        [share] = look(server, TARGET).shares
        assert "sampleInterval" not in server.behaviour.asked[-1]
    assert share.interval == 10_000


def test_the_interval_of_the_samples_is_the_answers():
    with network_analytics(at(1, "ZRH", 7_000), at(1, "ZRH", 1_000, "drop"), interval=100) as server:
        [share] = look(server, TARGET).shares
    assert (share.interval, share.samples) == (100, 80)


def test_no_rows_are_no_shares():
    with network_analytics() as server:
        assert look(server, TARGET).shares == ()
