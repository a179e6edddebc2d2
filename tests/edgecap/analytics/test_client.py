"""The GraphQL client against a real server: each way to fail is one of two errors, in time."""

import asyncio
import json
import time

import pytest

from edgecap.analytics.client import QUERIES_MOST, Analytics
from edgecap.errors import AnalyticsRefused, AnalyticsUnavailable
from edgecap.settings import Account
from edgecap.settings.analytics import AnalyticsSettings
from tests.graphql import ACCOUNT, NODE, Row, network_analytics, refusal
from tests.stand_ins import Silent, one_answer

TOKEN = "a-token-of-the-account"
QUERY = (
    f'{{ viewer {{ accounts(filter: {{accountTag: "{ACCOUNT}"}}) {{ {NODE}('
    'filter: {datetime_geq: "2020-01-01T00:00:00Z", datetime_lt: "2100-01-01T00:00:00Z"}, limit: 10)'
    " { dimensions { coloCode } sum { packets } } } } }"
)


def account(url, *, token=None, **more):
    settings = AnalyticsSettings(token=token)
    return Account(account_id=ACCOUNT, api_token=TOKEN, base_url=url, analytics=settings, **more)


def ask(url, *, within=5.0, **more):
    async def query():
        async with Analytics(account(url, **more)) as analytics:
            return await analytics.query(QUERY, within=within)

    return asyncio.run(query())


def test_rows_come_back_as_the_server_gave_them():
    with network_analytics(Row("ORD", 7), Row("ZRH", 5)) as server:
        answer = ask(server.url)
    assert answer.errors == ()
    assert answer.rows(NODE) == [
        {"dimensions": {"coloCode": "ORD"}, "sum": {"packets": 7}},
        {"dimensions": {"coloCode": "ZRH"}, "sum": {"packets": 5}},
    ]
    assert answer.rows("dosdNetworkAnalyticsAdaptiveGroups") is None


def test_its_own_token_signs_in_where_the_account_has_one():
    with network_analytics(token="only-for-analytics") as server:
        assert ask(server.url, token="only-for-analytics").data
        with pytest.raises(AnalyticsRefused, match=r"403.*Unauthorized"):
            ask(server.url)


def test_another_accounts_analytics_are_refused():
    with network_analytics(account="d" * 32) as server, pytest.raises(AnalyticsRefused, match="that account"):
        ask(server.url)


def test_an_answer_about_no_account_is_a_refusal():
    body = json.dumps({"data": {"viewer": {"accounts": []}}, "errors": None}).encode()
    with network_analytics(body=body) as server, pytest.raises(AnalyticsRefused, match="no account cccccccc"):
        ask(server.url)


@pytest.mark.parametrize("status", [200, 401, 403])
def test_a_refusal_says_which_permission_to_add(status):
    body = json.dumps(refusal("does not have access to the path")).encode()
    with network_analytics(body=body, status=status) as server, pytest.raises(AnalyticsRefused) as caught:
        ask(server.url)
    assert "add the permission 'Account Analytics: Read' to the API token" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (429, "too many requests"),
        (200, "rate limiter budget depleted, try again after 5 minutes"),
        (200, "query consumed excessive resources, please try running smaller queries"),
    ],
)
def test_a_limit_is_not_asked_again(status, message):
    body = json.dumps({"data": None, "errors": [{"message": message}]}).encode()
    with network_analytics(body=body, status=status) as server:
        with pytest.raises(AnalyticsUnavailable, match="no more queries for now"):
            ask(server.url)
        assert len(server.behaviour.asked) == 1


def test_data_beside_errors_is_used():
    with network_analytics(Row("ORD", 7), errors=[{"message": "dosd node is away"}]) as server:
        answer = ask(server.url)
    assert answer.rows(NODE)
    assert answer.errors == ("dosd node is away",)


def test_errors_without_data_are_told_as_they_are():
    with network_analytics(data=False, errors=[{"message": "cannot request data older than 1h"}]) as server:
        answer = ask(server.url)
    assert answer.data is None
    assert answer.errors == ("cannot request data older than 1h",)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (502, b"<html>bad gateway</html>"),
        (200, b""),
        (200, b"[]"),
        (200, b'"data"'),
        (200, b'{"data": null, "errors": null}'),
        (200, b'{"data": 7, "errors": []}'),
        (200, b"[" * 100_000),
        (302, b""),
    ],
)
def test_what_is_no_answer_of_graphql_is_unavailable(status, body):
    with network_analytics(body=body or b" ", status=status) as server, pytest.raises(AnalyticsUnavailable):
        ask(server.url)


def test_half_an_answer_is_unavailable():
    with network_analytics(Row("ORD", 7), cut=True) as server, pytest.raises(AnalyticsUnavailable):
        ask(server.url)


def test_a_portal_in_between_is_unavailable():
    with one_answer() as server, pytest.raises(AnalyticsUnavailable, match="not as a GraphQL API does"):
        ask(server.url)


def test_nobody_listens():
    with one_answer() as server:
        url = server.url
    with pytest.raises(AnalyticsUnavailable, match=r"cannot be asked at 127\.0\.0\.1"):
        ask(url)


def test_a_silent_server_costs_no_more_than_the_deadline():
    with Silent() as server:
        began = time.monotonic()
        with pytest.raises(AnalyticsUnavailable, match=r"did not answer within 0\.3 s"):
            ask(server.url, within=0.3)
        assert time.monotonic() - began < 5


def test_the_limit_of_a_user_is_kept_without_asking():
    with network_analytics() as server:

        async def many():
            moment = 0.0
            async with Analytics(account(server.url), monotonic=lambda: moment) as analytics:
                for _ in range(QUERIES_MOST):
                    await analytics.query(QUERY, within=20)
                with pytest.raises(AnalyticsUnavailable, match="300 queries in 5 minutes"):
                    await analytics.query(QUERY, within=5)
                moment = 301.0
                return await analytics.query(QUERY, within=5)

        assert asyncio.run(many()).data
        assert len(server.behaviour.asked) == QUERIES_MOST + 1


def test_no_error_and_no_repr_shows_the_token():
    body = json.dumps({"data": None, "errors": [{"message": f"bad token {TOKEN}"}]}).encode()
    with network_analytics(body=body) as server:
        answer = ask(server.url)
        assert answer.errors == ("bad token ***",)
        assert TOKEN not in repr(Analytics(account(server.url)))
