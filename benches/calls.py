"""The calls that processes made, from the files that `benches/traced` writes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
_NAMED = [  # paths that end with a name
    (re.compile(r"^/api/(variables/name)/[^/]+"), r"/api/\1/{name}"),
    (re.compile(r"^/api/(deployments/name)/.+"), r"/api/\1/{flow}/{name}"),
    (re.compile(r"^/api/(v2/concurrency_limits)/(?!(?:in|de)crement|leases)\w+"), r"/api/\1/{name}"),
    (re.compile(r"^/api/(work_pools)/(?!filter)[^/]+(/queues/)(?!filter)[^/]+"), r"/api/\1/{pool}\2{queue}"),
    (re.compile(r"^/api/(work_pools)/(?!filter)[^/]+"), r"/api/\1/{pool}"),
    (re.compile(r"^/api/(flows/name)/[^/]+"), r"/api/\1/{name}"),
]  # fmt: skip
_WHERE = {"/api/": "", "/client/v4/accounts/{id}/": "Cloudflare: "}


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        at: when it began, in seconds since 1970.
        took: seconds.
        process: the kind of process that made it, such as `run`.
        pid: that process.
        status: of the answer; 0 for an event.
        method: of HTTP; SEND for an event.
        url: whole.
    """

    at: float
    took: float
    process: str
    pid: int
    status: str
    method: str
    url: str

    @property
    def kind(self) -> str:
        """The method and the route, without ids and names."""
        path = urlsplit(self.url).path
        if self.method == "SEND":
            return "event"
        for pattern, route in _NAMED:
            path = pattern.sub(route, path)
        path = _ID.sub("{id}", path)
        for prefix, to in _WHERE.items():
            if path.startswith(prefix):
                return f"{to}{self.method} /{path.removeprefix(prefix)}"
        return f"warm process: {self.method} {path}"

    @property
    def is_prefect(self) -> bool:
        """Whether it went to Prefect's API."""
        return self.method == "SEND" or urlsplit(self.url).path.startswith("/api/")


def read_calls(folder: Path, since: float, until: float) -> list[Call]:
    """The calls of all processes that began in that time, the earliest first."""
    found = []
    for path in folder.glob("*.trace"):
        for line in path.read_text().splitlines():
            at, took, process, status, method, url = line.split("\t")
            if since <= float(at) < until:
                found.append(Call(float(at), float(took), process, int(path.stem), status, method, url))
    return sorted(found, key=lambda call: call.at)


def in_order(calls: Iterable[Call]) -> list[str]:
    """A Markdown table of the calls in their order; equal ones that follow each other are one row."""
    rows: list[tuple[str, str, int, float]] = []
    for call in calls:
        if rows and rows[-1][:2] == (call.process, call.kind):
            process, kind, times, took = rows[-1]
            rows[-1] = (process, kind, times + 1, took + call.took)
        else:
            rows.append((call.process, call.kind, 1, call.took))
    lines = ["| | process | call | times | ms |", "|--:|---|---|--:|--:|"]
    return lines + [
        f"| {number} | {process} | `{kind}` | {times} | {took * 1000:.0f} |"
        for number, (process, kind, times, took) in enumerate(rows, 1)
    ]


def by_kind(ways: Mapping[str, Iterable[Call]]) -> list[str]:
    """A Markdown table of how often each kind of call was made, with a column for each of the ways."""
    counts = {way: Counter(call.kind for call in calls) for way, calls in ways.items()}
    kinds = Counter(kind for count in counts.values() for kind in count.elements())
    lines = [f"| call | {' | '.join(ways)} |", "|---|" + "--:|" * len(ways)]
    for kind, _ in kinds.most_common():
        lines.append(f"| `{kind}` | {' | '.join(str(count[kind] or '') for count in counts.values())} |")
    return [*lines, f"| **all** | {' | '.join(str(count.total()) for count in counts.values())} |"]
