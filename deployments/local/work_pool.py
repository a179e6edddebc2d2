"""What edgecap's work pool lets a run say about its own process: a name, and whether its output is shown.

With Prefect's default template, a request that starts a run may also name the command, the environment and
the folder of its process. It can so run any program as the worker, with the worker's tokens. Here the command
is fixed. Variables of a run's process are set in the worker's environment.
"""

from __future__ import annotations

from typing import Any

COMMAND = "python -m deployments.run"
_FORMER_COMMAND = "python -m prefect.engine"  # in files of deployments that were written for earlier releases
_HEARTBEAT, _QUIET = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "PREFECT_INTERNAL_LOGGING_LEVEL"

TEMPLATE: dict[str, Any] = {
    # A worker ignores all that is not here. An `env` that were a table here would be merged with a run's.
    "job_configuration": {
        "command": COMMAND,
        "name": "{{ name }}",
        "stream_output": "{{ stream_output }}",
    },
    # The server refuses a run or a deployment that has anything else. What `prefect.yaml` says stays allowed:
    # the file also serves pools with Prefect's template.
    "variables": {
        "type": "object",
        "properties": {
            "name": {
                "title": "Name",
                "description": "Name given to infrastructure created by a worker.",
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "default": None,
            },
            "stream_output": {
                "title": "Stream Output",
                "description": "Whether a worker writes the output of runs to its own.",
                "type": "boolean",
                "default": True,
            },
            "command": {
                "title": "Command",
                "description": "edgecap's own; another one is refused.",
                "enum": [COMMAND, _FORMER_COMMAND],
                "default": COMMAND,
            },
            "env": {
                "title": "Environment",
                "description": "Those of prefect.yaml. Other variables belong in the worker's environment.",
                "type": "object",
                "properties": {_HEARTBEAT: {"type": "string"}, _QUIET: {"type": "string"}},
                "additionalProperties": False,
                "default": {},
            },
        },
        "additionalProperties": False,
    },
}
"""The pool's base job template."""


def lets_runs_choose(template: dict[str, Any]) -> bool:
    """Whether a template lets a run choose the command or the environment of its process."""
    told = template.get("job_configuration") or {}
    return "{{" in str(told.get("command", "{{")) or "env" in told
