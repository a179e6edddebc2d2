"""Entries of past full captures, for what an archive tells of places."""

import uuid
from datetime import UTC, datetime, timedelta

from edgecap.archive.commit import commit
from edgecap.archive.manifest import Times, Totals, make_manifest
from edgecap.cloudflare.models import Capture
from edgecap.requests import rfc3339

TARGET = "203.0.113.7"


def keep(
    store, colo, packets, *, ago=timedelta(hours=2), target=TARGET, account="default", choice=None, **request
):
    """Archive a full capture of 60 s at a place."""
    answer = {
        "id": uuid.uuid4().hex,
        "type": "full",
        "status": "success",
        "colo_name": colo,
        "submitted": rfc3339(datetime.now(UTC) - ago),
        "filter_v1": {"destination_address": target},
        "time_limit": 60,
    }
    manifest = make_manifest(Capture.model_validate(answer), [], times=Times())
    changes = {
        "totals": Totals(packets=packets),
        "flags": (),
        "state": "complete",
        "request": {"time_limit": 60, **request},
        "intent": {"account": account, "choice": choice},
    }
    return commit(store, manifest.model_copy(update=changes)).manifest
