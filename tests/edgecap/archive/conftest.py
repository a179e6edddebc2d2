"""Archives on real stores, and the whole way of a capture into one."""

import hashlib
import struct
import uuid
from datetime import UTC, datetime

import pytest

from edgecap.archive.commit import commit, put_file
from edgecap.archive.layout import RAW, entry_prefix, raw_names
from edgecap.archive.manifest import FileRecord, Times, make_manifest
from edgecap.cloudflare.models import Capture
from edgecap.packets.inspect import Inspector
from edgecap.settings import StoreLocation
from edgecap.stores import open_store


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "archive").mkdir()
    return open_store(StoreLocation(uri=f"file:{tmp_path / 'archive'}"))


@pytest.fixture(params=["folder", "s3"])
def store(request):
    """An empty archive: a folder, and an S3 bucket of a real server."""
    if request.param == "folder":
        store = request.getfixturevalue("folder")
        store.check(write=True)
        return store
    server = request.getfixturevalue("object_store")
    return open_store(server.place(server.make_bucket(f"archive-{uuid.uuid4().hex}"), "edge"))


@pytest.fixture(scope="session")
def capture():
    """Makes captures as the API returns them."""

    def make(capture_id: str = "0af1" * 8, submitted: str = "2026-11-23T06:34:06.123456Z", **more) -> Capture:
        answer = {"id": capture_id, "submitted": submitted, "status": "success", "type": "full", **more}
        if answer["type"] == "full":
            answer = {"colo_name": "ORD", "destination_conf": "s3://b/d?region=us-east-1"} | answer
        return Capture.model_validate(answer)

    return make


@pytest.fixture(scope="session")
def pcap():
    """Makes a pcap with a number of packets."""

    def make(packets: int = 3, *, start: int = 1_795_000_000) -> bytes:
        head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
        record = [
            struct.pack("<IIII", start + i, i, 60, 1500) + bytes([i % 256]) * 60 for i in range(packets)
        ]
        return head + b"".join(record)

    return make


@pytest.fixture(scope="session")
def keep():
    """Archives a capture with these objects of a bucket, as the product does, and returns the entry."""

    def archive(store, capture, objects: dict[str, bytes], **more):
        prefix = entry_prefix(capture)
        records = []
        for key, wanted in raw_names(objects, capture.id).items():
            data = objects[key]
            digest = hashlib.sha256(data).hexdigest()
            inspector = Inspector()
            inspector.feed(data)
            path = store.staging() / uuid.uuid4().hex
            path.write_bytes(data)
            name = put_file(store, prefix, RAW + wanted, path, size=len(data), sha256=digest, move=True)
            assert not path.exists()
            found = inspector.finish()
            records.append(FileRecord.of(name, size=len(data), sha256=digest, found=found, source_key=key))
        summary = b'{"packets": "many"}\n'
        digest = hashlib.sha256(summary).hexdigest()
        name = put_file(store, prefix, "summary.json", summary, size=len(summary), sha256=digest)
        records.append(FileRecord.of(name, size=len(summary), sha256=digest, role="summary"))
        times = Times(fetched=datetime.now(UTC))
        return commit(store, make_manifest(capture, records, times=times, **more))

    return archive


@pytest.fixture(scope="session")
def two_servers(pcap):
    """What Cloudflare leaves in a bucket: one object per server, all of one name."""
    name = f"pcap_{'0af1' * 8}.pcap"
    return {f"ord02-s1/{name}": pcap(3), f"ord02-s2/{name}": pcap(5, start=1_795_000_002)}
