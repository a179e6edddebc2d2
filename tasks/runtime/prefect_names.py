"""Names in Prefect that its documentation does not promise. Prefect is not imported here.

Programs that must start in an instant talk to Prefect without its package, so these names stand apart from
`tasks.runtime.compat`, which needs that package. Each has a canary in tests/canary: `make canary` runs them
against the newest Prefect there is. All of them are in Prefect 3.0.0 unless they say otherwise.
"""

from __future__ import annotations

AUTO_SCHEDULED = "auto-scheduled"
"""The tag of runs that a schedule made. Their field `auto_scheduled` says so, too, but no filter takes it."""

TEMPLATE_KEY = "__prefect_kind"
"""In the parameters of a new run, Prefect's server renders each table that has this key as a template.

There is no way to switch that off, so text that comes from outside must not hold the key.
"""

SUSPENDED = "Suspended"
"""The name of the state PAUSED of a run that a person has suspended; not yet in 3.7.0."""

FILE_LEASES = "prefect.server.concurrency.lease_storage.filesystem"
"""The module that keeps leases of slots in files; not yet in 3.4.0, in 3.4.13.

The setting is documented, its values are not. By default leases are in memory: a server that is restarted
forgets them, and each slot that was held stays taken for ever.
"""
MEMORY_LEASES = "prefect.server.concurrency.lease_storage.memory"

FLOW_RUN_ID = "PREFECT__FLOW_RUN_ID"
"""The environment variable that a worker sets in the process of a flow run."""

RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
"""What flows and tasks log to; the attribute `flow_run_id` of a record says whose it is."""

SUBMITTING = "Submitting"
"""The name of a PENDING state once the worker that took the run has left its labels at it.

Before that, labels at a run may be those of the worker of an earlier life. Not yet in 3.6.0, in 3.7.0.
"""
WORKER, WORK_POOL = "prefect.worker.name", "prefect.work-pool.name"
"""The labels that the worker leaves at a run that it takes; not yet in 3.0.0, in 3.4.0."""

WORKER_STARTED, HEARTBEAT = "prefect.worker.started", "prefect.flow-run.heartbeat"
"""Events: a worker started; a run's process gave a sign of life (not yet in 3.0.0, in 3.4.0)."""
