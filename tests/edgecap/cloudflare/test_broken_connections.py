"""Against a real server on this machine that breaks connections in every way."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager

import pytest

from edgecap.cloudflare.client import Client
from edgecap.errors import NetworkFailure, UnexpectedAnswer
from edgecap.settings import Account

ID = "66802ca5668e47a2b82c2e6746e45037"
PCAP = b"Content-Type: application/vnd.tcpdump.pcap\r\n"
LIST = b'{"result": [{"id": "%s"}], "success": true, "errors": [], "messages": []}' % ID.encode()


class Server:
    """Sends the scripted bytes, one script a connection, then closes: politely, or (`reset`) not."""

    def __init__(self, *scripts, reset=False, hang=False):
        self.scripts = list(scripts)
        self.reset = reset
        self.hang = hang
        self.requests = []
        self.port = 0

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.split(b"\r\n")[0].decode())
        writer.write(self.scripts.pop(0))
        await writer.drain()
        if self.hang:
            await reader.read()
        if self.reset:
            await asyncio.sleep(0.05)  # let the bytes be read before the reset overtakes them
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        writer.close()

    @asynccontextmanager
    async def client(self, **options):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        account = Account(account_id=ID, api_token="token", base_url=f"http://127.0.0.1:{self.port}")
        async with server:
            async with Client(account, **options) as client:
                yield client
            server.close()


def head(status="200 OK", headers=b"", length=None):
    size = b"" if length is None else b"Content-Length: %d\r\n" % length
    return b"HTTP/1.1 " + status.encode() + b"\r\nConnection: close\r\n" + headers + size + b"\r\n"


async def read(client):
    received = []
    async with client.download(ID) as download:
        async for chunk in download:
            received.append(chunk)  # noqa: PERF401 - what came before a break is looked at
    return b"".join(received)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("sent", [b"", b"abc"])
async def test_a_download_cut_short_is_network_trouble_and_is_not_begun_again(sent, reset):
    server = Server(head(headers=PCAP, length=10) + sent, reset=reset)
    async with server.client() as client:
        with pytest.raises(NetworkFailure, match=r"GET /pcaps/\w+/download"):
            await read(client)
    assert len(server.requests) == 1


async def test_a_chunked_download_cut_short_is_network_trouble():
    server = Server(head(headers=PCAP + b"Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n")
    async with server.client() as client:
        with pytest.raises(NetworkFailure):
            await read(client)


async def test_a_whole_download_comes_whole_and_in_pieces():
    content = bytes(range(256)) * 4096
    server = Server(head(headers=PCAP, length=len(content)) + content)
    async with server.client() as client, client.download(ID) as download:
        assert download.size == len(content)
        chunks = [chunk async for chunk in download]
    assert b"".join(chunks) == content
    assert len(chunks) > 1


async def test_a_download_can_be_left_early():
    server = Server(head(headers=PCAP, length=1 << 20) + bytes(1 << 16), hang=True)
    async with server.client() as client:
        async with client.download(ID) as download:
            assert await anext(aiter(download))
        assert download.received < 1 << 20


@pytest.mark.parametrize("broken", [b"", b"HTTP/1.1 200", head(length=100) + b"{", b"nonsense\r\n\r\n"])
async def test_a_broken_answer_is_asked_for_again_when_nothing_changes(broken):
    server = Server(broken, head(length=len(LIST)) + LIST)
    async with server.client(sleep=lambda seconds: asyncio.sleep(0)) as client:
        assert [capture.id for capture in (await client.list_captures()).captures] == [ID]
    assert len(server.requests) == 2


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("broken", [b"", b"HTTP/1.1 200", head(length=100) + b"{"])
async def test_a_broken_answer_to_a_post_leaves_open_whether_it_took_effect(broken, reset):
    server = Server(broken, reset=reset)
    async with server.client() as client:
        with pytest.raises(NetworkFailure) as caught:
            await client.create_capture({"type": "simple"})
    assert caught.value.sent
    assert server.requests == [f"POST /accounts/{ID}/pcaps HTTP/1.1"]


async def test_a_server_that_is_not_there_has_got_nothing():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        account = Account(account_id=ID, api_token="t", base_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        async with Client(account) as client:
            with pytest.raises(NetworkFailure, match=r"cannot connect to 127\.0\.0\.1") as caught:
                await client.create_capture({"type": "simple"})
    assert not caught.value.sent


async def test_a_server_that_says_nothing_is_not_waited_for_for_ever():
    server = Server(b"", hang=True)
    async with server.client(timeout=0.1) as client:
        with pytest.raises(NetworkFailure, match="no answer in time") as caught:
            await client.stop_capture(ID)
    assert caught.value.sent


async def test_an_unreadable_encoding_is_network_trouble_and_nonsense_is_unexpected():
    gzip = b"Content-Encoding: gzip\r\nContent-Type: application/json\r\n"
    server = Server(head(headers=gzip, length=4) + b"abcd", head(length=4) + b"abcd")
    async with server.client(attempts=1) as client:
        with pytest.raises(NetworkFailure):
            await client.list_captures()
        with pytest.raises(UnexpectedAnswer, match="4 bytes of no content type"):
            await client.list_captures()
