"""The one error tree. Nothing from a library below leaves edgecap outside it.

::

    EdgecapError                      exit
    ├── InvalidRequest                   2   a field is wrong, found before anything was sent
    ├── ConfigError                      3   a setting is missing or wrong
    ├── ApiError                             Cloudflare's API
    │   ├── BadCredentials               4   the token or key is not accepted
    │   ├── NoPermission                 4   accepted, but not allowed to do this
    │   ├── RequestRefused               5   the API says that the request is wrong
    │   ├── RateLimited                  6   too many requests; says when again
    │   ├── Busy                         6   a full capture is pending or running
    │   ├── UnknownToApi                13   no such capture, bucket or account
    │   ├── ServerFailure                7   5xx
    │   ├── NetworkFailure               7   no answer, or none that arrived whole
    │   └── UnexpectedAnswer             7   an answer that the API never promised
    ├── StoreError                           a bucket or folder
    │   ├── StoreMissing                 8   the bucket or folder does not exist
    │   ├── StoreDenied                  8   credentials or permissions of the store
    │   ├── StoreUnreachable             8   no answer from the store
    │   ├── StoreUnwritable              9   read-only, or no right to write
    │   ├── StoreFull                    9   no space left
    │   ├── ObjectMissing               13   no object under this key
    │   ├── ObjectExists                 8   create-only, and it is there already
    │   ├── ObjectChanged                8   it was replaced while being read
    │   └── Damaged                     10   bytes differ from what the store or manifest promised
    ├── BucketNotValidated               8   Cloudflare has not accepted the bucket's ownership
    ├── CaptureFailed                   11   accepted, but ended without packets
    ├── DeadlinePassed                  12   not final, or not delivered, in time
    ├── WindowTooOld                    14   the packets asked for are older than the API keeps
    ├── OutcomeUnknown                  18   whether Cloudflare accepted the request cannot be told
    ├── TooLate                         17   a full capture's time has passed, and late ones are not wanted
    ├── NotStopped                      19   a full capture was to be stopped, and may go on at Cloudflare
    ├── EntryMissing                    13   no such entry in the archive
    ├── SetupError                      15   a program of the local setup did not start
    └── AlertNotUnderstood              16   an alert's body is not what its source sends
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar


class EdgecapError(Exception):
    """Something that edgecap can explain in one line.

    Args:
        what: what happened, in the words of the field, without secrets.
        where: the file, field, URL or capture that it happened to.
        hint: what a person can do next.

    Attributes:
        permanent: waiting does not help, as far as can be told: a person has to act.
    """

    exit_code: ClassVar[int] = 1
    permanent: bool = False

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """One line: what, (where), what to do."""
        line = self.what
        if self.where and self.where not in self.what:
            line += f" ({self.where})"
        if self.hint:
            line += f"; {self.hint}"
        return " ".join(line.split())


class InvalidRequest(EdgecapError):
    """A field of a request is wrong; nothing was sent. `field` names it as the API does."""

    exit_code = 2

    def __init__(self, what: str, *, field: str = "", where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where or field, hint=hint)
        self.field = field


class ConfigError(EdgecapError):
    """A setting is missing or wrong."""

    exit_code = 3


class ApiError(EdgecapError):
    """Cloudflare's API did not do what was asked.

    Args:
        what: what happened.
        where: method and path of the call.
        hint: what a person can do next.
        status: the HTTP status, or None if there was no answer.
        codes: the `code` of each error in the answer's envelope.
        retry_at: the earliest time at which trying again makes sense (aware, UTC), if the answer said so.
        sent: True if the request may have reached the server, so that it may have taken effect.
        field: the request's field that the API complained about, if it named one.
    """

    exit_code = 7

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        hint: str = "",
        status: int | None = None,
        codes: tuple[int, ...] = (),
        retry_at: datetime | None = None,
        sent: bool = True,
        field: str = "",
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status
        self.codes = codes
        self.retry_at = retry_at
        self.sent = sent
        self.field = field


class BadCredentials(ApiError):
    """The token, or e-mail and key, are not accepted."""

    exit_code = 4


class NoPermission(ApiError):
    """The credentials are good, but not for this account or operation."""

    exit_code = 4


class RequestRefused(ApiError):
    """The API says that the request is wrong; `field` names the field if the answer did."""

    exit_code = 5


class RateLimited(ApiError):
    """Too many requests: the general limit, or the one-a-minute limit of simple captures."""

    exit_code = 6


class Busy(ApiError):
    """A full capture is pending or running already; people's own count."""

    exit_code = 6


class UnknownToApi(ApiError):
    """The API knows no such capture, bucket or account."""

    exit_code = 13


class ServerFailure(ApiError):
    """The API answered 5xx."""


class NetworkFailure(ApiError):
    """There was no answer, or it did not arrive whole. `sent` says if the request may have taken effect."""


class UnexpectedAnswer(ApiError):
    """The API answered something that it never promised: not JSON, no envelope, no result."""


class StoreError(EdgecapError):
    """A bucket or folder did not do what was asked."""

    exit_code = 8


class StoreMissing(StoreError):
    """The bucket or folder does not exist."""


class StoreDenied(StoreError):
    """The store refused the credentials, or they do not allow this."""


class StoreUnreachable(StoreError):
    """The store did not answer."""


class StoreUnwritable(StoreError):
    """The store is read-only, or its permissions forbid writing."""

    exit_code = 9


class StoreFull(StoreError):
    """There is no space left, or the quota is reached."""

    exit_code = 9


class ObjectMissing(StoreError):
    """There is no object under this key."""

    exit_code = 13


class ObjectExists(StoreError):
    """Puts are create-only, and this key is taken."""


class ObjectChanged(StoreError):
    """The object was replaced while it was being read."""


class Damaged(StoreError):
    """The bytes differ from the checksum or size that the store or the manifest states."""

    exit_code = 10


class BucketNotValidated(EdgecapError):
    """Cloudflare has not (yet) accepted the proof that the bucket is ours."""

    exit_code = 8


class CaptureFailed(EdgecapError):
    """The capture was accepted and ended as `failed`; `capture_id` names it."""

    exit_code = 11

    def __init__(self, what: str, *, capture_id: str = "", where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where or (f"capture {capture_id}" if capture_id else ""), hint=hint)
        self.capture_id = capture_id


class DeadlinePassed(EdgecapError):
    """Something that should have ended by now has not."""

    exit_code = 12


class WindowTooOld(EdgecapError):
    """The window asked for is older than the API can look back (24 hours)."""

    exit_code = 14


class OutcomeUnknown(EdgecapError):
    """Whether Cloudflare accepted an intent's request cannot be told, so it is not posted again.

    `candidates` are ids of captures that may be its own.
    """

    exit_code = 18

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", candidates: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.candidates = candidates


class TooLate(EdgecapError):
    """A full capture should have started long ago, and its deployment says to skip it then."""

    exit_code = 17


class NotStopped(EdgecapError):
    """A full capture was to be stopped, and Cloudflare did not do it, or could not be asked."""

    exit_code = 19


class EntryMissing(EdgecapError):
    """The archive has no such entry."""

    exit_code = 13


class SetupError(EdgecapError):
    """A program that edgecap runs on this machine did not start or ended early."""

    exit_code = 15


class AlertNotUnderstood(EdgecapError):
    """The body of an alert is not JSON, or not what its source sends; `where` names the source."""

    exit_code = 16
