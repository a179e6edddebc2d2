"""The path of every call: faults, answer, headers, log, and only then the network."""

from __future__ import annotations

import asyncio
import random
import secrets
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from edgecap.redact import redact
from edgecap.requests import rfc3339
from edgecap.simulator.edge import Edge
from edgecap.simulator.envelope import Problem, Refused, failure
from edgecap.simulator.exchange import MOST_BODY, Exchange, break_connection, read_body
from edgecap.simulator.faults import Fault
from edgecap.simulator.log import without_secrets

CONTROL = "/_edge/"
_SHOWN = 2000
_GARBAGE = (
    b'{"result": [{"id": "66802ca5668e47a2b82c2e67',
    b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>",
    b"[]",
    b'{"success": true}',
    b"",
    b"\x00\xff\xfe{}",
)


class Pipeline:
    """ASGI middleware around the API. Calls of the control path go through untouched.

    Args:
        app: the API.
        edge: the edge.
    """

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self._app = app
        self._edge = edge
        self._under_way: set[asyncio.Task[None]] = set()
        self._dice = random.Random(edge.faults.roll(1 << 30))  # noqa: S311 - reproducible for a seed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one call."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return
        exchange = Exchange(scope["method"], scope["path"], body, self._edge.clock.now())
        with self._counted():
            await self._take(exchange, scope, receive, send)

    async def _take(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        struck = self._edge.faults.for_answer(exchange.method, exchange.path)
        for fault in struck:
            if fault.kind == "latency":
                await asyncio.sleep(fault.amount(1.0))
        faults = {fault.kind: fault for fault in struck if fault.kind != "latency"}
        if "late" in faults:
            self._under_way.add(task := asyncio.create_task(self._arrive(exchange, scope, faults["late"])))
            task.add_done_callback(self._under_way.discard)
            await break_connection(scope, receive, reset=True)
            return
        takes_effect = all(fault.takes_effect for fault in faults.values())
        if takes_effect:
            await self._answer(exchange, scope)
        accepted = takes_effect and 200 <= exchange.status < 300  # noqa: PLR2004 - success
        for fault in faults.values():
            self._spoil(exchange, fault)
        self._dress(exchange)
        self._record(exchange, accepted, [fault.kind for fault in struck])
        if "reset" in faults:
            await break_connection(scope, receive, reset=True)
        elif "truncate" in faults:
            await exchange.reply(send, cut=int(len(exchange.answer) * faults["truncate"].amount(0.5)))
            await break_connection(scope, receive, reset=False)
        else:
            await exchange.reply(send)

    async def _arrive(self, exchange: Exchange, scope: Scope, fault: Fault) -> None:
        """Execute a request whose connection broke before, without an answer."""
        with self._counted():
            await asyncio.sleep(self._edge.clock.real_seconds(fault.amount(30.0)))
            exchange.received = self._edge.clock.now()
            await self._answer(exchange, dict(scope))
            accepted = 200 <= exchange.status < 300  # noqa: PLR2004 - success
            self._record(exchange, accepted, [fault.kind], answered=False)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._edge.under_way += 1
        try:
            yield
        finally:
            self._edge.under_way -= 1

    async def _answer(self, exchange: Exchange, scope: Scope) -> None:
        if len(exchange.body) > MOST_BODY:
            refused = Refused(413, (Problem(1413, "Request body is too large"),))
            exchange.reason = str(refused)
            exchange.set_json(refused.status, failure(refused.problems))
            return
        try:
            await exchange.ask(self._app, scope)
        except Exception:  # noqa: BLE001 - as the real edge: an answer, and a log line
            self._edge.log.write("trouble", what=traceback.format_exc(limit=-4))
            exchange.reason = "internal error of the simulator"
            exchange.set_json(500, failure((Problem(1101, "Internal server error"),)))

    def _spoil(self, exchange: Exchange, fault: Fault) -> None:
        if fault.kind == "rate_limit":
            refused = Refused.by(self._edge.variant.throttle, wait=fault.amount(30.0))
            exchange.set_json(refused.status, failure(refused.problems))
            for name, value in refused.headers.items():
                exchange.set_header(name, value)
        elif fault.kind == "error":
            exchange.set_json(int(fault.amount(503)), failure((Problem(1100, "Internal error"),)))
        elif fault.kind == "garbage":
            exchange.status, exchange.answer = max(200, exchange.status), self._dice.choice(_GARBAGE)
            if exchange.status == 204:  # noqa: PLR2004 - an answer without a body cannot hold garbage
                exchange.status = 200
        if not fault.takes_effect:
            exchange.reason = f"fault: {fault.kind}"

    def _dress(self, exchange: Exchange) -> None:
        for name, value in exchange.limits.items():
            exchange.set_header(name, value)
        exchange.set_header("Date", format_datetime(self._edge.clock.now(), usegmt=True))
        exchange.set_header("CF-Ray", f"{secrets.token_hex(8)}-ORD")
        exchange.set_header("Server", "cloudflare")

    def _record(
        self, exchange: Exchange, accepted: bool, faults: list[str], *, answered: bool | None = None
    ) -> None:
        self._edge.log.write(
            "request",
            received=rfc3339(exchange.received),
            method=exchange.method,
            path=redact(exchange.path),
            body=_loggable(exchange),
            outcome="accepted" if accepted else "refused",
            status=exchange.status or None,
            reason=exchange.reason,
            capture_id=exchange.capture_id,
            caller=exchange.caller,
            fault=faults or None,
            answered=False if "reset" in faults else answered,
        )


def _loggable(exchange: Exchange) -> Any:
    if not exchange.body:
        return None
    try:
        return without_secrets(exchange.parsed())
    except (ValueError, RecursionError):
        return redact(exchange.body[:_SHOWN].decode("utf-8", "replace"))
