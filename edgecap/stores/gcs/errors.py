"""Translate errors of Google's libraries into edgecap's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage import exceptions as storage
from requests.exceptions import JSONDecodeError, RequestException, SSLError
from urllib3.exceptions import HTTPError

from edgecap.errors import (
    Damaged,
    ObjectChanged,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnreachable,
    StoreUnwritable,
)
from edgecap.stores.causes import looks_like_page, proxy_or_certificate, root_cause, sentence

_KEYS = "set GOOGLE_APPLICATION_CREDENTIALS, or credentials_file of this place"
_LATER = "try again later"
_PAGE = "check endpoint_url, and whether this network wants a sign-in first"
_REACH = "check the network and endpoint_url, then try again"

_STATUSES: dict[int, tuple[type[StoreError], str, str]] = {
    HTTPStatus.UNAUTHORIZED: (StoreDenied, "the credentials are not accepted", _KEYS),
    HTTPStatus.FORBIDDEN: (StoreDenied, "the credentials do not allow this", "grant the role, or use others"),
    HTTPStatus.NOT_FOUND: (ObjectMissing, "there is no such object", ""),
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: (
        StoreUnreachable,
        "a proxy wants a user and password",
        "set them in HTTP_PROXY",
    ),
    HTTPStatus.PRECONDITION_FAILED: (ObjectChanged, "the object was replaced", "read it again"),
    HTTPStatus.REQUEST_TIMEOUT: (StoreUnreachable, "the store is slow", _LATER),
    HTTPStatus.TOO_MANY_REQUESTS: (StoreUnreachable, "too many requests to the store", _LATER),
    HTTPStatus.INSUFFICIENT_STORAGE: (StoreFull, "no space is left", "free some space"),
}
# These have many causes, so the provider's message is added.
_TELLING = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.INSUFFICIENT_STORAGE)
# Errors without an HTTP status; the first match applies.
_FAMILIES: tuple[tuple[Any, type[StoreError], str, str], ...] = (
    (storage.DataCorruption, Damaged, "the bytes were corrupted in transit", "try again"),
    (auth.TransportError, StoreUnreachable, "Google's sign-in does not answer", _REACH),
    (auth.GoogleAuthError, StoreDenied, "no usable credentials", _KEYS),
    (SSLError, StoreUnreachable, "the store's certificate is not trusted", "check endpoint_url"),
    (
        (RequestException, HTTPError, api.RetryError, OSError),
        StoreUnreachable,
        "the store does not answer",
        _REACH,
    ),
)
RAISED = (
    api.GoogleAPIError,
    auth.GoogleAuthError,
    storage.InvalidResponse,
    storage.DataCorruption,
    RequestException,
    HTTPError,
    ValueError,
)


def explain(error: Exception, where: str) -> StoreError:
    """The StoreError for an error of Google's library.

    Args:
        error: the library's error.
        where: the bucket or object, as a URI without secrets.
    """
    if found := proxy_or_certificate(error, where):
        return found
    text = root_cause(error)
    if wrong := _wrong(error):
        return StoreUnreachable(f"the answer is not Google's: {wrong}", where=where, hint=_PAGE)
    if isinstance(error, auth.GoogleAuthError) and error.retryable:
        return StoreUnreachable(f"the credentials cannot be fetched: {text}", where=where, hint=_LATER)
    for family, kind, what, hint in _FAMILIES:
        if isinstance(error, family):
            return kind(f"{what}: {text}", where=where, hint=hint)
    if status := status_of(error):
        return _refused(status, text, _said(error), where)
    return StoreError(f"the store cannot be used: {text}", where=where, hint="check the URI and endpoint_url")


def status_of(error: BaseException | None) -> int:
    """The HTTP status of an error; 0 if there was no answer."""
    response = getattr(error, "response", None)
    code = getattr(error, "code", None) or getattr(response, "status_code", None)
    return int(code) if isinstance(code, int) else 0


def reason_of(error: BaseException | None) -> str:
    """Google's own message, to append to ours: the missing right, the unpaid bill; or empty."""
    said = _said(error)
    return f": {said}" if said and status_of(error) in _TELLING else ""


def _refused(status: int, text: str, said: str, where: str) -> StoreError:
    if status in _STATUSES:
        kind, what, hint = _STATUSES[status]
        reason = f": {said}" if said and status in _TELLING else ""
        found = kind(what + reason, where=where, hint=hint)
        found.permanent = status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        return found
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return StoreUnreachable(f"the store cannot answer now: {text}", where=where, hint=_LATER)
    return StoreError(
        f"the store refuses the request: {said or text}",
        where=where,
        hint=f"look up GCS's HTTP status {status}",
    )


def _wrong(error: Exception) -> str:
    """Why an answer comes from a portal or a proxy, not from Google; empty if it looks like Google's."""
    status = status_of(error)
    if isinstance(error, JSONDecodeError):
        return "it is not JSON"
    if isinstance(error, storage.InvalidResponse) and 0 < status < HTTPStatus.MULTIPLE_CHOICES:
        return "fields of an upload's answer are missing"
    passing = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
    if not passing and looks_like_page(_body(error)):
        return f"it is a web page (HTTP {status})"
    # A load balancer without a backend answers so. Google does too, but only to a download: there
    # `GcsStore.open` finds out what is missing.
    if status == HTTPStatus.NOT_FOUND and not _is_error(_body(error)):
        return "it is an HTTP 404 without an error of Google's"
    return ""


def _said(error: BaseException | None) -> str:
    """The message in an answer: from its JSON, or, for a download, its text."""
    body = _body(error)
    try:
        return sentence(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "" if body.lstrip().startswith((b"<", b"{", b"[")) else sentence(body.decode(errors="replace"))


def _is_error(body: bytes) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and "error" in answer


def _body(error: BaseException | None) -> bytes:
    content = getattr(getattr(error, "response", None), "content", b"")
    return content if isinstance(content, bytes) else b""


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Translate the libraries' errors in this block."""
    try:
        yield
    except RAISED as error:
        raise explain(error, where) from error


@contextmanager
def writing(where: str) -> Iterator[None]:
    """As `explained`, but a missing right is reported as a missing right to write."""
    try:
        with explained(where):
            yield
    except StoreDenied as error:
        if status_of(error.__cause__) == HTTPStatus.FORBIDDEN:
            raise StoreUnwritable(
                f"the credentials have no right to write here{reason_of(error.__cause__)}",
                where=where,
                hint="grant the role, or use others",
            ) from error.__cause__
        raise
