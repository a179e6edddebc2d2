"""Places chosen at the simulated edge, under every plausible Network Analytics, beside its own count."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.analytics.choosing import Wanted, choose_places
from edgecap.errors import AnalyticsRefused
from edgecap.settings import Account
from edgecap.simulator.analytics.truth import tally
from edgecap.simulator.clock import Clock
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import Edge
from edgecap.simulator.serve import SimulatorServer
from edgecap.simulator.traffic.attacks import Attack
from edgecap.simulator.traffic.counted import CountedTraffic
from edgecap.simulator.traffic.times import nanoseconds
from edgecap.simulator.variants import VARIANTS
from edgecap.stores.folder import FolderStore
from tests.graphql import ACCOUNT

TOKEN = "a-token-for-the-edge"
START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
NOW = START + timedelta(minutes=13)
TARGET = "203.0.113.99"
ATTACK = Attack("syn_flood", START, timedelta(minutes=20), target=TARGET, rate=60.0, places=2, dropped=0.5)


class Noon(Clock):
    """A clock that stands still, weeks before this machine's."""

    def now(self):
        return NOW


@pytest.fixture(scope="module")
def traffic():
    """One for all variants: it remembers what it has counted."""
    return CountedTraffic(3, rate=5.0, attacks=[ATTACK], spread=True, mitigate=True)


def choose(traffic, folder, variant, *, analytics=True):
    edge = Edge(
        traffic=traffic,
        buckets=lambda _: FolderStore(folder),
        credentials=[Credential("token", frozenset({ACCOUNT}), token=TOKEN, analytics=analytics)],
        clock=Noon(),
        variant=VARIANTS[variant],
        analytics_delay=30.0,
        analytics_one_in=100,
    )
    with SimulatorServer(edge) as server:
        account = Account(account_id=ACCOUNT, api_token=TOKEN, base_url=server.base_url)
        wanted = Wanted("default", (TARGET,), most=3)
        # The edge counts its packets before it answers, and this machine may be busy.
        return asyncio.run(choose_places(wanted, account, FolderStore(folder), within=300))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_places_are_those_of_the_attack(traffic, tmp_path, variant):
    chosen = choose(traffic, tmp_path, variant)
    rows = tally(
        traffic,
        nanoseconds(NOW),
        nanoseconds(NOW + timedelta(minutes=1)),
        by=("colo", "outcome"),
        targets=frozenset({TARGET}),
    )
    passed = {row["colo"]: row["packets"] for row in rows if row["outcome"] == "pass"}
    if VARIANTS[variant].analytics_codes == "metro":
        assert chosen.choice.by == "analytics"
        return
    assert set(chosen.choice.places) <= set(passed)
    if VARIANTS[variant].analytics_incomplete:
        assert any("beside the rows" in note for note in chosen.choice.evidence.notes)
        return
    best = sorted(passed, key=lambda colo: -passed[colo])[:2]
    assert set(chosen.choice.places) == set(best)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_token_without_the_permission_is_refused_in_words(traffic, tmp_path, variant):
    chosen = choose(traffic, tmp_path, variant, analytics=False)
    assert isinstance(chosen.problem, AnalyticsRefused), chosen.problem
    assert "'Account Analytics: Read'" in str(chosen.problem)
    assert chosen.choice.by == "none"
