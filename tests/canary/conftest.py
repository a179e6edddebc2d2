"""The flow tests' Prefect server, for the canaries."""

from tests.flows.conftest import deployed, prefect_server

__all__ = ["deployed", "prefect_server"]
