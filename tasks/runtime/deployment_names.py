"""The deployments of `prefect.yaml` that edgecap's own code refers to. Prefect is not imported here.

Their names were shorter once. A `prefect.yaml` of a user may still have those; they are looked for if a new
name is unknown.
"""

from __future__ import annotations

RESPOND = "respond/incident-response"
INCIDENT_CAPTURE = "capture/incident-capture"
TELL = "tell/alerts-without-captures"
DROPS = "drops/incident-drops-later"
RECONCILE = "reconcile/reconcile-every-10-min"
BY_PROGRAM = "capture/capture-by-program"
FORMER = {
    RESPOND: "respond/alert",
    INCIDENT_CAPTURE: "capture/alert",
    RECONCILE: "reconcile/every-10-min",
    BY_PROGRAM: "capture/now",
    "register-bucket/register-bucket-once": "register-bucket/once",
}
"""The names that these deployments had before."""
