"""What edgecap needs of Prefect's package beyond its documented interface, with the reason for each.

Each has a canary in tests/canary: `make canary` runs them against the newest Prefect there is. Names that
need no package are in `tasks.runtime.prefect_names`; the server's process has its own in
`deployments.local.prefect_server`. All of them are in Prefect 3.0.0, except where a
comment says so, and for `refresh_global_settings_context`, which is in 3.8.8.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import certifi
import httpx
from prefect import flow_engine
from prefect._flow_run_suspension import mark_flow_run_suspension_requested
from prefect.client import orchestration
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.context import refresh_global_settings_context
from prefect.exceptions import Abort, Pause, TerminationSignal
from prefect.flow_engine import run_flow
from prefect.flows import Flow
from prefect.logging.configuration import setup_logging
from prefect.runtime import flow_run as this_run
from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_LOGGING_EXTRA_LOGGERS
from prefect.utilities.callables import parameter_schema
from prefect.utilities.templating import apply_values, resolve_block_document_references, resolve_variables

from tasks.runtime.prefect_names import RUN_LOGGERS, SUSPENDED

__all__ = [
    # A run that waits for long sets its own state to SCHEDULED and raises Abort: its process ends, the state
    # stays, and a worker takes the run up at that time. Prefect raises Abort if its server refuses a state.
    # `suspend_flow_run` is the public relative: a call resumes such a run, a time never does.
    "Abort",
    # What Prefect raises before the next task of a suspended run: its work ends, and the state stays.
    "Pause",
    # What SIGTERM raises in the process of a run, which is how a worker cancels it. It is no Exception.
    "TerminationSignal",
    # What `prefect deploy` makes of a prefect.yaml: `edgecap deploy` does the same, many at a time.
    "apply_values",
    "forget_process",
    "gives_back",
    "is_missing",
    "is_taken",
    "last_change",
    "parameter_schema",
    "read_certificates",
    "read_environment_again",
    "resolve_block_document_references",
    "resolve_variables",
    "run_here",
    "scheduled_time",
    "suspend_here",
]


def _watch_nothing(*_: object) -> AbstractContextManager[None]:
    return nullcontext()


# For each run of a deployment, Prefect starts a thread that watches for a suspension, with an event loop, a
# client and a websocket. The run's own event loop stands still until they are there, and at the end for up to
# two seconds until they are gone; so do all other runs of the process. `tasks.runtime.cancelling` watches
# each run anyway, and calls `suspend_here`. (Since Prefect 3.8; still in 3.9.1.)
cast("Any", flow_engine).observe_flow_run_suspension = _watch_nothing


@lru_cache(maxsize=4)
def _read_certificates(file: str, changed: int) -> ssl.SSLContext:  # noqa: ARG001 - part of the cache's key
    return ssl.create_default_context(cafile=file)


def _context(*, cafile: str | None = None) -> ssl.SSLContext:
    if cafile is None:  # Prefect changes this one
        return ssl.create_default_context()
    return _read_certificates(cafile, Path(cafile).stat().st_mtime_ns)


# Each client that Prefect makes, four for a run, reads the certificates anew, also for a URL with http://.
# That takes 15 to 20 ms of processor. (Prefect 3.8.8.)
cast("Any", orchestration).ssl = SimpleNamespace(
    SSLContext=ssl.SSLContext, CERT_NONE=ssl.CERT_NONE, create_default_context=_context
)


def gives_back(run_id: str) -> None:
    """Announce that a run's process ends on purpose by `Abort`, which Prefect then logs as an error."""
    _GIVEN_BACK.add(run_id)


_GIVEN_BACK: set[str] = set()


def _is_no_alarm(record: logging.LogRecord) -> bool:
    """False for Prefect's line `Finished in state Running()` of a run that gave itself back."""
    if record.levelno != logging.ERROR or not str(record.msg).startswith("Finished in state "):
        return True
    run_id = str(getattr(record, "flow_run_id", ""))
    if run_id not in _GIVEN_BACK:
        return True
    _GIVEN_BACK.discard(run_id)
    return False


# At the end of a flow, Prefect logs the flow's state, as an error unless it is COMPLETED. A run that gives
# itself back is RUNNING at that moment, and nothing is wrong. (Prefect 3.8.8.)
logging.getLogger(RUN_LOGGERS[0]).addFilter(_is_no_alarm)


def suspend_here(run_id: UUID) -> None:
    """Have Prefect's engine end the work on a suspended run of this process before its next task."""
    state = State[None](type=StateType.PAUSED, name=SUSPENDED, timestamp=datetime.now(UTC))
    mark_flow_run_suspension_requested(run_id, state)


def scheduled_time() -> datetime | None:
    """For when the running flow run was scheduled, aware; None outside of one.

    `prefect.runtime` gives a time of the library pendulum, below Python 3.13. Since 3.9.0 using it as one of
    the standard library's warns: a later release will give those.
    """
    moment = this_run.scheduled_start_time
    return datetime.fromisoformat(moment.isoformat()) if moment else None


async def run_here(flow: Flow[..., Any], run: FlowRun) -> None:
    """Run a flow in this process as a run that exists already.

    Calling a flow makes a run of its own, and everything else that Prefect offers starts a process.

    Args:
        flow: an async one.
        run: a run of it, in the state Pending.

    Raises:
        Abort: the run gave itself back, to be taken up later.
    """
    await cast("Awaitable[Any]", run_flow(flow, flow_run=run, return_type="state"))


async def forget_process(client: PrefectClient, run_id: UUID) -> None:
    """Let a run say that it has no process.

    Cancelling a SCHEDULED run with an `infrastructure_pid` only marks it, for its process to end. Without one
    it is cancelled at once. The client's own method cannot set the field to nothing.
    """
    no_process = {"infrastructure_pid": None}
    await client.request("PATCH", "/flow_runs/{id}", path_params={"id": run_id}, json=no_process)


def read_environment_again() -> None:
    """Take Prefect's settings and logging from this process's environment, as `import prefect` does.

    A process that is forked after that import has the environment of another one.
    """
    for name in PREFECT_LOGGING_EXTRA_LOGGERS.value():
        logging.getLogger(name).handlers.clear()  # Prefect adds its own to those that are there
    refresh_global_settings_context()
    setup_logging(incremental=False)


def read_certificates() -> None:
    """Read those of Prefect's clients now, for this process and those that are forked from it.

    Raises:
        OSError: the file cannot be read, or is none of certificates.
    """
    _context(cafile=PREFECT_API_SSL_CERT_FILE.value() or certifi.where())


def is_taken(error: ConcurrencySlotAcquisitionError) -> bool:
    """Whether a slot could not be had because somebody holds it: the server answered 423 (Locked).

    Other refusals raise the same error. With `max_retries=0` each try answers at once; Prefect's own waiting
    sleeps for up to 30 seconds, and a slot that is freed wakes nobody.
    """
    cause = error.__cause__
    return isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code == httpx.codes.LOCKED


def is_missing(error: ConcurrencySlotAcquisitionError) -> bool:
    """Whether a slot could not be had because its limit does not exist: then the server refused nothing."""
    return error.__cause__ is None


def last_change(limit: GlobalConcurrencyLimitResponse) -> datetime | None:
    """When a slot was taken or freed last, by the server's clock, aware: each is an update of its limit."""
    return limit.updated
