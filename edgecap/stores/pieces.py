"""An HTTP body in pieces, none of which is lost when the connection is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from urllib3 import HTTPResponse

from edgecap.stores.base import CHUNK, ObjectInfo

_ENOUGH = 256 << 10  # bytes; larger pieces make hashing and writing no cheaper


class BodyReader:
    """The bytes of an answer's body; None has none.

    Args:
        body: of the answer.
        info: the object's.
        explained: in it, what urllib3 and the store's client raise becomes an error of ours.
    """

    def __init__(
        self, body: Any, info: ObjectInfo, explained: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self.info = info
        self._body = body
        self._explained = explained

    def __iter__(self) -> Iterator[bytes]:
        if self._body is None:
            return
        with self._explained():
            yield from pieces(self._body)


def pieces(body: HTTPResponse) -> Iterator[bytes]:
    """The bytes as they were sent, in pieces of at most `CHUNK`; raises what urllib3 raises.

    Reading a whole `CHUNK` at a time would be as fast, but a cut would lose what had come of it: over a
    connection that breaks often enough, nothing would ever arrive.
    """
    held: list[bytes] = []
    size = 0
    while True:
        try:
            data = body.read1(CHUNK - size, decode_content=False)
        except Exception:
            if held:
                yield b"".join(held)
            raise
        held.append(data)
        size += len(data)
        if size >= _ENOUGH or not data:
            if size:
                yield b"".join(held)
            held, size = [], 0
        if not data:
            return
