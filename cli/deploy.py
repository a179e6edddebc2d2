"""`edgecap deploy`: make a Prefect server of one's own ready: pool, queues by priority, deployments."""

from __future__ import annotations

import os

from cli.output import say
from deployments.local import deploy_to
from edgecap.errors import SetupError
from edgecap.settings import load_settings


def deploy() -> None:
    """Make the Prefect server that `PREFECT_API_URL` names ready for edgecap's workers."""
    address = os.environ.get("PREFECT_API_URL", "")
    if not address:
        raise SetupError(
            "no Prefect server is named",
            where="PREFECT_API_URL",
            todo="set it; `edgecap up` runs a server of its own and needs none of this",
        )
    deploy_to(address, log=load_settings().home.resolve() / "logs" / "deploy.log")
    say("The pool edgecap, its queues and the deployments are there.")
    say("Start workers, each in the folder that has its edgecap.toml, or with EDGECAP_CONFIG set:")
    say("  edgecap worker")
