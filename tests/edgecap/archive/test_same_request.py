"""Hints to captures of the same request: they find them, and prove nothing."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.archive import same_request
from edgecap.archive.commit import commit
from edgecap.archive.layout import SAME_REQUEST, lies_in_an_entry
from edgecap.archive.manifest import Times, make_manifest
from edgecap.archive.same_request import places, read
from edgecap.cloudflare.models import Capture
from edgecap.errors import StoreDenied
from edgecap.requests import Filter, SimpleRequest
from edgecap.settings import StoreLocation
from edgecap.stores import open_store

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


@pytest.fixture(params=["folder", "s3"])
def store(request, place_of):
    return open_store(place_of(request.param))


def request_for(target):
    return SimpleRequest(filter=Filter(destination_address=target))


def keep(store, number, target="203.0.113.7", *, ago=timedelta(minutes=10)):
    """An entry without files, submitted that long before `NOW`."""
    answer = {"id": f"{number:032x}", "submitted": NOW - ago, "status": "success", "type": "simple"}
    manifest = make_manifest(Capture.model_validate(answer), [], times=Times(), request=request_for(target))
    return commit(store, manifest)


def found(store, target="203.0.113.7", *, most=10):
    request = request_for(target).model_dump(mode="json")
    return [
        each.manifest.entry_id for each in read(store, places(store, request, before=NOW, most=most), request)
    ]


def hints(store):
    return [info.key for info in store.list(SAME_REQUEST)]


def test_captures_of_the_same_request_are_found_newest_first(store):
    for number, ago in ((1, timedelta(days=30)), (2, timedelta(hours=3)), (3, timedelta(minutes=1))):
        keep(store, number, ago=ago)
    keep(store, 4, "203.0.113.8")
    keep(store, 5, ago=timedelta(days=41))
    keep(store, 6, ago=-timedelta(seconds=5))
    assert found(store) == [f"{number:032x}" for number in (3, 2, 1)]
    assert found(store, most=1) == [f"{number:032x}" for number in (3, 2)]
    assert len(hints(store)) == 6


def test_a_hint_proves_nothing(store):
    """Its entry may be gone, may never have come to be, and may have asked for something else."""
    gone, other, there = keep(store, 1), keep(store, 2, "203.0.113.8"), keep(store, 3)
    store.delete(gone.prefix + "manifest.json")
    (wrong,) = [key for key in hints(store) if f"{2:032x}" in key]
    (mine,) = [key for key in hints(store) if f"{3:032x}" in key]
    store.put(mine.rpartition("/")[0] + "/" + wrong.rpartition("/")[2], b"")
    store.put(mine.rpartition("/")[0] + "/2026-11-23-nonsense", b"")
    assert found(store) == [there.manifest.entry_id]
    assert found(store, "203.0.113.8") == [other.manifest.entry_id]


def test_hints_that_were_lost_are_written_anew(store):
    for number in (1, 2):
        keep(store, number)
    before = hints(store)
    for key in before:
        store.delete(key)
    assert found(store) == [f"{number:032x}" for number in (2, 1)]
    assert hints(store) == before


def test_without_hints_only_the_newest_manifests_are_read(store, monkeypatch):
    """An archive of an older version may have a million of them."""
    monkeypatch.setattr(same_request, "_LOOKED_AT", 2)
    for number in (1, 2, 3):
        keep(store, number, ago=timedelta(minutes=10 - number))
    for key in hints(store):
        store.delete(key)
    assert found(store) == [f"{number:032x}" for number in (3, 2)]


def test_an_entry_is_kept_though_its_hint_cannot_be_written(tmp_path, caplog, monkeypatch):
    store = open_store(StoreLocation(uri=f"file:{tmp_path}"))
    put = store.put

    def refuse(key, *rest, **more):
        if key.startswith(SAME_REQUEST):
            raise StoreDenied("no right to write there", where=key)
        return put(key, *rest, **more)

    monkeypatch.setattr(store, "put", refuse)
    with caplog.at_level(logging.WARNING):
        entry = keep(store, 1)
    assert entry.manifest.entry_id == f"{1:032x}"
    assert "will not be found as a baseline" in caplog.text
    assert found(store) == [entry.manifest.entry_id]


def test_a_hint_is_never_taken_for_a_delivered_file(store):
    """Deliveries are recognized by the capture's id in their key, also in a bucket with an archive."""
    keep(store, 1)
    (hint,) = hints(store)
    assert f"{1:032x}" in hint
    assert lies_in_an_entry(hint)
    assert lies_in_an_entry(f"archive/{hint}")
    assert not lies_in_an_entry(f"same-request/pcap_{1:032x}.pcap")
