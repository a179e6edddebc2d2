"""Translate boto3's errors into edgecap's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from boto3.exceptions import Boto3Error
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from edgecap.errors import (
    Damaged,
    ObjectChanged,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreUnreachable,
)
from edgecap.redact import redact
from edgecap.stores.causes import proxy_or_certificate, root_cause, sentence


class NotRenewed(boto.CredentialRetrievalError):
    """Credentials could not be fetched or renewed, for a temporary reason."""

    fmt = "{error_msg}"


_KEYS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or access_key_id and secret_access_key of this place"
)
_JURISDICTION = "; for one in a jurisdiction, add &jurisdiction=eu, us or fedramp to its URI"
_PAGE = "check endpoint_url, and whether this network wants a sign-in first"
_RENEW = "try again later; if this persists, check the source of the credentials"
_REACH = "check the network and endpoint_url, then try again"

# Meaning of S3's error codes: the error to raise, what happened, the hint.
_CODES: dict[str, tuple[type[StoreError], str, str]] = {
    "NoSuchBucket": (StoreMissing, "the bucket does not exist", "create it, or correct the URI"),
    "NoSuchKey": (ObjectMissing, "there is no such object", ""),
    "NoSuchVersion": (ObjectMissing, "there is no such object", ""),
    "PreconditionFailed": (ObjectChanged, "the object was replaced", "read it again"),
    "InvalidAccessKeyId": (StoreDenied, "the access key is unknown", _KEYS),
    "SignatureDoesNotMatch": (StoreDenied, "the secret access key is wrong", _KEYS),
    "ExpiredToken": (StoreDenied, "the session token has expired", "sign in again"),
    "InvalidToken": (StoreDenied, "the session token is not accepted", "sign in again"),
    "RequestTimeTooSkewed": (StoreDenied, "this machine's clock is wrong", "set it, best by NTP"),
    "AccessDenied": (StoreDenied, "the key has no right to do this", "grant it, or use another key"),
    "AllAccessDisabled": (StoreDenied, "the bucket is locked by the provider", "ask the provider"),
    "AccountProblem": (StoreDenied, "the account is locked by the provider", "ask the provider"),
    "InvalidObjectState": (StoreError, "the object is in an archive class", "restore it, then try again"),
    "PermanentRedirect": (StoreError, "the bucket is in another region", "add ?region= to the URI"),
    "AuthorizationHeaderMalformed": (StoreError, "the region is wrong", "add ?region= to the URI"),
    "IllegalLocationConstraintException": (StoreError, "the region is wrong", "add ?region= to the URI"),
    "BadDigest": (Damaged, "the bytes were corrupted on the way to the store", "try again"),
    "XAmzContentSHA256Mismatch": (Damaged, "the bytes were corrupted on the way to the store", "try again"),
    "XAmzContentChecksumMismatch": (Damaged, "the bytes were corrupted on the way to the store", "try again"),
    "QuotaExceeded": (StoreFull, "the quota is used up", "free some space, or raise the quota"),
    "InsufficientStorage": (StoreFull, "no space is left", "free some space"),
    "XMinioStorageFull": (StoreFull, "no space is left", "free some space"),
}
# Codes with many causes, which only the provider's message tells: a policy of the bucket, the organisation or
# the network, a KMS key, a bill, the expected region.
_TELLING = frozenset(
    {
        "AccessDenied",
        "AllAccessDisabled",
        "AccountProblem",
        "ExpiredToken",
        "InvalidToken",
        "InvalidObjectState",
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "QuotaExceeded",
        "InsufficientStorage",
        "XMinioStorageFull",
    }
)
# Codes of temporary failures with status 4xx: of S3, and of STS, which gives credentials.
PASSING_CODES = frozenset(
    {
        "RequestTimeout",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "IDPCommunicationError",
    }
)
_BLAND = frozenset({"access denied", "accessdenied", "access denied for this request", "forbidden"})
_STATUSES: dict[int, tuple[type[StoreError], str, str]] = {
    401: (StoreDenied, "the credentials are not accepted", _KEYS),
    403: (StoreDenied, "the credentials do not allow this", _KEYS),
    404: (ObjectMissing, "there is no such object", ""),
    407: (StoreUnreachable, "a proxy wants a user and password", "set them in HTTP_PROXY"),
    412: _CODES["PreconditionFailed"],
    507: _CODES["InsufficientStorage"],
}
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.UnknownCredentialError,
    boto.NoAuthTokenError,
    boto.TokenRetrievalError,
    boto.UnknownTokenProviderError,
    boto.RefreshWithMFAUnsupportedError,
    boto.MetadataRetrievalError,
    boto.SSOError,
    boto.LoginError,
)
_NO_ANSWER = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.CapacityNotAvailableError,
    HTTPError,
    OSError,
)
_ON_THE_WAY = (boto.FlexibleChecksumError, boto.ChecksumError, boto.AwsChunkedWrapperError)
# Errors without an answer; the first match applies.
_FAMILIES: tuple[tuple[Any, type[StoreError], str, str], ...] = (
    (NotRenewed, StoreUnreachable, "the credentials cannot be fetched", _RENEW),
    (_NO_CREDENTIALS, StoreDenied, "no usable credentials", _KEYS),
    (boto.SSLError, StoreUnreachable, "the store's certificate is not trusted", "check endpoint_url"),
    (_ON_THE_WAY, Damaged, "the bytes were corrupted in transit", "try again"),
    (_NO_ANSWER, StoreUnreachable, "the store does not answer", _REACH),
    (ResponseParserError, StoreUnreachable, "the answer is not S3's", _PAGE),
)
RAISED = (boto.BotoCoreError, boto.ClientError, Boto3Error, ResponseParserError, HTTPError, ValueError)


def explain(error: Exception, where: str) -> StoreError:
    """The StoreError for an error of boto3.

    Args:
        error: boto3's error.
        where: the bucket or object, as a URI without secrets.
    """
    if isinstance(error, boto.ClientError):
        return _answer(error, where)
    if found := proxy_or_certificate(error, where):
        return found
    text = root_cause(error)
    for family, kind, what, hint in _FAMILIES:
        if isinstance(error, family):
            return kind(f"{what}: {text}", where=where, hint=hint)
    return StoreError(
        f"the store cannot be used: {text}", where=where, hint="check the URI, the region and endpoint_url"
    )


def status_of(error: boto.ClientError) -> int:
    """The HTTP status of a refused request; 0 if unknown."""
    metadata: dict[str, Any] = dict(error.response.get("ResponseMetadata") or {})
    return int(metadata.get("HTTPStatusCode") or 0)


def code_of(error: boto.ClientError) -> str:
    """S3's code of a refused request; the status as text if the answer had no body."""
    return str((error.response.get("Error") or {}).get("Code") or "")


