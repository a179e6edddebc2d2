"""Prefect's settings and logging in a fork: those of the client's environment, read once for many forks."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

from prefect.settings import get_current_settings

from deployments.fork.code import stamp
from deployments.fork.protocol import STARTED_BY
from edgecap.network import check_network
from tasks.runtime.compat import read_certificates, read_environment_again

# Prefect also reads settings from such files in the current folder.
_FILES = (".env", "prefect.toml", "pyproject.toml")


class PrefectSettings:
    """Reads Prefect's settings before a fork, unless the last ones still hold.

    Args:
        folder: without files of settings.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_from: Any = None

    def __repr__(self) -> str:
        return f"<PrefectSettings [{'read' if self._read_from else 'not read'}]>"

    def prepare(self, environment: Mapping[str, str]) -> None:
        """In the server: read them for a client with such an environment, which becomes this process's."""
        if self._read_from == _sources(environment):
            return
        os.environ.clear()
        os.environ.update(environment)
        self._read_from = None
        with chdir(self._folder):
            try:
                read_environment_again()
                read_certificates()
                check_network(environment)  # which reads those of edgecap's clients
            except Exception:  # noqa: BLE001 - a wrong value; the fork meets it, and its run's log tells it
                return
        self._read_from = _sources(environment)
        gc.collect()
        gc.freeze()  # as everything that forks share

    def ensure(self) -> None:
        """In a fork: read them, unless they are read."""
        is_colored = sys.stderr.isatty()  # which is found out when logging is set up
        has_file = any(Path(name).exists() for name in _FILES)
        if is_colored or has_file or self._read_from != _sources(os.environ):
            read_environment_again()


def _sources(environment: Mapping[str, str]) -> tuple[object, ...]:
    """What settings are read from: variables, and the files that the settings of now name."""
    # Those that begin with PREFECT__ are no settings, and differ from run to run. Names without PREFECT count
    # too, such as HOME and NO_COLOR.
    variables = {
        name: value
        for name, value in environment.items()
        if not name.startswith("PREFECT__") and name != STARTED_BY
    }
    now = get_current_settings()
    return variables, stamp(now.profiles_path), stamp(now.logging.config_path)
