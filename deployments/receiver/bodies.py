"""Reading the bodies of requests from strangers: within bounds of size, time and memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import JSONResponse

from deployments.receiver.senders import sender_of

# Bytes. A notification of Alertmanager has about 1 kB for an alert: this is some thousands of them.
MOST_BODY = 4 << 20
MOST_SURPLUS = 1 << 20  # read and dropped of a body that is too large: many senders read no answer before
MOST_READING = 64 << 20  # of bodies in memory, of all requests together
MOST_UNPROVEN = 32 << 20  # of these, from senders that only the whole body proves
MOST_OF_ONE = 8 << 20  # of these, from one sender
MOST_UNREAD = 64 << 10  # read and dropped of a request that is refused by its headers
BODY_TIME = 10.0  # seconds


class Refused(Exception):
    """The request ends with this answer.

    Args:
        status: of HTTP.
        error: what the sender is told.
        why: what people on this machine are told; the same if empty. Never a secret.
        headers: of the answer.
    """

    def __init__(self, status: int, error: str, *, why: str = "", **headers: str) -> None:
        super().__init__(why or error)
        self.answer = JSONResponse({"error": error}, status, headers=headers)


def again(error: str, **headers: str) -> Refused:
    """503: the sender is to come again."""
    return Refused(503, error, **{"retry-after": "5", **headers})


class BodyReader:
    """Reads bodies, of all requests together only so much at a time.

    Args:
        body_time: seconds that a body may take.
    """

    def __init__(self, body_time: float = BODY_TIME) -> None:
        self._body_time = body_time
        self._reading = 0
        self._unproven: Counter[str] = Counter()

    @property
    def unproven(self) -> int:
        """Bytes in memory from senders that only the whole body proves."""
        return self._unproven.total()

    def __repr__(self) -> str:
        return f"<BodyReader [{self._reading:,} bytes, {self.unproven:,} unproven]>"

    @asynccontextmanager
    async def body(self, request: Request, *, proven: bool) -> AsyncIterator[bytes]:
        """The body of a request, which counts until the block ends.

        Args:
            request: its head is read.
            proven: whether the head has the secret. Other senders share half of the memory.

        Raises:
            Refused: it is too large or too slow, or there is too much at once.
        """
        share = None if proven else sender_of(request).share
        read = bytearray()
        try:
            await self._read(request, read, share)
            yield bytes(read)
        finally:
            self._reading -= len(read)
            if share is not None:
                self._unproven[share] -= len(read)
                self._unproven += Counter()  # without those that are at zero

    async def drop(self, request: Request) -> bool:
        """Read a little of a body and drop it, so that an honest sender gets to read the answer.

        Returns:
            Whether that was all of it. If not, the connection must be closed.
        """
        if "expect" in request.headers:
            return False
        dropped = 0
        try:
            async with asyncio.timeout(self._body_time):
                async for chunk in request.stream():
                    dropped += len(chunk)
                    if dropped > MOST_UNREAD:
                        return False
        except TimeoutError:
            return False
        return True

    async def _read(self, request: Request, body: bytearray, share: str | None) -> None:
        """Read the body into `body`; of one that is too large, as much as it takes to be heard."""
        declared = int(request.headers.get("content-length", "0"))  # uvicorn lets digits alone through
        if declared > MOST_BODY and "expect" in request.headers:
            raise _too_large()
        surplus = 0
        try:
            async with asyncio.timeout(self._body_time):
                async for chunk in request.stream():
                    if surplus or max(declared, len(body) + len(chunk)) > MOST_BODY:
                        surplus += len(chunk)
                        if surplus > MOST_SURPLUS:
                            break
                    elif self._has_room(len(chunk), share):
                        self._reading += len(chunk)
                        if share is not None:
                            self._unproven[share] += len(chunk)
                        body += chunk
                    else:
                        raise again("too many alerts at once", connection="close")
        except TimeoutError:
            raise Refused(408, "the body did not arrive in time", connection="close") from None
        if surplus:
            raise _too_large()

    def _has_room(self, more: int, share: str | None) -> bool:
        if self._reading + more > MOST_READING:
            return False
        if share is None:
            return True
        most = MOST_OF_ONE if share else MOST_UNPROVEN
        return self._unproven[share] + more <= most and self.unproven + more <= MOST_UNPROVEN


def _too_large() -> Refused:
    return Refused(413, f"the body is larger than {MOST_BODY >> 20} MiB", connection="close")
