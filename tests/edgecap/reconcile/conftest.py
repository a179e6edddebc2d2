"""A fresh world for each test: an account at an edge of its own, a bucket that is registered, an archive."""

import uuid

import pytest

from edgecap.captures.ownership import register
from edgecap.simulator.buckets import EdgeBuckets
from edgecap.simulator.clock import Clock
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import Edge
from edgecap.simulator.faults import Faults, parse_fault
from edgecap.simulator.serve import SimulatorServer
from edgecap.simulator.traffic import SyntheticTraffic
from edgecap.simulator.variants import VARIANTS
from edgecap.stores import open_store
from tests.edgecap.reconcile.world import SPEED, TOKEN, Ticks, World


@pytest.fixture
async def world(object_store, tmp_path, request):
    """Parametrise it with (variant, faults)."""
    variant, faults = getattr(request, "param", ("documented", ()))
    account_id = uuid.uuid4().hex
    ticks = Ticks()
    place = object_store.place(object_store.make_bucket(f"reconcile-{account_id}"), "captures")
    edge = Edge(
        traffic=SyntheticTraffic(1, rate=25.0),
        buckets=EdgeBuckets(object_store.endpoint_url, None, place.access_key_id, place.secret_access_key),
        credentials=[Credential("token", frozenset({account_id}), token=TOKEN)],
        clock=Clock(SPEED, source=ticks),
        variant=VARIANTS[variant] if isinstance(variant, str) else variant,
        simple_spacing=1.0,
        faults=Faults(map(parse_fault, faults)),
    )
    with SimulatorServer(edge) as server:
        world = World(server, account_id, place, tmp_path / "archive", ticks)
        async with world.client() as client:
            await register(client, open_store(place), place)
        yield world
