"""Network Analytics with all dimensions of what was dropped, on loopback; a test gives its packets.

It reads the query as text: each alias with its dimensions and filter is answered from the packets.
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.graphql import ACCOUNT, refusal
from tests.stand_ins import JsonHandler, serving

_NODE = re.compile(
    r"(\w+): magicTransitNetworkAnalyticsAdaptiveGroups\(filter: \{(.*?)\}, limit: (\d+), .*?\) "
    r"\{ dimensions \{([^}]*)\} sum \{([^}]*)\} \}"
)
_NONE = {"mitigationSystem": "", "mitigationReason": "", "ruleId": "", "ruleName": "", "attackVector": ""}


def packets(count, at, outcome="pass", address="203.0.113.7", **dimensions):
    """Packets in a minute, as the schema names their dimensions."""
    minute = at.replace(second=0, microsecond=0)
    return count, {
        "datetimeMinute": f"{minute:%Y-%m-%dT%H:%M:%SZ}",
        "outcome": outcome,
        "ipDestinationAddress": address,
        "coloCode": "ORD",
        "sourceCountry": "NL",
        "sourceAsn": "64500",
        "sourceAsnName": "EXAMPLE-CLOUD",
        **(
            _NONE
            if outcome == "pass"
            else {**_NONE, "mitigationSystem": "dosd", "ruleId": "r1", "ruleName": "Floods"}
        ),
        **dimensions,
    }


def attack(at, minutes=4):
    """Usual traffic, and an attack of which the edge drops nine tenths."""
    return [
        each
        for minute in range(minutes)
        for each in (
            packets(1_000_000, at + timedelta(minutes=minute)),
            packets(
                9_000_000, at + timedelta(minutes=minute), "drop", attackVector="SYN Flood", coloCode="AMS"
            ),
        )
    ]


@dataclass
class Behaviour:
    """What the server answers; a test changes it."""

    packets: list = field(default_factory=list)
    unknown: tuple[str, ...] = ()  # dimensions that the schema does not have
    beside: tuple[str, ...] = ()  # aliases that the answer lacks, with an error beside the data
    refuses: bool = False
    delay: float = 0.0
    most: int = 10_000
    asked: list[str] = field(default_factory=list)


class _Handler(JsonHandler):
    def do_POST(self):
        behaviour: Behaviour = self.server.behaviour
        query = json.loads(self.body())["query"]
        behaviour.asked.append(query)
        time.sleep(behaviour.delay)
        if behaviour.refuses:
            return self.say(refusal("not authorized for that account"))
        nodes = _NODE.findall(query)
        assert nodes, f"no node in {query}"
        assert ACCOUNT in query
        for _, _, limit, dimensions, _ in nodes:
            for name in (*behaviour.unknown,):
                if name in dimensions.split():
                    return self.say({"data": None, "errors": [{"message": f'unknown field "{name}"'}]})
            if int(limit) > behaviour.most:
                told = f"limit must be positive number and not greater than {behaviour.most}, got {limit}"
                return self.say({"data": None, "errors": [{"message": told}]})
        rows = {alias: _rows(behaviour, *rest) for alias, *rest in nodes if alias not in behaviour.beside}
        errors = [{"message": "internal error", "path": [each]} for each in behaviour.beside] or None
        return self.say({"data": {"viewer": {"accounts": [rows]}}, "errors": errors})


def _rows(behaviour, where, limit, dimensions, _sums):
    since, until = (
        datetime.fromisoformat(re.search(rf'datetime_{side}: "([^"]+)"', where)[1]) for side in ("geq", "lt")
    )
    among = re.search(r"ipDestinationAddress_in: \[([^\]]*)\]", where)
    addresses = json.loads(f"[{among[1]}]") if among else None
    found = defaultdict(int)
    for count, values in behaviour.packets:
        at = datetime.fromisoformat(values["datetimeMinute"])
        inside = since <= at < until or since.replace(second=0) <= at < until
        if inside and (addresses is None or values["ipDestinationAddress"] in addresses):
            found[tuple((name, values[name]) for name in dimensions.split())] += count
    largest = sorted(found.items(), key=lambda item: -item[1])[: int(limit)]
    return [
        {"dimensions": dict(key), "sum": {"packets": count, "bits": count * 320}} for key, count in largest
    ]


@contextmanager
def dropping(*given, **more):
    """A server with these packets; its `url` is the API's base, its `behaviour` what a test may change."""
    behaviour = Behaviour(packets=[each for group in given for each in group], **more)
    with serving(_Handler, behaviour=behaviour) as server:
        server.url = f"{server.url}/client/v4"
        yield server


def now():
    """The time, aware."""
    return datetime.now(UTC)
