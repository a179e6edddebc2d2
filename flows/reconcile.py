"""Flow `reconcile`: resume dead runs, and finish or remove what they left."""

# No `from __future__ import annotations`: Prefect makes the form of the UI from the real types.
from datetime import UTC, datetime, timedelta
from functools import partial

from prefect import flow, get_run_logger
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import deployment
from prefect.runtime import flow_run as this_run
from prefect.states import Completed

from edgecap.captures.queue import slot_name
from edgecap.reconcile import Adopt, Reconciled
from edgecap.settings import load_settings
from tasks.runtime.prefect_names import AUTO_SCHEDULED
from tasks.runtime.recovery import TakenUp, look_again, record_process, take_up
from tasks.runtime.retry import retry_prefect
from tasks.runtime.single_reconcile import NOTHING_NEW, forget_overdue, forget_quiet, is_awaited, take_turn
from tasks.runtime.slot_holder import free_if_abandoned
from tasks.settle import settle, stop_cancelled

# A trigger fires at most once in ten seconds (prefect.yaml): this run also sees to what happens in the rest.
COLLECTING = timedelta(seconds=11)
LONGEST = timedelta(minutes=2)  # of looking again at what is starting


@flow(name="reconcile", flow_run_name="reconcile", persist_result=True)
async def reconcile(adopt: Adopt = "ours") -> State[str]:
    """Resume dead runs, and finish or remove what they left.

    A run whose process is gone goes on where it was. The full captures of cancelled runs are stopped before
    anything else, and the packets that Cloudflare saved are kept. Captures that no run fetched are imported
    into the archive. Nothing that holds packets is ever deleted.

    Only one reconcile runs at a time. A run that changes nothing is deleted when the next one ends.

    Args:
        adopt: Import captures that edgecap started (ours), or all captures of the account (all)
    """
    await stop_cancelled()  # before all else, also out of turn: Cloudflare goes on capturing
    run_id = str(this_run.id)
    await record_process(run_id)
    if other := await take_turn(run_id):
        line = f"left to run {other}"
        return Completed(name=NOTHING_NEW, message=line, data=line)
    await forget_overdue(run_id)
    began = datetime.now(UTC)
    was_triggered = bool(deployment.id) and AUTO_SCHEDULED not in this_run.tags
    until = began + COLLECTING if was_triggered else began
    taken = await take_up()
    looked = datetime.now(UTC)
    freed = await free_lanes()
    found = await _settle_all(adopt, {})
    ended = True
    while ended:
        more, ended = await look_again(
            since=looked, until=until, deadline=began + LONGEST, wanted=partial(is_awaited, run_id)
        )
        taken += more
        if ended:
            await stop_cancelled()
            taken += await take_up()
            looked = datetime.now(UTC)
            freed += await free_lanes()
            found = await _settle_all(adopt, found)
    if taken or freed or any(each.findings for each in found.values()):
        await show_findings(taken, freed, found)
    await forget_quiet(run_id)
    line = _line(taken, freed, found)
    changed = taken or freed or any(each.finished or each.removed for each in found.values())
    return Completed(name=None if changed else NOTHING_NEW, message=line, data=line)


async def free_lanes() -> list[str]:
    """Free the lanes whose slot is held by a run that is gone, and return the reasons."""
    settings = load_settings()
    lines = []
    for account in sorted(settings.accounts):
        for kind in ("simple", "full"):
            name = slot_name(kind, settings.account(account).lanes)
            if reason := await retry_prefect(free_if_abandoned, name):
                lines.append(f"{kind} lane of account {account} freed: {reason}")
                get_run_logger().warning("%s", lines[-1])
    return lines


async def _settle_all(adopt: Adopt, before: dict[str, Reconciled]) -> dict[str, Reconciled]:
    """The findings in every archive for every account, behind those of before."""
    settings = load_settings()
    found = {}
    for account in sorted(settings.accounts):
        for archive in sorted(settings.archives):
            where = f"account {account}, archive {archive}"
            earlier = before[where].findings if where in before else ()
            found[where] = Reconciled((*earlier, *(await settle(account, archive, adopt)).findings))
    return found


async def show_findings(taken: list[TakenUp], freed: list[str], found: dict[str, Reconciled]) -> None:
    """Keep a page of what was left behind, and what became of it, as the artifact `reconcile`."""
    page = partial(
        acreate_markdown_artifact,
        _page(taken, freed, found),
        key="reconcile",
        description="What was left behind, and what became of it",
    )
    await retry_prefect(page)


def _line(taken: list[TakenUp], freed: list[str], found: dict[str, Reconciled]) -> str:
    runs = [f"{len(taken)} dead run{'' if len(taken) == 1 else 's'} seen to"] if taken else []
    news = [f"{where}: {each}" for where, each in found.items() if each.findings]
    return "; ".join([*runs, *freed, *news]) or "nothing was left behind"


def _page(taken: list[TakenUp], freed: list[str], found: dict[str, Reconciled]) -> str:
    lines = ["# What was left behind, and what became of it", "", *(f"- {line}" for line in freed), ""]
    if taken:
        lines += ["| dead run | what was done |", "|---|---|"]
        lines += [f"| {run.name} (`{run.run_id}`) | {run.detail} |" for run in taken]
    for where, each in found.items():
        if each.findings:
            lines += ["", f"## {where}: {each}", "", "| what | which | done | detail |", "|---|---|---|---|"]
            lines += [f"| {f.kind} | `{f.subject}` | {f.action} | {f.detail} |" for f in each.findings]
    return "\n".join(lines)
