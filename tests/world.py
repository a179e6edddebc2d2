"""A simulated edge on a clock that tests set, with an account, a bucket, an archive and the settings."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from deployments.demo.object_store import ObjectStore
from edgecap.archive.journal import Journal
from edgecap.captures.ownership import register
from edgecap.cloudflare.client import Client
from edgecap.settings import Account, Settings, StoreLocation
from edgecap.simulator.buckets import EdgeBuckets
from edgecap.simulator.clock import Clock
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import Edge
from edgecap.simulator.faults import Faults, parse_fault
from edgecap.simulator.serve import SimulatorServer
from edgecap.simulator.traffic import SyntheticTraffic
from edgecap.simulator.variants import VARIANTS, Variant
from edgecap.stores import Store, open_store
from edgecap.stores.folder import FolderStore

TOKEN = "token-of-the-tests-at-their-simulated-edge"


class SetClock(Clock):
    """The edge's clock, which a test may set, or stop."""

    _jumped = timedelta()
    _stopped_at: datetime | None = None

    def now(self) -> datetime:
        """The simulator's time."""
        return self._stopped_at or super().now() + self._jumped

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """No time passes in the block."""
        self._stopped_at = stopped_at = self.now()
        try:
            yield
        finally:
            self._stopped_at = None
            self._jumped += stopped_at - self.now()

    def jump(self, seconds: float) -> None:
        """Set it forwards, or back."""
        self._jumped += timedelta(seconds=seconds)


def stepped_clock(**options: Any) -> SetClock:
    """A clock that moves only by `jump`: however busy the machine is, no other time passes."""
    return SetClock(source=lambda: 0.0, **options)


class World:
    """An account at an edge of its own. `with World(tmp_path, store=object_store) as world:` serves it.

    Args:
        folder: for the archive, for the settings file, and for the bucket if there is no `store`.
        store: the S3 server to make the bucket on.
        clock: the edge's; by default it runs at the real speed.
        variant: which API the edge is.
        faults: what goes wrong at the edge, such as `error,method=POST`.
        timing: the table `timing` of the settings; `server_speed` is the clock's.
        account_id: a new one by default, since lanes are an account's, and Prefect remembers them.
        edge: further arguments of `Edge`.

    Attributes:
        archive: the archive, in the folder `root`.
        place: where the bucket is. The edge writes to `bucket`.
        tables: the tables of the settings file, by name. `settings` are made of them once.
    """

    def __init__(
        self,
        folder: Path,
        *,
        store: ObjectStore | None = None,
        clock: SetClock | None = None,
        variant: str | Variant = "documented",
        faults: Iterable[str] = (),
        timing: dict[str, Any] | None = None,
        account_id: str = "",
        **edge: Any,
    ) -> None:
        self.account_id = account_id or uuid.uuid4().hex
        self.clock = clock or SetClock()
        self.config = folder / "edgecap.toml"
        self.root = folder / "archive"
        self.root.mkdir(exist_ok=True)
        self.archive = FolderStore(self.root)
        self.journal = Journal(self.archive)
        self.bucket: Store
        bucket: dict[str, Any]
        if store:
            self.place = store.place(store.make_bucket(f"world-{uuid.uuid4().hex}"), "captures")
            keys = {"access_key_id": store.access_key_id, "secret_access_key": store.secret_access_key}
            buckets: Any = EdgeBuckets(store.endpoint_url, None, *keys.values())
            self.bucket = open_store(self.place)
            bucket = {"endpoint_url": store.endpoint_url, **keys}
        else:
            (folder / "bucket").mkdir()
            self.place = StoreLocation(uri="s3://caps/full?region=us-east-1")
            self.bucket = FolderStore(folder / "bucket")
            buckets, bucket = (lambda _uri: self.bucket), {}
        self.edge = Edge(
            **{
                "traffic": SyntheticTraffic(7, rate=25.0),
                "buckets": buckets,
                "credentials": [Credential("token", frozenset({self.account_id}), token=TOKEN)],
                "clock": self.clock,
                "variant": VARIANTS[variant] if isinstance(variant, str) else variant,
                "faults": Faults(map(parse_fault, faults)),
                **edge,
            }
        )
        self.server = SimulatorServer(self.edge)
        self.tables: dict[str, dict[str, Any]] = {
            "accounts.default": {
                "account_id": self.account_id,
                "api_token": TOKEN,
                "base_url": self.server.base_url,
            },
            "buckets.default": {"uri": self.place.uri, **bucket},
            "archives.default": {"uri": f"file:{self.root}"},
            "timing": {"server_speed": self.clock.speed, **(timing or {})},
        }
        defaults = {name.partition(".")[0]: {"default": table} for name, table in self.tables.items()}
        self.settings = Settings(**{**defaults, "timing": self.tables["timing"]})
        self.account = self.settings.account()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of account {self.account_id[:6]} {self.edge!r}>"

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__(None, None, None)

    def write(self, **tables: dict[str, Any]) -> None:
        """Write the settings file, with some tables changed."""
        lines = []
        for name, table in {**self.tables, **tables}.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        aside = self.config.with_suffix(".new")
        aside.write_text("\n".join(lines) + "\n")
        aside.replace(self.config)  # runs read it at any moment

    def jump(self, seconds: float) -> None:
        """Set the edge's clock forwards, or back."""
        self.clock.jump(seconds)
        self.edge.wake_up()

    def client(self, account_id: str = "", **credentials: Any) -> Client:
        """A client of the edge that tries nothing twice; with our token, if no credentials are given."""
        if not account_id and not credentials:
            return Client(self.account, attempts=1)
        account = {"account_id": account_id or self.account_id, **(credentials or {"api_token": TOKEN})}
        return Client(Account(base_url=self.server.base_url, **account), attempts=1)

    async def register(self, client: Client) -> Any:
        """Pass the bucket's ownership challenge, which waits on the edge's clock."""

        async def sleep(seconds: float) -> None:
            await asyncio.sleep(seconds / self.clock.speed)

        return await register(client, self.bucket, self.place, sleep=sleep)

    def posts(self, outcome: str = "accepted") -> list[dict[str, Any]]:
        """The requests for captures that the edge accepted or `refused`, from its own log."""
        return [
            event
            for event in self.edge.log.events("request")
            if event["method"] == "POST" and event["path"].endswith("/pcaps") and event["outcome"] == outcome
        ]

    def stops(self) -> list[str]:
        """The captures that the edge was asked to stop, from its own log."""
        return [event["capture_id"] for event in self.edge.log.events("stop")]
