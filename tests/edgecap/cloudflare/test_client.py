"""What the client sends: each operation as the document says, as whom and where to; and what it shows."""

import json

import pytest

from edgecap.cloudflare.client import Client
from edgecap.cloudflare.headers import RateLimit
from edgecap.errors import BadCredentials, ConfigError, InvalidRequest
from edgecap.settings import Account
from tests.edgecap.cloudflare.scripted_api import (
    ACCOUNT,
    ACCOUNT_ID,
    CAPTURE,
    DOCUMENTED,
    ID,
    NOW,
    OPERATIONS,
    Api,
    no,
    ok,
)


def test_every_operation_of_the_document_is_here():
    assert set(OPERATIONS) == set(DOCUMENTED)
    assert len(OPERATIONS) == 9


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_sends_what_the_document_says(operation):
    call, answer, body = OPERATIONS[operation]
    method, path = DOCUMENTED[operation]
    api = Api(answer)
    async with api.client() as client:
        await call(client)
    [request] = api.requests
    for name in ("{pcap_id}", "{ownership_id}"):
        path = path.replace(name, ID)
    assert request.method == method
    assert str(request.url) == "https://api.cloudflare.com/client/v4" + path.replace(
        "{account_id}", ACCOUNT_ID
    )
    assert (json.loads(request.content) if request.content else None) == body
    assert request.headers["authorization"] == "Bearer 0123456789-secret-token"
    assert request.headers["user-agent"].startswith("edgecap/")
    assert "x-auth-key" not in request.headers


class TestIds:
    @pytest.mark.parametrize(
        "bad", ["", "abc", ID + "0", ID[:-1] + "g", "../" + ID[3:], ID + "\n", "r2://b?secret-access-key=SK"]
    )
    async def test_an_invalid_id_reaches_no_path(self, bad):
        api = Api(ok(CAPTURE))
        async with api.client() as client:
            for call in (client.get_capture, client.stop_capture, client.delete_ownership):
                with pytest.raises(InvalidRequest) as caught:
                    await call(bad)
                assert "=SK" not in str(caught.value)
            with pytest.raises(InvalidRequest):
                await client.download(bad).__aenter__()
        assert api.requests == []

    @pytest.mark.parametrize("bad", [{"time_limit": float("nan")}, {"time_limit": NOW}, {"x": {1, 2}}])
    async def test_a_body_that_is_not_json_is_not_sent(self, bad):
        api = Api(ok(CAPTURE))
        async with api.client() as client:
            with pytest.raises(InvalidRequest, match="cannot be encoded as JSON"):
                await client.create_capture(bad)
        assert api.requests == []


class TestAccount:
    async def test_email_and_key_sign_in_without_a_token(self):
        api = Api(ok([]))
        account = Account(account_id=ACCOUNT_ID, email="noc@example.net", api_key="0123456789abcdef")
        async with api.client(account) as client:
            await client.list_captures()
        headers = api.requests[0].headers
        assert (headers["x-auth-email"], headers["x-auth-key"]) == ("noc@example.net", "0123456789abcdef")
        assert "authorization" not in headers

    async def test_a_token_is_preferred_and_its_line_break_dropped(self):
        api = Api(ok([]))
        account = Account(account_id=ACCOUNT_ID, api_token="token\n", email="a@b", api_key="key")
        async with api.client(account) as client:
            await client.list_captures()
        assert api.requests[0].headers["authorization"] == "Bearer token"
        assert "x-auth-key" not in api.requests[0].headers

    @pytest.mark.parametrize(
        "base", ["http://127.0.0.1:1/client/v4", "http://127.0.0.1:1/client/v4/", "http://127.0.0.1:1"]
    )
    async def test_any_address_can_be_the_api_s(self, base):
        api = Api(ok([]))
        async with api.client(ACCOUNT.model_copy(update={"base_url": base})) as client:
            await client.list_captures()
        assert str(api.requests[0].url) == f"{base.rstrip('/')}/accounts/{ACCOUNT_ID}/pcaps"

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"account_id": ""}, "not an account id"),
            ({"account_id": "../x"}, "not an account id"),
            ({"api_token": None}, "no credentials"),
            ({"api_token": " "}, "no credentials"),
            ({"api_token": None, "email": "a@b"}, "no credentials"),
            ({"api_token": "SECRET TOKEN"}, "cannot carry"),
            ({"api_token": "SECRET\nTOKEN"}, "cannot carry"),
            ({"api_token": "SECRÉT"}, "cannot carry"),
            ({"base_url": "api.cloudflare.com/client/v4"}, "address"),
            ({"base_url": "ftp://api.cloudflare.com"}, "address"),
            ({"base_url": "https://"}, "address"),
            ({"base_url": "https://me:SECRET@host/"}, "address"),
            ({"base_url": "https://host:port/"}, "address"),
            ({"base_url": ""}, "address"),
        ],
    )
    def test_wrong_settings_are_reported_before_anything_is_sent(self, changes, says):
        account = Account.model_validate({**ACCOUNT.model_dump(), **changes})
        with pytest.raises(ConfigError, match=says) as caught:
            Client(account)
        assert "SECRET" not in str(caught.value)
        assert "CLOUDFLARE_" in caught.value.hint


async def test_an_answer_without_a_date_is_dated_by_the_ones_before_it():
    """This machine's clock may be wrong by hours."""
    async with Api(ok([], date="Mon, 23 Nov 2026 14:00:00 GMT"), ok([])).client() as client:
        first, second = await client.list_captures(), await client.list_captures()
    assert first.server_time == second.server_time != NOW


class TestRepr:
    async def test_tells_its_state_and_no_secret(self):
        limits = {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=1200;w=300'}
        api = Api(ok([], date="Mon, 23 Nov 2026 12:00:07 GMT", **limits), ok([]))
        client = api.client()
        assert repr(client) == "<Client 023e… at api.cloudflare.com [token, open, 0 requests, clock +0.0 s]>"
        async with client:
            await client.list_captures()
            await client.list_captures()
            assert client.rate_limit == RateLimit("default", 50, 30, 1200, 300)
        assert repr(client) == (
            "<Client 023e… at api.cloudflare.com [token, closed, 2 requests, clock +7.0 s, "
            "50 of 1200 requests left, reset in 30 s]>"
        )

    async def test_an_error_that_repeats_the_token_does_not_show_it(self):
        async with Api(no(401, 1000, "bad token 0123456789-secret-token")).client() as client:
            with pytest.raises(BadCredentials) as caught:
                await client.list_captures()
        assert "bad token ***" in str(caught.value)
        assert "secret-token" not in str(caught.value)
