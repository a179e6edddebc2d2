"""A proxy that refuses the S3 requests that Cloudflare R2 refuses, by R2's documentation.

Sources: R2's pages "S3 API compatibility" (headers and operations that are not implemented, regions) and
"Upload objects: multipart" (all parts but the last have one size). R2's errors are
not documented for each case: for a header that it does not know, R2 answers 501 NotImplemented.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from tests.flaky_proxy import FlakyProxy

HEADERS = (
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-context",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-acl",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write-acp",
    "x-amz-tagging",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold",
    "x-amz-website-redirect-location",
    "x-amz-request-payer",
    "x-amz-expected-bucket-owner",
    "x-amz-mfa",
    "x-amz-bypass-governance-retention",
)
OPERATIONS = ("acl", "policy", "tagging", "versioning", "versions", "object-lock", "retention", "legal-hold")
REGIONS = ("auto", "us-east-1", "")
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]*)/s3/aws4_request")


class R2Front(FlakyProxy):
    """`with R2Front(port) as front:` and point an r2 place at `front.url`."""

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self._parts: dict[str, dict[int, int]] = {}  # bytes of each part, by upload

    def refusal(self, head: bytes) -> tuple[bytes, bytes] | None:
        """Status and body of the refusal of a request; None for one that R2 takes."""
        line, _, rest = head.decode("latin-1").partition("\r\n")
        method, target, _ = line.split(" ", 2)
        pairs = (each.partition(":") for each in rest.split("\r\n"))
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        query = parse_qs(urlsplit(target).query, keep_blank_values=True)
        for header in HEADERS:
            if header in headers:
                return _error("501 Not Implemented", "NotImplemented", f"Header '{header}' not implemented")
        if operation := next((each for each in OPERATIONS if each in query), ""):
            return _error("501 Not Implemented", "NotImplemented", f"{operation} not implemented")
        if headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
            what = f"{headers['x-amz-content-sha256']} not implemented"
            return _error("501 Not Implemented", "NotImplemented", what)
        scope = _SCOPE.search(headers.get("authorization", ""))
        if scope and scope[1] not in REGIONS:
            return _error("400 Bad Request", "InvalidRegionName", f"The region name '{scope[1]}' is invalid")
        return self._parts_of_one_size(method, query, headers)

    def _parts_of_one_size(
        self, method: str, query: dict[str, list[str]], headers: dict[str, str]
    ) -> tuple[bytes, bytes] | None:
        upload = query.get("uploadId", [""])[0]
        if method == "PUT" and "partNumber" in query:
            parts = self._parts.setdefault(upload, {})
            parts[int(query["partNumber"][0])] = int(headers.get("content-length", 0))
        elif method == "POST" and upload:
            *sizes, last = [size for _, size in sorted(self._parts.pop(upload, {0: 0}).items())]
            if len(set(sizes)) > 1 or (sizes and last > sizes[0]):
                what = "All non-trailing parts must have the same length."
                return _error("400 Bad Request", "InvalidPart", what)
        return None


def _error(status: str, code: str, message: str) -> tuple[bytes, bytes]:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return status.encode(), body.encode()
