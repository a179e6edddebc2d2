"""Flow `reconcile`: whatever died is taken up again, whatever was left behind is finished or cleaned."""

# No `from __future__ import annotations`: Prefect makes the form of the UI from the real types.
from typing import cast

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.states import Completed

from edgecap.reconcile import Adopt, Reconciled
from edgecap.settings import load_settings
from tasks.runs import TakenUp, take_up
from tasks.settle import settle


@flow(name="reconcile", flow_run_name="reconcile", persist_result=True)
async def reconcile(adopt: Adopt = "ours") -> str:
    """Take up runs that died, and bring in or clean what was left behind.

    Runs whose process is gone go on where they were. Captures that Cloudflare took and nobody fetched are
    brought into the archive; those of cancelled runs are stopped first, and what they have is kept. Nothing
    that holds packets is ever deleted.

    Args:
        adopt: Bring in what edgecap started, or all captures of the account, people's own too
    """
    taken = await take_up()
    settings = load_settings()
    found: dict[str, Reconciled] = {}
    for account in sorted(settings.accounts):
        for archive in sorted(settings.archives):
            found[f"account {account}, archive {archive}"] = await settle(account, archive, adopt)
    if taken or any(each.findings for each in found.values()):
        await acreate_markdown_artifact(
            _page(taken, found), key="reconcile", description="What was left behind, and what became of it"
        )
    return cast("str", Completed(message=_line(taken, found), data=_line(taken, found)))


def _line(taken: list[TakenUp], found: dict[str, Reconciled]) -> str:
    runs = [f"{len(taken)} dead run{'' if len(taken) == 1 else 's'} seen to"] if taken else []
    news = [f"{where}: {each}" for where, each in found.items() if each.findings]
    return "; ".join([*runs, *news]) or "nothing was left behind"


def _page(taken: list[TakenUp], found: dict[str, Reconciled]) -> str:
    lines = ["# What was left behind, and what became of it", ""]
    if taken:
        lines += ["| dead run | what was done |", "|---|---|"]
        lines += [f"| {run.name} (`{run.run_id}`) | {run.detail} |" for run in taken]
    for where, each in found.items():
        if each.findings:
            lines += ["", f"## {where}: {each}", "", "| what | which | done | detail |", "|---|---|---|---|"]
            lines += [f"| {f.kind} | `{f.subject}` | {f.action} | {f.detail} |" for f in each.findings]
    return "\n".join(lines)
