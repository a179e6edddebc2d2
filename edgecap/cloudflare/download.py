"""A capture file as it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from edgecap.cloudflare.answers import Call, unexpected
from edgecap.cloudflare.network import HTTPX_ERRORS, network_failure
from edgecap.errors import NetworkFailure


def is_same_host(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether scheme, host and port are the same, so that credentials for one may be sent to the other."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def elsewhere(response: httpx.Response, call: Call) -> httpx.URL:
    """The target of a redirect.

    Raises:
        UnexpectedAnswer: it has another scheme, or leads from https to plain http.
    """
    asked = response.request.url
    try:
        target = asked.join(response.headers["location"])
    except (httpx.InvalidURL, ValueError):
        target = httpx.URL()
    safe = target.scheme == "https" or (target.scheme == "http" and asked.scheme == "http")
    if not safe or not target.host:
        raise unexpected(call, response.status_code, "a download was redirected to an invalid address")
    return target


class Download:
    """The bytes of a capture file, read once, in chunks as the server sent them.

    Attributes:
        size: expected bytes, or None if the server did not say.
        content_type: from the server, or empty.
        received: bytes so far.
    """

    def __init__(self, response: httpx.Response, call: Call) -> None:
        self._response = response
        self._call = call
        length = response.headers.get("content-length", "")
        self.size = int(length) if length.isascii() and length.isdigit() else None
        self.content_type: str = response.headers.get("content-type", "")
        self.received = 0

    def __repr__(self) -> str:
        """Such as `<Download 65536 of 1000000 bytes of application/vnd.tcpdump.pcap>`."""
        of = "" if self.size is None else f" of {self.size}"
        return f"<Download {self.received}{of} bytes of {self.content_type or 'no content type'}>"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks.

        Raises:
            NetworkFailure: the connection broke, or the body ended before `size` bytes.
        """
        try:
            async for chunk in self._response.aiter_raw():
                self.received += len(chunk)
                yield chunk
        except HTTPX_ERRORS as error:
            raise network_failure(error, self._call, str(self._response.request.url)) from error
        if self.size is not None and self.received != self.size:
            raise NetworkFailure(
                f"the download ended after {self.received} of {self.size} bytes",
                where=str(self._call),
                hint="download it again",
            )
