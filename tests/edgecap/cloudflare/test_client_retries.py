"""What the client tries again and what never, and how long it waits before it does."""

from datetime import timedelta

import httpx
import pytest

from edgecap.errors import NetworkFailure, RateLimited, ServerFailure
from tests.edgecap.cloudflare.scripted_api import NOW, OPERATIONS, READING, Api, no, ok

PASSING = [
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    no(429, retry_after="3"),
    no(500),
    no(503, retry_after="Mon, 23 Nov 2026 12:00:05 GMT"),
]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("trouble", PASSING, ids=repr)
async def test_only_requests_that_change_nothing_are_retried(operation, trouble):
    call, answer, _ = OPERATIONS[operation]
    api = Api(trouble, answer)
    async with api.client() as client:
        if operation in READING:
            await call(client)
            assert len(api.requests) == 2
            return
        with pytest.raises((NetworkFailure, RateLimited, ServerFailure)):
            await call(client)
        assert len(api.requests) == 1
        assert api.waits == []


@pytest.mark.parametrize("operation", READING)
@pytest.mark.parametrize("answer", [no(400), no(401), no(403), no(404), ok(3)], ids=repr)
async def test_permanent_errors_are_not_retried(operation, answer):
    call, _, _ = OPERATIONS[operation]
    api = Api(answer)
    async with api.client() as client:
        with pytest.raises(Exception, match="pcaps"):
            await call(client)
    assert len(api.requests) == 1


class TestWaits:
    async def test_grow_with_full_jitter_and_end_after_so_many_attempts(self):
        top = type("Top", (), {"uniform": staticmethod(lambda low, high: high)})
        api = Api(no(500))
        async with api.client(attempts=7, rng=top) as client:
            with pytest.raises(ServerFailure):
                await client.list_captures()
        assert api.waits == [0.5, 1, 2, 4, 8, 8]
        assert len(api.requests) == 7

    async def test_lie_anywhere_below_their_top(self):
        bottom = type("Bottom", (), {"uniform": staticmethod(lambda low, high: low)})
        api = Api(no(500), ok([]))
        async with api.client(rng=bottom) as client:
            await client.list_captures()
        assert api.waits == [0]

    @pytest.mark.parametrize(
        ("answer", "least"),
        [
            (no(429, retry_after="3"), 3),
            (no(503, retry_after="60"), 60),
            (no(503, retry_after="Mon, 23 Nov 2026 12:00:20 GMT"), 20),
            (no(503, retry_after="Mon, 23 Nov 2026 15:00:20 GMT", date="Mon, 23 Nov 2026 15:00:00 GMT"), 20),
            (no(429, ratelimit='"default";r=0;t=9'), 9),
        ],
    )
    async def test_are_a_little_longer_than_the_server_asks_for(self, answer, least):
        api = Api(answer, ok([]))
        async with api.client() as client:
            await client.list_captures()
        [wait] = api.waits
        assert least <= wait <= least + 0.5

    async def test_that_are_too_long_are_left_to_the_caller_with_the_time(self):
        api = Api(no(429, retry_after="300"), ok([]))
        async with api.client() as client:
            with pytest.raises(RateLimited) as caught:
                await client.list_captures()
        assert caught.value.retry_at == NOW + timedelta(seconds=300)
        assert len(api.requests) == 1
        assert api.waits == []

    async def test_one_attempt_means_one(self):
        api = Api(no(500))
        async with api.client(attempts=1) as client:
            with pytest.raises(ServerFailure):
                await client.list_captures()
        assert len(api.requests) == 1
