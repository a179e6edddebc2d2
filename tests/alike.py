"""A deployment of a flow of ours, run by the same workers in the same way as edgecap's own."""

from __future__ import annotations

from deployments.local.setup import POOL
from tasks.runtime.rest import PrefectApi


def deploy_alike(prefect: PrefectApi, flow: str, entrypoint: str) -> str:
    """Make a deployment as `capture/capture-by-program` is made; its id.

    Args:
        prefect: the server, with edgecap's deployments.
        flow: the flow's name.
        entrypoint: such as `benches/plain_flow.py:plain`.
    """
    like = prefect.deployment("capture/capture-by-program")
    body = {
        "name": "alike",
        "flow_id": prefect.call("POST", "/flows/", json={"name": flow})["id"],
        "entrypoint": entrypoint,
        "work_pool_name": POOL,
        **{key: like[key] for key in ("work_queue_name", "job_variables", "pull_steps", "path")},
    }
    return str(prefect.call("POST", "/deployments/", json=body)["id"])
