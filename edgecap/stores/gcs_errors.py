"""What Google's libraries raise, in edgecap's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage import exceptions as storage
from requests.exceptions import RequestException, SSLError
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
from edgecap.stores.causes import root_cause

_KEYS = "set GOOGLE_APPLICATION_CREDENTIALS, or credentials_file of this place"
_LATER = "try again later"
_REACH = "check the network and endpoint_url, then try again"

_STATUSES: dict[int, tuple[type[StoreError], str, str]] = {
    HTTPStatus.UNAUTHORIZED: (StoreDenied, "the credentials are not accepted", _KEYS),
    HTTPStatus.FORBIDDEN: (StoreDenied, "the credentials do not allow this", "grant the role, or use others"),
    HTTPStatus.NOT_FOUND: (ObjectMissing, "there is no such object", ""),
    HTTPStatus.PRECONDITION_FAILED: (ObjectChanged, "the object was replaced", "read it anew"),
    HTTPStatus.REQUEST_TIMEOUT: (StoreUnreachable, "the store is slow", _LATER),
    HTTPStatus.TOO_MANY_REQUESTS: (StoreUnreachable, "the store is asked too often", _LATER),
    HTTPStatus.INSUFFICIENT_STORAGE: (StoreFull, "no space is left", "free some space"),
}
# What comes without a status, the first that fits.
_FAMILIES: tuple[tuple[Any, type[StoreError], str, str], ...] = (
    (storage.DataCorruption, Damaged, "the bytes were changed on the way", "try again"),
    (auth.TransportError, StoreUnreachable, "Google's sign-in does not answer", _REACH),
    (auth.GoogleAuthError, StoreDenied, "no credentials can be used", _KEYS),
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
    """The error of the tree that says what Google's library meant.

    Args:
        error: what it raised.
        where: the bucket or object, as a URI without secrets.
    """
    text = root_cause(error)
    for family, kind, what, todo in _FAMILIES:
        if isinstance(error, family):
            return kind(f"{what}: {text}", where=where, todo=todo)
    if status := status_of(error):
        return refused(status, text, where)
    return StoreError(
        f"the store cannot be used so: {text}", where=where, todo="check the URI and endpoint_url"
    )


def status_of(error: Exception | None) -> int:
    """The HTTP status that an error stands for; 0 if there was no answer."""
    response = getattr(error, "response", None)
    code = getattr(error, "code", None) or getattr(response, "status_code", None)
    return int(code) if isinstance(code, int) else 0


def refused(status: int, text: str, where: str) -> StoreError:
    """The error that an HTTP status stands for."""
    if status in _STATUSES:
        kind, what, todo = _STATUSES[status]
        return kind(what, where=where, todo=todo)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return StoreUnreachable(f"the store is in trouble: {text}", where=where, todo=_LATER)
    return StoreError(f"the store refuses: {text}", where=where, todo=f"look up GCS's HTTP status {status}")


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Raise the libraries' errors of the block as errors of the tree."""
    try:
        yield
    except RAISED as error:
        raise explain(error, where) from error


@contextmanager
def writing(where: str) -> Iterator[None]:
    """As `explained`; a missing right is one to write."""
    try:
        with explained(where):
            yield
    except StoreDenied as error:
        if (
            status_of(error.__cause__ if isinstance(error.__cause__, Exception) else None)
            == HTTPStatus.FORBIDDEN
        ):
            raise StoreUnwritable(
                "the credentials have no right to write here",
                where=where,
                todo="grant the role, or use others",
            ) from error.__cause__
        raise
