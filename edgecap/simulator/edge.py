"""The simulated edge: the API's operations, without HTTP."""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
import traceback
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from edgecap.errors import ConfigError
from edgecap.requests import rfc3339
from edgecap.simulator.analytics.logpush import Logpush
from edgecap.simulator.analytics.sampling import Sampler
from edgecap.simulator.analytics.service import Analytics
from edgecap.simulator.bodies import BodyReader
from edgecap.simulator.buckets import Buckets
from edgecap.simulator.captures import LISTED, Capture, keyless, listed, shown, steps_of
from edgecap.simulator.clock import Clock
from edgecap.simulator.credentials import Credential, Gate
from edgecap.simulator.envelope import Problem, Refused
from edgecap.simulator.faults import Faults
from edgecap.simulator.lifecycle import Lifecycle
from edgecap.simulator.limits import RequestLimit
from edgecap.simulator.log import EdgeLog
from edgecap.simulator.ownership import Ownerships
from edgecap.simulator.traffic.base import Traffic
from edgecap.simulator.traffic.counted import CountedTraffic
from edgecap.simulator.traffic.synthetic import SyntheticTraffic
from edgecap.simulator.variants import VARIANTS, Variant

SIMPLE_SPACING = 60.0  # "one request a minute"
ANALYTICS_DELAY = 30.0  # seconds; the real one is unknown
ANALYTICS_ONE_IN = 100  # Cloudflare documents 10,000, for a hundred times the packets of this edge
HOLD_AT_MOST = 4_000_000_000  # bytes: a few of the API's largest full captures


