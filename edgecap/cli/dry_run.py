"""`--dry-run`: print the exact request and its earliest start, without sending it."""

from __future__ import annotations

import asyncio
import json as json_
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from edgecap.analytics.choice import Choice
from edgecap.analytics.choosing import Wanted, choose_places
from edgecap.captures.destinations import destination_conf
from edgecap.captures.intent import decide
from edgecap.captures.lanes import next_turn
from edgecap.captures.order import CaptureOrder
from edgecap.captures.ownership import require_validated
from edgecap.cli.output import console, pairs, print_json
from edgecap.cloudflare.client import Client
from edgecap.errors import BucketNotValidated, NetworkFailure
from edgecap.filters.destinations import destinations
from edgecap.redact import HIDDEN, redact
from edgecap.requests import FullRequest, SimpleRequest, rfc3339
from edgecap.settings import Settings
from edgecap.stores import open_store

_SECRET_HEADERS = ("authorization", "x-auth-key")
_OURS = ("accept", "content-type", "user-agent", "x-auth-email", *_SECRET_HEADERS)


class _NotSent(httpx.AsyncBaseTransport):
    """Keeps a request instead of sending it."""

    request: httpx.Request | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.request = request
        raise httpx.ConnectError("not sent", request=request)


def dry_run(
    request: SimpleRequest | FullRequest, settings: Settings, *, account: str, archive: str, json: bool
) -> None:
    """Print the request, its earliest start, and the filter applied afterwards.

    Only lists captures and buckets at Cloudflare.

    Raises:
        BucketNotValidated: Cloudflare does not accept the bucket of a full capture; the request is printed.
        EdgecapError: the request is invalid, or the API does not answer.
    """
    plan, refused = asyncio.run(_plan(request, settings, account=account, archive=archive))
    if json:
        print_json(plan)
    else:
        _print(plan)
    if refused:
        raise refused


def _print(plan: dict[str, Any]) -> None:
    out = console()
    out.print(f"{plan['method']} {plan['url']}")
    for name, value in plan["headers"].items():
        out.print(f"{name}: {value}")
    out.print()
    out.print(json_.dumps(plan["body"], indent=2, ensure_ascii=False))
    out.print()
    start = plan["earliest_start"] + (
        f" (in {plan['wait_seconds']:.0f} s)" if plan["wait_seconds"] else " (now)"
    )
    waits = [("waits for", plan["waits_for"])] if plan["waits_for"] else []
    chosen = [("place chosen", plan["place_chosen"])] if plan["place_chosen"] else []
    left = [("applied afterwards", plan["residual"])] if plan["residual"] else []
    bucket = [("would be refused", plan["bucket_problem"])] if plan["bucket_problem"] else []
    out.print(
        pairs(
            [
                ("earliest start", start),
                *waits,
                *chosen,
                *left,
                *bucket,
                ("nothing was sent", "this was a dry run"),
            ]
        )
    )


async def _plan(
    request: SimpleRequest | FullRequest, settings: Settings, *, account: str, archive: str
) -> tuple[dict[str, Any], BucketNotValidated | None]:
    """What would be sent and when, and why Cloudflare would not accept the bucket."""
    refused: BucketNotValidated | None = None
    sign_in, timing = settings.account(account), settings.timing
    bucket = settings.bucket(request.bucket) if isinstance(request, FullRequest) else None
    async with Client(sign_in) as client:
        if bucket:
            try:
                await require_validated(client, bucket)
            except BucketNotValidated as error:
                refused = error
        listing = await client.list_captures()
    turn = next_turn(
        request.type,
        listing.captures,
        now=listing.server_time,
        spacing=timedelta(seconds=timing.simple_spacing),
        look_again=timedelta(seconds=timing.full_retry),
    )
    start = turn.expected
    choice = await _choice(request, settings, account=account, archive=archive)
    order = CaptureOrder(request, uuid.uuid4().hex, "dry run", account, archive)
    intent = decide(order, settings, now=max(listing.server_time, datetime.now(UTC)), choice=choice)
    body = dict(intent.body)
    if bucket:
        body["destination_conf"] = destination_conf(bucket, with_secrets=True)
    transport = _NotSent()
    async with Client(sign_in, transport=transport) as client:
        with suppress(NetworkFailure):
            await client.create_capture(body)
    assert transport.request is not None
    clock = timing.server_clock(lambda: listing.server_time)
    plan = {
        "method": transport.request.method,
        "url": str(transport.request.url),
        "headers": _headers(transport.request.headers),
        "body": json_.loads(redact(transport.request.content.decode())),
        "place_chosen": choice.words if choice else None,
        "residual": intent.residual,
        "earliest_start": rfc3339(start),
        "wait_seconds": round(max(0.0, clock.until(start).total_seconds()), 1),
        "waits_for": turn.reason or None,
        "bucket_problem": str(refused) if refused else None,
    }
    return plan, refused


async def _choice(
    request: SimpleRequest | FullRequest, settings: Settings, *, account: str, archive: str
) -> Choice | None:
    """The place of a full capture that names none, as it would be chosen now; None for any other."""
    if not isinstance(request, FullRequest) or not request.chooses_place:
        return None
    wanted = Wanted(account=account, targets=destinations(request))
    store = open_store(settings.archive(archive))
    return (await choose_places(wanted, settings.account(account), store)).choice


def _headers(headers: httpx.Headers) -> dict[str, str]:
    """The headers that describe the request, without credentials."""
    shown = {}
    for name, value in headers.items():
        if name.lower() in _OURS:
            scheme = "Bearer " if name.lower() == "authorization" else ""
            shown[name.title()] = f"{scheme}{HIDDEN}" if name.lower() in _SECRET_HEADERS else value
    return shown
