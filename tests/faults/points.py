"""The points at which the matrix does something to a run."""

from __future__ import annotations

from tests.faults.case import Place, Step

KINDS = ("simple", "full")
JOURNAL, LANE = "edgecap.archive.journal", "tasks.runtime.lane_slot"
COMMIT, CLIENT = "edgecap.archive.commit", "edgecap.cloudflare.client"

# Where a run dies. None: after the edge accepts and before it answers.
POINTS: dict[str, Step | None] = {
    "before the journal": Step(JOURNAL, "Journal.begin"),
    "after the journal": Step(JOURNAL, "Journal.begin", "return"),
    "slot held, before the POST": Step(LANE, "Hold.remember"),
    "POST journalled, not made": Step(JOURNAL, "Journal.post", "return"),
    "accepted, no answer yet": None,
    "answered, not journalled": Step(JOURNAL, "Journal.accept"),
    "while polling": Step(CLIENT, "Client.get_capture", "return"),
    "in mid-download": Step("edgecap.stores.pending_file", "PendingFile.write", "return"),
    "between the archive's files": Step(COMMIT, "put_file", "return"),
    "merged, not archived": Step("edgecap.captures.derive", "_make", "return"),
    "before the manifest": Step(COMMIT, "commit"),
    "after the manifest": Step(COMMIT, "commit", "return"),
}
DEATHS = {"kill": "process", "both": "process and worker"}

# Where a run does something slow; with `hold` the rest of its process goes on.
ACCEPTED = Step(JOURNAL, "Journal.accept", do="hold")
FETCHING = Step("edgecap.stores.pending_file", "PendingFile.write", do="hold")
MERGING = Step("edgecap.captures.derive", "_make", do="hold")
ARCHIVING = Step(COMMIT, "commit", do="hold")
POLLING = Step(CLIENT, "Client.get_capture", "return", do="hold")
# What the worker does for a run that has no process yet.
PENDING = Step("prefect.workers.base", "BaseWorker._propose_pending_state", "return")
SUBMITTING = Step("prefect.workers.base", "BaseWorker._propose_submitting_state", "return")
BEGINNING = Step("start", "")

_NAMED = [*filter(None, POINTS.values()), ACCEPTED, FETCHING, MERGING, ARCHIVING]
POINTS_OF_ALL = {
    module: sorted({step.name for step in _NAMED if step.module == module})
    for module in {step.module for step in _NAMED}
}
"""By module, the functions that steps name: they are wrapped in processes that work on many runs."""

# edgecap takes a POST for lost after two minutes of the edge's clock: here these must be seconds.
POSTING = 8.0
UNTOLD = ("POST journalled, not made", "accepted, no answer yet", "answered, not journalled")
SLOW = 4.0  # with a slow clock the edge's delays still last when a run is resumed
LAGS = Place(variant="lagging", changes={"list_lag": 45.0}, speed=SLOW)
