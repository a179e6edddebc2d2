"""Turn an answer of the API into its result, or into an error.

The status and code with which the API refuses a capture are not documented, so a refusal is classified by its
text. A caller that needs certainty also checks `GET /pcaps`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from edgecap.cloudflare.envelope import Envelope, read_envelope
from edgecap.cloudflare.headers import rate_limit, retry_delay
from edgecap.cloudflare.models import Answer
from edgecap.errors import (
    ApiError,
    BadCredentials,
    Busy,
    NetworkFailure,
    NoPermission,
    RateLimited,
    RequestRefused,
    ServerFailure,
    UnexpectedAnswer,
    UnknownToApi,
)

_A = TypeVar("_A", bound=Answer)
BAD_CREDENTIALS_CODES = frozenset({6003, 6102, 6103, 6111, 9106})  # with 400, some in 6003's error_chain
AUTHENTICATION_CODES = frozenset({9109, 10000})  # with 401 and 403
NO_ROUTE_CODES = frozenset({7000, 7003})  # with 400: the path does not exist
THROTTLE_CODES = frozenset({971, 10100, 10500})

_BUSY = re.compile(
    r"in[ -]progress|at a time|at the same time|concurrent|simultaneous"
    r"|already\b.{0,40}\b(?:running|pending|active|started|exists|ongoing|under way)"
    r"|\b(?:running|pending|active|ongoing|unfinished)\b.{0,20}\b(?:capture|pcap|request|job)s?\b.{0,20}\balready"
    r"|\b(?:capture|pcap|request|job)s? (?:is|are) (?:already |still |currently )*"
    r"(?:running|pending|active|ongoing)"
    r"|\banother\b.{0,30}\b(?:running|pending|active|ongoing)"
    r"|\bcurrently (?:running|pending|active)"
)
_RATE = re.compile(
    r"rate.?limit|too many|throttl|slow down|too (?:fast|often|frequent|soon)"
    r"|(?:per|a|an|one|each|every|last|within the) minute|(?:per|every|last|within) \d+ ?s(?:ec(?:ond)?s?)?\b"
)
_RIGHTS = re.compile(r"unauthori[sz]ed to|permission|not allowed|forbidden|entitle")
_AGAIN_IN = re.compile(r"(?:again|retry|wait)\b.{0,20}?\b(\d{1,5}) ?(s|sec|seconds?|m|min|minutes?)\b")
_NOT_THERE = re.compile(r"\bno such\b|\bnot found\b|\bdoes not exist\b")
_UNREADABLE = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})
_ANSWERED = frozenset({"GET", "POST"})  # these return a result; PUT and DELETE an empty 204
_NO_SUCH = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
READ, WRITE = ("Magic Firewall Packet Captures - " + kind + " PCAPs API" for kind in ("Read", "Write"))
# Every challenge page has this header (Cloudflare: "Detect a Challenge Page response"). A request passes only
# after its challenge is solved.
CHALLENGE = ("cf-mitigated", "challenge")


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the API, as its errors need to know it.

    Attributes:
        method: HTTP method.
        path: below the account, such as `/pcaps/<id>`.
        account_id: the account.
        capture_type: `simple` or `full` if the call requests a capture, else empty.
        hide: removes secrets from a text.
    """

    method: str
    path: str
    account_id: str
    capture_type: str
    hide: Callable[[str], str]

    @property
    def creates_capture(self) -> bool:
        """Whether it is `POST /pcaps`, the only call that can find the lane taken."""
        return self.method == "POST" and self.path == "/pcaps"

    @property
    def names_one(self) -> bool:
        """Whether it is about one capture or bucket by its id, without a body that could be wrong."""
        return self.method != "POST" and self.path not in ("/pcaps", "/pcaps/ownership")

    def __str__(self) -> str:
        """Method and path, for messages."""
        return f"{self.method} {self.path}"


