"""Finding the files that Cloudflare wrote to a bucket for a full capture.

Cloudflare writes one object per physical server, one after the other, each named `pcap_<id>.pcap` in folders
that are not documented. So every key that contains the capture's id counts, and the listing counts once it
has stopped changing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from edgecap.archive.layout import lies_in_an_entry
from edgecap.errors import DeadlinePassed
from edgecap.settings import Timing
from edgecap.stores.base import ObjectInfo, Store


async def delivered(
    store: Store,
    capture_id: str,
    timing: Timing,
    *,
    known: frozenset[str] = frozenset(),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[ObjectInfo]:
    """The capture's objects, once their listing has not changed for `timing.settle` seconds.

    Args:
        store: the bucket, at the destination's prefix.
        capture_id: the id to look for anywhere in a key.
        timing: `settle` and `delivery`.
        known: keys that are fetched already; a listing counts only if it has more than these.
        clock: seconds, for measuring.
        sleep: how to wait.

    Raises:
        DeadlinePassed: nothing (new) arrived within `timing.delivery` seconds, or it never stopped changing.
        StoreError: the bucket cannot be listed.
    """
    started = clock()
    seen: list[ObjectInfo] = []
    since = started
    pause = min(1.0, max(0.05, timing.settle / 4))
    while True:
        found = await asyncio.to_thread(matching, store, capture_id)
        if [(o.key, o.size, o.etag) for o in found] != [(o.key, o.size, o.etag) for o in seen]:
            seen, since = found, clock()
        elif {o.key for o in seen} - known and clock() - since >= timing.settle:
            return seen
        if clock() - started > timing.delivery:
            new = "new " if known else ""
            within = f"within {timing.delivery:.0f} s"
            arrived = {o.key for o in seen} - known
            raise DeadlinePassed(
                f"the {new}files of capture {capture_id} did not stop changing {within}"
                if arrived
                else f"no {new}file of capture {capture_id} arrived in the bucket {within}",
                where=store.uri,
                hint="look at the bucket's permissions for Cloudflare, or raise timing.delivery",
            )
        await sleep(pause)


def matching(store: Store, capture_id: str) -> list[ObjectInfo]:
    """All objects of the bucket whose key contains the capture's id, whether the listing is stable or not.

    Files of an archive in the same bucket contain that id, too; they are left out.
    """
    return [info for info in store.list() if capture_id in info.key and not lies_in_an_entry(info.key)]
