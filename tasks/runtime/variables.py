"""Prefect's variables by one request each. `Variable.aset` takes three, while the run holds its lane."""

from __future__ import annotations

from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError


async def write_variable(name: str, value: Any) -> None:
    """Set a variable's value, JSON; make the variable if it does not exist."""
    body = {"value": value}
    async with get_client() as client:
        try:
            await client.request("PATCH", "/variables/name/{name}", path_params={"name": name}, json=body)
        except PrefectHTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            await client.request("POST", "/variables/", json={"name": name, **body})


async def read_variable(client: PrefectClient, name: str) -> object:
    """A variable's value, or None."""
    found = await client.read_variable_by_name(name)
    return found.value if found else None
