"""The receiver of alerts: an ASGI app that answers 202 once an alert is on disk, and not before.

::

    POST /alerts/<source>   202 {"id": ...}: it is on disk, and survives any crash
                            200: a trial message of the source, which is not kept
                            400 no JSON   401 wrong secret   404 no such source   405   408 too slow
                            413 over 4 MiB         503 it could not be kept: send it again
    GET  /healthz           200: it lives
    GET  /readyz            200 or 503: alerts can be kept; says how many wait, and whether Prefect answers
    GET  /metrics           for Prometheus
    GET  /captures/<id>, /incidents/<id>    reports, if `receiver.report_token` is set (`report_pages`)

`deployments.receiver.processor` finds out later what an alert means: the sender does not wait for that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.receiver.bodies import BODY_TIME, BodyReader, Refused, again
from deployments.receiver.metrics import CONTENT_TYPE, NO_SOURCE, Metrics
from deployments.receiver.missed import MissedLog
from deployments.receiver.pages import ReportPages
from deployments.receiver.senders import IdentifySender, TrustedProxies, sender_of
from edgecap.alerts.sources.enabled import EnabledSource
from edgecap.alerts.sources.payload import decode
from edgecap.alerts.sources.registry import SOURCES
from edgecap.errors import AlertNotUnderstood, StoreError, StoreFull
from edgecap.incidents.inbox.missed import Kind

PING = 4096  # bytes; no product's trial message is larger
SMALL = 64 << 10  # bytes; decoding them takes less than a millisecond. A larger body is decoded in a thread
_UNHEARD = (408, 413, 503)  # answers after which an alert may be lost
_LONGEST_NAME = 64  # characters of a URL's end that are compared with the names of sources
DISK_TIME = 8.0  # seconds; a sender gives up soon after that

_log = logging.getLogger("edgecap.receiver")


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the receiver.

    Attributes:
        trouble: why it is not ready for alerts; empty if it is.
        pending: alerts on disk that are not processed yet.
        orders: runs that Prefect does not know of yet.
        prefect: whether Prefect answers, in words.
    """

    trouble: str
    pending: int
    orders: int
    prefect: str


class Keep(Protocol):
    """`await keep(source, body, received)`."""

    def __call__(self, source: str, body: bytes, received: datetime) -> Awaitable[int]:
        """The id under which the alert is on disk, once it is."""


