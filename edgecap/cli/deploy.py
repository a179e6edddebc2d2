"""`edgecap deploy`: prepare a Prefect server of your own: pool, queues by priority, deployments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deployments.local.setup import deploy_to, named_server, prefect_settings
from edgecap.cli.output import say
from edgecap.network import check_network
from edgecap.settings import load_settings
from tasks.runtime.rest import PrefectApi

LEASES = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"


def deploy(*, reset: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Prepare the Prefect server at `PREFECT_API_URL` for edgecap's workers.

    Args:
        reset: Undo changes made in Prefect's UI: deployments and schedules become those of prefect.yaml.
    """
    address = named_server("`edgecap up` runs its own server and does not need this")
    check_network()
    log = load_settings().home.resolve() / "logs" / "deploy.log"
    say(f"The pool edgecap and its queues exist. {deploy_to(address, log=log, reset=reset, tell=say)}.")
    with PrefectApi(address) as prefect:
        if prefect.keeps_leases_in_memory():
            say("The server keeps its leases in memory: after a restart a lane's slot may stay")
            say(
                "taken until edgecap sees that its holder is gone, two minutes or more. Start the server with"
            )
            say(f"  {LEASES}={prefect_settings(Path(), 0)[LEASES]}")
            say("or, if the API has several processes, with prefect_redis.lease_storage.")
    say("Start workers, each in the folder that has its edgecap.toml, or with EDGECAP_CONFIG set:")
    say("  edgecap worker")
