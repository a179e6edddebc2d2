"""Hostile senders beside a bench: they know no secret, and try to keep the alerts of others out.

Each sender has one trick and repeats it: large bodies, bodies with made-up signatures, wrong secrets, idle
and slow connections, garbage, large heads, and questions about the receiver's health. The process uses a
small share of one core and gives way to all others, since the bench measures the receiver, not the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from deployments.local.processes import LOOPBACK

SHARE = 0.1  # of one core
LARGE = 1 << 20  # bytes
LINES = 8  # connections of a sender that holds them
LONGEST = 60.0  # seconds for an answer
SLOW = 1.0  # seconds between two bytes of a slow sender
PAUSE = 0.05  # seconds between two requests of a sender
SIGNED = "/alerts/pagerduty"  # a source whose bodies only a signature proves
SECRET = "/alerts/generic"  # noqa: S105 - the path of a source with a secret in a header


@dataclass
class Attack:
    """What all senders do, and what became of it.

    Args:
        port: of the receiver, on loopback.
        share: of one core, for all senders together.
    """

    port: int
    share: float
    did: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    _began: float = field(default_factory=time.monotonic)

    async def breathe(self) -> None:
        """Wait until the process is within its share of the processor again."""
        used, elapsed = time.process_time() - 1, time.monotonic() - self._began  # a second is for the start
        await asyncio.sleep(max(0.0, used / self.share - elapsed))

    async def request(self, head: str, body: bytes = b"", *, slowly: bool = False) -> None:
        """Send a request on a connection of its own, and count the answer's status."""
        reader, writer = await self.connect()
        try:
            await self.write(writer, head.encode())
            pieces = [body[at : at + 1] for at in range(len(body))] if slowly else [body]
            for piece in pieces:
                await self.write(writer, piece)
                if slowly:
                    await asyncio.sleep(SLOW)
            answer = await asyncio.wait_for(reader.read(100), LONGEST)
            self.did[answer.split(b" ")[1].decode() if answer.startswith(b"HTTP/1.1 ") else "closed"] += 1
        finally:
            writer.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection."""
        await self.breathe()
        self.did["connections"] += 1
        return await asyncio.open_connection(LOOPBACK, self.port)

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Send bytes."""
        await self.breathe()
        writer.write(data)
        self.sent += len(data)
        await writer.drain()

    async def held(self, said: bytes) -> None:
        """Hold connections on which too little was said, until the receiver has closed all of them."""
        lines = [await self.connect() for _ in range(LINES)]
        for _, writer in lines:
            await self.write(writer, said)
        await asyncio.gather(*(reader.read() for reader, _ in lines), return_exceptions=True)
        self.did["closed"] += len(lines)
        for _, writer in lines:
            writer.close()


def _head(path: str, length: int, *lines: str, method: str = "POST") -> str:
    more = "".join(f"{line}\r\n" for line in lines)
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{more}\r\n"


async def _large(attack: Attack, dice: random.Random) -> None:
    await attack.request(_head(SECRET, LARGE), dice.randbytes(LARGE))


async def _signed(attack: Attack, dice: random.Random) -> None:
    head = _head(SIGNED, LARGE, f"x-pagerduty-signature: v1={dice.randbytes(32).hex()}")
    await attack.request(head, b'{"x": "' + b"x" * (LARGE - 9) + b'"}')


async def _wrong(attack: Attack, dice: random.Random) -> None:
    await attack.request(_head(SECRET, 12, f"authorization: Bearer {dice.random()}"), b'{"id": "12"}')


async def _idle(attack: Attack, dice: random.Random) -> None:
    await attack.held(dice.choice([b"", b"P", b"POST /alerts/generic HTTP/1.1\r\nhost: "]))


async def _slow(attack: Attack, dice: random.Random) -> None:
    head = _head(SIGNED, 1000, "x-pagerduty-signature: v1=00")
    if dice.random() < 0.5:
        await attack.request("", head.encode(), slowly=True)
    else:
        await attack.request(head, bytes(1000), slowly=True)


async def _garbage(attack: Attack, dice: random.Random) -> None:
    await attack.request(
        "", dice.choice([dice.randbytes(2000), b"\x16\x03\x01" + dice.randbytes(500)]) + b"\r\n\r\n"
    )


async def _heads(attack: Attack, dice: random.Random) -> None:
    lines = [f"x-{number}: {'x' * 100}" for number in range(dice.choice([400, 2000]))]
    await attack.request(_head(SECRET, 0, *lines))


async def _questions(attack: Attack, dice: random.Random) -> None:
    path = dice.choice(["/readyz", "/metrics", "/healthz", "/alerts/nothing", "/incidents/x"])
    await attack.request(_head(path, 0, "connection: close", method="GET"))


TRICKS: tuple[Callable[[Attack, random.Random], Awaitable[None]], ...] = (
    _large, _signed, _wrong, _idle, _slow, _garbage, _heads, _questions,
)  # fmt: skip


async def _sender(attack: Attack, number: int) -> None:
    dice, trick = random.Random(number), TRICKS[number % len(TRICKS)]
    while True:
        try:
            await trick(attack, dice)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            attack.did["broken"] += 1
        await asyncio.sleep(PAUSE)


async def _until_told(attack: Attack, senders: int) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    tasks = [loop.create_task(_sender(attack, number)) for number in range(senders)]
    await told.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """Attack until SIGTERM; then print what was done, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--senders", type=int, required=True)
    parser.add_argument("--share", type=float, default=SHARE, help="of one core")
    options = parser.parse_args()
    os.nice(19)
    attack, began = Attack(options.port, options.share), time.monotonic()
    asyncio.run(_until_told(attack, options.senders))
    seconds = time.monotonic() - began
    print(
        json.dumps(
            {
                "seconds": round(seconds),
                "share": round(time.process_time() / seconds, 3),
                "sent": attack.sent,
                **attack.did,
            }
        )
    )


if __name__ == "__main__":
    main()
