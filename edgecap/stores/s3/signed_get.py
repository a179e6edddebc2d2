"""GETs of objects: the first through boto3's client, the next ones only signed by botocore.

A GET through the client takes about 1.5 ms of processor, of which the signature is 0.25 ms. The rest resolves
the endpoint by rules, and writes and reads by a model of S3. A thousand small files take half as long without
it (`make bench-fetch`). So the next GETs repeat what the client sent, for other keys, over its connections.

Only an answer with the object counts. After any other, and without an answer, the request goes through the
client, which retries, follows S3's redirects, and names the error. So all errors come from one place.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.utils import percent_encode

from edgecap.network.over_botocore import http_session_of
from edgecap.stores.s3.answers import CHECKSUMS
from edgecap.stores.s3.genuine import why_not_genuine

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_SCHEME = "AWS4-HMAC-SHA256 "
_SESSION = "x-amz-s3session-token"  # directory buckets sign with a session that only the client renews
_KEPT = ("User-Agent", "x-amz-checksum-mode")
# The members of boto3's answer that edgecap reads, and their headers.
_MEMBERS = {
    "ETag": "etag",
    "ContentRange": "content-range",
    "ChecksumType": "x-amz-checksum-type",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
} | {member: f"x-amz-checksum-{name}" for name, member in CHECKSUMS.items()}


@dataclass(frozen=True, slots=True)
class _Pattern:
    """What the client sent: the URL up to the key, the region of the signature, and headers."""

    base: str
    region: str
    headers: Mapping[str, str]


class SignedGets:
    """The GETs from one bucket. Threads may share it.

    Args:
        client: boto3's.
        bucket: its name.
        credentials: botocore's, which renew themselves; None if requests are not signed. Then all GETs go
            through the client.
    """

    def __init__(self, client: S3Client, bucket: str, credentials: Any) -> None:
        self._client = client
        self._bucket = bucket
        self._session = http_session_of(client)
        self._credentials = credentials
        self._sent = threading.local()
        self._pattern: _Pattern | None = None
        if credentials is not None:
            client.meta.events.register("before-send.s3.GetObject", self._note)

    def get(self, key: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """GET an object.

        Args:
            key: the whole key.
            headers: `If-Match` and `Range`, if they are wanted.

        Returns:
            The members of boto3's answer that edgecap reads. `Body` is urllib3's answer, since boto3's loses
            the bytes before a cut; the caller closes it.

        Raises:
            Exception: boto3's errors, after as many requests as the client makes, and one before them.
        """
        pattern = self._pattern
        if pattern is not None:
            if answer := self._send(pattern, key, headers):
                return answer
            self._pattern = None  # the client may find another endpoint or region
        members: dict[str, Any] = {name.replace("-", ""): value for name, value in headers.items()}
        found = self._client.get_object(Bucket=self._bucket, Key=key, **members)
        self._learn(key)
        return {**found, "Body": found["Body"].__enter__()}

    def _learn(self, key: str) -> None:
        """Take as the pattern what the client sent last in this thread: a successful GET of `key`."""
        request: AWSPreparedRequest | None = getattr(self._sent, "request", None)
        if request is None:
            return
        signature = _text(request.headers.get("Authorization", ""))
        url, name = request.url.partition("?")[0], _quoted(key)
        if signature.startswith(_SCHEME) and url.endswith(f"/{name}") and _SESSION not in request.headers:
            region = signature.partition(",")[0].split("/")[-3]
            kept = {each: _text(request.headers[each]) for each in _KEPT if each in request.headers}
            self._pattern = _Pattern(url.removesuffix(name), region, kept)

    def _send(self, pattern: _Pattern, key: str, headers: Mapping[str, str]) -> dict[str, Any] | None:
        """The answer, if it is the object."""
        request = AWSRequest(
            "GET", pattern.base + _quoted(key), {**pattern.headers, **headers}, stream_output=True
        )
        try:
            S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", pattern.region).add_auth(request)
            answer = self._session.send(request.prepare())
        except Exception:  # noqa: BLE001 - whatever it is, the client's call meets it too, and names it
            return None
        expected = HTTPStatus.PARTIAL_CONTENT if "Range" in headers else HTTPStatus.OK
        found = answer.headers
        if answer.status_code != expected or why_not_genuine("GetObject", expected, found, b""):
            answer.raw.close()
            return None
        members = {member: found[name] for member, name in _MEMBERS.items() if name in found}
        members["LastModified"] = parsedate_to_datetime(found["last-modified"])
        return members | {"ContentLength": int(found["content-length"]), "Body": answer.raw}

    def _note(self, request: AWSPreparedRequest, **_: Any) -> None:
        self._sent.request = request


def _quoted(key: str) -> str:
    return str(percent_encode(key, safe="/~"))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
