"""`edgecap up`: run everything on one machine until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from deployments.local.setup import PORT
from deployments.local.up import Up
from edgecap.cli.output import say
from edgecap.cli.signals import ending_well
from edgecap.cli.systemd_unit import ENVIRONMENT, not_in_unit, systemd_unit
from edgecap.network import check_network
from edgecap.settings import load_settings


def up(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65_535))] = PORT,
    workers: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 8,
    reset: Annotated[bool, Parameter(negative=())] = False,
    print_systemd_unit: Annotated[bool, Parameter(show_default=False)] = False,
) -> None:
    """Run everything here.

    Args:
        port: Port of the Prefect server and its UI, on loopback.
        workers: Number of worker processes.
        limit: Parallel flow runs of each worker.
        reset: Undo changes made in Prefect's UI: deployments and schedules become those of prefect.yaml.
        print_systemd_unit: Print a systemd unit that runs `edgecap up` so, as this user in this folder, and
            start nothing.
    """
    settings = load_settings()
    check_network()
    everything = Up(settings, say, port=port, workers=workers, limit=limit, reset=reset)
    if print_systemd_unit:
        _print_unit(everything, ["--port", str(port), "--workers", str(workers), "--limit", str(limit)])
        return
    everything.check()
    with everything, ending_well():
        everything.start()
        say(f"edgecap is running: {everything.setup.ui_url}. Ctrl-C stops it.")
        with suppress(KeyboardInterrupt):
            everything.watch()
        say("Stopping.")


def _print_unit(everything: Up, options: list[str]) -> None:
    sys.stdout.write(systemd_unit(options, longest_stop=everything.longest_stop))
    sys.stdout.flush()
    say("Start it: sudo systemctl daemon-reload && sudo systemctl enable --now edgecap")
    if names := not_in_unit(os.environ):
        say(f"The service does not inherit this shell's variables: {', '.join(names)}.")
        say(f"Write them to {ENVIRONMENT} in this folder, one NAME=value a line, mode 0600.")
