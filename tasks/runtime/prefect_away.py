"""How a run ends when the Prefect server stays away for longer than the run retries.

It ends as crashed: nothing is wrong with its request, and a run that failed is not taken up again.
"""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.settings import get_current_settings
from prefect.states import Crashed

from edgecap.errors import SetupError
from tasks.runtime.cancelling import Watched


def prefect_away(error: BaseException, watched: Watched | None = None) -> SetupError:
    """The error of a run that ended because the Prefect server did not answer.

    Args:
        error: one of `tasks.runtime.retry.PREFECT_AWAY`.
        watched: the run and its capture, if it had one.
    """
    kind = "full capture" if watched and watched.intent_id else "capture"
    what, hint = "the Prefect server did not answer for minutes", ""
    if watched and watched.capture_id:
        about = f"{kind} {watched.capture_id}"
        if watched.is_over:
            what += f"; {about} is over"
        elif watched.intent_id:
            what += f"; {about} goes on at Cloudflare, and holds the lane"
            hint = f"`edgecap cancel {watched.capture_id}` stops it, "
        else:
            what += f"; {about} was accepted"
        hint += "`edgecap reconcile` brings in its packets"
    elif watched and watched.intent_id:
        what += "; no full capture of this run is known to be accepted"
        hint = "`edgecap reconcile` brings in what may have been"
    where = f"{get_current_settings().api.url or 'a temporary server'}: {type(error).__name__}"
    return SetupError(what, where=where, hint=hint)


def crashed(error: BaseException, watched: Watched | None = None) -> State[Any]:
    """The state that such a run returns: `reconcile` has a worker take it up again.

    Args:
        error: one of `tasks.runtime.retry.PREFECT_AWAY`.
        watched: the run and its capture, if it had one.
    """
    away = prefect_away(error, watched)
    return Crashed(message=str(away), data=away)
