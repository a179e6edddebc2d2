"""Where things are done to a run, for all parts of the matrix."""

from __future__ import annotations

from tests.faults.case import Place, Step

KINDS = ("simple", "full")
JOURNAL, LANE = "edgecap.archive.journal", "tasks.runtime.lane_slot"
COMMIT, CLIENT = "edgecap.archive.commit", "edgecap.cloudflare.client"

# Where a run dies. None: as soon as the edge has accepted, before its answer leaves.
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

# Where a run is while it does what is slow; `hold` lets the rest of its process go on.
ACCEPTED = Step(JOURNAL, "Journal.accept", do="hold")
FETCHING = Step("edgecap.stores.pending_file", "PendingFile.write", do="hold")
MERGING = Step("edgecap.captures.derive", "_make", do="hold")
ARCHIVING = Step(COMMIT, "commit", do="hold")
POLLING = Step(CLIENT, "Client.get_capture", "return", do="hold")
# What the worker does about a run that has no process yet.
PENDING = Step("prefect.workers.base", "BaseWorker._propose_pending_state", "return")
SUBMITTING = Step("prefect.workers.base", "BaseWorker._propose_submitting_state", "return")
BEGINNING = Step("start", "")

_NAMED = [*filter(None, POINTS.values()), ACCEPTED, FETCHING, MERGING, ARCHIVING]
POINTS_OF_ALL = {
    module: sorted({step.name for step in _NAMED if step.module == module})
    for module in {step.module for step in _NAMED}
}
"""By module, the functions that steps name: they are wrapped in processes that work on many runs."""

# A POST is taken for lost after two minutes, and by the edge's clock: they must be seconds here, too.
POSTING = 8.0
UNTOLD = ("POST journalled, not made", "accepted, no answer yet", "answered, not journalled")
SLOW = 4.0  # a slow clock makes the edge's delays long enough to be there still when a run is taken up again
LAGS = Place(variant="lagging", changes={"list_lag": 45.0}, speed=SLOW)
