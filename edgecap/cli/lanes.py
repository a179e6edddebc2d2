"""`edgecap lanes`: the running capture and the waiting runs of each lane, and their start times."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from deployments.local.running import find_server
from edgecap.captures.lanes import Admission, Kind, ends, next_turn
from edgecap.captures.queue import CHANGE_OVER, LANES, Waiter, in_order, lane_tag, slot_name
from edgecap.cli.options import Account, Json
from edgecap.cli.output import console, print_json, say, table
from edgecap.cli.prefect_client import point_at_prefect
from edgecap.cloudflare.client import Client, Listing
from edgecap.cloudflare.models import Capture
from edgecap.settings import DEFAULT, Settings, Timing, load_settings
from tasks.runtime.lane_waiters import waiter_of
from tasks.runtime.prefect_server import PrefectServer
from tasks.runtime.rest import PrefectApi


@dataclass(frozen=True, slots=True)
class InLine:
    """A waiting run, its position and its earliest start."""

    waiter: Waiter
    name: str
    state: str
    reason: str
    starts: datetime


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane's current state. Times are aware; captures' times are the server's, others this machine's.

    `abandoned` is why the lane's slot at Prefect, though taken, certainly has no holder; else empty.
    """

    account: str
    kind: Kind
    running: tuple[Capture, ...]
    turn: Admission
    line: tuple[InLine, ...]
    abandoned: str = ""

    @property
    def free(self) -> bool:
        """Whether the first waiting run may start now."""
        return self.turn.now and not self.abandoned


def lanes(*, account: Account | None = None, json: Json = False) -> None:
    """Show each lane: the capture that runs, the runs that wait, and when each may start.

    Args:
        account: Name of the account in the settings. Default: all accounts.
        json: Print one JSON document.
    """
    settings = load_settings()
    names = [account] if account else sorted(settings.accounts) or [DEFAULT]
    accounts = {name: settings.account(name) for name in names}
    server = find_server(settings.home)
    views = []
    for name, sign_in in accounts.items():
        listing = asyncio.run(_list(settings, name))
        for kind in get_args(Kind):
            runs = _waiting(server, kind, sign_in.lanes)
            seen = view(name, kind, listing, runs, settings.timing, now=datetime.now(UTC))
            abandoned = abandoned_slot(server, slot_name(kind, sign_in.lanes), home=settings.home)
            views.append(replace(seen, abandoned=abandoned))
    if json:
        print_json([lane_as_json(each) for each in views])
        return
    if not server:
        say("No Prefect server runs here, so the waiting runs are unknown; `edgecap up` starts one.")
    for each in views:
        show_lane(each)


def view(
    account: str, kind: Kind, listing: Listing, runs: list[dict[str, Any]], timing: Timing, *, now: datetime
) -> LaneView:
    """Build a lane's view from the API's list and Prefect's waiting runs.

    Args:
        account: its name.
        kind: the lane's type.
        listing: `GET /pcaps`.
        runs: flow runs from Prefect's API.
        timing: spacing, and when a waiter becomes urgent.
        now: this machine's time.
    """
    spacing = timedelta(seconds=timing.simple_spacing)
    turn = next_turn(
        kind,
        listing.captures,
        now=listing.server_time,
        spacing=spacing,
        look_again=timedelta(seconds=timing.full_retry),
    )
    running = tuple(capture for capture in listing.captures if capture.type == kind and not capture.is_final)
    clock = timing.server_clock(lambda: listing.server_time)
    starts = now + clock.until(turn.expected)
    known = {str(run["id"]): run for run in runs}
    order = in_order(map(waiter_of, runs), now=now, patience=timedelta(seconds=timing.urgent_after))
    line = []
    for waiter in order:
        run = known[waiter.name]
        state = run.get("state") or {}
        line.append(InLine(waiter, run["name"], state.get("name") or "", state.get("message") or "", starts))
        starts += clock.here(waiter.holds + CHANGE_OVER if kind == "full" else spacing)
    return LaneView(account, kind, running, turn, tuple(line))


async def _list(settings: Settings, account: str) -> Listing:
    async with Client(settings.account(account)) as client:
        return await client.list_captures()


def _waiting(server: PrefectServer | None, kind: Kind, lanes: str) -> list[dict[str, Any]]:
    if not server:
        return []
    with PrefectApi(server) as prefect:
        return [run for run in prefect.waiting(lane_tag(kind)) if run["labels"].get(LANES) == lanes]


def abandoned_slot(
    server: PrefectServer | None, name: str, *, home: Path, after: timedelta | None = None
) -> str:
    """Why a lane's taken slot certainly has no holder; empty if it is free or held.

    Args:
        server: the Prefect server; None if there is none.
        name: the slot's name.
        home: state folder of the setup on this machine.
        after: minimum time since it was taken; two minutes by default.
    """
    if not server:
        return ""
    with PrefectApi(server) as prefect:
        if not prefect.slot_is_taken(name):
            return ""
        # Slots are rarely taken, and importing Prefect takes longer than everything else here.
    point_at_prefect(home)
    from tasks.runtime.slot_holder import TAKEN, why_abandoned  # noqa: PLC0415

    return asyncio.run(why_abandoned(name, after=TAKEN if after is None else after))


def show_lane(lane: LaneView) -> None:
    """Print a lane: whether it is free, what runs in it, and who waits for it."""
    out = console()
    free = "free" if lane.turn.now else f"{lane.turn.reason}; next start {_clock(lane.turn.expected)}"
    if lane.turn.now and lane.abandoned:
        free = "its slot is taken, but no run holds it"
    out.print(f"{lane.kind} lane of account {lane.account}: {free}")
    if lane.abandoned:
        out.print(f"  slot: {lane.abandoned}; the next reconcile frees it, `edgecap reconcile` does so now")
    for capture in lane.running:
        over = f", until {_clock(ends(capture, lane.turn.at))}" if lane.kind == "full" else ""
        where = f" at {capture.colo}" if capture.colo else ""
        out.print(f"  runs: {capture.id}{where} is {capture.status}{over}")
    if lane.line:
        rows = [
            (
                place,
                each.name,
                each.waiter.priority.name.lower(),
                _clock(each.waiter.since),
                _clock(each.starts),
                each.state,
                each.waiter.name,
            )
            for place, each in enumerate(lane.line, 1)
        ]
        out.print(table((">", "waits", "priority", "since", "may start", "state", "flow run"), rows))
    out.print()


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%SZ}"


def lane_as_json(lane: LaneView) -> dict[str, Any]:
    """The same for programs; times are in UTC."""
    return {
        "account": lane.account,
        "type": lane.kind,
        "free": lane.free,
        "abandoned_slot": lane.abandoned or None,
        "next_at": lane.turn.expected.isoformat(),
        "reason": lane.turn.reason,
        "running": [capture.raw for capture in lane.running],
        "waiting": [
            {
                "place": place,
                "flow_run_id": each.waiter.name,
                "name": each.name,
                "priority": each.waiter.priority.name.lower(),
                "since": each.waiter.since.isoformat(),
                "may_start": each.starts.isoformat(),
                "state": each.state,
                "reason": each.reason,
            }
            for place, each in enumerate(lane.line, 1)
        ],
    }
