"""`edgecap up`: run everything on one machine until Ctrl-C or SIGTERM."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from deployments.local.up import PORT, Up
from edgecap.cli.output import say
from edgecap.cli.signals import ending_well
from edgecap.network import check_network
from edgecap.settings import load_settings


def up(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65_535))] = PORT,
    workers: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 8,
    reset: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Run everything here.

    Args:
        port: Port of the Prefect server and its UI, on loopback.
        workers: Number of worker processes.
        limit: Parallel flow runs of each worker.
        reset: Undo changes made in Prefect's UI: deployments and schedules become those of prefect.yaml.
    """
    settings = load_settings()
    check_network()
    everything = Up(settings, say, port=port, workers=workers, limit=limit, reset=reset)
    everything.check()
    with everything, ending_well():
        everything.start()
        say(f"edgecap is running: {everything.setup.ui_url}. Ctrl-C stops it.")
        with suppress(KeyboardInterrupt):
            everything.watch()
        say("Stopping.")
