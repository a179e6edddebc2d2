"""Check that an answer comes from S3 at all.

botocore takes every 200 for a success. A captive portal, a proxy, or a web server at a wrong address answers
with a web page: the bucket then looks empty, and a PUT that was not stored looks done. A load balancer
without a backend answers 404, and the objects look lost. S3 itself reports a missing object in XML.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.parsers import ResponseParserError

from edgecap.redact import redact
from edgecap.stores.causes import looks_like_page

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_WHOLE = ("ETag", "Last-Modified", "Content-Length")
_HEADERS = {"GetObject": _WHOLE, "HeadObject": _WHOLE, "PutObject": ("ETag",), "UploadPart": ("ETag",)}
# How the root element's name begins: other makers' servers end it differently.
_ROOTS = {
    "ListObjectsV2": "ListBucket",
    "ListMultipartUploads": "ListMultipartUploads",
    "CreateMultipartUpload": "InitiateMultipartUpload",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
}
# Refusals that edgecap acts on: denied, missing, replaced, past the end.
_MEANT = (
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
)
_ROOT = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?<(?:[\w.-]+:)?([\w.-]+)")
# Statuses that boto3 retries itself, and those without a body.
_LEFT = (HTTPStatus.NOT_MODIFIED, HTTPStatus.TOO_MANY_REQUESTS)


def require_genuine(client: S3Client) -> None:
    """Have each call of `client` raise botocore's ResponseParserError on an answer that is not S3's."""
    client.meta.events.register("before-parse.s3", _require)


def _require(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    status, headers = response_dict["status_code"], response_dict["headers"]
    body = response_dict["body"] if isinstance(response_dict["body"], bytes) else b""
    wrong = why_not_genuine(operation_model.name, status, headers, body)
    if wrong:
        raise ResponseParserError(wrong)


def why_not_genuine(operation: str, status: int, headers: Any, body: bytes) -> str:
    """Why an answer is not S3's; empty if it looks like S3's."""
    if status in _LEFT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ""
    if looks_like_page(body):
        return f"it is a web page (HTTP {status})"
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return _wrong_success(operation, headers, body)
    # The answer to a HEAD has no body: `S3Store.stat` reads one byte in that case.
    if status in _MEANT and not operation.startswith("Head"):
        return "" if _root(body) == b"Error" else f"it is an HTTP {status:d} without an Error of S3's"
    # S3's own redirect names the region, or the reason in XML. botocore would follow any other for ever.
    ours = b"<Error" in body or any(name.lower().startswith("x-amz-") for name in headers)
    if ours or status >= HTTPStatus.BAD_REQUEST:
        return ""
    return f"it redirects to another address (HTTP {status}): {redact(headers.get('location', ''))[:100]}"


def _wrong_success(operation: str, headers: Any, body: bytes) -> str:
    missing = [name for name in _HEADERS.get(operation, ()) if not headers.get(name)]
    # An object may be a web page itself, but then it has an ETag.
    if "html" in headers.get("content-type", "").lower() and (missing or operation not in _HEADERS):
        return "it is a web page"
    if missing:
        return f"it has no {missing[0]}"
    root = _ROOTS.get(operation, "")
    return f"it is not a {root}" if root and not _root(body).startswith(root.encode()) else ""


def _root(body: bytes) -> bytes:
    """The name of a body's first element; empty if it is not XML."""
    found = _ROOT.match(body)
    return found[1] if found else b""
