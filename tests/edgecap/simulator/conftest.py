import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from edgecap.settings.uri import parse_uri
from edgecap.simulator.app import create_app
from edgecap.simulator.clock import Clock
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import Edge
from edgecap.simulator.traffic import SyntheticTraffic
from edgecap.simulator.variants import VARIANTS
from edgecap.stores import FolderStore

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
OTHER_ACCOUNT = "f" * 32
START = datetime(2026, 11, 23, 6, 34, 6, 123456, tzinfo=UTC)


class Buckets:
    """Destinations as folders; like a bucket, one that nobody made does not exist."""

    def __init__(self, root: Path):
        self.root = root
        self.kind: type[FolderStore] = _NoNewRoot

    def make(self, name: str) -> Path:
        (self.root / name).mkdir()
        return self.root / name

    def __call__(self, uri: str) -> FolderStore:
        address = parse_uri(uri)
        if (self.root / address.bucket).is_dir():
            (self.root / address.bucket / address.path).mkdir(parents=True, exist_ok=True)
        return self.kind(self.root / address.bucket / address.path)


class _NoNewRoot(FolderStore):
    def check(self, *, write: bool = False) -> None:
        super().check()
        super().check(write=write)


class SteppedEdge:
    """An edge whose clock only moves when told, and a client that goes through the whole app."""

    account = ACCOUNT
    destination = "s3://caps/full?region=us-east-1"

    def __init__(self, root: Path, variant="documented", speed=1.0, **options):
        self.seconds = 0.0
        self.buckets = Buckets(root)
        accounts = frozenset({ACCOUNT})
        self.edge = Edge(
            **{
                "traffic": SyntheticTraffic(7, rate=12.0, attacks=()),
                "buckets": self.buckets,
                "credentials": [
                    Credential("token", accounts, token="t" * 40),
                    Credential("read", accounts, token="r" * 40, write=False),
                    Credential("key", accounts, email="a@example.com", key="0" * 37),
                    Credential("second", frozenset({OTHER_ACCOUNT}), token="s" * 40),
                ],
                "clock": Clock(speed, start=START, source=lambda: self.seconds),
                "variant": VARIANTS[variant] if isinstance(variant, str) else variant,
                **options,
            }
        )
        self.headers = {"authorization": f"Bearer {'t' * 40}"}
        self._runner = asyncio.Runner()
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(create_app(self.edge)))

    def close(self) -> None:
        self._runner.run(self._http.aclose())
        self._runner.close()
        self.edge.close()

    @property
    def now(self) -> datetime:
        return self.edge.clock.now()

    def call(self, method: str, path: str, json=None, *, account=ACCOUNT, headers=None, **more):
        return self.raw(
            method,
            f"/client/v4/accounts/{account}/pcaps{path}",
            json=json,
            headers={**self.headers, **(headers or {})},
            **more,
        )

    def raw(self, method: str, path: str, **more) -> httpx.Response:
        return self._runner.run(self._http.request(method, f"http://edge{path}", **more))

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let simulated time pass, a step at a time."""
        left = seconds
        while left > 0:
            self.seconds += min(step, left)
            self.edge.tick()
            left -= step

    def simple(self, **fields) -> httpx.Response:
        body = {"type": "simple", "system": "magic-transit", "time_limit": 10, "packet_limit": 10_000}
        return self.call("POST", "", {**body, **fields})

    def full(self, **fields) -> httpx.Response:
        body = {"type": "full", "system": "magic-transit", "time_limit": 5, "colo_name": "ORD"}
        return self.call("POST", "", {**body, "destination_conf": self.destination, **fields})

    def status(self, capture_id: str) -> str:
        """Empty if the API does not know the capture by its id yet."""
        result = self.call("GET", f"/{capture_id}").json()["result"]
        return result["status"] if result else ""

    def download(self, capture_id: str) -> httpx.Response:
        return self.call("GET", f"/{capture_id}/download", follow_redirects=True)

    def folder(self) -> Path:
        return self.buckets.root / "caps" / "full"

    def register(self) -> None:
        """Make the bucket and pass its ownership challenge."""
        self.buckets.make("caps")
        answer = self.call("POST", "/ownership", {"destination_conf": self.destination})
        assert answer.status_code == 200, answer.text
        self.advance(10)
        name = answer.json()["result"]["filename"].removeprefix("full/")
        content = (self.folder() / name).read_text()
        body = {"destination_conf": self.destination, "ownership_challenge": content}
        assert self.call("POST", "/ownership/validate", body).status_code == 200
        self.advance(100, 50)
        [bucket] = self.call("GET", "/ownership").json()["result"]
        assert bucket["status"] == "success"

    def finish(self, capture_id: str, most: int = 200) -> dict:
        """Let time pass until the capture is final and its files have come; returns its last answer."""
        for _ in range(most):
            self.advance(1)
            answer = self.call("GET", f"/{capture_id}").json()["result"]
            if answer and answer["status"] in ("success", "complete", "failed"):
                self.advance(20)
                return answer
        raise AssertionError(f"not final after {most} s: {answer}")


@pytest.fixture(scope="session")
def world_class() -> type[SteppedEdge]:
    """For those who need a world of another scope than a test."""
    return SteppedEdge


@pytest.fixture
def make_world(tmp_path) -> Callable[..., SteppedEdge]:
    made = []

    def make(*arguments, **options) -> SteppedEdge:
        root = tmp_path / f"buckets-{len(made)}"
        root.mkdir()
        made.append(SteppedEdge(root, *arguments, **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world) -> SteppedEdge:
    return make_world()


@pytest.fixture(params=list(VARIANTS))
def each(request, make_world) -> SteppedEdge:
    """A world of every variant, with a validated bucket."""
    made = make_world(request.param)
    made.register()
    return made
