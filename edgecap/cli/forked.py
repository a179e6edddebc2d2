"""Going on in a fork of the running setup's fork server, which has imported Prefect: that takes seconds."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from deployments.fork.protocol import COMMAND, IS_FORKED
from deployments.local.running import running_setup
from deployments.run import become_fork
from edgecap.network import prefect_api_url


def go_on_in_fork(home: Path) -> None:
    """Run this command again in a fork, and end as that ends. Returns if there is no fork server to use.

    Nothing may have been written or asked yet.

    Args:
        home: state folder of the setup on this machine.
    """
    if is_forked() or prefect_api_url():
        return
    setup = running_setup(home.resolve())
    if setup and setup.fork_server:
        os.environ[IS_FORKED] = "1"
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) == signal.SIG_IGN:  # a shell's background job
                signal.signal(number, signal.SIG_DFL)  # a capture heeds them all the same
        become_fork(setup.fork_server, [COMMAND, *sys.argv[1:]])
        del os.environ[IS_FORKED]


def is_forked() -> bool:
    """Whether this process is a fork, and has imported Prefect before it knew which server to use."""
    return IS_FORKED in os.environ
