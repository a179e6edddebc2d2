"""The endpoint of Network Analytics, as a client of its documented parts sees it."""

import pytest

from edgecap.simulator.credentials import Credential
from edgecap.simulator.traffic import SyntheticTraffic
from edgecap.simulator.variants import make_variant
from tests.edgecap.simulator.analytics.conftest import NODE, TARGET
from tests.edgecap.simulator.conftest import ACCOUNT, OTHER_ACCOUNT


def test_a_targets_packets_are_told_by_city_and_outcome(queried):
    rows, errors = queried.node(
        "dimensions { coloCode outcome } sum { packets bits }",
        ipDestinationAddress=TARGET,
        order="sum_packets_DESC",
    )
    assert errors is None
    assert len({row["dimensions"]["coloCode"] for row in rows}) == 4
    assert {row["dimensions"]["outcome"] for row in rows} == {"pass", "drop"}
    packets = [row["sum"]["packets"] for row in rows]
    assert packets == sorted(packets, reverse=True)
    assert all(row["sum"]["bits"] == row["sum"]["packets"] * 44 * 8 for row in rows)


def test_dropped_packets_have_their_systems_rules_and_attacks(queried):
    fields = "dimensions { mitigationSystem ruleId ruleName mitigationReason attackId attackVector }"
    rows, _ = queried.node(f"{fields} sum {{ packets }}", outcome="drop")
    by_system = {row["dimensions"]["mitigationSystem"]: row["dimensions"] for row in rows}
    assert set(by_system) == {"dosd", "flowtrackd", "magic-firewall"}
    assert by_system["dosd"]["attackVector"] in ("SYN Flood", "NTP Reflection")
    assert len(by_system["dosd"]["attackId"]) == len(by_system["dosd"]["ruleId"]) == 32
    assert by_system["flowtrackd"]["attackId"] == by_system["flowtrackd"]["ruleId"] == ""
    assert by_system["magic-firewall"]["ruleId"]
    assert by_system["magic-firewall"]["mitigationReason"] == "BLOCKED"


@pytest.mark.parametrize(
    ("wanted", "column", "expected"),
    [
        ({"coloCode_in": ["ORD", "AMS"]}, "coloCode", lambda value: value in ("ORD", "AMS")),
        ({"coloCode_notin": ["ORD", "AMS"]}, "coloCode", lambda value: value not in ("ORD", "AMS")),
        ({"coloCode_neq": "ORD"}, "coloCode", lambda value: value != "ORD"),
        ({"ipProtocolName": "UDP"}, "ipProtocolName", lambda value: value == "UDP"),
        ({"destinationPort_gt": 443}, "destinationPort", lambda value: value > 443),
        (
            {"destinationPort_geq": 80, "destinationPort_leq": 443},
            "destinationPort",
            lambda v: 80 <= v <= 443,
        ),
        ({"outcome_like": "dr%"}, "outcome", lambda value: value == "drop"),
        ({"OR": [{"outcome": "drop"}, {"coloCode": "ORD"}]}, "coloCode", lambda _: True),
        ({"AND": [{"coloCode_lt": "D"}, {"outcome": "drop"}]}, "coloCode", lambda value: value < "D"),
    ],
)
def test_filters_choose_rows(queried, wanted, column, expected):
    rows, errors = queried.node(f"dimensions {{ {column} }} sum {{ packets }}", since=20, **wanted)
    assert errors is None
    assert rows
    assert all(expected(row["dimensions"][column]) for row in rows)


def test_each_minute_has_its_row_and_times_are_filtered_to_the_second(queried):
    rows, _ = queried.node("dimensions { datetimeMinute } sum { packets }", order="datetimeMinute_ASC")
    assert [row["dimensions"]["datetimeMinute"] for row in rows] == [
        f"2026-11-23T06:{minute}:00Z" for minute in (32, 33, 34)
    ]
    seconds, _ = queried.node(
        "dimensions { datetime } sum { packets }", since=10, until=5, order="datetime_ASC"
    )
    assert [row["dimensions"]["datetime"][-3:-1] for row in seconds] == ["56", "57", "58", "59", "00"]


def test_the_newest_packets_are_missing_until_the_delay_is_over(make_queried):
    late = make_queried(analytics_delay=30.0)
    rows, _ = late.node("dimensions { datetime }", order="datetime_DESC")
    assert rows[0]["dimensions"]["datetime"] == "2026-11-23T06:33:36Z"
    late.world.advance(60)
    rows, _ = late.node("dimensions { datetime }", order="datetime_DESC")
    assert rows[0]["dimensions"]["datetime"] == "2026-11-23T06:34:36Z"


def test_a_long_window_is_sampled_less_densely(queried):
    for since, interval in ((3600, 20), (3700, 200)):
        [row], _ = queried.node(
            "avg { sampleInterval } count", since=since, limit=1, ipDestinationAddress=TARGET
        )
        assert row["avg"]["sampleInterval"] == interval
        assert row["count"] == pytest.approx(60 * 40 * 17.6, rel=0.15)


