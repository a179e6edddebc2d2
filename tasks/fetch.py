"""Task `fetch`: bring the packets into the archive."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from prefect import get_run_logger, task

from edgecap.archive.journal_records import Intent
from edgecap.archive.layout import entry_prefix
from edgecap.captures.fetching import Fetching, fetch_full, fetch_simple
from edgecap.captures.order import CaptureOrder
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.files.interruption import Interruption, current
from edgecap.requests import FullRequest
from edgecap.settings import load_settings
from edgecap.stores import open_store
from edgecap.units import plural
from tasks.runtime.retry import DELAYS, ONCE_A_RUN, TRIES, passing_soon

_WORTH_TELLING = 0.05  # seconds


@dataclass
class Throughput:
    """Bytes fetched so far, how fast, and how long they were waited for before."""

    bytes: int = 0
    clock: Callable[[], float] = time.monotonic
    interruption: Interruption = field(default_factory=current)
    waited: float = field(default=0.0, init=False)  # seconds
    _began: float = field(init=False)
    _last: float = field(init=False)  # when bytes came, or the wait for them ended

    def __post_init__(self) -> None:
        self._began = self._last = self.clock()

    def add(self, count: int) -> None:
        """Count bytes. Several threads may do so at once; the sum is only for people.

        Raises:
            Interrupted: the run is cancelled.
        """
        self.interruption.check()
        self.bytes += count
        self._last = self.clock()

    def listed(self) -> None:
        """The bucket's listing is stable now: what passed since the last byte was no transfer."""
        now = self.clock()
        self.waited += now - self._last
        self._last = now

    def __str__(self) -> str:
        seconds = max(self._last - self._began - self.waited, 1e-3)
        told = f"{self.bytes:,} bytes in {seconds:.1f} s ({self.bytes / seconds / 1e6:,.0f} MB/s)"
        if self.waited < _WORTH_TELLING:
            return told
        return f"{told}, after {self.waited:.1f} s until the bucket's listing was stable"


@task(
    name="fetch",
    task_run_name="fetch",
    persist_result=True,
    cache_policy=ONCE_A_RUN,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing_soon,
)
async def fetch(order: CaptureOrder, intent: Intent, capture: Capture) -> Fetching:
    """Fetch every file of the capture into the archive, verified and hashed.

    Args:
        order: what was asked for.
        intent: the journal's record of the decision.
        capture: with its final status.

    Raises:
        DeadlinePassed: a full capture's files did not arrive in the bucket.
        Damaged: a file's bytes are not those that the store promised, however often they are fetched.
    """
    log = get_run_logger()
    settings = load_settings()
    request = order.request
    store = open_store(settings.archive(order.archive))
    prefix = entry_prefix(capture, decided=intent.decided)
    meter = Throughput()
    if isinstance(request, FullRequest):
        bucket = open_store(settings.bucket(request.bucket))

        def on_delivery(count: int) -> None:
            meter.listed()
            log.info("%s in %s", plural(count, "file is", "files are"), bucket.uri)

        fetched = await fetch_full(
            bucket,
            capture,
            store,
            settings.timing,
            prefix=prefix,
            on_bytes=meter.add,
            on_delivery=on_delivery,
            byte_limit=request.byte_limit,
        )
    else:
        async with Client(settings.account(order.account)) as client:
            fetched = await fetch_simple(client, capture, store, prefix=prefix, on_bytes=meter.add)
    log.info("Fetched %s, %s", plural(len(fetched.files), "file"), meter)
    for key in fetched.left:
        log.warning("%s is far larger than the capture's limit: it stays in the bucket", key)
    for file in fetched.files:
        if file.flags:
            log.warning(
                "%s is flagged %s: %s", file.name, ", ".join(file.flags), file.damage or "kept unchanged"
            )
    return fetched
