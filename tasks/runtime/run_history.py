"""A run's history, asked by plain REST. A look that fails is not retried: the next one comes in seconds."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings

from edgecap.errors import ConfigError
from edgecap.network.certificates import Authorities
from edgecap.network.over_httpx import AsyncNetwork
from tasks.runtime.restart_policy import RunState

# Seconds. A busy server answers late, and a cancel must be seen all the same. One that is away accepts no
# connection.
ANSWER, CONNECTION = 10.0, 4.0


class RunHistory:
    """The states of one run; an async context manager, for one event loop.

    Args:
        run_id: the flow run's id.
        api_url: Prefect's API.
    """

    def __init__(self, run_id: str, api_url: str) -> None:
        self._run_id = run_id
        self._http = httpx.AsyncClient(
            base_url=api_url,
            headers=_credentials(),
            transport=_transport(),
            timeout=httpx.Timeout(ANSWER, connect=CONNECTION),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def __repr__(self) -> str:
        return f"<RunHistory {self._run_id} at {self._http.base_url}>"

    async def states(self) -> list[RunState]:
        """The run's states so far, in no particular order; none if Prefect does not answer in time."""
        try:
            answer = await self._http.get("/flow_run_states/", params={"flow_run_id": self._run_id})
            answer.raise_for_status()
            return [
                RunState(
                    str(state["type"]), datetime.fromisoformat(str(state["timestamp"])), str(state["name"])
                )
                for state in answer.json()
            ]
        except (ConfigError, httpx.HTTPError, ValueError, KeyError, TypeError):
            return []


async def history_of(run_id: str) -> RunHistory:
    """The history of a run at the Prefect server that this process uses, a temporary one too."""
    async with get_client() as client:
        return RunHistory(run_id, str(client.api_url))


def _credentials() -> dict[str, str]:
    api = get_current_settings().api
    if api.auth_string:
        return {"Authorization": f"Basic {b64encode(api.auth_string.get_secret_value().encode()).decode()}"}
    if api.key:
        return {"Authorization": f"Bearer {api.key.get_secret_value()}"}
    return {}


def _transport() -> AsyncNetwork:
    api = get_current_settings().api
    file = api.ssl_cert_file
    return AsyncNetwork(
        also=Authorities("PREFECT_API_SSL_CERT_FILE", Path(file)) if file else None,
        verify=not api.tls_insecure_skip_verify,
    )
