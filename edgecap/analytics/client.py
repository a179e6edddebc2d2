"""A small client for Cloudflare's GraphQL Analytics API. It asks once, within a deadline, and never retries.

What is documented: `POST /graphql` answers with `data` and `errors`, of which either may be null, mostly with
HTTP 200; a user may ask 300 queries in 5 minutes
(https://developers.cloudflare.com/analytics/graphql-api/errors/ and .../limits/).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from edgecap import __version__
from edgecap.analytics.nodes import Names
from edgecap.cloudflare.access import api_address, auth_headers, secret_text
from edgecap.cloudflare.headers import server_date
from edgecap.cloudflare.network import HTTPX_ERRORS
from edgecap.errors import AnalyticsRefused, AnalyticsUnavailable
from edgecap.network.errors import diagnose
from edgecap.network.over_httpx import AsyncNetwork
from edgecap.redact import HIDDEN, redact
from edgecap.settings import Account

PERMISSION = "Account Analytics: Read"
QUERIES_MOST, QUERIES_WITHIN = 300, 300.0  # in so many seconds, of a user
LONGEST = 32_000_000  # bytes of an answer: ten thousand rows have a few millions
_SHOWN = 200  # characters of a message
_SHORTEST_SECRET = 8
_REFUSED = (401, 403)
_LIMITED = 429
_NOT_ALLOWED = re.compile(
    r"not authori[sz]ed|unauthori[sz]ed|authentication|permission|does not have access", re.IGNORECASE
)
_LIMIT = re.compile(
    r"budget|rate.?limit|too many (queries|requests|nodes)|excessive resources", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the GraphQL API.

    Attributes:
        data: `data`, as received; None if the answer has none.
        errors: the messages beside it, without secrets. What they are about is missing from `data`.
    """

    data: dict[str, Any] | None
    errors: tuple[str, ...] = ()

    def rows(self, node: str) -> list[dict[str, Any]] | None:
        """The rows of a node, or of its alias, of the account that was asked for; None if it is missing."""
        viewer = (self.data or {}).get("viewer")
        accounts = viewer.get("accounts") if isinstance(viewer, dict) else None
        first = accounts[0] if isinstance(accounts, list) and accounts else None
        rows = first.get(node) if isinstance(first, dict) else None
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None


