"""An edge with attacks that are spread and mitigated, and queries of its analytics."""

from datetime import timedelta

import pytest

from edgecap.simulator.traffic import Attack, CountedTraffic
from tests.edgecap.simulator.conftest import ACCOUNT, START, SteppedEdge

NODE = "magicTransitNetworkAnalyticsAdaptiveGroups"
TARGET = "203.0.113.9"


def attacks(rate=40.0):
    """A SYN flood at four cities since a minute, and NTP's answers at all."""
    since, lasting = START - timedelta(seconds=60), timedelta(minutes=5)
    return (
        Attack("syn_flood", since, lasting, target=TARGET, places=4, rate=rate),
        Attack("ntp_amplification", since - timedelta(seconds=30), lasting, port=80, places=30, rate=rate),
    )


class Queried:
    """A stepped edge, and what its `/graphql` answers.

    Args:
        world: the edge.
    """

    def __init__(self, world: SteppedEdge) -> None:
        self.world = world

    def ask(self, text, variables=None, token="t" * 40):
        """The whole response."""
        return self.world.raw(
            "POST",
            "/client/v4/graphql",
            json={"query": text, "variables": variables or {}},
            headers={"authorization": f"Bearer {token}"},
        )

    def node(self, fields, *, node=NODE, since=120, until=0, limit=1000, order="", account=ACCOUNT, **wanted):
        """The rows of a node for the seconds before now, and the errors."""
        now = self.world.now.replace(microsecond=0)
        times = {
            "s": f"{now - timedelta(seconds=since):%FT%TZ}",
            "e": f"{now - timedelta(seconds=until):%FT%TZ}",
        }
        more = "".join(f", {name}: {_written(value)}" for name, value in wanted.items())
        text = (
            "query Q($s: Time!, $e: Time!) { viewer { accounts(filter: {accountTag: "
            f'"{account}"}}) {{ {node}(limit: {limit}, filter: {{datetime_geq: $s, datetime_lt: $e{more}}}'
            f"{f', orderBy: [{order}]' if order else ''}) {{ {fields} }} }} }} }}"
        )
        body = self.ask(text, times).json()
        data = body["data"]
        return (data["viewer"]["accounts"][0][node] if data else None), body["errors"]


def _written(value):
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_written(each)}" for name, each in value.items()) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value)


@pytest.fixture
def make_queried(make_world):
    """A function that makes an edge; the traffic is one thing for all, as making it takes time."""

    def make(variant="documented", **options):
        traffic = CountedTraffic(7, rate=12.0, attacks=attacks(), mitigate=True)
        return Queried(
            make_world(
                variant, **{"traffic": traffic, "analytics_delay": 0.0, "analytics_one_in": 20, **options}
            )
        )

    return make


@pytest.fixture
def queried(make_queried):
    return make_queried()
