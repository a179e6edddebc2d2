"""A TCP proxy on loopback that cuts connections, flips bytes, changes headers, and refuses requests.

It runs in its own thread. A test arms faults, and each happens a set number of times. Byte counts start at
the beginning of an answer, headers included.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from dataclasses import dataclass
from typing import NoReturn, Self

LOOPBACK = "127.0.0.1"
_HEAD = -1
_RANGE = re.compile(rb"\r\nrange: bytes=(\d+)-", re.IGNORECASE)


@dataclass
class Fault:
    kind: str  # "fin" | "rst" | "flip"
    after: int  # bytes of the answer that came before; _HEAD for its head
    left: int  # how often it still happens
    methods: str = ""  # of the requests whose answers it hits; empty for all


@dataclass
class _Answer:
    size: int = 0  # bytes that came down since the last request went up
    method: str = ""  # of that request


class FlakyProxy:
    """`with FlakyProxy(port) as proxy:` and point the client at `proxy.url`."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.refused_header = b""
        self.swaps: list[tuple[bytes, bytes]] = []
        self.required_header = b""  # of each PUT; one that lacks it is answered 400
        self.hidden = b""  # this text in a request's head reaches the server as x's
        self.instead: dict[bytes, bytes] = {}  # statuses of answers, and what the client gets in their place
        self.busy = 0  # how many more requests are answered `trouble`
        self.trouble = b"503 Service Unavailable"
        self.never = b""  # every request with this text in its head is answered `trouble`
        self.headers: dict[str, str] = {}  # replace headers of answers; an empty value removes one
        self.requests: list[bytes] = []  # the heads of all requests
        self.went_off = 0
        self.away = False  # every connection is dropped, as if the server's machine were off
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __repr__(self) -> str:
        return f"<FlakyProxy {self.url} > {self.upstream} [{self.went_off} faults went off] {self.faults}>"

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def starts(self) -> list[int]:
        """Where each GET of an object began to read, in order."""
        found = []
        for head in self.requests:
            if head.startswith(b"GET ") and b"list-type=" not in head:
                match = _RANGE.search(head)
                found.append(int(match.group(1)) if match else 0)
        return found

    def cut(self, after: int, *, how: str = "fin", times: int = 1, methods: str = "") -> None:
        """End connections after a number of bytes of the answer, by FIN or RST."""
        self.faults.append(Fault(how, after, times, methods))

    def cut_body(self, *, how: str = "fin", times: int = 1) -> None:
        """End connections when the answer's head has come and nothing else, by FIN or RST."""
        self.faults.append(Fault(how, _HEAD, times))

    def flip(self, at: int, *, times: int = 1) -> None:
        """Invert the byte at this place of an answer."""
        self.faults.append(Fault("flip", at, times))

    def swap(self, old: bytes, new: bytes) -> None:
        """Replace the next `old` in an answer by `new`, which has the same length, so that nobody notices.

        Several swaps happen in order.
        """
        assert len(old) == len(new)
        self.swaps.append((old, new))

    def refuse(self, header: str) -> None:
        """Answer 501 to every request with this header, as a server does that does not know it."""
        self.refused_header = b"\r\n" + header.lower().encode() + b":"

    def refusal(self, head: bytes) -> tuple[bytes, bytes] | None:
        """Status and body of the refusal of a request; None if it passes."""
        return None

    def require(self, header: str) -> None:
        """Answer 400 to every PUT that lacks this header, as S3 does where Object Lock has a default."""
        self.required_header = b"\r\n" + header.lower().encode() + b":"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(240)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._done.set)
            self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, LOOPBACK, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._done.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.away:
            self.went_off += 1
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(LOOPBACK, self.upstream)
        except OSError:
            writer.transport.abort()
            return
        answer = _Answer()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._up(reader, up_writer, writer, answer))
                both.create_task(self._down(up_reader, writer, answer))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, up_writer):
                each.close()

    async def _up(
        self,
        reader: asyncio.StreamReader,
        up: asyncio.StreamWriter,
        down: asyncio.StreamWriter,
        answer: _Answer,
    ) -> None:
        while data := await reader.read(1 << 16):
            if self.away:
                self.went_off += 1
                raise ConnectionError
            head = data.partition(b"\r\n\r\n")[0]
            if re.match(rb"[A-Z]+ /", head):
                self.requests.append(head)
                answer.size, answer.method = 0, head.split(b" ")[0].decode()
                if refused := self.refusal(head):
                    await _say(*refused, reader, down)
                if self.refused_header and self.refused_header in head.lower():
                    error = b"<Error><Code>NotImplemented</Code><Message>no conditions</Message></Error>"
                    await _say(b"501 Not Implemented", error, reader, down)
                if head.startswith(b"PUT ") and self.required_header not in head.lower():
                    error = b"<Error><Code>InvalidRequest</Code><Message>no Content-MD5</Message></Error>"
                    await _say(b"400 Bad Request", error, reader, down)
                if self.hidden:
                    data = data.replace(self.hidden, b"x" * len(self.hidden), 1)
                if self.busy or (self.never and self.never in head):
                    self.busy = max(0, self.busy - 1)
                    self.went_off += 1
                    await _say(self.trouble, b"", reader, down)
            up.write(data)
            await up.drain()
        raise ConnectionError  # the client is gone, so its connection upstream goes too

    async def _down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: _Answer
    ) -> None:
        while data := await reader.read(1 << 16):
            if self.swaps and self.swaps[0][0] in data:
                data = data.replace(*self.swaps.pop(0), 1)
                self.went_off += 1
            for fault in self.faults:
                offset, last = fault.after - answer.size, len(data) - 1
                if fault.after == _HEAD:  # the body may come by itself
                    head, end, _ = data.partition(b"\r\n\r\n")
                    offset, last = (len(head + end) if end and not answer.size else -1), len(data)
                other = fault.methods and answer.method not in fault.methods.split()
                if other or not fault.left or not 0 <= offset <= last:
                    continue
                fault.left -= 1
                self.went_off += 1
                if fault.kind == "flip":
                    data = data[:offset] + bytes([data[offset] ^ 0xFF]) + data[offset + 1 :]
                    continue
                writer.write(data[:offset])
                await writer.drain()
                if fault.kind == "rst":
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()
                raise ConnectionError
            answer.size += len(data)
            writer.write(self._dressed(data))
            await writer.drain()
        raise ConnectionError

    def _dressed(self, data: bytes) -> bytes:
        """The data with `headers`, or with another status, if an answer starts in it."""
        for status, other in self.instead.items():
            if data.startswith(b"HTTP/1.1 " + status):
                data = b"HTTP/1.1 " + other + data[len(b"HTTP/1.1 " + status) :]
        head, end, body = data.partition(b"\r\n\r\n")
        if not self.headers or not end or not head.startswith(b"HTTP/1.1 2"):
            return data
        for name, value in self.headers.items():
            head = re.sub(rf"\r\n{name}:[^\r]*".encode(), b"", head, flags=re.IGNORECASE)
            head += f"\r\n{name}: {value}".encode() if value else b""
        return head + end + body


async def _say(
    status: bytes, body: bytes, reader: asyncio.StreamReader, down: asyncio.StreamWriter
) -> NoReturn:
    """Answer, and end the connection."""
    down.write(
        b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-type: application/xml\r\n"
        b"content-length: %d\r\n\r\n%s" % (status, len(body), body)
    )
    await down.drain()
    down.write_eof()
    while await reader.read(1 << 16):  # else the client sees a reset instead of the answer
        pass
    raise ConnectionError
