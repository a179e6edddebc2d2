"""A `prefect.yaml` of one's own: a whole one, or one with only the deployments that edgecap's own lacks.

A whole file has its steps `pull`, as that of `edgecap deploy --print` has, and is deployed as it is. Any
other file is added to edgecap's own, and so gets what a newer edgecap brings.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BUILT_IN = "edgecap"
"""Where edgecap's own deployments come from."""

_CAPTURE = "flows/capture.py:capture"
_SCHEDULES, _MANUAL = "schedules", "manual"


def origin_of(file: Path) -> str:
    """A name for a person's own file, different on each machine."""
    return f"{socket.gethostname()}:{file.resolve()}"


def is_whole(said: Mapping[str, Any]) -> bool:
    """Whether a file is to be deployed as it is."""
    return bool(said.get("pull"))


def completed(config: Any, base: Sequence[Mapping[str, Any]]) -> Any:
    """A deployment of one's own, with edgecap's defaults where it says nothing.

    With the name of one of edgecap's deployments, it has that one's fields. Otherwise it is a capture, in
    edgecap's pool: in the queue `schedules` if it has a schedule, else in `manual`.

    Args:
        config: as the file has it; what is no table is returned as it is, and refused elsewhere.
        base: edgecap's own deployments.
    """
    if not isinstance(config, dict):
        return config
    given = {name: value for name, value in config.items() if value is not None}
    for each in base:
        if each["name"] == given.get("name") and each["entrypoint"] == given.get(
            "entrypoint", each["entrypoint"]
        ):
            return {**each, **given}
    queue = _SCHEDULES if given.get("schedules") or given.get("schedule") else _MANUAL
    usual = next(each["work_pool"] for each in base if each["work_pool"]["work_queue_name"] == queue)
    pool = given.get("work_pool", {})
    if isinstance(pool, dict) and pool.get("name", usual["name"]) == usual["name"]:
        pool = {**usual, **pool}
    return {"entrypoint": _CAPTURE, **_tags(given, queue), **given, "work_pool": pool}


def replaces(config: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a completed deployment stands for one of edgecap's own."""
    return (config["name"], config["entrypoint"]) == (other["name"], other["entrypoint"])


def _tags(given: Mapping[str, Any], queue: str) -> dict[str, list[str]]:
    parameters = given.get("parameters")
    request = parameters.get("request") if isinstance(parameters, dict) else None
    kind = request.get("type", "simple") if isinstance(request, dict) else None
    return {"tags": [str(kind), "schedule" if queue == _SCHEDULES else queue]} if kind else {}