def reason_of(error: boto.ClientError) -> str:
    """The provider's message, to append to ours, if it says more than its code; else empty."""
    said = _said(error)
    return f": {said}" if said and code_of(error) in _TELLING and said.lower() not in _BLAND else ""


def _said(error: boto.ClientError) -> str:
    return sentence((error.response.get("Error") or {}).get("Message"))


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Translate boto3's errors in this block."""
    try:
        yield
    except RAISED as error:
        raise explain(error, where) from error


def _answer(error: boto.ClientError, where: str) -> StoreError:
    code, status = code_of(error), status_of(error)
    if code in _CODES:
        kind, what, hint = _CODES[code]
        if where.startswith("r2:") and code in ("NoSuchBucket", "AccessDenied"):
            hint += _JURISDICTION
        return kind(what + reason_of(error), where=where, hint=hint)
    said = _said(error) or redact(code) or f"HTTP {status}"
    # Only an answer to HEAD has nothing but the 404; one with another code is about an upload, for example.
    if status in _STATUSES and (status != HTTPStatus.NOT_FOUND or code == str(status)):
        kind, what, hint = _STATUSES[status]
        found = kind(what if said == str(status) else f"{what}: {said}", where=where, hint=hint)
        found.permanent = status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        return found
    if status in (408, 429) or status >= 500 or code in PASSING_CODES:  # noqa: PLR2004 - HTTP's own numbers
        return StoreUnreachable(f"the store cannot answer now: {said}", where=where, hint="try again later")
    return StoreError(
        f"the store refuses the request: {said}",
        where=where,
        hint=f"look up S3's error {code!r} (HTTP {status})",
    )
