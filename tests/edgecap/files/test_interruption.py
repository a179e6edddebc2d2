"""Work in threads that nobody wants any more ends early, and leaves nothing behind."""

import asyncio
import hashlib
import io
import threading
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.archive.commit import put_file
from edgecap.archive.layout import RAW, entry_prefix
from edgecap.archive.manifest import FileRecord
from edgecap.captures.derive import derive
from edgecap.cloudflare.models import Capture
from edgecap.files.interruption import Interrupted, Interruption, check, current, interruptible
from edgecap.packets.inspect import Inspector
from edgecap.settings import StoreLocation
from edgecap.simulator.traffic.pcapfile import PcapWriter
from edgecap.simulator.traffic.synthetic import SyntheticTraffic
from edgecap.stores import open_store
from edgecap.stores.transfer import fetch_many

START = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
CAPTURE = Capture.model_validate({"id": "1" * 32, "type": "full", "status": "success", "submitted": START})


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    return open_store(StoreLocation(uri=f"file:{folder}"))


@pytest.fixture
def raw(store):
    """A file in its entry's folder, as `fetch` leaves it."""
    out = io.BytesIO()
    writer = PcapWriter(out, 1)
    for packet in SyntheticTraffic(7, attacks=()).packets(START, START + timedelta(seconds=2), colo="ORD"):
        writer.write(packet)
    data, inspector = out.getvalue(), Inspector()
    digest = hashlib.sha256(data).hexdigest()
    inspector.feed(data)
    kept = put_file(store, entry_prefix(CAPTURE), RAW + "a.pcap", data, size=len(data), sha256=digest)
    return FileRecord.of(kept, size=len(data), sha256=digest, found=inspector.finish())


async def test_a_merge_in_a_thread_ends_when_its_run_is_cancelled(store, raw):
    interruption = Interruption()
    with interruptible(interruption):
        made = await asyncio.to_thread(derive, store, entry_prefix(CAPTURE), [raw])
        assert made.files
        interruption.ask()
        with pytest.raises(Interrupted):
            await asyncio.to_thread(derive, store, entry_prefix(CAPTURE), [raw])


def test_a_fetch_in_several_threads_ends_and_leaves_no_file(store, raw, tmp_path):
    interruption = Interruption()
    [info] = store.list(entry_prefix(CAPTURE) + RAW)
    seen = []

    def on_bytes(count):
        seen.append(threading.current_thread())
        interruption.ask()
        interruption.check()

    folder = tmp_path / "fetched"
    folder.mkdir()
    with pytest.raises(Interrupted):
        fetch_many(store, [info], [folder / "a.pcap"], parallel=2, on_bytes=on_bytes)
    assert seen
    assert list(folder.iterdir()) == []


def test_code_that_is_not_interruptible_goes_on():
    check()
    current().check()
    with interruptible(Interruption()):
        check()
        assert repr(current()) == "<Interruption [not wanted]>"
