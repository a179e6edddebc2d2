"""The world that is reconciled: a simulated edge, a real bucket, a real archive, and runs stopped halfway.

Runs are stopped where a test says, by doing no more than they would have done by then. The simulator's own
log says what was accepted and stopped.
"""

import asyncio
import time
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from pydantic import SecretStr

from edgecap.archive.entries import list_entries
from edgecap.archive.journal import Journal
from edgecap.captures.delivery import matching
from edgecap.captures.destinations import destination_conf
from edgecap.captures.intent import decide
from edgecap.captures.order import CaptureOrder
from edgecap.captures.posting import about_to_post
from edgecap.cloudflare.client import Client, Listing
from edgecap.errors import UnknownToApi
from edgecap.reconcile import Life, Limits, Reconciler
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import Account, Bucket, Settings, Timing
from edgecap.stores import open_store
from edgecap.stores.folder import FolderStore

TOKEN = "a-token-for-the-tests"
SPEED = 60
QUICK = Limits(list_lag=timedelta(0), second_look=timedelta(seconds=0.3))
GONE = "f" * 32


class Ticks:
    """Real seconds for the edge's clock, which can be held: what takes a moment takes a minute there."""

    def __init__(self):
        self._missed = 0.0
        self._since = None

    def __call__(self):
        return (time.monotonic() if self._since is None else self._since) - self._missed

    @contextmanager
    def held(self):
        """No time goes by at the edge in the block."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._missed += time.monotonic() - self._since
            self._since = None


class World:
    """An edge, a registered bucket, an archive, and runs of which the test says whether they live."""

    def __init__(self, server, account_id, place, folder, ticks):
        self.edge = server.edge
        self.ticks = ticks
        self.folder = folder
        folder.mkdir()
        self.archive = FolderStore(folder)
        self.journal = Journal(self.archive)
        self.place = place
        self.settings = Settings(
            accounts={
                "default": Account(
                    account_id=account_id, api_token=SecretStr(TOKEN), base_url=server.base_url
                )
            },
            buckets={"default": Bucket(**dict(place))},
            timing=Timing(server_speed=SPEED, settle=0.3, delivery=30),
        )
        self.lives = {}

    def client(self):
        return Client(self.settings.account(), attempts=1)

    async def life_of(self, intent):
        return self.lives.get(intent.intent_id, Life.DEAD)

    async def reconcile(self, *, limits=QUICK, archive=None, life_of=None, **more):
        async with self.client() as client:
            reconciler = Reconciler(
                client,
                archive or self.archive,
                self.settings,
                life_of or self.life_of,
                limits=limits,
                **more,
            )
            return await reconciler.run()

    def begin(self, request=None, run="run", **more):
        """An intent in the journal, and nothing more: its run was killed before the POST."""
        now = self.edge.clock.now() - timedelta(seconds=1)  # the list's own time has whole seconds
        order = CaptureOrder(request or SimpleRequest(time_limit=5), run, "test", **more)
        return self.journal.begin(decide(order, self.settings, now=now))

    async def post(self, intent):
        """POST, and no more: the run was killed before it could journal the id."""
        with self.ticks.held():  # a capture that came minutes after the POST would not be its own
            self.about_to_post(intent)
            return await self.start(dict(intent.body), full=isinstance(intent.request, FullRequest))

    def about_to_post(self, intent):
        """The POST is journalled, and no more."""
        full = isinstance(intent.request, FullRequest)
        place = destination_conf(self.place, with_secrets=False) if full else ""
        listing = Listing([], self.edge.clock.now().replace(microsecond=0))
        about_to_post(self.journal, self.journal.find(intent.intent_id), listing, place)

    async def start(self, body, *, full=False, place=None):
        """A capture that nobody journalled."""
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
        async with self.client() as client:
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

    def posts(self):
        return [
            event
            for event in self.edge.log.events("request")
            if (event["method"], event["outcome"]) == ("POST", "accepted")
            and event["path"].endswith("/pcaps")
        ]


def with_faults(*faults, variant="documented"):
    return pytest.mark.parametrize("world", [(variant, faults)], indirect=True)


both = pytest.mark.parametrize(
    "world", [("documented", ()), ("lagging", ())], indirect=True, ids=["documented", "lagging"]
)
FULL = FullRequest(colo="ORD", time_limit=5)
LONG = FullRequest(colo="ORD", time_limit=3600)


def kinds(report):
    return [(finding.kind, finding.action) for finding in report.findings]
