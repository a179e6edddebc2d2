"""What is unknown about the real analytics, as choices of the variant."""

import pytest

from edgecap.simulator.analytics.service import INCOMPLETE
from edgecap.simulator.variants import VARIANTS, make_variant
from tests.edgecap.simulator.analytics.conftest import NODE, TARGET


def changed(**changes):
    return make_variant("documented", {name: str(value) for name, value in changes.items()})


def packets(rows):
    return sum(row["sum"]["packets"] for row in rows)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_variant_answers_a_query(make_queried, name):
    plain = VARIANTS[name].analytics_names == "plain"
    queried = make_queried(name)
    queried.world.seconds += 720  # as late as rows may be
    rows, _ = queried.node(
        "dimensions { coloCode outcome } sum { packets }",
        since=900,
        **{"destinationAddress" if plain else "ipDestinationAddress": TARGET},
    )
    assert packets(rows) > 0


def test_city_codes_may_be_ones_that_no_capture_accepts(make_queried):
    metro = make_queried(changed(analytics_codes="metro"))
    rows, _ = metro.node("dimensions { coloCode coloCity }")
    codes = {row["dimensions"]["coloCity"]: row["dimensions"]["coloCode"] for row in rows}
    assert (codes["Chicago"], codes["Frankfurt"]) == ("CHI", "FRA")
    only, _ = metro.node("dimensions { coloCity }", coloCode="CHI")
    assert [row["dimensions"]["coloCity"] for row in only] == ["Chicago"]
    metro.world.register()
    assert metro.world.full(colo_name="CHI").status_code == 400


def test_rows_may_be_minutes_late_each_city_otherwise(make_queried):
    late = make_queried(changed(analytics_lag="[0, 600]"))
    fields = "dimensions { datetimeMinute coloCode } sum { packets }"
    first, _ = late.node(fields, since=300)
    end = late.world.now.replace(microsecond=0)
    late.world.seconds += 660
    asked = 300 + 660
    all_of_them, _ = late.node(fields, since=asked, until=660)
    assert 0 < packets(first) < packets(all_of_them)
    assert len(first) < len(all_of_them)
    assert end < late.world.now


def test_rows_may_be_rewritten_hours_later(make_queried):
    early = make_queried(changed(analytics_rewritten=36_000))
    before, _ = early.node("sum { packets }", since=300)
    early.world.seconds += 3600
    still, _ = early.node("sum { packets }", since=3900, until=3600)
    assert packets(before) == packets(still)
    early.world.seconds += 36_000
    after, _ = early.node("sum { packets }", since=39_900, until=39_600)
    assert packets(after) > 1.1 * packets(before)


def test_an_incomplete_answer_has_an_error_beside_its_data(make_queried):
    incomplete = make_queried(changed(analytics_incomplete="true"))
    rows, [error] = incomplete.node("dimensions { coloCode }")
    assert error["message"] == INCOMPLETE
    assert 15 < len(rows) < 30


def test_of_several_nodes_one_may_fail_alone(make_queried):
    incomplete = make_queried(changed(analytics_incomplete="true"))
    text = (
        f'{{ viewer {{ accounts(filter: {{accountTag: "{incomplete.world.account}"}}) {{ '
        f'{NODE}(limit: 10, filter: {{datetime_geq: "2026-11-23T06:33:00Z"}}) {{ sum {{ packets }} }} '
        "dosdNetworkAnalyticsAdaptiveGroups(limit: 0) { count } } } }"
    )
    body = incomplete.ask(text).json()
    [account] = body["data"]["viewer"]["accounts"]
    assert account[NODE]
    assert account["dosdNetworkAnalyticsAdaptiveGroups"] is None
    assert [error["path"][-1] for error in body["errors"]] == ["dosdNetworkAnalyticsAdaptiveGroups"]


def test_the_node_of_attacks_has_a_row_for_each(queried):
    rows, errors = queried.node(
        "dimensions { attackId attackType attackVector startDatetime endDatetime } sum { packets }",
        node="dosdAttackAnalyticsGroups",
        order="startDatetime_ASC",
    )
    assert errors is None
    assert [row["dimensions"]["attackVector"] for row in rows] == ["NTP Reflection", "SYN Flood"]
    assert rows[1]["dimensions"]["startDatetime"] == "2026-11-23T06:33:06Z"
    assert rows[1]["dimensions"]["endDatetime"] == "2026-11-23T06:34:06Z"  # now, since it goes on


def test_dns_protection_has_a_node_without_rows(queried):
    rows, errors = queried.node(
        "dimensions { dnsQueryName dnsQueryType }", node="advancedDnsProtectionNetworkAnalyticsAdaptiveGroups"
    )
    assert (rows, errors) == ([], None)


def test_the_schema_can_be_asked_for_its_types(queried):
    text = (
        '{ __type(name: "AccountMagicTransitNetworkAnalyticsAdaptiveGroupsDimensions") { fields { name } } }'
    )
    names = {field["name"] for field in queried.ask(text).json()["data"]["__type"]["fields"]}
    assert {"coloCode", "outcome", "datetimeMinute", "ipDestinationAddress"} <= names
    assert "attackType" not in names


def test_faults_strike_queries_as_they_strike_other_calls(queried):
    for fault, status in (("error", 503), ("rate_limit", 429)):
        queried.world.raw("POST", "/_edge/faults", json={"kind": fault, "path": "*/graphql"})
        assert queried.ask("{ viewer { __typename } }").status_code == status
    assert queried.ask("{ viewer { __typename } }").status_code == 200
    assert queried.world.edge.log.events("request")[-1]["path"] == "/client/v4/graphql"