class Edge:
    """A Cloudflare edge on this machine.

    It advances when `tick` is called; `start` runs a thread that does so. Its operations are thread-safe.

    Args:
        traffic: the packets that cross its servers. Closed with the edge.
        buckets: opens customers' buckets by their destination URI.
        credentials: the accepted credentials.
        clock: its clock.
        variant: its variant of the API.
        faults: the faults to inject.
        log: its log. Closed with the edge.
        simple_spacing: seconds between two simple captures of an account.
        sample_one_in: a simple capture sees one of this many packets.
        seed: of all randomness except ids and challenges.
        hold_at_most: maximum bytes of packets on this machine. A full capture that would exceed it ends
            there, and no other is accepted.
        analytics_delay: seconds until a packet can be in an answer of analytics.
        analytics_one_in: analytics sample one of this many packets.
        logpush: URI of the folder of a bucket that gets Logpush's rows of Network Analytics; empty: none.

    Attributes:
        analytics: answers queries of Network Analytics.
        captures: all accepted captures by id.
        under_way: requests that have arrived, but have not taken effect or are not answered yet.

    Raises:
        ConfigError: the URI for Logpush is wrong, or this traffic has no rows for it.
    """

    def __init__(
        self,
        *,
        traffic: Traffic,
        buckets: Buckets,
        credentials: Iterable[Credential],
        clock: Clock | None = None,
        variant: Variant | None = None,
        faults: Faults | None = None,
        log: EdgeLog | None = None,
        simple_spacing: float = SIMPLE_SPACING,
        sample_one_in: int = 10,
        seed: int = 1,
        hold_at_most: int = HOLD_AT_MOST,
        analytics_delay: float = ANALYTICS_DELAY,
        analytics_one_in: int = ANALYTICS_ONE_IN,
        logpush: str = "",
    ) -> None:
        if logpush and not isinstance(traffic, CountedTraffic):
            raise ConfigError("only spread or mitigated traffic has rows for Logpush", where=keyless(logpush))
        rows = buckets(logpush) if logpush else None
        self.traffic = traffic
        self.clock = clock or Clock()
        self.variant = variant or VARIANTS["documented"]
        self.faults = faults or Faults(seed=seed)
        self.log = log or EdgeLog(self.clock)
        self.gate = Gate(credentials, self.variant)
        self.limit = RequestLimit(self.variant)
        self.ownerships = Ownerships(buckets, self.variant, self.clock, self.log, self.wake_up)
        sampler = Sampler(traffic) if isinstance(traffic, CountedTraffic) else None
        self.analytics = Analytics(
            sampler, self.variant, self.clock, delay=analytics_delay, one_in=analytics_one_in
        )
        self.started = self.clock.now()
        self.simple_spacing = simple_spacing
        self._dice = random.Random(seed)  # noqa: S311 - reproducible for a seed
        self._lock = threading.RLock()
        self._ticking = threading.Lock()
        self.captures: dict[str, Capture] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="edgecap-simulator-"))
        self.lifecycle = Lifecycle(
            traffic=traffic,
            buckets=buckets,
            variant=self.variant,
            faults=self.faults,
            clock=self.clock,
            log=self.log,
            lock=self._lock,
            folder=self._folder,
            sample_one_in=sample_one_in,
            seed=seed,
            hold_at_most=hold_at_most,
        )
        self._logpush: Logpush | None = None
        if sampler is not None and rows is not None:
            self._logpush = Logpush(
                sampler,
                rows,
                variant=self.variant,
                clock=self.clock,
                log=self.log,
                folder=self._folder,
                one_in=analytics_one_in,
            )
        self._hold_at_most = hold_at_most
        self.under_way = 0
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._pools: list[ThreadPoolExecutor] = []

    def __repr__(self) -> str:
        active = sum(not capture.final for capture in self.captures.values())
        return (
            f"<Edge {self.clock.now():%Y-%m-%dT%H:%M:%SZ} [{len(self.captures)} captures, {active} active]>"
        )

    def list(self, account_id: str, *, page: int = 1, per_page: int = LISTED) -> list[dict[str, Any]]:
        """The account's latest captures, except those that the list does not show yet."""
        with self._lock:
            mine = [capture for capture in self.captures.values() if capture.account_id == account_id]
            latest = listed(mine, self.variant, self.clock.now(), self._dice, page=page, per_page=per_page)
            return [shown(capture, self.variant) for capture in latest]

    def count(self, account_id: str) -> int:
        """The number of the account's captures, including those that the list does not show yet."""
        with self._lock:
            return sum(capture.account_id == account_id for capture in self.captures.values())

    def create(self, account_id: str, body: Any) -> dict[str, Any]:
        """Accept a capture.

        Raises:
            Refused: a field is invalid, the bucket is not validated, the lane is taken, or the disk is full.
        """
        reader = BodyReader(body, self.variant)
        wanted = reader.capture(self.clock.now())
        if wanted.type == "full":
            if not self.traffic.servers(wanted.colo):
                raise reader.wrong("colo_name", f"colo_name {wanted.colo!r} is not a known data center")
            self.ownerships.require(account_id, reader)
        if (held := self.lifecycle.held) >= self._hold_at_most:
            problem = Problem(1000, f"the simulator holds {held:,} bytes of packets, and takes no more")
            raise Refused(503, (problem,))
        with self._lock:
            now = self.clock.now()
            self._take_lane(account_id, wanted.type, now)
            steps = steps_of(wanted, self.variant, self._dice)
            capture = Capture(account_id, wanted, now, steps)
            self.captures[capture.id] = capture
            self.lifecycle.begin(capture)
            answer = shown(capture, self.variant)
        self.wake_up()
        return answer

    def get(self, account_id: str, capture_id: str) -> dict[str, Any]:
        """A capture's current state.

        Raises:
            Refused: the capture does not exist.
        """
        with self._lock:
            capture = self._find(account_id, capture_id)
            if self.clock.now() - capture.submitted < timedelta(seconds=self.variant.shown_after):
                raise Refused.by(self.variant.missing)
            return shown(capture, self.variant)

    def download(self, account_id: str, capture_id: str) -> Path:
        """The file of a finished simple capture.

        Raises:
            Refused: the capture does not exist, is a full one, or has no file (yet).
        """
        with self._lock:
            capture = self._find(account_id, capture_id)
            if capture.file is None or not capture.final or capture.failed is not None:
                raise Refused.by(self.variant.not_ready)
            age = self.clock.now() - capture.submitted
            ready = sum(seconds for _, seconds in capture.steps) + self.variant.download_after
            if self.variant.download_after and age.total_seconds() < ready:
                raise Refused.by(self.variant.not_ready)
            return capture.file

    def stop(self, account_id: str, capture_id: str) -> None:
        """Request the stop of a full capture.

        Raises:
            Refused: the capture does not exist, or is not a full one that is pending or running.
        """
        with self._lock:
            capture = self._find(account_id, capture_id)
            if not capture.full or capture.captured:
                raise Refused.by(self.variant.not_stoppable)
            self.lifecycle.stop(capture, self.clock.now())
        self.wake_up()

    def end_attacks(self) -> datetime | None:
        """End the current synthetic attacks; returns when they end, None if there are none."""
        if not isinstance(self.traffic, SyntheticTraffic):
            return None
        end = self.traffic.end_attacks(self.clock.now())
        self.log.write("attacks", end=rfc3339(end) if end else None)
        return end

    def tick(self) -> datetime | None:
        """Do everything that is due; returns the next due time, on the simulator's clock."""
        with self._ticking:
            now = self.clock.now()
            with self._lock:
                active = [capture for capture in self.captures.values() if not capture.final]
            due = [self.ownerships.tick(now), *(self._advance(capture, now) for capture in active)]
            due.append(self.lifecycle.deliver_late(now))
            if self._logpush is not None:
                due.append(self._logpush.tick(now))
            return min((moment for moment in due if moment is not None), default=None)

    def start(self) -> None:
        """Start a thread that calls `tick` whenever something is due."""
        if self._thread is None:
            self.log.write("start", speed=self.clock.speed, traffic=repr(self.traffic))
            self._pools.append(ThreadPoolExecutor(1, thread_name_prefix="edge-look-back"))
            self.lifecycle.look_back_with(self._pools[-1])
            if self._logpush is not None:
                self._pools.append(ThreadPoolExecutor(1, thread_name_prefix="edge-logpush"))
                self._logpush.push_with(self._pools[-1])
            self._thread = threading.Thread(target=self._run, name="edge", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop the thread, close the traffic and the log, remove all files."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)
        self.traffic.close()
        self.log.write("end")
        self.log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def state(self) -> dict[str, Any]:
        """The state for people and tests: time, captures, buckets."""
        with self._lock:
            captures = [
                {
                    **shown(capture, self.variant),
                    "account_id": capture.account_id,
                    "destination_conf": keyless(capture.wanted.destination_conf),
                    "packets": capture.packets,
                    "bytes": capture.size,
                    "holds_lane": capture.holds_lane(self.variant),
                }
                for capture in self.captures.values()
            ]
        return {
            "time": rfc3339(self.clock.now()),
            "started": rfc3339(self.started),
            "speed": self.clock.speed,
            "under_way": self.under_way,
            "captures": captures,
            "buckets": self.ownerships.list(),
        }

    def _take_lane(self, account_id: str, kind: str, now: datetime) -> None:
        mine = [
            capture
            for capture in self.captures.values()
            if capture.account_id == account_id and capture.wanted.type == kind
        ]
        if kind == "full":
            if any(capture.holds_lane(self.variant) for capture in mine):
                raise Refused.by(self.variant.busy, wait=30)
            return
        last = max((capture.submitted for capture in mine), default=None)
        if last is not None and now - last < timedelta(seconds=self.simple_spacing):
            wait = self.simple_spacing - (now - last).total_seconds()
            raise Refused.by(self.variant.too_soon, wait=wait)

    def _find(self, account_id: str, capture_id: str) -> Capture:
        capture = self.captures.get(capture_id)
        if capture is None or capture.account_id != account_id:
            raise Refused.by(self.variant.missing)
        return capture

    def _advance(self, capture: Capture, now: datetime) -> datetime | None:
        try:
            return self.lifecycle.advance(capture, now)
        except Exception as error:  # noqa: BLE001 - a failing capture must not stop the others
            self.log.write("trouble", capture_id=capture.id, what=traceback.format_exc(limit=-3))
            self.lifecycle.fail(capture, f"internal error: {type(error).__name__}")
            return None

    def wake_up(self) -> None:
        """Make the thread check the clock now, for example after the clock jumped."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            try:
                due = self.tick()
            except Exception:  # noqa: BLE001 - the edge continues, and the log has the error
                self.log.write("trouble", what=traceback.format_exc(limit=-3))
                due = self.clock.now() + timedelta(seconds=self.clock.speed)
            wait = None
            if due is not None:
                wait = max(0.0, self.clock.real_seconds((due - self.clock.now()).total_seconds()))
            self._wake.wait(wait)
            self._wake.clear()
