"""A download that is redirected, not there yet, or flipped: never with the credentials to another host."""

import asyncio
import gzip
from contextlib import asynccontextmanager

import pytest
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from edgecap.captures.fetching import fetch_simple
from edgecap.cloudflare.client import REDIRECTS_MOST, Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import NetworkFailure, UnexpectedAnswer, UnknownToApi
from edgecap.settings import Account
from edgecap.stores.folder import FolderStore

ACCOUNT, CAPTURE = "a" * 32, "b" * 32
PACKETS = b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(8) + b"\xff\xff\x00\x00\x01\x00\x00\x00"
SECRETS = ("authorization", "x-auth-email", "x-auth-key", "cookie")
TOKEN = {"api_token": SecretStr("token-for-the-api-only")}
KEY = {"email": "someone@example.net", "api_key": SecretStr("key-for-the-api-only")}


@asynccontextmanager
async def serving(answer):
    """A real server; yields its address and the headers of each request that it got."""
    seen = []

    async def handle(request):
        seen.append((request.url.path, dict(request.headers)))
        return answer(request)

    app = Starlette(routes=[Route("/{path:path}", handle)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", seen
    finally:
        server.should_exit = True
        await running


def packets(_):
    return Response(PACKETS, media_type="application/vnd.tcpdump.pcap")


async def downloaded(address, sign_in):
    account = Account(account_id=ACCOUNT, base_url=f"{address}/client/v4", **sign_in)
    async with Client(account, attempts=1) as client, client.download(CAPTURE) as download:
        return b"".join([chunk async for chunk in download])


@pytest.mark.parametrize("sign_in", [TOKEN, KEY], ids=["token", "key"])
async def test_another_host_never_gets_the_credentials(sign_in):
    async with (
        serving(packets) as (storage, stored),
        serving(lambda _: RedirectResponse(f"{storage}/file?signed=1", 302)) as (api, asked),
    ):
        assert await downloaded(api, sign_in) == PACKETS
    [(_, sent)] = asked
    assert any(name in sent for name in SECRETS)
    [(path, headers)] = stored
    assert path == "/file"
    assert not any(name in headers for name in SECRETS)
    assert "for-the-api-only" not in str(headers)


async def test_the_same_host_gets_them_and_one_after_another_host_does_not():
    """The API redirects to itself, that to another host, and that one back, where anybody may lead to."""
    async with serving(lambda request: RedirectResponse(f"{api}/third", 307)) as (storage, stored):

        def answer(request):
            if request.url.path.endswith("/download"):
                return RedirectResponse("/second", 302)
            return (
                RedirectResponse(f"{storage}/file", 302) if "second" in request.url.path else packets(request)
            )

        async with serving(answer) as (api, asked):
            assert await downloaded(api, TOKEN) == PACKETS
    assert ["authorization" in headers for _, headers in asked] == [True, True, False]
    assert ["authorization" in headers for _, headers in stored] == [False]


async def test_redirects_without_end_and_to_nowhere_are_an_error():
    async with serving(lambda request: RedirectResponse(request.url.path, 302)) as (api, asked):
        with pytest.raises(UnexpectedAnswer, match="redirected too often"):
            await downloaded(api, TOKEN)
        assert len(asked) == REDIRECTS_MOST + 1
    for target in ("ftp://elsewhere.example/", "file:///etc/passwd"):
        async with serving(
            lambda _, target=target: Response(status_code=302, headers={"location": target})
        ) as (api, _):
            with pytest.raises(UnexpectedAnswer, match="an invalid address"):
                await downloaded(api, TOKEN)


async def test_a_file_missing_right_after_success_is_requested_again(tmp_path):
    (tmp_path / "archive").mkdir()
    missing = {"success": False, "errors": [{"code": 1004, "message": "no file"}], "result": None}
    left = [404, 404, 400]

    def answer(request):
        return JSONResponse(missing, left.pop(0)) if left else packets(request)

    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    async with serving(answer) as (api, asked):
        account = Account(account_id=ACCOUNT, base_url=f"{api}/client/v4", **TOKEN)
        capture = Capture(id=CAPTURE, type="simple", status="success")
        archive = FolderStore(tmp_path / "archive")
        async with Client(account, attempts=1) as client:
            fetched = await fetch_simple(client, capture, archive, prefix="captures/x/", sleep=sleep)
            assert fetched.files[0].size == len(PACKETS)
            assert slept == [1.0, 1.5, 2.25]
            assert len(asked) == 5  # what came is downloaded once more, and must be the same
            left += [404] * 100
            with pytest.raises(UnknownToApi):
                await fetch_simple(client, capture, archive, prefix="captures/y/", sleep=sleep, patience=60)
            assert 60 <= sum(slept) - 4.75 < 90
            failed = Capture(id=CAPTURE, type="simple", status="failed")
            with pytest.raises(UnknownToApi):
                await fetch_simple(client, failed, archive, prefix="captures/z/", sleep=None)


async def test_a_file_that_the_api_gives_only_once_is_flagged(tmp_path):
    (tmp_path / "archive").mkdir()
    answers = [Response(PACKETS), JSONResponse({"success": False, "errors": [], "result": None}, 404)]
    async with serving(lambda _: answers.pop(0)) as (api, _):
        account = Account(account_id=ACCOUNT, base_url=f"{api}/client/v4", **TOKEN)
        capture = Capture(id=CAPTURE, type="simple", status="success")
        archive = FolderStore(tmp_path / "archive")
        async with Client(account, attempts=1) as client:
            fetched = await fetch_simple(client, capture, archive, prefix="captures/x/")
    assert fetched.files[0].verified_by == "one-read"
    assert [info.size for info in archive.list("captures/x/")] == [len(PACKETS)]


async def test_bytes_that_were_flipped_on_the_way_are_noticed(tmp_path):
    """The API states no checksum: the same bytes must come twice, or unpack without fault."""
    (tmp_path / "archive").mkdir()
    flipped = PACKETS[:-1] + b"\x80"
    bodies = [flipped, PACKETS, PACKETS, PACKETS, flipped, PACKETS, gzip.compress(PACKETS)]

    async with serving(lambda _: Response(bodies.pop(0))) as (api, asked):
        account = Account(account_id=ACCOUNT, base_url=f"{api}/client/v4", **TOKEN)
        capture = Capture(id=CAPTURE, type="simple", status="success")
        archive = FolderStore(tmp_path / "archive")
        async with Client(account, attempts=1) as client:
            with pytest.raises(NetworkFailure, match="the download was changed on its way"):
                await fetch_simple(client, capture, archive, prefix="captures/x/")
            assert list(archive.list("captures/x/")) == []
            fetched = await fetch_simple(client, capture, archive, prefix="captures/x/")
            assert fetched.files[0].verified_by == "two-reads"
            fetched = await fetch_simple(client, capture, archive, prefix="captures/y/")
            assert fetched.files[0].verified_by == "gzip-crc32"
            assert len(asked) == 7


async def test_a_file_that_differs_on_each_download_is_flagged(tmp_path):
    """Whether the API makes it anew for each download is not known."""
    (tmp_path / "archive").mkdir()
    bodies = [PACKETS[:-1] + bytes([number]) for number in range(3)]
    async with serving(lambda _: Response(bodies.pop(0))) as (api, _):
        account = Account(account_id=ACCOUNT, base_url=f"{api}/client/v4", **TOKEN)
        capture = Capture(id=CAPTURE, type="simple", status="success")
        archive = FolderStore(tmp_path / "archive")
        async with Client(account, attempts=1) as client:
            fetched = await fetch_simple(client, capture, archive, prefix="captures/x/")
    assert fetched.files[0].verified_by == "reads-differ"
    assert [info.size for info in archive.list("captures/x/")] == [len(PACKETS)]
