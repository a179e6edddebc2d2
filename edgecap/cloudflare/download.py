"""A capture file while it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from edgecap.cloudflare.answers import Call
from edgecap.cloudflare.network import HTTPX_ERRORS, network_trouble
from edgecap.errors import NetworkTrouble


class Download:
    """The bytes of a capture file, read once, chunk after chunk, as the server sent them.

    Attributes:
        size: bytes that will come, or None if the server did not say.
        content_type: as the server states it, or empty.
        received: bytes that came so far.
    """

    def __init__(self, response: httpx.Response, call: Call, server: str) -> None:
        self._response = response
        self._call = call
        self._server = server
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
            NetworkTrouble: the connection broke, or the body ended before `size` bytes had come.
        """
        try:
            async for chunk in self._response.aiter_raw():
                self.received += len(chunk)
                yield chunk
        except HTTPX_ERRORS as error:
            raise network_trouble(error, self._call, self._server) from error
        if self.size is not None and self.received != self.size:
            raise NetworkTrouble(
                f"the download ended after {self.received} of {self.size} bytes",
                where=str(self._call),
                todo="download it again",
            )
