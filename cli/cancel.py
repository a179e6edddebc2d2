"""`edgecap cancel`: end a run; its full capture is stopped at Cloudflare, and what it has is kept."""

from __future__ import annotations

import os
from typing import Annotated, Any

from cyclopts import Parameter

from cli.options import Archive, Json
from cli.output import console, print_json
from deployments.local import running_setup
from deployments.prefect_api import PrefectApi
from edgecap.archive.journal import Journal
from edgecap.errors import EntryMissing, SetupError
from edgecap.settings import DEFAULT, Settings, load_settings
from edgecap.stores import open_store

_SHORTEST = 4  # letters; fewer name a run by accident


def cancel(
    which: Annotated[str, Parameter(name="ID")], /, *, archive: Archive = DEFAULT, json: Json = False
) -> None:
    """Cancel a run that waits or captures.

    Args:
        which: A flow run's id or the beginning of it, as `edgecap lanes` shows it, or a capture's id.
        archive: Name of the archive whose journal knows the capture.
        json: Print one JSON document.
    """
    settings = load_settings()
    setup = running_setup(settings.home)
    address = os.environ.get("PREFECT_API_URL") or (setup["api_url"] if setup else "")
    if not address:
        raise SetupError(
            "no Prefect server runs here, so there is no run to cancel",
            where="PREFECT_API_URL",
            todo="start it with `edgecap up`, or set PREFECT_API_URL",
        )
    with PrefectApi(address) as prefect:
        run = _find(prefect, which) or _find(prefect, _run_of(settings, archive, which))
        if run is None:
            raise EntryMissing(
                f"no run that is not over is called {which!r}", todo="`edgecap lanes` shows those that wait"
            )
        state = prefect.cancel(run["id"])
    if json:
        print_json({"flow_run_id": run["id"], "name": run["name"], "state": state})
    else:
        console().print(
            f"{run['name']} ({run['id']}) is {state.lower()}. If Cloudflare captures for it, the capture is "
            "stopped within moments, and what it has is kept."
        )


def _find(prefect: PrefectApi, which: str) -> dict[str, Any] | None:
    if len(which) < _SHORTEST:
        return None
    found = [run for run in prefect.unfinished() if str(run["id"]).startswith(which.lower())]
    return found[0] if len(found) == 1 else None


def _run_of(settings: Settings, archive: str, capture_id: str) -> str:
    """The run that a capture was started by, or nothing."""
    for record in Journal(open_store(settings.archive(archive))).open():
        if record.capture_id and record.capture_id.startswith(capture_id) and len(capture_id) >= _SHORTEST:
            return record.intent.run.partition(" ")[0]
    return ""
