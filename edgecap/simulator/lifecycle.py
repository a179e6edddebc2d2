"""The life of a capture at the edge: wait, capture, convert, deliver, end."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edgecap.errors import EdgecapError
from edgecap.redact import redact
from edgecap.simulator.bodies import BYTE_LIMIT
from edgecap.simulator.buckets import Buckets, Delivery, prepare
from edgecap.simulator.captures import NO_PACKETS, STOPPED, Capture
from edgecap.simulator.clock import Clock
from edgecap.simulator.faults import Faults
from edgecap.simulator.log import EdgeLog
from edgecap.simulator.recorder import Recorder
from edgecap.simulator.traffic import compile_filter, sample
from edgecap.simulator.traffic.base import Traffic
from edgecap.simulator.variants import Variant
from edgecap.stores import Store

SIMPLE_SNAPLEN = 160
_LOOK = 0.2  # real seconds between two reads of the traffic for a running capture


@dataclass
class _Late:
    """A delivery that is due later."""

    due: datetime
    capture: Capture
    store: Store
    delivery: Delivery


class Lifecycle:
    """Advances captures. Only one thread at a time may call `advance` and `deliver_late`.

    Args:
        traffic: source of packets.
        buckets: opens destinations.
        variant: states of captures and names of files.
        faults: faults of files.
        clock: the simulator's.
        log: records every change.
        lock: held while a capture's fields change.
        folder: for captures' files, in a subfolder each.
        sample_one_in: a simple capture sees one of this many packets.
        seed: of the sampling.
        hold_at_most: maximum bytes of packets on this machine; the full capture that would exceed it ends
            there.
    """

    def __init__(
        self,
        *,
        traffic: Traffic,
        buckets: Buckets,
        variant: Variant,
        faults: Faults,
        clock: Clock,
        log: EdgeLog,
        lock: threading.RLock,
        folder: Path,
        sample_one_in: int,
        seed: int,
        hold_at_most: int,
    ) -> None:
        self._traffic = traffic
        self._buckets = buckets
        self._variant = variant
        self._faults = faults
        self._clock = clock
        self._log = log
        self._lock = lock
        self._folder = folder
        self._one_in = sample_one_in
        self._seed = seed
        self._hold_at_most = hold_at_most
        self._sizes: dict[str, int] = {}
        self._recorders: dict[str, Recorder] = {}
        self._seen_until: dict[str, datetime] = {}
        self._late: list[_Late] = []
        self._look_backs: dict[str, Future[None]] = {}
        self._pool: Executor | None = None

    def __repr__(self) -> str:
        return f"<Lifecycle [{len(self._recorders)} recording, {len(self._late)} files to come]>"

    @property
    def held(self) -> int:
        """Bytes of packets on this machine: of simple captures, and of full ones until delivery."""
        with self._lock:
            return sum(self._sizes.values())

    def look_back_with(self, pool: Executor) -> None:
        """Run simple captures' look-back in `pool`, so that full captures need not wait for it."""
        self._pool = pool

    def begin(self, capture: Capture) -> None:
        """Start the first state of a new capture."""
        capture.step_ends = capture.submitted + timedelta(seconds=capture.steps[0][1])
        self._log.write("state", **_of(capture), after=capture.status, lane="taken")
        if capture.full and capture.steps[0][0] == "running":
            self._start_running(capture, capture.submitted)

    def stop(self, capture: Capture, now: datetime) -> None:
        """Stop a full capture early. It continues for a moment; the variant decides what is lost."""
        if capture.stop_requested is None:
            capture.stop_requested = now
            self._log.write("stop", **_of(capture), status=capture.status)
        soon = capture.stop_requested + timedelta(seconds=self._variant.stop_takes)
        if capture.started is not None and capture.until is not None:
            capture.until = max(capture.started, min(capture.until, soon))

    def advance(self, capture: Capture, now: datetime) -> datetime | None:
        """Advance a capture to `now`; returns the next time at which it needs attention."""
        look = now + timedelta(seconds=_LOOK * self._clock.speed)
        if not capture.full and not self._looked_back(capture):
            return look
        while not capture.final:
            if capture.step_ends is not None:
                if capture.step_ends > now:
                    return capture.step_ends
                self._leave(capture, capture.step_ends)
                continue
            ended = self._collect(capture, now)
            if ended is None:
                assert capture.until is not None
                return min(look, capture.until)
            self._end_running(capture, ended)
        return None

    def deliver_late(self, now: datetime) -> datetime | None:
        """Deliver files that are due; returns when the next one is."""
        for late in [late for late in self._late if late.due <= now]:
            self._late.remove(late)
            try:
                self._put(late.capture, late.store, late.delivery)
            except EdgecapError as error:
                self._log.write("trouble", **_of(late.capture), what=redact(str(error)))
            self._clean(late.capture)
        return min((late.due for late in self._late), default=None)

    def fail(self, capture: Capture, message: str) -> None:
        """End a capture as failed."""
        self._change(capture, failed=message)
        self._clean(capture)

    def _looked_back(self, capture: Capture) -> bool:
        """Whether a simple capture has its packets; the first call starts the look-back."""
        if capture.file is not None:
            return True
        if self._pool is None:
            self._look_back(capture)
            return True
        if capture.id not in self._look_backs:
            self._look_backs[capture.id] = self._pool.submit(self._look_back, capture)
        if not self._look_backs[capture.id].done():
            return False
        self._look_backs.pop(capture.id).result()
        return True

    def _look_back(self, capture: Capture) -> None:
        wanted = capture.wanted
        recorder = Recorder(
            self._folder / capture.id,
            self._traffic.link_type,
            compile_filter(wanted.filter, self._traffic.link_type),
            snaplen=SIMPLE_SNAPLEN,
            packet_limit=wanted.packet_limit,
            per_server=False,
        )
        start = wanted.offset_time - timedelta(seconds=wanted.time_limit)
        recorder.open_file("")
        recorder.take(sample(self._traffic.packets(start, wanted.offset_time), self._one_in, self._seed))
        [file] = recorder.finish()
        with self._lock:
            capture.packets, capture.size, capture.file = recorder.packets, recorder.size, file.path
            self._sizes[capture.id] = file.path.stat().st_size

    def _start_running(self, capture: Capture, moment: datetime) -> None:
        wanted = capture.wanted
        self._recorders[capture.id] = Recorder(
            self._folder / capture.id,
            self._traffic.link_type,
            compile_filter(wanted.filter, self._traffic.link_type),
            packet_limit=wanted.packet_limit,
            # Without a time limit it gets the API's maximum, so that a forgotten capture ends.
            byte_limit=wanted.byte_limit or BYTE_LIMIT,
        )
        self._seen_until[capture.id] = moment
        capture.step_ends = None
        capture.started = moment
        capture.until = moment + timedelta(seconds=wanted.time_limit)
        if capture.stop_requested is not None:
            self.stop(capture, moment)

    def _collect(self, capture: Capture, now: datetime) -> datetime | None:
        """Take the packets up to now; returns the time at which a limit was reached, if one was."""
        recorder = self._recorders[capture.id]
        with self._lock:
            assert capture.until is not None
            end = capture.until
            recorder.room = self._hold_at_most - self.held + self._sizes.get(capture.id, 0)
        start = self._seen_until[capture.id]
        upto = max(start, min(now, end))
        reached = recorder.take(self._traffic.packets(start, upto, colo=capture.wanted.colo))
        self._seen_until[capture.id] = upto
        with self._lock:
            capture.packets, capture.size = recorder.packets, recorder.size
            self._sizes[capture.id] = recorder.size
        if reached is not None:
            return datetime.fromtimestamp(reached / 1_000_000_000, UTC)
        return end if upto >= end else None

    def _end_running(self, capture: Capture, moment: datetime) -> None:
        recorder = self._recorders[capture.id]
        why = recorder.limit or ("stop" if capture.stop_requested is not None else "time_limit")
        self._log.write("captured", **_of(capture), packets=recorder.packets, bytes=recorder.size, why=why)
        if not recorder.packets:
            self.fail(capture, NO_PACKETS)
        elif why == "stop" and self._variant.stop_keeps == "failed":
            self.fail(capture, STOPPED)
        else:
            self._leave(capture, moment)

    def _leave(self, capture: Capture, moment: datetime) -> None:
        """Move from the current state to the next, as of `moment`."""
        step = capture.step + 1
        state, seconds = capture.steps[step]
        last = step == len(capture.steps) - 1
        if last and not self._finish(capture, moment):
            return
        with self._lock:
            ends = None if last else moment + timedelta(seconds=seconds)
            self._change(capture, step=step, step_ends=ends)
            if capture.full and state == "running":
                self._start_running(capture, moment)
        self._clean(capture)

    def _finish(self, capture: Capture, moment: datetime) -> bool:
        """Deliver the packets; False if that failed the capture."""
        if not capture.full:
            if not capture.packets and self._variant.simple_without_packets == "failed":
                self.fail(capture, NO_PACKETS)
                return False
            return True
        try:
            self._deliver(capture, moment)
        except EdgecapError as error:
            self._log.write("trouble", **_of(capture), what=redact(str(error)))
            self.fail(capture, f"Could not write to destination_conf: {redact(error.what)}")
            return False
        return True

    def _deliver(self, capture: Capture, moment: datetime) -> None:
        recorder = self._recorders[capture.id]
        if self._variant.empty_files:
            for server in self._traffic.servers(capture.wanted.colo):
                recorder.open_file(server)
        store = self._buckets(capture.wanted.destination_conf)
        assert capture.started is not None
        files = recorder.finish()
        if capture.stop_requested is not None and not recorder.limit:
            files = {"some": files[:1], "nothing": []}.get(self._variant.stop_keeps, files)
        for delivery in prepare(files, capture.id, capture.started, self._variant, self._faults):
            if delivery.late is None:
                self._log_delivery(capture, store, delivery, "missing")
                continue
            wait = self._variant.files_after + delivery.late
            if wait:
                due = moment + timedelta(seconds=wait)
                self._late.append(_Late(due, capture, store, delivery))
            else:
                self._put(capture, store, delivery)

    def _put(self, capture: Capture, store: Store, delivery: Delivery) -> None:
        store.put(delivery.key, delivery.path)
        self._log_delivery(capture, store, delivery, "delivered")

    def _log_delivery(self, capture: Capture, store: Store, delivery: Delivery, outcome: str) -> None:
        self._log.write(
            "delivery",
            **_of(capture),
            outcome=outcome,
            bucket=store.uri,
            key=delivery.key,
            server=delivery.file.server,
            packets=delivery.file.packets,
            bytes=delivery.path.stat().st_size,
            faults=list(delivery.faults),
        )

    def _clean(self, capture: Capture) -> None:
        """Remove a full capture's files when it is final and all of them are delivered."""
        if capture.full and capture.final and not any(late.capture is capture for late in self._late):
            self._recorders.pop(capture.id, None)
            with self._lock:
                self._sizes.pop(capture.id, None)
            self._seen_until.pop(capture.id, None)
            shutil.rmtree(self._folder / capture.id, ignore_errors=True)

    def _change(self, capture: Capture, **fields: Any) -> None:
        with self._lock:
            before, held = capture.status, capture.holds_lane(self._variant)
            for name, value in fields.items():
                setattr(capture, name, value)
            freed = held and not capture.holds_lane(self._variant)
            self._log.write(
                "state",
                **_of(capture),
                before=before,
                after=capture.status,
                lane="free" if freed else None,
                message=capture.failed,
            )


def _of(capture: Capture) -> dict[str, Any]:
    return {"capture_id": capture.id, "type": capture.wanted.type, "account_id": capture.account_id}
