"""Captures inside the edge, and as the API shows them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from edgecap.redact import HIDDEN, redact
from edgecap.requests import SYSTEM, rfc3339
from edgecap.simulator.bodies import Wanted
from edgecap.simulator.variants import FINISHED, Step, Variant

LISTED = 50
STOPPED = "The packet capture was stopped before its data was saved."
NO_PACKETS = "No packets matched the filter in the time limit given. Please modify the filter or try again."


@dataclass
class Capture:
    """A capture. Its fields change only under the edge's lock.

    Attributes:
        account_id: its account.
        wanted: the request.
        submitted: when it was accepted.
        steps: its states, with the duration of each in seconds.
        id: 32 hexadecimal digits.
        step: index into `steps`.
        step_ends: when the current state ends; None while packets are captured.
        failed: why it failed, or None.
        stop_requested: when a stop was requested.
        started: when a full capture started to capture.
        until: when a full capture reaches its time limit.
        packets: packets captured so far.
        size: bytes captured so far.
        file: a finished simple capture's file.
    """

    account_id: str
    wanted: Wanted
    submitted: datetime
    steps: tuple[Step, ...]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    step: int = 0
    step_ends: datetime | None = None
    failed: str | None = None
    stop_requested: datetime | None = None
    started: datetime | None = None
    until: datetime | None = None
    packets: int = 0
    size: int = 0
    file: Path | None = None

    def __repr__(self) -> str:
        return f"<Capture {self.id} [{self.wanted.type}, {self.status}, {self.packets} packets]>"

    @property
    def full(self) -> bool:
        """Whether it is a full capture."""
        return self.wanted.type == "full"

    @property
    def status(self) -> str:
        """The state, in the API's words."""
        return "failed" if self.failed is not None else self.steps[self.step][0]

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in FINISHED

    @property
    def captured(self) -> bool:
        """Whether it has all its packets, so that it is neither pending nor running."""
        running = [state for state, _ in self.steps].index("running") if self.full else 0
        return self.final or self.step > running

    def holds_lane(self, variant: Variant) -> bool:
        """Whether it prevents another full capture."""
        return self.full and not (self.final if variant.lane_until == "final" else self.captured)


def steps_of(wanted: Wanted, variant: Variant, dice: random.Random) -> tuple[Step, ...]:
    """The states of a new capture; durations vary at random."""
    steps = variant.full_steps if wanted.type == "full" else variant.simple_steps
    return tuple((state, seconds * dice.uniform(0.7, 1.3)) for state, seconds in steps)


def shown(capture: Capture, variant: Variant) -> dict[str, Any]:
    """The capture as the API describes it."""
    wanted = capture.wanted
    answer: dict[str, Any] = {
        "id": capture.id,
        "filter_v1": wanted.filter_v1,
        "status": capture.status,
        "submitted": rfc3339(capture.submitted),
        "system": SYSTEM,
        "time_limit": wanted.time_limit,
        "type": wanted.type,
    }
    if capture.full:
        destination = wanted.destination_conf
        answer["destination_conf"] = destination if variant.echo_keys else keyless(destination)
        if variant.colo_field in ("colo", "both"):
            answer["colo"] = wanted.colo
        if variant.colo_field in ("colo_name", "both"):
            answer["colo_name"] = wanted.colo
        stopped = capture.stop_requested
        values = {
            "byte_limit": wanted.byte_limit,
            "error_message": capture.failed,
            "packets_captured": capture.packets if capture.started is not None else None,
            "stop_requested": rfc3339(stopped) if stopped is not None else None,
        }
    else:
        answer["offset_time"] = rfc3339(wanted.offset_time)
        # Not in the schema of simple captures, so the field appears only with a message.
        values = {"error_message": capture.failed} if capture.failed is not None else {}
    answer |= {name: value for name, value in values.items() if value is not None or variant.absent == "null"}
    if variant.extra_fields:
        answer["packet_limit"] = wanted.packet_limit
        answer["packets_remaining"] = max(0, (wanted.packet_limit or 0) - capture.packets)
        answer["region_hint"] = {"tier": 1, "labels": ["wnam"]}
    return answer


def listed(
    captures: Iterable[Capture],
    variant: Variant,
    now: datetime,
    dice: random.Random,
    *,
    page: int = 1,
    per_page: int = LISTED,
) -> list[Capture]:
    """The latest captures, those that the list shows already, in the variant's order.

    Args:
        captures: all of the account.
        variant: its lag, order and pages.
        now: the time.
        dice: for random order.
        page: number of the page, from 1.
        per_page: captures per page.
    """
    seen = [c for c in captures if now - c.submitted >= timedelta(seconds=variant.list_lag)]
    seen = sorted(seen, key=lambda capture: capture.submitted, reverse=True)
    seen = seen[(page - 1) * per_page :][:per_page]
    if variant.list_order == "oldest":
        seen.reverse()
    elif variant.list_order == "shuffled":
        dice.shuffle(seen)
    return seen


def keyless(destination_conf: str) -> str:
    """A destination without the keys of an r2 URI."""
    base, mark, query = redact(destination_conf).partition("?")
    kept = [part for part in query.split("&") if not part.endswith(f"={HIDDEN}")]
    return base + (mark + "&".join(kept) if kept else "")
