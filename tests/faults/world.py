"""The world of one case: an account at a simulated edge of its own, a bucket, an archive, the settings."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import httpx
from botocore.config import Config

from deployments.object_store import REGION, ObjectStore
from edgecap.cloudflare.client import Client
from edgecap.ownership import register
from edgecap.settings import Account
from edgecap.simulator.buckets import EdgeBuckets
from edgecap.simulator.clock import Clock
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import Edge
from edgecap.simulator.faults import Faults, parse_fault
from edgecap.simulator.log import EdgeLog
from edgecap.simulator.serve import SimulatorServer
from edgecap.simulator.traffic import SyntheticTraffic
from edgecap.simulator.variants import VARIANTS
from edgecap.stores import open_store
from tests.faults.judge import Delivery, Evidence, RunSeen
from tests.flaky_proxy import FlakyProxy

OURS, PERSON = "edgecap", "a person"
TOKENS = {OURS: "token-of-edgecap-in-the-fault-matrix", PERSON: "token-of-a-person-at-the-dashboard"}
PREFIX = "archive"
RATE = 20.0  # packets a second at a server: made in this process, which others wait for
SMALL_DISK = 1 << 20
ROOM = 96 << 10  # bytes that are left on a small disk: enough for the journal, too little for the packets


class WatchedLog(EdgeLog):
    """The edge's log, and somebody who reads each line before the answer that it is about has left."""

    watcher: Callable[[dict[str, Any]], None] | None = None

    def write(self, event: str, **fields: Any) -> None:
        """Record an event, then show it."""
        super().write(event, **fields)
        if self.watcher:
            self.watcher({"event": event, **fields})


@dataclass(frozen=True)
class Place:
    """Where and how a case plays.

    Attributes:
        archive: "folder", "s3", "small disk" or "disk" (a file system that can be made read-only).
        variant: a key of `VARIANTS`.
        changes: choices of it that are different.
        speed: of the edge's clock.
        ahead: seconds that its clock is ahead at the start.
        proxied: whether the bucket is reached through a proxy that can be told to do harm.
    """

    archive: str = "folder"
    variant: str = "documented"
    changes: dict[str, Any] = field(default_factory=dict)
    speed: float = 30.0
    ahead: float = 0.0
    proxied: bool = False


class CannotPlay(Exception):
    """This machine lacks what the case needs."""


