"""The world that is reconciled: a simulated edge, a real bucket, a real archive, and runs stopped halfway.

Runs are stopped where a test says, by doing no more than they would have done by then. The simulator's own
log says what was accepted and stopped.
"""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

import pytest

from edgecap.archive.entries import list_entries
from edgecap.captures.delivery import matching
from edgecap.captures.destinations import destination_conf
from edgecap.captures.intent import decide
from edgecap.captures.order import CaptureOrder
from edgecap.captures.posting import about_to_post
from edgecap.cloudflare.client import Client, Listing
from edgecap.errors import UnknownToApi
from edgecap.reconcile import Action, Life, Limits, Reconciler
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.stores import open_store
from tests.world import SetClock, World

SPEED = 60
QUICK = Limits(list_lag=timedelta(0), second_look=timedelta(seconds=0.3))
GONE = "f" * 32


class Halfway(World):
    """A world with runs that were stopped halfway; the test says in `lives` whether they still live."""

    def __init__(self, folder, **options):
        timing = {"settle": 0.3, "delivery": 30}
        super().__init__(folder, clock=SetClock(SPEED), timing=timing, simple_spacing=1.0, **options)
        self.lives = {}

    async def read_life(self, intent):
        return self.lives.get(intent.intent_id, Life.DEAD)

    async def reconcile(self, *, limits=QUICK, archive=None, read_life=None, **more):
        async with self.client() as client:
            reconciler = Reconciler(
                client,
                archive or self.archive,
                self.settings,
                read_life or self.read_life,
                limits=limits,
                **more,
            )
            return await reconciler.run()

    async def reconciled(self, **options):
        """The first report in which nothing waits; a busy edge lists and delivers late."""
        end = time.monotonic() + 60
        while True:
            report = await self.reconcile(**options)
            if time.monotonic() > end or all(found.action is not Action.WAITING for found in report.findings):
                return report
            await asyncio.sleep(0.3)

    def begin(self, request=None, run="run", **more):
        """An intent in the journal, and nothing more: its run was killed before the POST."""
        now = self.edge.clock.now() - timedelta(seconds=1)  # the list's own time has whole seconds
        order = CaptureOrder(request or SimpleRequest(time_limit=5), run, "test", **more)
        return self.journal.begin(decide(order, self.settings, now=now))

    async def post(self, intent):
        """POST, and no more: the run was killed before it could journal the id."""
        with self.clock.stopped():  # a capture that came minutes after the POST would not be its own
            self.about_to_post(intent)
            return await self.start(dict(intent.body), full=isinstance(intent.request, FullRequest))

    def about_to_post(self, intent):
        """The POST is journalled, and no more."""
        full = isinstance(intent.request, FullRequest)
        place = destination_conf(self.place, with_secrets=False) if full else ""
        listing = Listing([], self.edge.clock.now().replace(microsecond=0))
        about_to_post(self.journal, self.journal.find(intent.intent_id), listing, place)

    async def start(self, body, *, full=False, place=None):
        """A capture that is not in the journal."""
        if full:
            body["destination_conf"] = destination_conf(place or self.place, with_secrets=False)
        async with self.client() as client:
            return await client.create_capture(body)

    async def accepted(self, request=None, run="run"):
        """An intent with its capture's id: the run was killed while it waited."""
        intent = self.begin(request, run)
        capture = await self.post(intent)
        self.journal.accept(intent.intent_id, capture.raw)
        return intent, capture

    async def until(self, capture, wanted):
        """The capture as soon as `wanted` says so of it."""
        # Retries, as the product does: on a busy machine the edge closes a connection that rests for seconds.
        async with Client(self.account) as client:
            while True:
                with suppress(UnknownToApi):  # in some variants not everybody knows a new one at once
                    now = await client.get_capture(capture.id)
                    if wanted(now):
                        return now
                await asyncio.sleep(0.05)

    async def final(self, capture):
        """The capture once it is over, and its files are delivered."""
        now = await self.until(capture, lambda now: now.is_final)
        if now.type == "full":
            bucket, before = open_store(self.place), []
            while not (there := matching(bucket, now.id)) or there != before:
                before = there
                await asyncio.sleep(0.2)
        return now

    async def running(self, capture):
        """Wait until a full capture has captured something."""
        await self.until(capture, lambda now: now.status == "running")
        await asyncio.sleep(0.5)

    async def listed(self):
        """Wait until the list shows what was accepted by now."""
        await asyncio.sleep(self.edge.variant.list_lag / SPEED + 0.1)

    def ending(self, intent):
        return self.journal.find(intent.intent_id).ended

    def entries(self):
        return list(list_entries(self.archive))


def with_faults(*faults, variant="documented"):
    return pytest.mark.parametrize("world", [(variant, faults)], indirect=True)


both = pytest.mark.parametrize(
    "world", [("documented", ()), ("lagging", ())], indirect=True, ids=["documented", "lagging"]
)
FULL = FullRequest(colo="ORD", time_limit=5)
LONG = FullRequest(colo="ORD", time_limit=3600)


def kinds(report):
    return [(finding.kind, finding.action) for finding in report.findings]
