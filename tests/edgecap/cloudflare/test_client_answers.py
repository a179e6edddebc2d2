"""What the client makes of answers: the server's clock, lists and single results, and packets."""

from datetime import timedelta

import httpx
import pytest

from edgecap.cloudflare.client import Client
from edgecap.errors import BadCredentials, NetworkFailure, UnexpectedAnswer
from tests.edgecap.cloudflare.scripted_api import (
    ACCOUNT,
    CAPTURE,
    ID,
    NOW,
    PCAP,
    SIMPLE,
    Api,
    Body,
    no,
    ok,
    read,
)


class TestClock:
    async def test_is_the_server_s_as_its_last_answer_told(self):
        api = Api(
            ok([], date="Mon, 23 Nov 2026 12:00:07 GMT"),
            ok([]),
            no(404, date="Mon, 23 Nov 2026 11:59:00 GMT"),
        )
        async with api.client() as client:
            assert client.server_now() == NOW
            listing = await client.list_captures()
            assert listing.server_time == NOW + timedelta(seconds=7)
            assert client.server_now() == NOW + timedelta(seconds=7)
            assert (await client.list_captures()).server_time == NOW + timedelta(seconds=7)
            assert client.server_now() == NOW + timedelta(seconds=7)
            with pytest.raises(Exception, match="does not know it"):
                await client.get_capture(ID)
            assert client.server_now() == NOW - timedelta(seconds=60)

    async def test_times_are_aware(self):
        async with Client(ACCOUNT) as client:
            assert client.server_now().utcoffset() == timedelta(0)


class TestAnswers:
    @pytest.mark.parametrize("result", [None, []])
    async def test_an_empty_list_may_be_null(self, result):
        async with Api(ok(result)).client() as client:
            assert (await client.list_captures()).captures == []
            assert await client.list_ownerships() == []

    async def test_a_list_keeps_only_captures(self):
        async with Api(ok([CAPTURE, None, "x", {}])).client() as client:
            assert [capture.id for capture in (await client.list_captures()).captures] == [ID, ""]

    @pytest.mark.parametrize("result", [{}, "x", 3])
    async def test_a_list_must_be_a_list(self, result):
        async with Api(ok(result)).client() as client:
            with pytest.raises(UnexpectedAnswer, match="not a list"):
                await client.list_captures()

    @pytest.mark.parametrize("result", [None, [], "x"])
    async def test_a_single_result_must_be_an_object(self, result):
        async with Api(ok(result)).client() as client:
            for call in (
                client.get_capture(ID),
                client.create_capture(SIMPLE),
                client.create_ownership("s3://b"),
            ):
                with pytest.raises(UnexpectedAnswer, match="not an object"):
                    await call

    @pytest.mark.parametrize("capture", [{}, {"id": ""}, {"id": "abc"}, {"id": None}])
    async def test_a_new_capture_without_an_id_is_unexpected_and_may_exist(self, capture):
        async with Api(ok(capture)).client() as client:
            with pytest.raises(UnexpectedAnswer, match="has no id") as caught:
                await client.create_capture(SIMPLE)
        assert caught.value.sent

    async def test_a_capture_that_was_asked_for_by_id_has_it(self):
        async with Api(ok({"status": "running"})).client() as client:
            capture = await client.get_capture(ID)
        assert (capture.id, capture.status) == (ID, "running")

    @pytest.mark.parametrize("answer", [ok(None), ok({}), httpx.Response(204), httpx.Response(200)])
    async def test_a_change_is_done_whatever_a_2xx_says(self, answer):
        async with Api(answer).client() as client:
            await client.stop_capture(ID)
            await client.delete_ownership(ID)

    async def test_no_redirect_is_followed_so_that_no_token_travels(self):
        api = Api(httpx.Response(302, headers={"location": "https://elsewhere.example/"}))
        async with api.client() as client:
            with pytest.raises(UnexpectedAnswer, match="HTTP 302"):
                await client.list_captures()
        assert len(api.requests) == 1


class TestDownload:
    def answer(self, *chunks, **headers):
        headers = {"content-type": PCAP} | {name.replace("_", "-"): text for name, text in headers.items()}
        return httpx.Response(200, headers=headers, stream=Body(*chunks))

    async def test_streams_and_says_what_comes(self):
        api = Api(self.answer(b"ab", b"cde", content_length="5"))
        async with api.client() as client, client.download(ID) as download:
            assert (download.size, download.content_type, download.received) == (5, PCAP, 0)
            assert [chunk async for chunk in download] == [b"ab", b"cde"]
            assert repr(download) == f"<Download 5 of 5 bytes of {PCAP}>"

    async def test_size_may_be_unknown(self):
        async with Api(self.answer(b"ab")).client() as client, client.download(ID) as download:
            assert download.size is None
            assert [chunk async for chunk in download] == [b"ab"]

    async def test_bytes_are_handed_over_as_sent(self):
        api = Api(self.answer(b"\x1f\x8bnot really gzip", content_encoding="gzip"))
        async with api.client() as client:
            assert await read(client) == b"\x1f\x8bnot really gzip"
        assert api.requests[0].headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize("chunks", [[], [b"ab"], [b"abcdef"]])
    async def test_a_body_of_another_length_is_network_trouble(self, chunks):
        async with Api(self.answer(*chunks, content_length="5")).client() as client:
            with pytest.raises(NetworkFailure, match=r"of 5 bytes"):
                await read(client)

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (ok(None), UnexpectedAnswer),
            (httpx.Response(200, html="<html>log in</html>"), UnexpectedAnswer),
            (httpx.Response(204), UnexpectedAnswer),
            (httpx.Response(302), UnexpectedAnswer),
            (
                httpx.Response(200, json={"success": False, "errors": [{"code": 6003, "message": ""}]}),
                BadCredentials,
            ),
            (no(401), BadCredentials),
        ],
    )
    async def test_a_download_without_packets_is_an_error(self, answer, kind):
        async with Api(answer).client() as client:
            with pytest.raises(kind):
                await read(client)
