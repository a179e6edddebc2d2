"""GETs at a fifth of what boto3 takes for one: for small objects most of the price is boto3's own.

Only what is usual goes this way. The first GET is boto3's, and shows which address and region the bucket has;
every answer that is not the object sends the caller back to boto3, which knows redirects, retries and errors.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from botocore.httpsession import where
from botocore.utils import get_environ_proxies
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from boto3 import Session
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3.client import S3Client

_REGION = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/([^/]+)/s3/aws4_request")
_NO_BODY = hashlib.sha256(b"").hexdigest()
_TIMEOUT = 60.0  # seconds between two bytes
_MEMBERS = {
    "etag": "ETag",
    "last-modified": "LastModified",
    "content-length": "ContentLength",
    "content-range": "ContentRange",
    "x-amz-checksum-crc32": "ChecksumCRC32",
    "x-amz-checksum-crc32c": "ChecksumCRC32C",
    "x-amz-checksum-sha256": "ChecksumSHA256",
    "x-amz-checksum-type": "ChecksumType",
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-server-side-encryption-customer-algorithm": "SSECustomerAlgorithm",
}


class QuickGet:
    """Signed GETs of one bucket's objects, once `client` has shown how it makes them.

    Not for connections that go through a proxy or trust another authority than the usual: boto3 makes those.

    Args:
        session: boto3's, for the credentials, which may be renewed.
        client: watched while it makes its own GETs.
        connections: how many are kept open.
    """

    def __init__(self, session: Session, client: S3Client, connections: int) -> None:
        self._session = session
        self._client = client
        self._connections = connections
        self._seen = threading.local()
        self._path = ""
        self._region = ""
        self._pool: HTTPConnectionPool | None = None
        self._host = ""
        client.meta.events.register("before-send.s3.GetObject", self._watch)

    def __repr__(self) -> str:
        return f"<QuickGet {self._host}{self._path} {'' if self._pool else 'not yet'}>"

    def learn(self, key: str) -> None:
        """Take over from boto3, which has just read `key` in this thread."""
        url, authorization = getattr(self._seen, "request", ("", ""))
        signed = _REGION.match(authorization)
        tail = "/" + quote(key, safe="/~")
        if self._pool is not None or not signed or not url.endswith(tail) or get_environ_proxies(url):
            return
        base = urlsplit(url.removesuffix(tail))
        self._path, self._region, self._host = base.path, signed[1], base.netloc
        sizes: dict[str, Any] = {"maxsize": self._connections, "timeout": _TIMEOUT}
        host = base.hostname or ""
        if base.scheme == "http":
            self._pool = HTTPConnectionPool(host, base.port, **sizes)
        elif base.scheme == "https" and not self._session._session.get_config_variable("ca_bundle"):  # noqa: SLF001 - boto3 hides where botocore keeps it
            self._pool = HTTPSConnectionPool(
                host, base.port, cert_reqs="CERT_REQUIRED", ca_certs=where(), **sizes
            )

    def get(self, key: str, headers: dict[str, str]) -> dict[str, Any] | None:
        """What boto3's `get_object` answers, as far as it is used here; None if boto3 should be asked."""
        credentials = self._session.get_credentials()
        if self._pool is None or credentials is None:
            return None
        path = f"{self._path}/{quote(key, safe='/~')}"
        frozen = credentials.get_frozen_credentials()
        signed = signature("GET", self._host, path, self._region, frozen, time.gmtime())
        try:
            answer: Any = self._pool.urlopen(
                "GET",
                path,
                headers=headers | signed,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError:
            return None
        if answer.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            answer.close()
            return None
        found: dict[str, Any] = {"Body": answer}
        for name, value in answer.headers.items():
            if member := _MEMBERS.get(name.lower()):
                found[member] = value
        return found

    def _watch(self, request: Any, **_: Any) -> None:
        authorization = request.headers.get("Authorization", "")
        if isinstance(authorization, bytes):
            authorization = authorization.decode()
        self._seen.request = (request.url, authorization)


def signature(
    method: str, host: str, path: str, region: str, credentials: ReadOnlyCredentials, now: time.struct_time
) -> dict[str, str]:
    """The headers that sign a request without body and query, by AWS's Signature Version 4.

    Args:
        method: such as `GET`.
        host: as in the `Host` header.
        path: percent-encoded, as it is sent.
        region: of the bucket.
        credentials: key, secret and session token.
        now: UTC.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", now)
    day = moment[:8]
    scope = f"{day}/{region}/s3/aws4_request"
    headers = {"x-amz-checksum-mode": "ENABLED", "x-amz-content-sha256": _NO_BODY, "x-amz-date": moment}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(["host", *headers])
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"{method}\n{path}\n\nhost:{host}\n{lines}\n{names}\n{_NO_BODY}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    secret = _signing_key(credentials.secret_key, day, region)
    signed = hmac.digest(secret, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}".encode(), "sha256").hex()
    who = f"Credential={credentials.access_key}/{scope}"
    headers["Authorization"] = f"AWS4-HMAC-SHA256 {who},SignedHeaders={names},Signature={signed}"
    return headers


@lru_cache(maxsize=16)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
