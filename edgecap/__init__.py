"""Packet captures at Cloudflare's edge: the domain, in plain Python.

Nothing in this package imports Prefect but `edgecap.cli`, the command line. `tasks` and `flows` adapt it.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """`__version__`, read when it is asked for: what reads it takes a fifth of the start of `--help`."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see above

    try:
        return version("edgecap")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
