"""Read an HTTP body in pieces; a broken connection loses none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from urllib3 import HTTPResponse

from edgecap.stores.base import CHUNK, ObjectInfo

_ENOUGH = 256 << 10  # bytes; larger pieces make hashing and writing no faster


class BodyReader:
    """The bytes of an answer's body; empty for None.

    Args:
        body: the answer's body.
        info: the object's metadata.
        explained: context that translates errors of urllib3 and the store's client into ours.
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
    """Yield the bytes as sent, in pieces of at most `CHUNK`; raises urllib3's errors.

    Reading a whole `CHUNK` at a time would be as fast, but a cut would lose its beginning. If the connection
    broke often enough, nothing would ever arrive.
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