class Analytics:
    """The GraphQL Analytics API of one account; an async context manager, for one event loop.

    Args:
        account: the account. Its `analytics.token` signs in; without one, its own credentials do.
        transport: replaces the network.
        monotonic: seconds that never jump.

    Attributes:
        names: of the schema's dimensions, as far as answers have told.
        server_date: the server's time of its last answer, aware, UTC; None if that did not say it.

    Raises:
        ConfigError: the address or the credentials are invalid.
    """

    def __init__(
        self,
        account: Account,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        token = account.analytics.token
        signs_in = account.model_copy(update={"api_token": token}) if secret_text(token) else account
        secrets = map(secret_text, (signs_in.api_token, signs_in.api_key))
        self._secrets = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        self.account_tag = account.account_id
        self.names = Names()
        self._monotonic = monotonic
        self._asked: deque[float] = deque()
        self.server_date: datetime | None = None
        base = api_address(account.base_url)
        self._url = base.join(f"{base.path.rstrip('/')}/graphql")
        self._http = httpx.AsyncClient(
            headers={
                **auth_headers(signs_in),
                "Accept": "application/json",
                "User-Agent": f"edgecap/{__version__}",
            },
            transport=transport or AsyncNetwork(),
            timeout=None,  # noqa: S113 - each query has a deadline for all of it
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def __repr__(self) -> str:
        """Such as `<Analytics 023e… at api.cloudflare.com [open, 3 queries]>`."""
        state = "closed" if self._http.is_closed else "open"
        return (
            f"<Analytics {self.account_tag[:4]}… at {self._url.netloc.decode('ascii')} "
            f"[{state}, {len(self._asked)} queries]>"
        )

    async def query(self, text: str, variables: Mapping[str, Any] | None = None, *, within: float) -> Answer:
        """Ask once.

        Args:
            text: the query.
            variables: its variables.
            within: seconds for all of it, from the connection to the last byte.

        Returns:
            The answer. `data` beside `errors` is used; the caller says what is missing.

        Raises:
            AnalyticsUnavailable: no answer in time, half an answer, or a limit is reached.
            AnalyticsRefused: the credentials are not accepted, or not for this account's analytics.
        """
        self._count()
        body: dict[str, Any] = {"query": text}
        if variables:
            body["variables"] = dict(variables)
        try:
            async with asyncio.timeout(within):
                status, content = await self._send(body)
        except TimeoutError:
            raise self._unavailable(f"did not answer within {within:g} s") from None
        except HTTPX_ERRORS as error:
            raise self._broken(error) from error
        return self._read(status, content)

    def _count(self) -> None:
        now = self._monotonic()
        while self._asked and now - self._asked[0] >= QUERIES_WITHIN:
            self._asked.popleft()
        if len(self._asked) >= QUERIES_MOST:
            raise self._unavailable(f"allows {QUERIES_MOST} queries in 5 minutes, and they are used up")
        self._asked.append(now)

    async def _send(self, body: dict[str, Any]) -> tuple[int, bytes]:
        content = bytearray()
        async with self._http.stream("POST", self._url, json=body) as response:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > LONGEST:
                    raise self._unavailable(f"sent more than {LONGEST / 1e6:.0f} MB")
        self.server_date = server_date(response.headers)
        return response.status_code, bytes(content)

    def _read(self, status: int, content: bytes) -> Answer:
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        told = answer.get("errors") if isinstance(answer, dict) else None
        errors = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
        messages = tuple(dict.fromkeys(self._shown(each.get("message")) for each in errors))
        said = f": {messages[0]}" if messages else ""
        data = answer.get("data") if isinstance(answer, dict) else None
        refused = any(_is_refusal(each) for each in errors)
        if status in _REFUSED or (refused and not isinstance(data, dict)):
            raise self._refused(f"refuses the credentials (HTTP {status}{said})")
        if status == _LIMITED or (data is None and any(map(_LIMIT.search, messages))):
            raise self._unavailable(f"allows no more queries for now (HTTP {status}{said})")
        if not isinstance(answer, dict) or not answer.keys() & {"data", "errors"}:
            raise self._unavailable(f"answered with HTTP {status}, and not as a GraphQL API does")
        if isinstance(data, dict) and _lacks_account(data):
            raise self._refused(f"shows no account {self.account_tag[:8]}… to these credentials{said}")
        if not isinstance(data, dict) and not messages:
            raise self._unavailable(f"answered with HTTP {status} and neither data nor an error")
        return Answer(data if isinstance(data, dict) else None, messages)

    def _shown(self, message: object) -> str:
        text = str(message or "an error without a message")
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return " ".join(redact(text).split())[:_SHOWN]

    def _broken(self, error: Exception) -> AnalyticsUnavailable:
        if diagnosis := diagnose(error, str(self._url)):
            return AnalyticsUnavailable(
                self._shown(diagnosis.what), where="Network Analytics", hint=diagnosis.hint
            )
        where = urlsplit(str(self._url)).netloc
        return self._unavailable(
            f"cannot be asked at {where}: {self._shown(str(error) or type(error).__name__)}"
        )

    def _unavailable(self, what: str) -> AnalyticsUnavailable:
        return AnalyticsUnavailable(f"Network Analytics {what}")

    def _refused(self, what: str) -> AnalyticsRefused:
        return AnalyticsRefused(
            f"Network Analytics {what}",
            hint=f"add the permission {PERMISSION!r} to the API token, or set accounts.NAME.analytics.token",
        )


def _is_refusal(error: Mapping[str, Any]) -> bool:
    extensions = error.get("extensions")
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return code == "authz" or bool(_NOT_ALLOWED.search(str(error.get("message") or "")))


def _lacks_account(data: Mapping[str, Any]) -> bool:
    """Whether the answer is about no account at all: the filter matched none that may be seen."""
    viewer = data.get("viewer")
    return not isinstance(viewer, dict) or viewer.get("accounts") in (None, [])
