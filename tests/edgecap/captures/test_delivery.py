"""Which files of a bucket are a capture, and what is said if they do not come or do not stop changing."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

import pytest

from edgecap.captures.delivery import delivered
from edgecap.errors import DeadlinePassed
from edgecap.settings import StoreLocation, Timing
from edgecap.stores import Store, open_store

ID = "ee9f4ae6c2344c0c9b0c5b2f4a3e1d00"
TIMING = Timing(settle=2, delivery=10)


class Bucket:
    """A real store, and a clock that moves one second with each look, in which files may arrive."""

    def __init__(self, folder: Path, arrivals: dict[int, str]) -> None:
        self.store: Store = open_store(StoreLocation.model_validate({"uri": f"file:{folder}"}))
        self.arrivals = arrivals
        self.now = 0.0

    async def sleep(self, _: float) -> None:
        """A second passes; the file of that second arrives."""
        self.now += 1
        if key := self.arrivals.get(int(self.now)):
            self.store.put(key, b"packets")

    def keys(self, known: frozenset[str] = frozenset()) -> list[str]:
        """What is delivered."""
        found = delivered(self.store, ID, TIMING, known=known, clock=lambda: self.now, sleep=self.sleep)
        return [info.key for info in asyncio.run(found)]


def test_files_count_once_the_listing_is_stable(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path, {1: f"a-{ID}.pcap", 2: f"b-{ID}.pcap", 3: "another.pcap"})
    assert bucket.keys() == [f"a-{ID}.pcap", f"b-{ID}.pcap"]


def test_no_file_in_time_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DeadlinePassed, match=f"no file of capture {ID} arrived in the bucket within 10 s"):
        Bucket(tmp_path, {}).keys()


def test_no_further_file_in_time_is_said_so(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path, {1: f"a-{ID}.pcap"})
    with pytest.raises(DeadlinePassed, match=f"no new file of capture {ID} arrived"):
        bucket.keys(frozenset({f"a-{ID}.pcap"}))


def test_files_that_keep_coming_are_no_missing_files(tmp_path: Path) -> None:
    endless = dict(zip(range(1, 30), (f"{number:02}-{ID}.pcap" for number in count()), strict=False))
    with pytest.raises(DeadlinePassed, match=f"files of capture {ID} did not stop changing within 10 s"):
        Bucket(tmp_path, endless).keys()
