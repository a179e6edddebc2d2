"""`edgecap deploy`: prepare a Prefect server of your own: pool, queues by priority, deployments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deployments.local.running import require_server
from deployments.local.schedules import NONE_ON, schedules_on
from deployments.local.setup import POOL, deploy_to, prefect_settings
from deployments.project import prefect_yaml
from edgecap.cli.output import say
from edgecap.network import check_network
from edgecap.settings import load_settings
from tasks.runtime.rest import PrefectApi

LEASES = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"


def deploy(
    *,
    reset: Annotated[bool, Parameter(negative=())] = False,
    print_: Annotated[bool, Parameter(name="--print", negative=(), show_default=False)] = False,
) -> None:
    """Prepare a Prefect server for edgecap's workers.

    The server is the one that `PREFECT_API_URL` names, else that of `edgecap up` in this folder.

    Args:
        reset: Undo changes made in Prefect's UI: deployments and schedules become those of prefect.yaml.
        print_: Print edgecap's prefect.yaml, to write your own from it, and deploy nothing.
    """
    if print_:
        sys.stdout.write(prefect_yaml().read_text())
        return
    settings = load_settings()
    server = require_server(settings.home.resolve())
    check_network()
    log, file = settings.home.resolve() / "logs" / "deploy.log", settings.prefect_yaml
    done = deploy_to(server, log=log, file=file, reset=reset, tell=say)
    say(f"The pool edgecap and its queues exist. {done}.")
    with PrefectApi(server) as prefect:
        for line in schedules_on(prefect) or [NONE_ON]:
            say(f"Schedule  {line}")
        if prefect.keeps_leases_in_memory():
            say("The server keeps its leases in memory: after a restart a lane's slot may stay")
            say(
                "taken until edgecap sees that its holder is gone, two minutes or more. Start the server with"
            )
            say(f"  {LEASES}={prefect_settings(Path(), 0)[LEASES]}")
            say("or, if the API has several processes, with prefect_redis.lease_storage.")
        online = prefect.online_workers(POOL)
    if online:
        say(f"Workers   {', '.join(online)}")
    else:
        say("Start workers, each in the folder that has its edgecap.toml, or with EDGECAP_CONFIG set:")
        say("  edgecap worker")