def result_of(call: Call, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Any:
    """The `result` of an answer; None for a change that was answered without one.

    Args:
        call: the call.
        status: the HTTP status.
        headers: of the answer; names in lower case, or a case-insensitive mapping.
        body: the whole body.
        now: the server's time, aware; `retry_at` is relative to it.

    Raises:
        ApiError: the answer is not a success.
    """
    envelope = read_envelope(body)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        if not body.strip() and call.method not in _ANSWERED:
            return None
        # A missing `result` is not an empty list: the question was not answered.
        promised = call.method in _ANSWERED or envelope is None or envelope.success is None
        if envelope is None or (promised and envelope.success is not False and not envelope.has_result):
            raise unexpected(
                call, status, f"the answer is {described(headers, body)}, not the API's envelope"
            )
        if envelope.success is not False:
            return envelope.result
    raise error_of(call, status, headers, body, now)


def unexpected(call: Call, status: int | None, what: str) -> UnexpectedAnswer:
    """The error for an undocumented answer; `what` describes it."""
    return UnexpectedAnswer(
        call.hide(what),
        where=str(call),
        hint="check CLOUDFLARE_BASE_URL, and any proxy or firewall in between",
        status=status,
    )


def error_of(call: Call, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> ApiError:
    """The error for an answer other than a success. The arguments are those of `result_of`."""
    if found := _on_the_way(call, status, headers):
        return found
    envelope = read_envelope(body)
    said = envelope.text if envelope else _plain_text(headers, body)
    codes = frozenset(envelope.codes if envelope else ())
    kind = _kind(call, status, codes, said.lower(), envelope)
    field = envelope.field if envelope and kind is RequestRefused else ""
    if kind is UnexpectedAnswer:
        error: ApiError = unexpected(call, status, f"HTTP {status} with {described(headers, body)}")
    else:
        error = kind(
            call.hide(_what(kind, status, said)),
            where=str(call),
            hint=_may_mean(kind, call, api=envelope is not None)
            if status == HTTPStatus.FORBIDDEN
            else _todo(kind, call, field),
            status=status,
        )
    error.codes = envelope.codes if envelope else ()
    error.field = field
    if kind in (RateLimited, Busy, ServerFailure):
        error.retry_at = _retry_at(headers, said.lower(), status, now)
        if kind is RateLimited and error.retry_at is not None:
            error.hint = f"try again after {error.retry_at:%Y-%m-%d %H:%M:%S} UTC"
    return error


def _on_the_way(call: Call, status: int, headers: Mapping[str, str]) -> ApiError | None:
    """The error for an answer of a proxy or a challenge page; None if it shows no sign of that."""
    if str(headers.get(CHALLENGE[0], "")).strip().lower() == CHALLENGE[1]:
        found: ApiError = UnexpectedAnswer(
            f"Cloudflare answered with a challenge page, which only a browser can pass: HTTP {status}",
            where=str(call),
            hint="Cloudflare challenges requests from this network, or through its proxy: "
            "send them from another address",
            status=status,
            sent=False,
        )
    elif status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        found = NetworkFailure(
            f"a proxy wants a user and password: HTTP {status}",
            where=str(call),
            hint="put them into HTTP_PROXY, before the host: USER:PASSWORD@host:port",
            status=status,
            sent=False,
        )
    else:
        return None
    found.permanent = True
    return found


def _kind(  # noqa: PLR0911 - a decision list reads best as one
    call: Call, status: int, codes: frozenset[int], said: str, envelope: Envelope | None
) -> type[ApiError]:
    """Classify an answer, by the surest sign first."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _UNREADABLE:
        return ServerFailure
    if status == HTTPStatus.UNAUTHORIZED or codes & BAD_CREDENTIALS_CODES:
        return BadCredentials
    if status == HTTPStatus.FORBIDDEN:
        good = not codes & AUTHENTICATION_CODES or _RIGHTS.search(said)
        return NoPermission if good else BadCredentials
    if status in _NO_SUCH:
        return UnknownToApi
    limit = _limit(call, said)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return limit or RateLimited
    if codes & THROTTLE_CODES:
        return RateLimited
    named = bool(envelope and envelope.pointed_field)
    if limit and not (named and limit is RateLimited):
        return limit
    if not named and (codes & NO_ROUTE_CODES or (call.names_one and _NOT_THERE.search(said))):
        return UnknownToApi
    if envelope is None or (status < HTTPStatus.BAD_REQUEST and envelope.success is not False):
        return UnexpectedAnswer
    return RequestRefused


def _limit(call: Call, said: str) -> type[ApiError] | None:
    """The limit that a refusal mentions, if any."""
    rate = bool(_RATE.search(said))
    if call.creates_capture and _BUSY.search(said) and not (rate and call.capture_type == "simple"):
        return Busy
    return RateLimited if rate else None


def _retry_at(headers: Mapping[str, str], said: str, status: int, now: datetime) -> datetime | None:
    """When the answer suggests to retry: in a header, or in its text."""
    delay = retry_delay(headers, now=now)
    if delay is None and (match := _AGAIN_IN.search(said)):
        delay = timedelta(seconds=int(match[1]) * (60 if match[2].startswith("m") else 1))
    if delay is None and status == HTTPStatus.TOO_MANY_REQUESTS:
        limit = rate_limit(headers)
        if limit is not None and limit.remaining == 0 and limit.resets_in is not None:
            delay = timedelta(seconds=min(limit.resets_in, 86_400))
    return None if delay is None else now + delay


def _what(kind: type[ApiError], status: int, said: str) -> str:
    summary = {
        BadCredentials: "Cloudflare does not accept the credentials",
        NoPermission: "the credentials are not allowed to do this",
        RequestRefused: "Cloudflare refused the request",
        RateLimited: "Cloudflare limits the rate of requests",
        Busy: "a capture is already pending or running",
        UnknownToApi: "Cloudflare does not know it",
        ServerFailure: "Cloudflare's API failed",
    }[kind]
    return f"{summary}: HTTP {status}" + (f", {said!r}" if said else "")


def _todo(kind: type[ApiError], call: Call, field: str) -> str:
    if kind is UnknownToApi:
        return f"check the id, and that it belongs to account {call.account_id}"
    return {
        BadCredentials: "check CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY, "
        f"and that they are for account {call.account_id}",
        RequestRefused: f"correct {field or 'the request'}",
        RateLimited: "wait a minute and try again",
        Busy: "wait until it ends, or stop it",
        ServerFailure: "try again later; www.cloudflarestatus.com reports outages",
    }[kind]


def _may_mean(kind: type[ApiError], call: Call, *, api: bool) -> str:
    """The possible causes of a 403, and so what to check; `api` if the API itself answered."""
    reads = call.method == "GET"
    right = f'"{READ}" or "{WRITE}"' if reads else f'"{WRITE}"'
    meanings = [
        f"CLOUDFLARE_API_TOKEN is wrong, or not for account {call.account_id}",
        f'the token lacks the permission {right} (older pages say "Edit" for "Write")',
        "the account has no Enterprise plan with Advanced Network Firewall, which captures need",
    ]
    if kind is NoPermission:  # the token was accepted
        meanings = [*meanings[1:], meanings[0]]
    if not api:
        meanings.append("something other than the API answered, such as a proxy or a firewall in between")
    return f"it may mean one of these: {'; '.join(meanings)}"


def described(headers: Mapping[str, str], body: bytes) -> str:
    """Describe a body in a few words, without quoting it."""
    try:
        return f"JSON of another form ({type(json.loads(body)).__name__})"
    except (ValueError, RecursionError):
        kind = headers.get("content-type", "").split(";")[0].strip()[:60] or "no content type"
        return f"{len(body)} bytes of {kind}"


def _plain_text(headers: Mapping[str, str], body: bytes) -> str:
    """The text of an answer without an envelope; empty for a web page."""
    kind = headers.get("content-type", "").lower()
    if "html" in kind or body.lstrip()[:1] == b"<":
        return ""
    text = body[:400].decode("utf-8", "replace")
    return " ".join(text.split())[:300] if text.isprintable() or "text/plain" in kind else ""


def one_of(model: type[_A], call: Call, status: int, result: object) -> _A:
    """The result as a `model`. Raises UnexpectedAnswer if it is not an object."""
    if not isinstance(result, dict):
        raise unexpected(call, status, f"the answer's result is {_shape(result)}, not an object")
    return model.model_validate(result)


def items_of(call: Call, status: int, result: object) -> list[dict[str, Any]]:
    """A collection's items; `null` is an empty collection, as in the schema.

    Raises UnexpectedAnswer if it is not a list.
    """
    if result is None:
        return []
    if not isinstance(result, list):
        raise unexpected(call, status, f"the answer's result is {_shape(result)}, not a list")
    return [item for item in result if isinstance(item, dict)]


def _shape(result: object) -> str:
    return "missing or null" if result is None else f"a {type(result).__name__}"
