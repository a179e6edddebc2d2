"""Finding deployments and flow runs through Prefect's own client: all that match, however many."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from tasks.runtime.deployment_names import FORMER
from tasks.runtime.rest import windows


async def find_runs(client: PrefectClient, *, flows: Iterable[str] = (), **wanted: Any) -> list[FlowRun]:
    """The flow runs that match.

    Args:
        client: of the Prefect server.
        flows: names of their flows; any if empty.
        wanted: fields of Prefect's `FlowRunFilter` as JSON, such as `tags={"all_": ["alert"]}`.
    """
    of_flows = FlowFilter.model_validate({"name": {"any_": list(flows)}}) if flows else None
    matching = FlowRunFilter.model_validate(wanted)
    found: list[FlowRun] = []
    for window in windows(found):
        found += await client.read_flow_runs(flow_filter=of_flows, flow_run_filter=matching, **window)
    return found


async def find_deployment(client: PrefectClient, name: str) -> DeploymentResponse:
    """The deployment with this name, or with the name that it had before.

    Args:
        client: of the Prefect server.
        name: `flow/deployment`, one of `tasks.runtime.deployment_names`.

    Raises:
        ObjectNotFound: there is neither.
    """
    try:
        return await client.read_deployment_by_name(name)
    except ObjectNotFound:
        if former := FORMER.get(name):
            with suppress(ObjectNotFound):
                return await client.read_deployment_by_name(former)
        raise


async def find_rows(client: PrefectClient, **wanted: Any) -> list[dict[str, Any]]:
    """The flow runs that match, as JSON: a tenth of this process's time, where a few fields are all it takes.

    Args:
        client: of the Prefect server.
        wanted: as of `find_runs`.
    """
    found: list[dict[str, Any]] = []
    for window in windows(found):
        answer = await client.request("POST", "/flow_runs/filter", json={"flow_runs": wanted, **window})
        found += answer.json()
    return found


def in_state(*types: StateType) -> dict[str, Any]:
    """The field `state` of a filter: the state is of one of these types."""
    return {"type": {"any_": list(types)}}
