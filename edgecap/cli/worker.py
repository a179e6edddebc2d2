"""`edgecap worker`: a worker for a Prefect server of your own, in this folder, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import shutil
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from deployments.local.processes import heed_interrupts
from deployments.local.running import require_server
from deployments.local.worker import (
    check_name,
    check_server,
    check_settings,
    claim_name,
    command,
    environment,
    name_of,
    use_name,
)
from edgecap.cli.output import say
from edgecap.network import check_network
from edgecap.settings import config_file, load_settings
from edgecap.settings.permissions import open_to_others


def worker(
    *,
    name: str = "",
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 8,
    queue: tuple[Literal["upkeep", "alerts", "manual", "schedules"], ...] = (),
) -> None:
    """Run a worker here.

    Args:
        name: Its name in Prefect's UI. Default: made of the host's name, the folder's name and its queues.
        limit: Parallel flow runs.
        queue: Take runs of this queue only; may be repeated. Default: all queues, by priority.
    """
    settings = load_settings()
    server = require_server(settings.home.resolve())
    check_network()
    check_settings(settings)
    for line in open_to_others(settings):
        say(line)
    check_server(server)
    name = name or name_of(queue)
    # The lock shows at once whether an earlier worker ran here. If it did and is gone, the last sign of life
    # at the server is its own, and a restart need not wait. Otherwise it may be from a worker in another
    # folder or on another machine.
    lock, was_used_here = claim_name(settings.home.resolve(), name)
    if not was_used_here:
        check_name(server, name, say)
    use_name(lock, name)
    file = config_file().resolve()
    say(f"Settings  {file if file.is_file() else 'of the environment; there is no ' + str(file)}")
    say(f"Server    {server.api_url}")
    say(f"Worker    {name}, {limit} runs at a time, queues: {', '.join(queue) or 'all'}. Ctrl-C stops it.")
    heed_interrupts()
    argv = command(name, limit, queue)
    env = environment(settings, {**os.environ, **server.environment()})
    os.execve(shutil.which(argv[0]) or argv[0], argv, env)  # noqa: S606 - no shell is wanted