class Receiver:
    """Takes alerts.

    Args:
        enabled: the sources that are on, by name.
        keep: puts an alert on disk.
        health: the receiver's state; it may be slow, and is called in a thread.
        metrics: what it counts.
        has_room: whether the disk has room for alerts; called for each one.
        body_time: seconds that a body may take.
        disk_time: seconds that `keep` may take; then the sender is told to come again.
        reports: serves reports; None for a receiver without reports.
        proxies: those in front of it whose word on the sender counts.
        missed: notes what was refused.
    """

    def __init__(
        self,
        enabled: Mapping[str, EnabledSource],
        keep: Keep,
        *,
        health: Callable[[], Health],
        metrics: Metrics,
        has_room: Callable[[], bool] = lambda: True,
        body_time: float = BODY_TIME,
        disk_time: float = DISK_TIME,
        reports: ReportPages | None = None,
        proxies: TrustedProxies | None = None,
        missed: MissedLog | None = None,
    ) -> None:
        self._enabled = enabled
        self._keep = keep
        self._health = health
        self._metrics = metrics
        self._has_room = has_room
        self._bodies = BodyReader(body_time)
        self._disk_time = disk_time
        self._reports = reports
        self._proxies = proxies or TrustedProxies()
        self._missed = missed

    def __repr__(self) -> str:
        return f"<Receiver [{', '.join(self._enabled)}]>"

    @property
    def unproven(self) -> int:
        """Bytes in memory from senders that only the whole body proves."""
        return self._bodies.unproven

    def application(self) -> Starlette:
        """The ASGI app."""
        app = Starlette(
            routes=[
                Route("/alerts/{source}", self._take, methods=["POST", "PUT"]),  # Grafana can be set to PUT
                Route("/healthz", _alive),
                Route("/readyz", self._ready),
                Route("/metrics", self._page),
                *(self._reports.routes() if self._reports else ()),
            ],
            middleware=[Middleware(IdentifySender, proxies=self._proxies)],
            exception_handlers={HTTPException: self._no_such_thing},
        )
        app.router.redirect_slashes = False
        return app

    async def _take(self, request: Request) -> Response:
        began = time.monotonic()
        name = request.path_params["source"]
        known = name if name in SOURCES or name in self._enabled else NO_SOURCE
        try:
            answer = await self._answer(request, name)
        except Refused as refused:
            answer = refused.answer
            if answer.status_code in _UNHEARD:
                _log.warning(
                    f"an alert from {known} was refused: %s (sent from %s)",
                    refused,
                    sender_of(request).address,
                )
            self._note(request, known, answer.status_code, str(refused))
        except ClientDisconnect:
            answer = Response(status_code=400)  # the sender is gone; the answer is only counted
        except Exception as error:  # noqa: BLE001 - never 2xx for what was not kept, and never silence
            _log.error(
                "an alert from %s could not be kept, and its sender was told so: %s", name, _kind(error)
            )
            answer = again("it could not be kept").answer
            self._note(request, known, answer.status_code, f"it could not be kept: {_kind(error)}")
        self._metrics.requests.labels(known, str(answer.status_code)).inc()
        if answer.status_code == 202:  # noqa: PLR2004 - as the contract says
            self._metrics.taken_seconds.observe(time.monotonic() - began)
        return answer

    def _note(self, request: Request, known: str, status: int, why: str) -> None:
        """Note a notification that was refused. People are not told of what a stranger can cause."""
        if self._missed is None:
            return
        declared = request.headers.get("content-length", "0")
        size = int(declared) if declared.isdigit() else 0
        enabled = self._enabled.get(known)
        kind: Kind = "unauthorized"
        tell = False
        if status in _UNHEARD or status == 400:  # noqa: PLR2004 - the body is no JSON
            kind = "refused"
            tell = enabled is not None and (status == 400 or not enabled.is_signed(request.headers))  # noqa: PLR2004
        sender = sender_of(request).address
        self._missed.note(kind, known, f"{status}: {why}", sender=sender, size=size, tell=tell)

    async def _answer(self, request: Request, name: str) -> Response:
        enabled = self._enabled.get(name)
        if enabled is None:
            raise _no_source(name, self._enabled)
        is_signed = enabled.is_signed(request.headers)
        if not is_signed and not enabled.accepts(request.headers, b""):
            is_read = await self._bodies.drop(request)
            raise _unauthorized(request, enabled, b"", **({} if is_read else {"connection": "close"}))
        async with self._bodies.body(request, proven=not is_signed and not enabled.open) as body:
            return await self._judge(request, enabled, body)

    async def _judge(self, request: Request, enabled: EnabledSource, body: bytes) -> Response:
        name = enabled.source.name
        if not enabled.accepts(request.headers, body):
            raise _unauthorized(request, enabled, body)
        payload = await _decoded(name, body)
        if len(body) < PING and enabled.source.is_ping(payload):
            return JSONResponse({"ping": name})
        if not self._has_room():
            raise StoreFull("the disk is nearly full", hint="free some space")
        async with asyncio.timeout(self._disk_time):
            number = await self._keep(name, body, datetime.now(UTC))
        return JSONResponse({"id": number}, 202)

    async def _ready(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        health = await asyncio.to_thread(self._health)
        said = {
            "ready": not health.trouble,
            "pending": health.pending,
            "orders": health.orders,
            "prefect": health.prefect,
        }
        if health.trouble:
            return JSONResponse({**said, "trouble": health.trouble}, 503)
        return JSONResponse(said)

    async def _page(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        await asyncio.to_thread(self._health)  # brings the gauges up to date
        return Response(self._metrics.page(), media_type=CONTENT_TYPE)

    async def _no_such_thing(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if request.url.path.startswith("/alerts"):
            self._metrics.requests.labels(NO_SOURCE, str(error.status_code)).inc()
        return JSONResponse({"error": error.detail.lower()}, error.status_code, headers=error.headers)


async def _alive(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
    return JSONResponse({"alive": True})


async def _decoded(name: str, body: bytes) -> Any:
    """The JSON in a body. A large one is decoded without delaying other requests.

    Raises:
        Refused: the body is no JSON.
    """
    try:
        return decode(body, name) if len(body) <= SMALL else await asyncio.to_thread(decode, body, name)
    except AlertNotUnderstood as error:
        _log.warning(f"an alert from {name} was refused: %s", error)
        raise Refused(400, str(error)) from None


def _unauthorized(request: Request, enabled: EnabledSource, body: bytes, **headers: str) -> Refused:
    """The sender learns nothing; the list of refused notifications says what was wrong."""
    why = enabled.why_refused(request.headers, body)
    _log.warning(
        f"an alert from {enabled.source.name} was refused as unauthorized: %s (sent from %s)",
        why,
        sender_of(request).address,
    )
    return Refused(401, "unauthorized", why=why, **headers)


def _no_source(name: str, enabled: Mapping[str, EnabledSource]) -> Refused:
    """A URL that names no source that is on. What was sent is not repeated, only what it may mean."""
    if name in SOURCES:
        return Refused(404, f"source {name} is not configured", why=f"source {name} is off: it has no secret")
    alike = get_close_matches(name.lower()[:_LONGEST_NAME], [*enabled, *SOURCES], n=1)
    meant = f"; it may mean /alerts/{alike[0]}" if alike else ""
    return Refused(404, "there is no such source", why=f"the URL names no source{meant}")


def _kind(error: Exception) -> str:
    """What went wrong, unless it may quote an alert."""
    return str(error) if isinstance(error, StoreError) else type(error).__name__
