"""Prefect's command line for a worker, with one mend. tests/canary says when it may go.

**A run that is due again while its process still ends** (`BaseWorker._submit_scheduled_flow_runs`; Prefect
3.8.8 and 3.9.1). A run that waits gives its process back: it sets its own state to a scheduled one, and the
process ends some moments later. If another run wakes it in these moments, a worker with `--limit` asks its
limiter for a second token for the same run. The limiter raises an error that nothing handles, and the worker
ends, with all its runs. Here such a run is left for the next look, in two seconds.
"""

from __future__ import annotations

import runpy
from typing import Any

from prefect.workers.base import BaseWorker

_submit = BaseWorker._submit_scheduled_flow_runs  # noqa: SLF001 - there is no public way


def main() -> None:
    """Run the `prefect` command with the arguments of this program."""
    BaseWorker._submit_scheduled_flow_runs = submit_unless_held  # type: ignore[method-assign]  # noqa: SLF001
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


async def submit_unless_held(self: BaseWorker[Any, Any, Any], flow_run_response: list[Any]) -> list[Any]:
    """Submit the runs that are due, without those that the worker still has."""
    limiter = self._limiter
    held = limiter.statistics().borrowers if limiter else ()
    return await _submit(self, [each for each in flow_run_response if each.flow_run.id not in held])


if __name__ == "__main__":
    main()
