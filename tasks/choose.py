"""Choosing the places of full captures in a run. What keeps Network Analytics from answering is said once."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from prefect import get_run_logger
from prefect.client.orchestration import get_client

from edgecap.analytics.choice import Choice
from edgecap.analytics.choosing import Chosen, Wanted, choose_places
from edgecap.errors import AnalyticsRefused, AnalyticsUnavailable, EdgecapError, NetworkFailure
from edgecap.filters.destinations import destinations
from edgecap.requests import FullRequest
from edgecap.settings import Account
from edgecap.stores.base import Store
from tasks.runtime.retry import PREFECT_AWAY
from tasks.runtime.variables import read_variable, write_variable


async def choose_place(request: FullRequest, account: str, sign_in: Account, store: Store) -> Choice:
    """Choose the place of one full capture by where the packets that it is to hold arrive.

    Args:
        request: the capture; its filter says which packets.
        account: name of the account in the settings.
        sign_in: the account.
        store: the archive.

    Raises:
        NetworkFailure: Network Analytics is away, and nothing else says where. Later it may answer.
    """
    wanted = Wanted(account=account, targets=destinations(request))
    chosen = await choose(wanted, sign_in, store)
    is_away = isinstance(chosen.problem, AnalyticsUnavailable) and sign_in.analytics.enabled
    if not chosen.choice.places and is_away:
        raise NetworkFailure(
            chosen.choice.words, where="Network Analytics", hint="name a data centre such as ORD", sent=False
        )
    return chosen.choice


async def choose(wanted: Wanted, sign_in: Account, store: Store) -> Chosen:
    """Choose places, and log them. Never fails, and takes no longer than the account's `analytics.wait`.

    Args:
        wanted: what for.
        sign_in: the account.
        store: the archive.
    """
    chosen = await choose_places(wanted, sign_in, store)
    choice = chosen.choice
    log = get_run_logger()
    if choice.by == "analytics":
        log.info("Place chosen: %s", choice.words)
    else:
        log.info("Place chosen: %s, by what is %s", ", ".join(choice.places) or "none", choice.by)
    await _say_once(sign_in, chosen.problem)
    return chosen


def remembered_name(sign_in: Account) -> str:
    """The Prefect variable that holds the refusal of an account's analytics that was said last."""
    return f"edgecap-analytics-{hashlib.sha256(sign_in.lanes.encode()).hexdigest()[:16]}"


async def _say_once(sign_in: Account, problem: EdgecapError | None) -> None:
    """Log a refusal, unless a run did before. An answer forgets it, so the next refusal is said again."""
    refusal = str(problem) if isinstance(problem, AnalyticsRefused) else ""
    if problem and not refusal:
        return
    name = remembered_name(sign_in)
    with suppress(*PREFECT_AWAY):  # then another run says it
        async with get_client() as client:
            said = await read_variable(client, name) or ""
        if said == refusal:
            return
        if refusal:
            get_run_logger().warning("%s. Until then captures go where the archive or the rule says", refusal)
        await write_variable(name, refusal)
