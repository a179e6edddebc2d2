"""The world of one case: an account at a simulated edge of its own, a bucket, an archive, the settings."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from deployments.demo.object_store import ObjectStore
from edgecap.captures.ownership import register
from edgecap.settings import StoreLocation
from edgecap.settings.uri import parse_uri
from edgecap.simulator.credentials import Credential
from edgecap.simulator.faults import Fault, parse_fault
from edgecap.simulator.log import EdgeLog
from edgecap.simulator.traffic import SyntheticTraffic
from edgecap.simulator.variants import VARIANTS
from edgecap.stores import open_store
from tests.faults.case import Place
from tests.faults.evidence import Delivery, Evidence, RunSeen
from tests.faults.storage import OTHER, PREFIX, CannotPlay, Storage
from tests.flaky_proxy import FlakyProxy
from tests.world import TOKEN, SetClock, World

OURS, PERSON = "edgecap", "a person"
TOKENS = {OURS: TOKEN, PERSON: "token-of-a-person-at-the-dashboard"}
RATE = 20.0  # packets a second at a server: this process makes them, and other processes wait for it


class WatchedLog(EdgeLog):
    """The edge's log; a watcher reads each line before the edge sends the answer that the line is about."""

    watcher: Callable[[dict[str, Any]], None] | None = None

    def write(self, event: str, **fields: Any) -> None:
        """Record an event, then show it."""
        super().write(event, **fields)
        if self.watcher:
            self.watcher({"event": event, **fields})


