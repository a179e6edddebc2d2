"""The client over HTTP against the simulated edge, as every API that the real one might be."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.captures.body import request_body
from edgecap.captures.ownership import require_validated
from edgecap.captures.polling import look
from edgecap.errors import (
    BadCredentials,
    BucketNotValidated,
    Busy,
    NetworkFailure,
    NoPermission,
    RateLimited,
    RequestRefused,
    ServerFailure,
    UnexpectedAnswer,
    UnknownToApi,
)
from edgecap.requests import Filter, FullRequest, SimpleRequest
from edgecap.simulator.credentials import Credential
from edgecap.simulator.faults import Fault
from edgecap.simulator.traffic import SyntheticTraffic
from edgecap.simulator.variants import VARIANTS
from tests.world import TOKEN, SetClock, World

ACCOUNT_ID = "023e105f4ecef8ad9ca31a8372d0c353"
READ_TOKEN, KEY = "r" * 40, "0" * 37
SPEED = 60.0
SIMPLE = request_body(SimpleRequest(time_limit=10, packet_limit=50))
FULL = request_body(
    FullRequest(colo="ORD", time_limit=86_400), destination_conf="s3://caps/full?region=us-east-1"
)


def make_world(folder, variant="documented"):
    # Its full captures last longer than a busy machine takes.
    variant = replace(VARIANTS[variant], full_time_limit=86_400)
    credentials = [
        Credential("token", frozenset({ACCOUNT_ID}), token=TOKEN),
        Credential("read", frozenset({ACCOUNT_ID}), token=READ_TOKEN, write=False),
        Credential("key", frozenset({ACCOUNT_ID}), email="a@example.com", key=KEY),
    ]
    edge = {"credentials": credentials, "traffic": SyntheticTraffic(7, rate=20.0), "simple_spacing": 36_000.0}
    return World(folder, account_id=ACCOUNT_ID, clock=SetClock(SPEED), variant=variant, **edge)


async def final(client, capture):
    async with asyncio.timeout(240):
        while not capture.is_final:
            await asyncio.sleep(0.05)
            capture = await look(client, capture)
    return capture


@pytest.fixture(params=VARIANTS)
def world(request, tmp_path):
    with make_world(tmp_path, request.param) as world:
        yield world


async def test_a_simple_capture_from_request_to_packets(world):
    async with world.client() as client:
        assert (await client.list_captures()).captures == []
        asked = datetime.now(UTC)
        capture = await client.create_capture(SIMPLE)
        assert not capture.is_final
        assert (capture.type, capture.time_limit) == ("simple", 10)
        assert abs(capture.submitted - client.server_now()) < timedelta(seconds=10 * SPEED)
        assert capture.offset_time > asked - timedelta(seconds=2)
        with pytest.raises(RateLimited):
            await client.create_capture(SIMPLE)
        capture = await final(client, capture)
        assert capture.succeeded
        await asyncio.sleep(world.edge.variant.download_after / SPEED)
        async with client.download(capture.id) as download:
            packets = b"".join([chunk async for chunk in download])
        assert packets[:4] in (
            b"\xd4\xc3\xb2\xa1",
            b"\xa1\xb2\xc3\xd4",
            b"\x4d\x3c\xb2\xa1",
            b"\xa1\xb2\x3c\x4d",
        )
        assert download.received == download.size == len(packets)
        await asyncio.sleep(world.edge.variant.list_lag / SPEED)
        assert [one.id for one in (await client.list_captures()).captures] == [capture.id]
        assert client.rate_limit is not None


async def test_a_bucket_and_a_full_capture_that_is_stopped(world):
    async with world.client() as client:
        with pytest.raises(BucketNotValidated, match="not registered"):
            await require_validated(client, world.place)
        with pytest.raises(RequestRefused) as caught:
            await client.create_capture(FULL)
        assert caught.value.field == "destination_conf"
        assert (await world.register(client)).succeeded
        await require_validated(client, world.place)
        again = await world.register(client)
        assert [one.id for one in await client.list_ownerships()] == [again.id]

        capture = await client.create_capture(FULL)
        assert (capture.type, capture.colo) == ("full", "ORD")
        with pytest.raises((Busy, RateLimited)) as caught:
            await client.create_capture(FULL)
        says_so = "rate limit" not in world.edge.variant.busy.message
        assert type(caught.value) is (Busy if says_so else RateLimited)
        with pytest.raises((UnknownToApi, RequestRefused)):
            await client.download(capture.id).__aenter__()
        await client.stop_capture(capture.id)
        await asyncio.sleep(world.edge.variant.shown_after / SPEED)
        assert (await client.get_capture(capture.id)).stop_requested is not None
        capture = await final(client, capture)
        with pytest.raises(RequestRefused):
            await client.stop_capture(capture.id)

        await client.delete_ownership(again.id)
        with pytest.raises(UnknownToApi):
            await client.delete_ownership(again.id)


async def test_refusals_mean_what_they_mean(world):
    async with world.client() as client:
        with pytest.raises(UnknownToApi):
            await client.get_capture("0" * 32)
        for field, bad in [
            ("time_limit", 301),
            ("packet_limit", 0),
            ("offset_time", "2020-01-01T00:00:00Z"),
            ("type", "sample"),
            ("system", "else"),
            ("filter_v1.source_port", 70_000),
        ]:
            body = (
                {**SIMPLE, field: bad} if "." not in field else {**SIMPLE, "filter_v1": {"source_port": bad}}
            )
            with pytest.raises(RequestRefused) as caught:
                await client.create_capture(body)
            assert caught.value.field == field
        with pytest.raises(RequestRefused) as caught:
            await client.create_capture({**FULL, "colo_name": "XYZ"})
        assert caught.value.field in ("colo_name", "destination_conf")


async def test_wrong_credentials_are_named_as_such(world):
    for credentials in [
        {"api_token": "w" * 40},
        {"api_token": "malformed"},
        {"email": "a@example.com", "api_key": "1" * 37},
        {"email": "a@example.com", "api_key": "malformed"},
        {"email": "nobody", "api_key": KEY},
    ]:
        async with world.client(**credentials) as client:
            with pytest.raises(BadCredentials):
                await client.list_captures()


async def test_good_credentials_without_the_right(world):
    async with world.client(api_token=READ_TOKEN) as client:
        await client.list_captures()
        with pytest.raises((NoPermission, BadCredentials)):
            await client.create_capture(SIMPLE)
    async with world.client(email="a@example.com", api_key=KEY) as client:
        await client.list_captures()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset", NetworkFailure),
        ("truncate", NetworkFailure),
        ("error", ServerFailure),
        ("rate_limit", RateLimited),
    ],
)
async def test_trouble_on_the_way_and_what_may_have_taken_effect(tmp_path, kind, error):
    with make_world(tmp_path) as world:
        async with world.client() as client:
            world.edge.faults.add(Fault(kind=kind, method="POST"))
            with pytest.raises(error) as caught:
                await client.create_capture(request_body(SimpleRequest(filter=Filter(protocol=6))))
            assert caught.value.sent
            if kind == "rate_limit":
                assert caught.value.retry_at > client.server_now()
            found = (await client.list_captures()).captures
            assert len(found) == (kind in ("reset", "truncate"))


async def test_garbage_is_never_taken_for_an_answer(tmp_path):
    with make_world(tmp_path) as world:
        async with world.client() as client:
            for call in [client.list_captures, lambda: client.get_capture("0" * 32)] * 12:
                world.edge.faults.add(Fault(kind="garbage"))
                with pytest.raises((UnexpectedAnswer, UnknownToApi)):
                    await call()
