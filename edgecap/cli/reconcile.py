"""`edgecap reconcile`: resume dead runs, and finish or remove what they left, now."""

from __future__ import annotations

import asyncio
from typing import Literal, cast

from edgecap.cli.options import Json
from edgecap.cli.output import console, print_json
from edgecap.cli.prefect_client import point_at_prefect, protect_temporary_server
from edgecap.settings import load_settings


def reconcile(*, adopt: Literal["ours", "all"] = "ours", json: Json = False) -> None:
    """Resume dead runs, import captures that no run fetched, remove temporary files.

    Args:
        adopt: Bring in captures that edgecap started, or all captures of the account.
        json: Print one JSON document.
    """
    point_at_prefect(load_settings().home)
    line = asyncio.run(_run(adopt))
    if json:
        print_json({"outcome": line})
    else:
        console().print(line)


async def _run(adopt: Literal["ours", "all"]) -> str:
    protect_temporary_server()
    from flows.reconcile import reconcile as flow  # noqa: PLC0415 - Prefect takes seconds to import

    # The flow returns a state, and Prefect hands over its result: Prefect's types do not know that.
    return cast("str", await flow(adopt))
