"""The PCAPs API over HTTP: nine operations, with Cloudflare's paths, envelopes and codes. And `/graphql`.

A control path, which the real edge does not have, offers `/_edge/faults` (GET, POST, DELETE), `/_edge/log`,
`/_edge/state`, and `/_edge/attacks/end` (POST), which ends the current synthetic attacks. `/_edge/truth`
counts all packets of a time, passed and dropped: it needs `since` and `until`, such as
`2026-11-23T06:30:00Z`, and takes `target`, an address, and `by`, such as `colo,outcome`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from edgecap.errors import InvalidRequest
from edgecap.requests import rfc3339
from edgecap.simulator.analytics.truth import COLUMNS, USUAL, tally
from edgecap.simulator.captures import LISTED
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import Edge
from edgecap.simulator.envelope import Problem, Refused, failure, no_route, wrapped
from edgecap.simulator.exchange import Exchange
from edgecap.simulator.faults import Fault
from edgecap.simulator.pipeline import Pipeline
from edgecap.simulator.traffic.counted import CountedTraffic
from edgecap.simulator.traffic.times import nanoseconds

PREFIX = "/client/v4"
PCAP_TYPE = "application/vnd.tcpdump.pcap"
_PCAPS = PREFIX + "/accounts/{account_id}/pcaps"
_ID = re.compile(r"[0-9a-f]{32}")


def create_app(edge: Edge) -> Starlette:
    """The edge as an ASGI app. The caller starts and closes the edge."""
    api, control = _Api(edge), _Control(edge)
    app = Starlette(
        routes=[
            Route(_PCAPS, api.list, methods=["GET"]),
            Route(_PCAPS, api.create, methods=["POST"]),
            Route(f"{_PCAPS}/ownership", api.list_buckets, methods=["GET"]),
            Route(f"{_PCAPS}/ownership", api.add_bucket, methods=["POST"]),
            Route(f"{_PCAPS}/ownership/validate", api.validate_bucket, methods=["POST"]),
            Route(f"{_PCAPS}/ownership/{{ownership_id}}", api.delete_bucket, methods=["DELETE"]),
            Route(f"{_PCAPS}/{{pcap_id}}", api.get, methods=["GET"]),
            Route(f"{_PCAPS}/{{pcap_id}}/download", api.download, methods=["GET"]),
            Route(f"{_PCAPS}/{{pcap_id}}/stop", api.stop, methods=["PUT"]),
            Route(f"{PREFIX}/graphql", api.graphql, methods=["POST"]),
            Route("/_edge/faults", control.faults, methods=["GET", "POST", "DELETE"]),
            Route("/_edge/log", control.log, methods=["GET"]),
            Route("/_edge/state", control.state, methods=["GET"]),
            Route("/_edge/truth", control.truth, methods=["GET"]),
            Route("/_edge/attacks/end", control.end_attacks, methods=["POST"]),
        ],
        middleware=[Middleware(Pipeline, edge=edge)],
        exception_handlers={Refused: _refused, HTTPException: _lost},
    )
    app.router.redirect_slashes = False
    return app


class _Api:
    """The nine operations."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def list(self, request: Request) -> Response:
        account = self._enter(request, write=False)
        if not self._edge.variant.pages:
            return self._collection(self._edge.list(account))
        page, per_page = _number(request, "page", 1), min(LISTED, _number(request, "per_page", LISTED))
        found = self._edge.list(account, page=page, per_page=per_page)
        total = self._edge.count(account)
        info = {"page": page, "per_page": per_page, "count": len(found), "total_count": total}
        return self._collection(found, result_info=info)

    async def create(self, request: Request) -> Response:
        account = self._enter(request, write=True)
        # In a thread, because it accesses a bucket.
        result = await run_in_threadpool(self._edge.create, account, _body(request))
        _exchange(request).capture_id = result["id"]
        return JSONResponse(wrapped(result))

    async def get(self, request: Request) -> Response:
        account = self._enter(request, write=False)
        return JSONResponse(wrapped(self._edge.get(account, _id(request, "pcap_id"))))

    async def download(self, request: Request) -> Response:
        account = self._enter(request, write=False)
        capture_id = _id(request, "pcap_id")
        if self._edge.variant.download_redirects and "file" not in request.query_params:
            return Response(status_code=302, headers={"location": f"{request.url.path}?file=1"})
        path = self._edge.download(account, capture_id)
        content = await run_in_threadpool(path.read_bytes)
        disposition = f'attachment; filename="pcap_{capture_id}.pcap"'
        headers = {"content-disposition": disposition}
        return Response(content, headers=headers, media_type=PCAP_TYPE)

    async def stop(self, request: Request) -> Response:
        account = self._enter(request, write=True)
        self._edge.stop(account, _id(request, "pcap_id"))
        return Response(status_code=204)

    async def list_buckets(self, request: Request) -> Response:
        account = self._enter(request, write=False)
        return self._collection(self._edge.ownerships.list(account))

    async def add_bucket(self, request: Request) -> Response:
        account = self._enter(request, write=True)
        result = await run_in_threadpool(self._edge.ownerships.create, account, _body(request))
        return JSONResponse(wrapped(result))

    async def validate_bucket(self, request: Request) -> Response:
        account = self._enter(request, write=True)
        result = await run_in_threadpool(self._edge.ownerships.validate, account, _body(request))
        return JSONResponse(wrapped(result))

    async def delete_bucket(self, request: Request) -> Response:
        account = self._enter(request, write=True)
        self._edge.ownerships.delete(account, _id(request, "ownership_id"))
        return Response(status_code=204)

    async def graphql(self, request: Request) -> Response:
        caller = self._sign_in(request)
        status, answer = await run_in_threadpool(self._edge.analytics.answer, caller, _body(request))
        if answer["errors"]:
            _exchange(request).reason = "; ".join(error["message"] for error in answer["errors"])
        return JSONResponse(answer, status_code=status)

    def _sign_in(self, request: Request) -> Credential:
        """The caller, if the general rate limit allows the call."""
        exchange = _exchange(request)
        caller = self._edge.gate.enter(request.headers)
        exchange.caller = caller.name
        address = request.client.host if request.client else ""
        exchange.limits = self._edge.limit.count(caller.name, address, exchange.received)
        return caller

    def _enter(self, request: Request, *, write: bool) -> str:
        """The account in the path, if the caller has access to its captures."""
        account: str = request.path_params["account_id"]
        if not _ID.fullmatch(account):
            raise no_route(request.url.path, status=400)
        exchange = _exchange(request)
        caller = self._sign_in(request)
        self._edge.gate.allow(caller, account, write=write)
        if "pcap_id" in request.path_params:
            exchange.capture_id = _id(request, "pcap_id")
        return account

    def _collection(self, found: Sequence[Any], **more: Any) -> Response:
        variant = self._edge.variant
        if variant.extra_fields and not more:
            count = len(found)
            more["result_info"] = {"page": 1, "per_page": 50, "count": count, "total_count": count}
        result = None if not found and variant.empty_list == "null" else found
        return JSONResponse(wrapped(result, **more))