def test_several_nodes_fragments_and_aliases_are_answered(queried):
    text = f"""
      query Q(
        $a: string!, $f: AccountMagicTransitNetworkAnalyticsAdaptiveGroupsFilter_InputObject, $n: Int!
      ) {{
        viewer {{ accounts(filter: {{accountTag: $a}}) {{
          everything: {NODE}(filter: $f, limit: $n) {{ ...sums dimensions {{ where: coloCode }} }}
          dosdNetworkAnalyticsAdaptiveGroups(limit: 5, filter: {{datetime_geq: "2026-11-23T06:34:00Z"}}) {{
            dimensions {{ attackVector }} count avg {{ sampleInterval }}
          }}
        }} }}
      }}
      fragment sums on AccountMagicTransitNetworkAnalyticsAdaptiveGroups {{ sum {{ packets }} }}
    """
    wanted = {"datetime_geq": "2026-11-23T06:34:00Z", "ipDestinationAddress_in": [TARGET]}
    variables = {"a": queried.world.account, "f": wanted, "n": 100}
    [account] = queried.ask(text, variables).json()["data"]["viewer"]["accounts"]
    assert len({row["dimensions"]["where"] for row in account["everything"]}) == 4
    for row in account["dosdNetworkAnalyticsAdaptiveGroups"]:
        assert row["avg"]["sampleInterval"] == 20
        assert row["count"] % 20 == 0


@pytest.mark.parametrize(
    ("fields", "wanted", "message"),
    [
        ("dimensions { destinationAddress }", {}, 'unknown field "destinationAddress"'),
        ("dimensions { coloCode }", {"destinationAddress": TARGET}, 'unknown field "destinationAddress"'),
        ("dimensions { coloCode }", {"datetime_gt": "yesterday"}, "cannot parse 'yesterday' as Time"),
        ("dimensions { coloCode }", {"limit": 100_000}, "limit must be positive number"),
        ("dimensions { coloCode }", {"since": 600_000}, "query time range is too large"),
        ("dimensions { coloCode }", {"account": OTHER_ACCOUNT}, "not authorized for that account"),
        ("dimensions { coloCode", {}, "Syntax Error"),
    ],
)
def test_a_wrong_query_is_answered_with_the_error_and_no_data(queried, fields, wanted, message):
    rows, [error] = queried.node(fields, **wanted)
    assert rows is None
    assert message in error["message"]
    assert error["extensions"]["timestamp"].startswith("2026-11-23T06:34")


def test_errors_may_have_a_status_of_their_own(make_queried):
    strict = make_queried(make_variant("documented", {"analytics_errors": "status"}))
    assert strict.ask("{ viewer { foo } }").status_code == 400
    text = f'{{ viewer {{ accounts(filter: {{accountTag: "{OTHER_ACCOUNT}"}}) {{ __typename }} }} }}'
    assert strict.ask(text).status_code == 403


def test_addresses_may_have_the_other_names(make_queried):
    plain = make_queried(make_variant("documented", {"analytics_names": "plain"}))
    rows, errors = plain.node("dimensions { destinationAddress }", destinationAddress=TARGET)
    assert errors is None
    assert [row["dimensions"]["destinationAddress"] for row in rows] == [TARGET]
    _, [error] = plain.node("dimensions { ipDestinationAddress }")
    assert error["message"] == 'unknown field "ipDestinationAddress"'


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("account", "not authorized for that account"),
        ("path", f"does not have access to the path {NODE}"),
        ("envelope", "Authentication error"),
    ],
)
def test_a_token_for_captures_alone_is_refused(make_queried, choice, message):
    captures_only = Credential("c", frozenset({ACCOUNT}), token="t" * 40, analytics=False)
    variant = make_variant("documented", {"analytics_denied": choice})
    refused = make_queried(variant, credentials=[captures_only])
    text = (
        f'{{ viewer {{ accounts(filter: {{accountTag: "{ACCOUNT}"}}) {{ '
        f'{NODE}(limit: 1, filter: {{datetime_geq: "2026-11-23T06:34:00Z"}}) {{ count }} }} }} }}'
    )
    answer = refused.ask(text)
    assert answer.status_code == (403 if choice == "envelope" else 200)
    [error] = answer.json()["errors"]
    assert error["message"] == message
    assert not answer.json().get("data")
    assert refused.world.call("GET", "").status_code == 200


def test_a_token_for_analytics_alone_takes_no_captures(make_queried):
    analytics_only = Credential("a", frozenset({ACCOUNT}), token="t" * 40, captures=False)
    allowed = make_queried(credentials=[analytics_only])
    assert allowed.node("dimensions { coloCode }")[0]
    assert allowed.world.call("GET", "").status_code == 403


def test_three_hundred_queries_in_five_minutes_and_no_more(queried):
    text = "{ viewer { __typename } }"
    edge = queried.world.edge
    for _ in range(299):
        assert edge.analytics.answer(edge.gate.credentials[0], {"query": text})[1]["errors"] is None
    assert queried.ask(text).json()["errors"] is None
    [error] = queried.ask(text).json()["errors"]
    assert error["message"] == "rate limiter budget depleted, try again after 5 minutes"
    queried.world.seconds += 301
    assert queried.ask(text).json()["errors"] is None


def test_traffic_that_is_not_counted_has_no_analytics(make_queried):
    plain = make_queried(traffic=SyntheticTraffic(7, rate=5.0, attacks=()))
    rows, [error] = plain.node("dimensions { coloCode }")
    assert rows is None
    assert "does not have access to the path" in error["message"]