class World:
    """`with World(place, folder, object_store, config) as world:`.

    Args:
        place: how it shall be.
        folder: its own, for whatever it keeps on disk.
        store: the S3 server.
        config: the settings file to write.
    """

    def __init__(self, place: Place, folder: Path, store: ObjectStore, config: Path) -> None:
        self.place = place
        self.account_id = uuid.uuid4().hex
        self._folder = folder
        self._store = store
        self._config = config
        self._mounted: Path | None = None
        self.proxy: FlakyProxy | None = None
        self.bucket = f"case-{self.account_id}"
        clock = Clock(place.speed, start=datetime.now(UTC) + timedelta(seconds=place.ahead))
        self.log = WatchedLog(clock)
        variant = replace(
            VARIANTS[place.variant], **{"validation_takes": 0.0, "challenge_after": 0.0, **place.changes}
        )
        target = store.place(self.bucket, "captures")
        self._target = target
        self.edge = Edge(
            traffic=SyntheticTraffic(7, rate=RATE, attacks=()),
            buckets=EdgeBuckets(store.endpoint_url, None, target.access_key_id, target.secret_access_key),
            credentials=[
                Credential(name, frozenset({self.account_id}), token=token) for name, token in TOKENS.items()
            ],
            clock=clock,
            variant=variant,
            faults=Faults(seed=5),
            log=self.log,
        )
        self.server = SimulatorServer(self.edge)
        self._s3 = boto3.client(
            "s3",
            endpoint_url=store.endpoint_url,
            region_name=REGION,
            aws_access_key_id=store.access_key_id,
            aws_secret_access_key=store.secret_access_key,
            config=Config(proxies={}, connect_timeout=5, read_timeout=30),
        )

    def __repr__(self) -> str:
        return f"<World of account {self.account_id[:6]} {self.edge!r}>"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        self._store.make_bucket(self.bucket)
        if self.place.archive in ("small disk", "disk"):
            self._mount()
        elif self.place.archive == "folder":
            self.root.mkdir()
        if self.place.proxied:
            self.proxy = FlakyProxy(int(self._store.endpoint_url.rpartition(":")[2]))
            self.proxy.__enter__()
        self.server.__enter__()
        asyncio.run(self._register())
        self.write_settings()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)
        if self.proxy:
            self.proxy.__exit__()
        self._s3.close()
        if self._mounted:
            subprocess.run(["umount", "--lazy", self._mounted], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def root(self) -> Path:
        """The folder of an archive that is one."""
        return (self._mounted or self._folder) / PREFIX

    def write_settings(self) -> None:
        """Let the flow runs that start from now on play in this world."""
        keys = {
            "access_key_id": self._store.access_key_id,
            "secret_access_key": self._store.secret_access_key,
        }
        endpoint = self.proxy.url if self.proxy else self._store.endpoint_url
        archive: dict[str, Any] = {"uri": f"file:{self.root}"}
        if self.place.archive == "s3":
            uri = self._store.place(self.bucket, PREFIX).uri
            archive = {"uri": uri, "endpoint_url": self._store.endpoint_url, **keys}
        tables: dict[str, dict[str, Any]] = {
            "accounts.default": {
                "account_id": self.account_id,
                "api_token": TOKENS[OURS],
                "base_url": self.server.base_url,
            },
            "buckets.default": {"uri": self._target.uri, "endpoint_url": endpoint, **keys},
            "archives.default": archive,
            # The margin is on the edge's clock, which runs on while a busy machine starts processes.
            "timing": {
                "server_speed": self.place.speed,
                "settle": 1.0,
                "delivery": 20,
                "poll_most": 1.0,
                "margin": 36_000,
            },
        }
        lines = []
        for name, table in tables.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        aside = self._config.with_suffix(".new")
        aside.write_text("\n".join(lines) + "\n")
        aside.replace(self._config)

    def trouble(self, *faults: str) -> None:
        """Have the edge make trouble from now on."""
        for text in faults:
            self.edge.faults.add(parse_fault(text))

    def unspent(self) -> list[str]:
        """Troubles that never happened."""
        return [fault["kind"] for fault in self.edge.faults.state() if not fault["struck"]]

    def person_asks(self, request: dict[str, Any]) -> str:
        """Somebody starts a capture in the dashboard; its id, or nothing if it was refused."""
        body = {"system": "magic-transit", **request}
        if request["type"] == "full":
            body["destination_conf"] = self._target.uri
        answer = httpx.post(
            f"{self.server.base_url}/accounts/{self.account_id}/pcaps",
            json=body,
            headers={"Authorization": f"Bearer {TOKENS[PERSON]}"},
            timeout=30,
        )
        return answer.json()["result"]["id"] if answer.is_success else ""

    def person_stops(self, capture_id: str) -> None:
        """Somebody stops a capture in the dashboard."""
        self.edge.stop(self.account_id, capture_id)

    def make_read_only(self, read_only: bool = True) -> None:
        """Turn the archive's file system read-only, or back."""
        assert self._mounted
        how = "remount,ro" if read_only else "remount,rw"
        subprocess.run(["mount", "-o", how, self._mounted], check=True, capture_output=True)

    def states(self, capture_type: str = "") -> list[dict[str, Any]]:
        """What became of captures, by the edge's log."""
        return [event for event in self.log.events("state") if capture_type in ("", event["type"])]

    def accepted(self) -> list[str]:
        """The captures that the edge accepted from edgecap."""
        return [
            event["capture_id"]
            for event in self.log.events("request")
            if event["method"] == "POST"
            and event["path"].endswith("/pcaps")
            and event["outcome"] == "accepted"
            and event["caller"] == OURS
        ]

    def archived(self) -> dict[str, bytes]:
        """Every file of the archive under its final name, read as any program would."""
        if self.place.archive == "s3":
            return self._objects(f"{PREFIX}/")
        found = {}
        for path in sorted(self.root.rglob("*")):
            key = path.relative_to(self.root).as_posix()
            if path.is_file() and not key.startswith(".tmp/"):
                found[key] = path.read_bytes()
        return found

    def names(self) -> set[str]:
        """The names of the archive's files."""
        if self.place.archive == "s3":
            return {key.removeprefix(f"{PREFIX}/") for key in self._keys(f"{PREFIX}/")}
        return {p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file()}

    def evidence(self, runs: list[RunSeen], freed: list[float | None]) -> Evidence:
        """Everything that there is to judge by."""
        captures = {capture["id"]: capture for capture in self.edge.state()["captures"]}
        deliveries: dict[str, list[Delivery]] = {}
        bucket = self._objects("captures/")
        for event in self.log.events("delivery"):
            key, capture_id = event["key"], event["capture_id"]
            if event["outcome"] == "delivered":
                delivery = Delivery(key, bucket[key], event["packets"])
                deliveries.setdefault(capture_id, []).append(delivery)
        lost = {e["capture_id"] for e in self.log.events("delivery") if e["outcome"] == "missing"}
        for capture_id, capture in captures.items():
            if capture["type"] == "simple" and capture["status"] in ("success", "complete"):
                data = self.edge.download(self.account_id, capture_id).read_bytes()
                deliveries[capture_id] = [Delivery("", data, capture["packets"])]
        return Evidence(
            events=self.log.events(),
            ours=OURS,
            lag=self.edge.variant.list_lag,
            speed=self.place.speed,
            archive=self.archived(),
            deliveries=deliveries,
            lost=lost,
            runs=runs,
            freed=freed,
        )

    def _keys(self, prefix: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def _objects(self, prefix: str) -> dict[str, bytes]:
        return {
            key.removeprefix(prefix): self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            for key in self._keys(prefix)
        }

    def _mount(self) -> None:
        folder = self._folder / "disk"
        folder.mkdir()
        size = SMALL_DISK if self.place.archive == "small disk" else SMALL_DISK * 64
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
        )
        if done.returncode:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise CannotPlay(f"no file system can be mounted here: {done.stderr.decode().strip()}")
        self._mounted = folder
        self.root.mkdir()
        if self.place.archive == "small disk":
            (folder / "filler").write_bytes(b"x" * (SMALL_DISK - ROOM))

    async def _register(self) -> None:
        account = Account.model_validate(
            {
                "account_id": self.account_id,
                "api_token": TOKENS[OURS],
                "base_url": self.server.base_url,
            }
        )
        async with Client(account) as client:
            await register(client, open_store(self._target), self._target)
