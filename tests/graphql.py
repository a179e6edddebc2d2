"""Network Analytics as its documentation has it, on loopback: rows that a test gives, and every way to fail.

It reads the query as text: which node, which dimensions, which addresses and times. What it does not find
there it does not answer, so a query that asks for too little fails a test.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx

from tests.stand_ins import JsonHandler, serving

NODE = "magicTransitNetworkAnalyticsAdaptiveGroups"
ACCOUNT = "c" * 32


@dataclass(frozen=True)
class Row:
    """Packets to an address in a data centre in a minute."""

    colo: str
    packets: int
    outcome: str = "pass"
    address: str = "203.0.113.7"
    minute: datetime | None = None  # the minute before each question, so that rows never grow old


@dataclass
class Behaviour:
    """What the server answers; a test changes it."""

    rows: list[Row] = field(default_factory=list)
    account: str = ACCOUNT
    token: str = ""  # that alone may read; empty: any
    status: int = 200
    errors: list[dict] = field(default_factory=list)  # beside the data
    data: bool = True
    delay: float = 0.0  # seconds before the answer
    cut: bool = False  # half of the answer, then the connection breaks
    body: bytes = b""  # in place of an answer
    names: dict[str, str] = field(default_factory=dict)  # of dimensions that this schema calls otherwise
    most: int = 10_000  # rows of an answer
    interval: int = 10_000  # packets for which a sampled one stands
    ahead: timedelta = timedelta()  # of its clock
    asked: list[str] = field(default_factory=list)  # the queries
    api: str = ""  # where all other calls go


class _Handler(JsonHandler):
    protocol_version = "HTTP/1.1"

    forwarded = ""  # the API's own `Date`: a second one would hide it

    def date_time_string(self, timestamp=None):
        """The header `Date`."""
        return self.forwarded or format_datetime(datetime.now(UTC) + self.server.behaviour.ahead, usegmt=True)

    def forward(self):
        """Hand a call on to the API that this server stands before."""
        url = self.server.behaviour.api + self.path.removeprefix("/client/v4")
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        answer = httpx.request(self.command, url, headers=headers, content=self.body(), timeout=120)
        self.forwarded = answer.headers.get("date", "")
        self.say(
            answer.content, answer.status_code, **{"content-type": answer.headers.get("content-type", "")}
        )
        self.forwarded = ""

    do_GET = do_PUT = do_DELETE = forward

    def do_POST(self):
        behaviour: Behaviour = self.server.behaviour
        if behaviour.api and not self.path.endswith("/graphql"):
            self.forward()
            return
        query = json.loads(self.body())["query"]
        behaviour.asked.append(query)
        time.sleep(behaviour.delay)
        if not self.path.endswith("/graphql"):
            self.say({"errors": [{"message": "no such route"}]}, 404)
        elif behaviour.body:
            self.say(behaviour.body, behaviour.status)
        elif behaviour.token and self.headers["authorization"] != f"Bearer {behaviour.token}":
            self.say(refusal("Unauthorized"), 403)
        else:
            self._answer(behaviour, query)

    def _answer(self, behaviour: Behaviour, query: str):
        answer = {"data": None, "errors": behaviour.errors or None}
        if behaviour.account not in query:
            answer = refusal("not authorized for that account")
        elif told := _complaint(behaviour, query):
            answer["errors"] = [
                {"message": told, "path": None, "extensions": {"timestamp": "2026-11-29T12:00:00Z"}}
            ]
        elif behaviour.data:
            answer["data"] = {"viewer": {"accounts": [{NODE: _rows(behaviour, query)}]}}
        text = json.dumps(answer).encode()
        if behaviour.cut:
            self.send_response(behaviour.status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text[: len(text) // 2])
            self.close_connection = True
        else:
            self.say(text, behaviour.status)


def refusal(message: str) -> dict:
    return {"data": None, "errors": [{"message": message, "path": None, "extensions": {"code": "authz"}}]}


def _complaint(behaviour: Behaviour, query: str) -> str:
    for documented in behaviour.names:
        if re.search(rf"\b{documented}(_in)?\b", query):
            return f'unknown field "{documented}"'
    if (limit := int(re.search(r"limit: (\d+)", query)[1])) > behaviour.most:
        return f"limit must be positive number and not greater than {behaviour.most}, got {limit}"
    return ""


def _rows(behaviour: Behaviour, query: str) -> list[dict]:
    called = {
        each: behaviour.names.get(each, each)
        for each in ("ipDestinationAddress", "outcome", "datetimeMinute")
    }
    since, until = (
        datetime.fromisoformat(re.search(rf'datetime_{side}: "([^"]+)"', query)[1]) for side in ("geq", "lt")
    )
    among = re.search(rf"{called['ipDestinationAddress']}_in: \[([^\]]*)\]", query)
    addresses = json.loads(f"[{among[1]}]") if among else None
    wanted = re.search(r"dimensions \{([^}]*)\}", query)[1].split()
    sums: dict[tuple, int] = {}
    newest = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    for row in behaviour.rows:
        minute = row.minute or newest
        if not since <= minute < until or (addresses is not None and row.address not in addresses):
            continue
        values = {
            "coloCode": row.colo,
            called["outcome"]: row.outcome,
            called["ipDestinationAddress"]: row.address,
            called["datetimeMinute"]: f"{minute:%Y-%m-%dT%H:%M:%SZ}",
        }
        key = tuple((name, values[name]) for name in wanted)
        sums[key] = sums.get(key, 0) + row.packets
    largest = sorted(sums.items(), key=lambda item: -item[1])[: int(re.search(r"limit: (\d+)", query)[1])]
    average = {"avg": {"sampleInterval": behaviour.interval}} if "sampleInterval" in query else {}
    return [{"dimensions": dict(key), "sum": {"packets": packets}, **average} for key, packets in largest]


@contextmanager
def network_analytics(*rows: Row, **more):
    """A server with these rows; its `url` is the API's base, its `behaviour` what a test may change."""
    behaviour = Behaviour(rows=list(rows), **more)
    with serving(_Handler, behaviour=behaviour) as server:
        server.url = f"{server.url}/client/v4"
        yield server
