"""A fresh world for each test: an account at an edge of its own, a bucket that is registered, an archive."""

import pytest

from edgecap.captures.ownership import register
from tests.edgecap.reconcile.world import Halfway


@pytest.fixture
async def world(object_store, tmp_path, request):
    """Parametrise it with (variant, faults)."""
    variant, faults = getattr(request, "param", ("documented", ()))
    with Halfway(tmp_path, store=object_store, variant=variant, faults=faults) as world:
        async with world.client() as client:
            await register(client, world.bucket, world.place)
        yield world
