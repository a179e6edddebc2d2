"""Nothing that httpx raises leaves the client unmapped."""

import inspect

import httpx
import pytest

from edgecap.cloudflare.client import Client
from edgecap.errors import NetworkFailure
from edgecap.settings import Account

ACCOUNT = Account(account_id="0" * 32, api_token="0123456789-secret-token")

# An exception class of httpx that this test does not know by name is in it all the same.
RAISED = [
    item
    for _, item in inspect.getmembers(httpx, inspect.isclass)
    if issubclass(item, Exception) and not issubclass(item, Warning)
]
NOT_SENT = {
    "ConnectError",
    "ConnectTimeout",
    "InvalidURL",
    "PoolTimeout",
    "ProxyError",
    "UnsupportedProtocol",
}


def make(item):
    """An exception of this class, with whatever it wants to be made of, and a secret in its text."""
    text = "Illegal header value b'Bearer 0123456789-secret-token'"
    if item is httpx.HTTPStatusError:
        request = httpx.Request("GET", "http://test")
        return item(text, request=request, response=httpx.Response(500, request=request))
    wants_text = "message" in inspect.signature(item).parameters
    return item(text) if wants_text else item()


async def read(client):
    async with client.download("0" * 32) as download:
        return [chunk async for chunk in download]


CALLS = {
    "GET": lambda client: client.list_captures(),
    "POST": lambda client: client.create_capture({"type": "simple"}),
    "PUT": lambda client: client.stop_capture("0" * 32),
    "download": read,
}


def test_the_list_is_not_empty():
    assert {item.__name__ for item in RAISED} > NOT_SENT
    assert len(RAISED) > 20


@pytest.mark.parametrize("item", RAISED, ids=lambda item: item.__name__)
@pytest.mark.parametrize("method", CALLS)
async def test_every_exception_of_httpx_is_network_trouble(item, method):
    def handler(request):
        raise make(item)

    async with Client(ACCOUNT, transport=httpx.MockTransport(handler), attempts=1) as client:
        with pytest.raises(NetworkFailure) as caught:
            await CALLS[method](client)
    error = caught.value
    assert error.sent is (item.__name__ not in NOT_SENT)
    assert error.status is None
    assert "secret-token" not in str(error)
    assert "api.cloudflare.com" in str(error)
    looks = error.sent and method in ("POST", "PUT")
    assert ("check before you try again" in error.hint) is looks


@pytest.mark.parametrize("item", RAISED, ids=lambda item: item.__name__)
async def test_also_while_a_download_is_read(item):
    class Body(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield b"abc"
            raise make(item)

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Body()))
    async with Client(ACCOUNT, transport=transport) as client, client.download("0" * 32) as download:
        chunks = aiter(download)
        assert await anext(chunks) == b"abc"
        with pytest.raises(NetworkFailure, match=r"GET /pcaps/0+/download"):
            await anext(chunks)
