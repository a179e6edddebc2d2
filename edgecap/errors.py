"""The one error tree. An error of a library below is turned into one of these before it leaves edgecap.

::

    EdgecapError
    ├── InvalidRequest
    ├── ConfigError
    ├── ApiError
    │   ├── BadCredentials
    │   ├── NoPermission
    │   ├── RequestRefused
    │   ├── RateLimited
    │   ├── Busy
    │   ├── UnknownToApi
    │   ├── ServerFailure
    │   ├── NetworkFailure
    │   └── UnexpectedAnswer
    ├── StoreError
    │   ├── StoreMissing
    │   ├── StoreDenied
    │   ├── StoreUnreachable
    │   ├── StoreUnwritable
    │   ├── StoreFull
    │   ├── ObjectMissing
    │   ├── ObjectExists
    │   ├── ObjectChanged
    │   └── Damaged
    ├── BucketNotValidated
    ├── CaptureFailed
    ├── DeadlinePassed
    ├── WindowTooOld
    ├── OutcomeUnknown
    ├── TooLate
    ├── NotStopped
    ├── EntryMissing
    ├── SetupError
    ├── AlertNotUnderstood
    ├── AnalyticsUnavailable
    ├── AnalyticsRefused
    └── NoPlace
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
        exit_code: how a command ends that fails with it; a contract for scripts.
        meaning: the exit code in words, for docs/exit-codes.md; empty for a group of errors.
        permanent: waiting does not help, as far as can be told: a person has to act.
    """

    exit_code: ClassVar[int] = 1
    meaning: ClassVar[str] = ""
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
    meaning = "a field is wrong, found before anything was sent"

    def __init__(self, what: str, *, field: str = "", where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where or field, hint=hint)
        self.field = field


class ConfigError(EdgecapError):
    """A setting is missing or wrong."""

    exit_code = 3
    meaning = "a setting is missing or wrong"


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
    meaning = "the token or key is not accepted"


class NoPermission(ApiError):
    """The credentials are good, but not for this account or operation."""

    exit_code = 4
    meaning = "accepted, but not allowed to do this"


class RequestRefused(ApiError):
    """The API says that the request is wrong; `field` names the field if the answer did."""

    exit_code = 5
    meaning = "the API says that the request is wrong"


class RateLimited(ApiError):
    """Too many requests: the general limit, or the one-a-minute limit of simple captures."""

    exit_code = 6
    meaning = "too many requests; says when again"


class Busy(ApiError):
    """A full capture is pending or running already, whether edgecap or a person started it."""

    exit_code = 6
    meaning = "a full capture is pending or running"


class UnknownToApi(ApiError):
    """The API knows no such capture, bucket or account."""

    exit_code = 13
    meaning = "no such capture, bucket or account"


class ServerFailure(ApiError):
    """The API answered 5xx."""

    meaning = "5xx"


class NetworkFailure(ApiError):
    """There was no answer, or only part of one. `sent` says whether the request may have taken effect."""

    meaning = "no answer, or none that arrived whole"


class UnexpectedAnswer(ApiError):
    """The answer is not what the API documents: not JSON, no envelope, no result."""

    meaning = "an answer that the API never promised"


class StoreError(EdgecapError):
    """A bucket or folder did not do what was asked."""

    exit_code = 8


class StoreMissing(StoreError):
    """The bucket or folder does not exist."""

    meaning = "the bucket or folder does not exist"


class StoreDenied(StoreError):
    """The store refused the credentials, or they do not allow this."""

    meaning = "credentials or permissions of the store"


class StoreUnreachable(StoreError):
    """The store did not answer."""

    meaning = "no answer from the store"


class StoreUnwritable(StoreError):
    """The store is read-only, or its permissions forbid writing."""

    exit_code = 9
    meaning = "read-only, or no right to write"


class StoreFull(StoreError):
    """There is no space left, or the quota is reached."""

    exit_code = 9
    meaning = "no space left"


class ObjectMissing(StoreError):
    """There is no object under this key."""

    exit_code = 13
    meaning = "no object under this key"


class ObjectExists(StoreError):
    """Puts are create-only, and this key is taken."""

    meaning = "create-only, and it is there already"


class ObjectChanged(StoreError):
    """The object was replaced while it was being read."""

    meaning = "it was replaced while being read"


class Damaged(StoreError):
    """The bytes differ from the checksum or size that the store or the manifest states."""

    exit_code = 10
    meaning = "bytes differ from what the store or manifest promised"


class BucketNotValidated(EdgecapError):
    """Cloudflare has not accepted the proof that the bucket is ours, or not yet."""

    exit_code = 8
    meaning = "Cloudflare has not accepted the bucket's ownership"


class CaptureFailed(EdgecapError):
    """The capture was accepted and ended as `failed`; `capture_id` names it."""

    exit_code = 11
    meaning = "accepted, but ended without packets"

    def __init__(self, what: str, *, capture_id: str = "", where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where or (f"capture {capture_id}" if capture_id else ""), hint=hint)
        self.capture_id = capture_id


class DeadlinePassed(EdgecapError):
    """Something has not ended in time."""

    exit_code = 12
    meaning = "not final, or not delivered, in time"


class WindowTooOld(EdgecapError):
    """The requested window is older than the 24 hours that the API looks back."""

    exit_code = 14
    meaning = "the packets asked for are older than the API keeps"


class OutcomeUnknown(EdgecapError):
    """edgecap cannot tell whether Cloudflare accepted a request, so it does not post it again.

    `candidates` are ids of captures that may be its own.
    """

    exit_code = 18
    meaning = "whether Cloudflare accepted the request cannot be told"

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", candidates: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.candidates = candidates


class TooLate(EdgecapError):
    """A full capture is too late to start, and its deployment says to skip it then."""

    exit_code = 17
    meaning = "a full capture's time has passed, and late ones are not wanted"


class NotStopped(EdgecapError):
    """Cloudflare did not stop a full capture, or could not be asked to."""

    exit_code = 19
    meaning = "a full capture was to be stopped, and may go on at Cloudflare"


class EntryMissing(EdgecapError):
    """The archive has no such entry, or the entry has no packets."""

    exit_code = 13
    meaning = "no such entry in the archive, or it has no packets"


class SetupError(EdgecapError):
    """A program that edgecap runs on this machine did not start or ended early."""

    exit_code = 15
    meaning = "a program of the local setup did not start"


class AlertNotUnderstood(EdgecapError):
    """The body of an alert is not JSON, or not what its source sends; `where` names the source."""

    exit_code = 16
    meaning = "an alert's body is not what its source sends"


class AnalyticsUnavailable(EdgecapError):
    """Network Analytics does not answer, not in time, or not with what was asked. No capture stops for it."""

    exit_code = 7
    meaning = "Network Analytics does not answer, or its limit is reached"


class AnalyticsRefused(EdgecapError):
    """The credentials may not read this account's Network Analytics. No capture stops for it."""

    exit_code = 4
    meaning = "the credentials may not read Network Analytics"


class NoPlace(EdgecapError):
    """A full capture was to choose its data centre, and nothing says which."""

    exit_code = 20
    meaning = "no data centre was named, and none could be chosen"
