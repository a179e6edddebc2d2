"""An async client for all nine operations of the PCAPs API.

Calls that change nothing are retried after temporary errors. Calls that change something are sent once: the
API has no idempotency key, and only the caller can find out what took effect.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from edgecap import __version__
from edgecap.cloudflare.access import api_address, auth_headers, secret_text
from edgecap.cloudflare.answers import Call, described, error_of, items_of, one_of, result_of, unexpected
from edgecap.cloudflare.download import Download, elsewhere, is_same_host
from edgecap.cloudflare.envelope import read_envelope
from edgecap.cloudflare.headers import RateLimit, rate_limit, server_date
from edgecap.cloudflare.models import PAGE, Capture, Listing, Ownership
from edgecap.cloudflare.network import HTTPX_ERRORS, network_failure
from edgecap.cloudflare.retry import Backoff, Random, retried
from edgecap.errors import ConfigError, InvalidRequest, RequestRefused, UnexpectedAnswer, UnknownToApi
from edgecap.network.over_httpx import AsyncNetwork
from edgecap.redact import HIDDEN, redact
from edgecap.settings import Account

__all__ = ["Client", "Download", "Listing"]

_T = TypeVar("_T")
_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
REDIRECTS_MOST = 5  # per download
PAGES_MOST = 20  # of the list: a thousand captures
_SHORTEST_SECRET = 8  # real ones have 37 or more; masking a short word would garble messages


def _utc_now() -> datetime:
    return datetime.now(UTC)


# A second download must come from the API, not from a proxy's cache.
_DOWNLOAD = {"Accept": "*/*", "Accept-Encoding": "identity", "Cache-Control": "no-cache"}


class Client:
    """The PCAPs API of one account; an async context manager, for one event loop.

    Every method raises only InvalidRequest (an invalid id; nothing was sent) and subclasses of
    `edgecap.errors.ApiError`, whose `retry_at` is on the server's clock, like `server_now`.

    Args:
        account: the account and its credentials: a token, else e-mail and key.
        transport: replaces the network.
        timeout: seconds to wait for a connection, for the next bytes, or to send bytes.
        attempts: maximum attempts of a GET. POST, PUT and DELETE are sent once.
        sleep: waits, in seconds.
        rng: source of the jitter.
        clock: this machine's clock, aware, UTC.

    Raises:
        ConfigError: the account's id, address or credentials are invalid.
    """

    def __init__(
        self,
        account: Account,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: float = 30.0,
        attempts: int = 4,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        rng: Random = random,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        if not _ID.fullmatch(account.account_id):
            raise ConfigError(
                f"{account.account_id!r} is not an account id",
                where="account_id",
                hint="set CLOUDFLARE_ACCOUNT_ID to the 32 hexadecimal digits that the dashboard shows",
            )
        credentials = auth_headers(account)
        base = api_address(account.base_url)
        self._account_id = account.account_id
        self._auth = "token" if "Authorization" in credentials else "key"
        secrets = map(secret_text, (account.api_token, account.api_key))
        self._secrets = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        self._server = base.netloc.decode("ascii")
        self._backoff = Backoff(attempts)
        self._sleep, self._rng, self._clock = sleep, rng, clock
        self._clock_offset = timedelta()
        self._rate_limit: RateLimit | None = None
        self._requests = 0
        carrier = transport or AsyncNetwork()
        # Follows redirects to other hosts; it has no credentials that it could send there.
        self._stranger = httpx.AsyncClient(
            headers={"User-Agent": f"edgecap/{__version__}"}, transport=carrier, timeout=timeout
        )
        self._http = httpx.AsyncClient(
            base_url=base.join(f"{base.path.rstrip('/')}/accounts/{self._account_id}"),
            headers={
                **credentials,
                "Accept": "application/json",
                "User-Agent": f"edgecap/{__version__}",
            },
            transport=carrier,
            timeout=timeout,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()
        await self._stranger.aclose()

    def __repr__(self) -> str:
        """Such as `<Client 023e… at api.cloudflare.com [token, open, 3 requests, clock -0.4 s]>`."""
        limit = f", {self._rate_limit}" if self._rate_limit else ""
        return (
            f"<Client {self._account_id[:4]}… at {self._server} "
            f"[{self._auth}, {'closed' if self._http.is_closed else 'open'}, {self._requests} requests, "
            f"clock {self._clock_offset.total_seconds():+.1f} s{limit}]>"
        )

    def server_now(self) -> datetime:
        """The server's time by the `Date` of its last answer, aware, UTC; ours before the first answer.

        `Date` has whole seconds, so this may lag by a second and the network delay. It never runs ahead.
        """
        return self._clock() + self._clock_offset

    @property
    def rate_limit(self) -> RateLimit | None:
        """The general rate limit, from the last answer that stated it."""
        return self._rate_limit

    async def list_captures(self) -> Listing:
        """The up to 50 latest captures of the account, including those of other users."""
        call = self._call("GET", "/pcaps")
        return await self._list(call, {})

    async def list_back_to(self, listing: Listing, moment: datetime) -> Listing:
        """`listing` with further pages, until it reaches back to `moment` or there are no more.

        It is undocumented whether the API has pages. If it ignores the parameter, it returns the same
        captures again; if it refuses it, there are none.
        """
        found = {capture.id: capture for capture in listing.captures}
        total = listing.total
        for page in range(2, PAGES_MOST + 1):
            joined = Listing(list(found.values()), listing.server_time, total)
            if joined.reaches_back_to(moment):
                return joined
            try:
                further = await self._list(self._call("GET", "/pcaps"), {"page": page, "per_page": PAGE})
            except (RequestRefused, UnknownToApi, UnexpectedAnswer):
                return joined
            news = [capture for capture in further.captures if capture.id not in found]
            found |= {capture.id: capture for capture in news}
            total = max(filter(None, (total, further.total)), default=None)
            if not news:
                return joined
        return Listing(list(found.values()), listing.server_time, total)

    async def create_capture(self, body: dict[str, Any]) -> Capture:
        """Request a capture, once; `body` comes from `edgecap.captures.body.request_body`.

        Raises:
            Busy: a full capture is pending or running.
            RateLimited: the last simple capture was too recent, or the general limit is reached.
            NetworkFailure: with `sent`, the capture may have been accepted.
            UnexpectedAnswer: apparently accepted, but without an id.
        """
        call = self._call("POST", "/pcaps", capture_type=str(body.get("type", "")))
        response = await self._send(call, body)
        capture = one_of(Capture, call, response.status_code, self._result(call, response))
        if not _ID.fullmatch(capture.id):
            raise unexpected(call, response.status_code, "the answer to a new capture has no id")
        return capture

    async def get_capture(self, capture_id: str) -> Capture:
        """The capture's current state."""
        call = self._call("GET", f"/pcaps/{_checked(capture_id, 'pcap_id')}")
        response = await self._try_again(lambda: self._send(call))
        capture = one_of(Capture, call, response.status_code, self._result(call, response))
        return capture if capture.id else Capture.model_validate({**capture.raw, "id": capture_id})

    @asynccontextmanager
    async def download(self, capture_id: str) -> AsyncIterator[Download]:
        """Stream the packets of a finished simple capture.

        Opening it is retried like any GET; once bytes flow, a broken connection raises NetworkFailure.
        """
        call = self._call("GET", f"/pcaps/{_checked(capture_id, 'pcap_id')}/download")
        response = await self._try_again(lambda: self._open(call))
        try:
            yield Download(response, call)
        finally:
            with suppress(*HTTPX_ERRORS):
                await response.aclose()

    async def stop_capture(self, capture_id: str) -> None:
        """Request the end of a full capture; its status changes later."""
        await self._change("PUT", f"/pcaps/{_checked(capture_id, 'pcap_id')}/stop")

    async def list_ownerships(self) -> list[Ownership]:
        """The account's registered buckets for full captures."""
        call = self._call("GET", "/pcaps/ownership")
        response = await self._try_again(lambda: self._send(call))
        items = items_of(call, response.status_code, self._result(call, response))
        return [Ownership.model_validate(item) for item in items]

    async def create_ownership(self, destination_conf: str) -> Ownership:
        """Register a bucket; Cloudflare then writes a challenge file into it. An r2 URI includes its keys."""
        return await self._own("/pcaps/ownership", {"destination_conf": destination_conf})

    async def validate_ownership(self, destination_conf: str, challenge: str) -> Ownership:
        """Prove that the bucket is ours with the challenge file's content. An r2 URI has no keys here."""
        body = {"destination_conf": destination_conf, "ownership_challenge": challenge}
        return await self._own("/pcaps/ownership/validate", body)

    async def delete_ownership(self, ownership_id: str) -> None:
        """Unregister a bucket; nothing in the bucket changes."""
        await self._change("DELETE", f"/pcaps/ownership/{_checked(ownership_id, 'ownership_id')}")

    async def _list(self, call: Call, query: dict[str, int]) -> Listing:
        response = await self._try_again(lambda: self._send(call, query=query))
        items = items_of(call, response.status_code, self._result(call, response))
        captures = [Capture.model_validate(item) for item in items]
        envelope = read_envelope(response.content)
        total = envelope.total if envelope else None
        return Listing(captures, server_date(response.headers) or self.server_now(), total)

    async def _change(self, method: str, path: str) -> None:
        call = self._call(method, path)
        self._result(call, await self._send(call))

    async def _own(self, path: str, body: dict[str, Any]) -> Ownership:
        call = self._call("POST", path)
        response = await self._send(call, body)
        return one_of(Ownership, call, response.status_code, self._result(call, response))

    def _call(self, method: str, path: str, capture_type: str = "") -> Call:
        return Call(method, path, self._account_id, capture_type, self._hide)

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return redact(text)

    async def _try_again(self, operation: Callable[[], Awaitable[_T]]) -> _T:
        return await retried(
            operation, self._backoff, sleep=self._sleep, clock=self.server_now, rng=self._rng
        )

    async def _send(
        self, call: Call, body: dict[str, Any] | None = None, *, query: Mapping[str, int] | None = None
    ) -> httpx.Response:
        """Send the call once, read the whole answer, and require a successful status."""
        request = self._request(call, body, query=query)
        try:
            response = await self._http.send(request)
        except HTTPX_ERRORS as error:
            raise network_failure(error, call, str(request.url)) from error
        self._learn(response.headers)
        if not response.is_success:
            raise error_of(call, response.status_code, response.headers, response.content, self.server_now())
        return response

    async def _open(self, call: Call) -> httpx.Response:
        """Start a download; the body is not read yet. Redirects are followed, as in Cloudflare's SDK."""
        request = self._request(call, None, _DOWNLOAD)
        client = self._http
        try:
            for _ in range(REDIRECTS_MOST + 1):
                response = await client.send(request, stream=True)
                if client is self._http:  # another host's clock is not the API's
                    self._learn(response.headers)
                if not response.has_redirect_location:
                    break
                await response.aclose()
                target = elsewhere(response, call)
                if not is_same_host(target, self._http.base_url):
                    client = self._stranger
                request = client.build_request(
                    "GET", target, headers={"Accept": "*/*", "Accept-Encoding": "identity"}
                )
            else:
                raise unexpected(call, response.status_code, "a download was redirected too often")
            kind = response.headers.get("content-type", "").lower()
            if response.status_code == httpx.codes.OK and "json" not in kind and "html" not in kind:
                return response
            try:
                await response.aread()
            finally:
                await response.aclose()
        except HTTPX_ERRORS as error:
            raise network_failure(error, call, str(request.url)) from error
        if not response.is_success:
            raise error_of(call, response.status_code, response.headers, response.content, self.server_now())
        self._result(call, response)
        body = described(response.headers, response.content)
        raise unexpected(call, response.status_code, f"a download was answered with {body}, not with packets")

    def _request(
        self,
        call: Call,
        body: dict[str, Any] | None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, int] | None = None,
    ) -> httpx.Request:
        self._requests += 1
        try:
            return self._http.build_request(
                call.method, call.path, json=body, headers=headers, params=query or None
            )
        except (TypeError, ValueError) as error:
            raise InvalidRequest(
                f"the request cannot be encoded as JSON: {self._hide(str(error))}", where=str(call)
            ) from None

    def _learn(self, headers: Mapping[str, str]) -> None:
        date = server_date(headers)
        if date is not None:
            self._clock_offset = date - self._clock()
        self._rate_limit = rate_limit(headers) or self._rate_limit

    def _result(self, call: Call, response: httpx.Response) -> Any:
        return result_of(call, response.status_code, response.headers, response.content, self.server_now())


def _checked(some_id: str, field: str) -> str:
    if not _ID.fullmatch(some_id):
        raise InvalidRequest(
            f"{redact(some_id)[:80]!r} is not a valid id", field=field, hint="give 32 hexadecimal digits"
        )
    return some_id
