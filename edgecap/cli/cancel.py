"""`edgecap cancel`: end a run and stop its full capture at Cloudflare, or a capture started elsewhere."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from cyclopts import Parameter

from deployments.local.running import find_server
from edgecap.cli.cancelling import Cancelling
from edgecap.cli.daemon_threads import DaemonThreads
from edgecap.cli.options import Account, Archive, Json
from edgecap.cli.output import console, print_json
from edgecap.errors import InvalidRequest
from edgecap.settings import DEFAULT, load_settings

_SHORTEST = 4  # characters; fewer could match a run by accident


def cancel(
    which: Annotated[str, Parameter(name="ID")],
    /,
    *,
    account: Account = DEFAULT,
    archive: Archive = DEFAULT,
    yes: Annotated[bool, Parameter(show_default=False)] = False,
    json: Json = False,
) -> None:
    """Cancel a run that waits or captures, or stop a full capture.

    Args:
        which: A flow run's id, as `edgecap lanes` shows it, or a capture's id; the first characters do.
        account: Name of the account of the capture.
        archive: Name of the archive with the capture's journal.
        yes: Do not ask before stopping a capture that edgecap did not start.
        json: Print one JSON document.
    """
    settings = load_settings()
    if len(which) < _SHORTEST:
        raise InvalidRequest(
            f"{which!r} is too short", field="ID", hint=f"give {_SHORTEST} characters or more"
        )
    cancelling = Cancelling(settings, account, archive, find_server(settings.home))

    async def cancelled() -> dict[str, Any]:
        asyncio.get_running_loop().set_default_executor(DaemonThreads())
        return await cancelling.cancel(which.lower(), yes=yes)

    done = asyncio.run(cancelled())
    if json:
        print_json(done)
    else:
        console().print(done["detail"])
