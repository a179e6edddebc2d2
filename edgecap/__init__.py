"""Packet captures at Cloudflare's edge: the domain, in plain Python.

Nothing in this package imports Prefect but `edgecap.cli`, the command line. `tasks` and `flows` adapt it.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("edgecap")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