class _Control:
    """The control path: faults, log, state."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def faults(self, request: Request) -> Response:
        faults = self._edge.faults
        if request.method == "DELETE":
            faults.clear()
        elif request.method == "POST":
            try:
                fault = Fault.model_validate_json(await request.body())
            except ValidationError as error:
                return JSONResponse({"error": str(error)}, status_code=400)
            faults.add(fault)
            self._edge.log.write("fault", **fault.model_dump(exclude_none=True))
        return JSONResponse(faults.state())

    async def log(self, request: Request) -> Response:
        since = request.query_params.get("since", "0")
        event = request.query_params.get("event", "")
        return JSONResponse(self._edge.log.events(event, since=int(since) if since.isdigit() else 0))

    async def end_attacks(self, _: Request) -> Response:
        end = self._edge.end_attacks()
        return JSONResponse({"end": rfc3339(end) if end else None})

    async def truth(self, request: Request) -> Response:
        traffic, given = self._edge.traffic, request.query_params
        if not isinstance(traffic, CountedTraffic):
            return JSONResponse({"error": "only spread or mitigated traffic is counted"}, status_code=400)
        by = [name for name in given.get("by", ",".join(USUAL)).split(",") if name]
        if unknown := set(by) - set(COLUMNS):
            return JSONResponse({"error": f"unknown columns: {', '.join(sorted(unknown))}"}, status_code=400)
        try:
            since, until = (nanoseconds(datetime.fromisoformat(given[name])) for name in ("since", "until"))
        except (KeyError, ValueError, InvalidRequest):
            return JSONResponse({"error": "since and until are times with a time zone"}, status_code=400)
        targets = frozenset(filter(None, given.get("target", "").split(",")))
        rows = await run_in_threadpool(tally, traffic, since, until, by=by, targets=targets)
        return JSONResponse({"rows": rows})

    async def state(self, _: Request) -> Response:
        return JSONResponse(self._edge.state())


def _exchange(request: Request) -> Exchange:
    exchange: Exchange = request.scope["state"]["exchange"]
    return exchange


def _id(request: Request, name: str) -> str:
    value: str = request.path_params[name]
    if not _ID.fullmatch(value):
        raise no_route(request.url.path, status=400)
    return value


def _number(request: Request, name: str, usual: int) -> int:
    value = request.query_params.get(name, "")
    return max(1, int(value)) if value.isascii() and value.isdigit() else usual


def _body(request: Request) -> Any:
    try:
        return _exchange(request).parsed()
    except (ValueError, RecursionError):
        raise Refused(400, (Problem(6007, "Malformed JSON in request body"),)) from None


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    if "exchange" in request.scope.get("state", {}):
        _exchange(request).reason = str(error)
    return JSONResponse(failure(error.problems), status_code=error.status, headers=error.headers)


def _allowed(request: Request) -> list[str]:
    """The methods of the path; Starlette alone names only those of the path's first route."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    found = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted(
        {method for route in found if route.path == found[0].path for method in route.methods or ()}
    )


async def _lost(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:  # noqa: PLR2004 - method not allowed
        problem = Problem(7001, f"Method {request.method} not available for that URI.")
        refused = Refused(405, (problem,), {"Allow": ", ".join(_allowed(request))})
    else:
        refused = no_route(request.url.path, status=404)
    return await _refused(request, refused)
