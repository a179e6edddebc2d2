"""Choosing places in a run: ask Network Analytics and the archive side by side, within a deadline.

It never fails and never takes longer than the deadline: what did not answer by then does not count.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from edgecap.analytics.choice import Choice, Known, choose
from edgecap.analytics.client import Analytics
from edgecap.analytics.history import PastCaptures
from edgecap.analytics.places import Carried, carried
from edgecap.errors import AnalyticsUnavailable, EdgecapError
from edgecap.settings import Account
from edgecap.stores.base import Store

_RESERVE = 0.1  # seconds of the deadline, for what follows the answers


@dataclass(frozen=True, slots=True)
class Wanted:
    """What places are wanted for.

    Attributes:
        account: name of the account in the settings.
        targets: addresses and networks; none for everything that the account gets.
        policy: places that the policy names, if nothing better is known.
        tried: places that are left out.
        most: places at most.
    """

    account: str
    targets: Sequence[str] = ()
    policy: Sequence[str] = ()
    tried: Collection[str] = ()
    most: int = 1


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice, and the error that kept Network Analytics from answering, if there was one."""

    choice: Choice
    problem: EdgecapError | None = None


async def choose_places(
    wanted: Wanted,
    sign_in: Account,
    store: Store | None,
    *,
    within: float | None = None,
    window: timedelta | None = None,
) -> Chosen:
    """Choose the places of full captures.

    Args:
        wanted: what for.
        sign_in: the account's settings.
        store: the archive; None if it is not to be asked.
        within: seconds for all of it; the account's `analytics.wait` if not given.
        window: of traffic, all of which counts; the newest part of the account's `analytics.window` if not
            given.
    """
    settings = sign_in.analytics
    began = time.monotonic()
    left = settings.wait if within is None else within
    now = datetime.now(UTC)
    past = PastCaptures(store, wanted.account, wanted.targets, now=now) if store else None
    hour = asyncio.create_task(_read(past.read_the_hour)) if past else None
    rest = asyncio.create_task(_read_after(hour, past.read_the_rest)) if past and hour else None
    answer: Carried | EdgecapError
    try:
        answer = await _asked(wanted, sign_in, now, left - _RESERVE, window)
        enough = isinstance(answer, Carried) and bool(answer.shares)
        awaited = [task for task in ((hour,) if enough else (hour, rest)) if task]
        if awaited:
            await asyncio.wait(awaited, timeout=max(0.0, left - _RESERVE / 2 - (time.monotonic() - began)))
    finally:
        if past:
            past.stop()
        for task in (hour, rest):
            if task:
                task.cancel()
    known = Known(
        targets=tuple(wanted.targets),
        carried=answer if isinstance(answer, Carried) else None,
        problem=answer.what if isinstance(answer, EdgecapError) else "",
        policy=wanted.policy,
        usual=past.usual if past else (),
        disappointed=past.disappointed if past else (),
        tried=wanted.tried,
    )
    most = min(wanted.most, settings.places)
    choice = choose(known, share=settings.share, most=most, took=time.monotonic() - began)
    return Chosen(choice, answer if isinstance(answer, EdgecapError) else None)


async def _asked(
    wanted: Wanted, sign_in: Account, now: datetime, within: float, window: timedelta | None
) -> Carried | EdgecapError:
    settings = sign_in.analytics
    if not settings.enabled:
        return AnalyticsUnavailable("Network Analytics is switched off in the settings")
    try:
        async with asyncio.timeout(within), Analytics(sign_in) as analytics:
            return await carried(
                analytics,
                wanted.targets,
                now=now,
                window=window or timedelta(seconds=settings.window),
                within=within,
                whole=window is not None,
            )
    except TimeoutError:
        return AnalyticsUnavailable(f"Network Analytics did not answer within {within:g} s")
    except EdgecapError as error:
        return error


async def _read(reading: Callable[[], None]) -> None:
    await asyncio.to_thread(reading)


async def _read_after(first: asyncio.Task[None], reading: Callable[[], None]) -> None:
    await asyncio.wait([first])
    await _read(reading)