class CaseWorld(World):
    """`with CaseWorld(place, folder, object_store, config) as world:`.

    Args:
        place: how the world is to be.
        folder: its own, for all that it keeps on disk; made here, and removed at the end.
        store: the S3 server.
        config: the settings file to write.
    """

    clock: SetClock
    log: WatchedLog

    def __init__(self, place: Place, folder: Path, store: ObjectStore, config: Path) -> None:
        folder.mkdir(parents=True)
        clock = SetClock(place.speed, start=datetime.now(UTC) + timedelta(seconds=place.ahead))
        self.log = WatchedLog(clock)
        account_id = uuid.uuid4().hex
        # The cases' captures last longer than one of the variants lets them.
        quick = {"validation_takes": 0.0, "challenge_after": 0.0, "full_time_limit": 86_400}
        super().__init__(
            folder,
            store=store,
            clock=clock,
            variant=replace(VARIANTS[place.variant], **{**quick, **place.changes}),
            account_id=account_id,
            # The margin is on the edge's clock, which runs on while a busy machine starts processes.
            timing={
                "settle": 1.0,
                "delivery": 20,
                "poll_most": 1.0,
                "margin": 36_000 if place.speed > 1 else 900,
            },
            traffic=SyntheticTraffic(7, rate=RATE, attacks=()),
            credentials=[
                Credential(name, frozenset({account_id}), token=token) for name, token in TOKENS.items()
            ],
            log=self.log,
        )
        self.case = place
        self.config = config
        self._folder = folder
        self._store = store
        self._bucket_name = parse_uri(self.place.uri).bucket
        self.proxy: FlakyProxy | None = None
        self.archive_proxy: FlakyProxy | None = None
        self._over: list[Fault] = []
        self._late: list[threading.Thread] = []
        self._second = store.place(self._bucket_name, OTHER)
        self._dashboard = store.place(self._bucket_name, "dashboard") if place.dashboard else self.place
        self._storage = Storage(place, folder, store, self._bucket_name)

    @property
    def lanes(self) -> str:
        """The key by which edgecap finds the account's lanes."""
        return self.account.lanes

    def __enter__(self) -> Self:
        try:
            self._storage.make()
        except CannotPlay:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        if self.case.proxied:
            self.proxy = FlakyProxy(int(self._store.endpoint_url.rpartition(":")[2]))
            self.proxy.__enter__()
        if self.case.archive == "s3" and self.case.archive_proxied:
            self.archive_proxy = FlakyProxy(int(self._store.endpoint_url.rpartition(":")[2]))
            self.archive_proxy.__enter__()
        self.root = self._storage.root
        super().__enter__()
        places = [
            self.place,
            *([self._second] * self.case.second),
            *([self._dashboard] * self.case.dashboard),
        ]
        for place in places:
            asyncio.run(self._register(place))
        self.write_settings()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in self._late:
            thread.join()
        super().__exit__(kind, error, trace)
        for proxy in filter(None, [self.proxy, self.archive_proxy]):
            proxy.__exit__()
        self._storage.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def write_settings(self) -> None:
        """Write the settings, so that flow runs that start from now on use this world."""
        bucket = self.tables["buckets.default"]
        if self.proxy:
            bucket["endpoint_url"] = self.proxy.url
        self.tables["archives.default"] = {"uri": f"file:{self.root}"}
        if self.case.archive == "s3":
            server = self.archive_proxy.url if self.archive_proxy else self._store.endpoint_url
            uri = self._store.place(self._bucket_name, PREFIX).uri
            self.tables["archives.default"] = {**bucket, "uri": uri, "endpoint_url": server}
        if self.case.second:
            self.tables[f"archives.{OTHER}"] = {"uri": f"file:{self._folder / OTHER}"}
            self.tables[f"buckets.{OTHER}"] = {**bucket, "uri": self._second.uri}
        self.write()

    def trouble(self, *faults: str) -> None:
        """Add faults to the edge."""
        for text in faults:
            self.edge.faults.add(parse_fault(text))

    def unspent(self) -> list[str]:
        """The kinds of faults that never happened."""
        over = [fault.kind for fault in self._over if not fault.struck]
        return over + [fault["kind"] for fault in self.edge.faults.state() if not fault["struck"]]

    @contextmanager
    def outage(self, *faults: str) -> Iterator[None]:
        """The edge has these faults in the block."""
        plan = [parse_fault(text) for text in faults]
        for fault in plan:
            self.edge.faults.add(fault)
        try:
            yield
        finally:
            self.edge.faults.clear()
            self._over += plan

    @contextmanager
    def token_refused(self) -> Iterator[None]:
        """Our token is refused with 403 in the block."""
        gate, known = self.edge.gate, self.edge.gate.credentials
        gate.credentials = tuple(
            replace(each, accounts=frozenset()) if each.name == OURS else each for each in known
        )
        try:
            yield
        finally:
            gate.credentials = known

    @contextmanager
    def archive_away(self) -> Iterator[None]:
        """The archive cannot be reached in the block."""
        if self.archive_proxy:
            self.archive_proxy.away = True
        else:
            self.root.rename(self._folder / "away")
        try:
            yield
        finally:
            if self.archive_proxy:
                self.archive_proxy.away = False
            else:
                shutil.rmtree(self.root, ignore_errors=True)
                (self._folder / "away").rename(self.root)

    @contextmanager
    def bucket_away(self) -> Iterator[None]:
        """edgecap cannot reach the bucket in the block; the edge can."""
        assert self.proxy
        self.proxy.away = True
        try:
            yield
        finally:
            self.proxy.away = False

    def push_out(self, count: int = 52) -> None:
        """Start simple captures for a person, one a minute, with jumps of the edge's clock in between."""
        for number in range(count):
            self.jump(61)
            # At the edge itself, which may be about to answer when this is called.
            body = {"type": "simple", "system": "magic-transit", "time_limit": 1 + number, "packet_limit": 10}
            self.edge.create(self.account_id, body)

    def deliver_late(self, seconds: float) -> None:
        """Break the connection of our next POST, and deliver its body some real seconds later."""
        fault = parse_fault("reset,method=POST,path=*/pcaps,after=false")
        self.edge.faults.add(fault)

        def later() -> None:
            while not fault.struck:
                time.sleep(0.1)
            event = next(e for e in self.log.events("request") if "reset" in (e.get("fault") or ()))
            time.sleep(seconds)
            self._post(OURS, event["body"])

        thread = threading.Thread(target=later, daemon=True)
        self._late.append(thread)
        thread.start()

    def is_awaited(self) -> bool:
        """Whether a request is still on its way to the edge, or held by it, and may yet start a capture."""
        return bool(self.edge.under_way) or any(thread.is_alive() for thread in self._late)

    def _post(self, who: str, body: dict[str, Any]) -> httpx.Response:
        return httpx.post(
            f"{self.server.base_url}/accounts/{self.account_id}/pcaps",
            json=body,
            headers={"Authorization": f"Bearer {TOKENS[who]}"},
            timeout=30,
            trust_env=False,
        )

    def person_asks(self, request: dict[str, Any]) -> str:
        """Start a capture for a person in the dashboard; return its id, or nothing if it was refused."""
        body = {"system": "magic-transit", **request}
        if request["type"] == "full":
            body["destination_conf"] = self._dashboard.uri
        answer = self._post(PERSON, body)
        return answer.json()["result"]["id"] if answer.is_success else ""

    def person_stops(self, capture_id: str) -> None:
        """Stop a capture for a person in the dashboard."""
        self.edge.stop(self.account_id, capture_id)

    def make_read_only(self, read_only: bool = True) -> None:
        """Turn the archive's file system read-only, or back."""
        self._storage.make_read_only(read_only)

    def names(self) -> set[str]:
        """The names of the archive's files."""
        return self._storage.names()

    def states(self, capture_type: str = "") -> list[dict[str, Any]]:
        """The states of captures, by the edge's log."""
        return [event for event in self.log.events("state") if capture_type in ("", event["type"])]

    def accepted(self) -> list[str]:
        """The captures that the edge accepted from edgecap."""
        return [event["capture_id"] for event in self.posts() if event["caller"] == OURS]

    def evidence(self, runs: list[RunSeen], freed: list[float | None], **more: Any) -> Evidence:
        """All evidence for the judge."""
        captures = {capture["id"]: capture for capture in self.edge.state()["captures"]}
        deliveries: dict[str, list[Delivery]] = {}
        bucket = {**self._storage.objects("captures/"), **self._storage.objects(f"{OTHER}/")}
        for event in self.log.events("delivery"):
            key, capture_id = event["key"], event["capture_id"]
            # Files in a person's own bucket do not count.
            if event["outcome"] == "delivered" and (not self.case.dashboard or key in bucket):
                delivery = Delivery(key, bucket[key], event["packets"])
                deliveries.setdefault(capture_id, []).append(delivery)
        # Lost by a fault, or by a stop where the variant keeps less than all.
        came: Counter[str] = Counter()
        for event in self.log.events("delivery"):
            came[event["capture_id"]] += event["packets"] if event["outcome"] == "delivered" else 0
        lost = {id_ for id_, packets in came.items() if packets < captures[id_]["packets"]}
        for capture_id, capture in captures.items():
            if capture["type"] == "simple" and capture["status"] in ("success", "complete"):
                data = self.edge.captures[capture_id].file.read_bytes()  # also before it may be downloaded
                deliveries[capture_id] = [Delivery("", data, capture["packets"])]
        return Evidence(
            events=self.log.events(),
            ours=OURS,
            lag=self.edge.variant.list_lag,
            speed=self.case.speed,
            archive=self._storage.archive(),
            other=self._storage.other(),
            deliveries=deliveries,
            lost=lost,
            runs=runs,
            freed=freed,
            **more,
        )

    async def _register(self, target: StoreLocation) -> None:
        async with self.client() as client:
            await register(client, open_store(target), target)
