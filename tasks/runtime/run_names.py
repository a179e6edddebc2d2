"""Names of flow runs before they run. Prefect gives each new run a name such as `tungsten-poodle`.

A flow names its run when the process of the run starts. Where edgecap itself makes a run, the run has that
name at once. Prefect has no names for the runs that its schedules, triggers and forms make: `name_waiting`
gives them theirs. Prefect's package is not imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from edgecap.captures.parameters import request_of
from edgecap.settings import DEFAULT
from tasks.runtime.rest import PrefectApi

# Runs of `respond` are made by edgecap alone, which names them.
FLOWS = ("capture", "reconcile", "register-bucket", "respond-to")
_WAITS = {"type": {"any_": ["SCHEDULED", "PENDING"]}}


def run_name(flow: str, parameters: Mapping[str, Any]) -> str:
    """The name that a run of a flow gets; empty if its parameters make no sense.

    Args:
        flow: the flow's name.
        parameters: the run's, as Prefect's API shows them.
    """
    if flow == "capture":
        with suppress(ValueError):  # parameters that no run of ours has
            return str(request_of(parameters))
    names = {
        "reconcile": "reconcile",
        "register-bucket": f"register bucket {parameters.get('bucket') or DEFAULT}",
        "respond-to": f"alert from {parameters.get('source')}",
    }
    return names.get(flow, "")


def name_waiting(prefect: PrefectApi) -> int:
    """Name the runs that wait for their first start, and return how many got a new name.

    Raises:
        SetupError: Prefect does not answer.
    """
    named = 0
    for flow in FLOWS:
        for run in prefect.find_runs({"state": _WAITS}, flow=flow):
            name = run_name(flow, run["parameters"])
            if name and run["name"] != name and not run["run_count"]:
                prefect.rename(run["id"], name)
                named += 1
    return named
