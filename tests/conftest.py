"""Servers that tests share: one of each kind for each pytest worker, and a new bucket for each test."""

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from deployments.demo.object_store import ObjectStore
from edgecap.settings import StoreLocation
from edgecap.settings.uri import parse_uri
from edgecap.stores import open_store
from edgecap.stores.s3.store import S3Store
from tests.flaky_proxy import FlakyProxy
from tests.mounting import mounted
from tests.prefect_database import shared_database
from tests.r2_front import R2Front
from tests.servers import CEPH_MISSING, Ceph, FakeGcs

pytest_plugins = ["tests.watchdog"]

# Nothing in a test may look for credentials in a cloud around this machine.
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["NO_GCE_CHECK"] = "true"

# The usual profile tries the same inputs each time, so a test that passed once passes again. `make search`
# tries many others for an hour; an input that fails there becomes an example of the test.
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True, stateful_step_count=20)
settings.register_profile("long", deadline=None, print_blob=True, stateful_step_count=40, max_examples=6000)
settings.load_profile("ci")

STORES = ["folder", "s3", "r2", "gcs", pytest.param("ceph", marks=pytest.mark.xdist_group("ceph"))]


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated Prefect database to copy; all pytest workers share it."""
    base = tmp_path_factory.getbasetemp()
    return shared_database(base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base)


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 server that checks signatures: MiniStack."""
    with ObjectStore(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session")
def r2_front(object_store: ObjectStore) -> Iterator[R2Front]:
    """The S3 server, without the features that R2 lacks."""
    with R2Front(urlsplit(object_store.endpoint_url).port or 0) as front:
        yield front


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcs]:
    """A GCS server: fake-gcs-server."""
    with FakeGcs(tmp_path_factory.mktemp("fake-gcs")) as server:
        yield server


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """A production S3 server: Ceph's gateway. Tests are skipped where Ceph is not installed."""
    if CEPH_MISSING:
        pytest.skip(f"Ceph is not installed: there is no {CEPH_MISSING[0]}")
    with Ceph(tmp_path_factory.mktemp("ceph")) as server:
        yield server


@pytest.fixture
def bucket() -> str:
    """A unique bucket name."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def place_of(request: pytest.FixtureRequest, bucket: str, tmp_path):
    """Makes an empty store of a kind in `STORES`, and returns its location."""

    def make(kind: str, prefix: str = "edge") -> StoreLocation:
        if kind == "folder":
            (tmp_path / "root").mkdir(exist_ok=True)
            return StoreLocation(uri=f"file:{tmp_path / 'root'}")
        name = {"s3": "object_store", "r2": "object_store", "gcs": "fake_gcs", "ceph": "ceph"}[kind]
        server = request.getfixturevalue(name)
        server.make_bucket(bucket)
        if kind == "r2":
            front = request.getfixturevalue("r2_front")
            return server.place(bucket, prefix, scheme="r2").model_copy(update={"endpoint_url": front.url})
        return server.place(bucket, prefix)

    return make


@pytest.fixture
def small_disk(tmp_path) -> Iterator:
    """A file system of one megabyte."""
    with mounted(tmp_path / "small", "size=1m") as folder:
        yield folder


@pytest.fixture
def read_only_disk(tmp_path) -> Iterator:
    """A file system that cannot be written, not even by root."""
    with mounted(tmp_path / "read-only", "ro") as folder:
        yield folder


@pytest.fixture
def flaky(place_of):
    """Makes a store, the same store through a proxy, and returns both with the proxy."""
    with ExitStack() as stack:

        def make(kind: str):
            place = place_of(kind)
            proxy = stack.enter_context(FlakyProxy(urlsplit(place.endpoint_url).port))
            return open_store(place), open_store(place.model_copy(update={"endpoint_url": proxy.url})), proxy

        yield make


@pytest.fixture
def impatient_s3(place_of):
    """As `flaky` for S3, with a limit on the attempts through the proxy."""
    with ExitStack() as stack:

        def make(attempts: int):
            place = place_of("s3")
            proxy = stack.enter_context(FlakyProxy(urlsplit(place.endpoint_url).port))
            through = place.model_copy(update={"endpoint_url": proxy.url})
            return open_store(place), S3Store(parse_uri(place.uri), through, attempts=attempts), proxy

        yield make
