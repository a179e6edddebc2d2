"""An archive with captures of ordinary traffic and of an attack, and an incident of them."""

from datetime import UTC, datetime, timedelta

from edgecap.archive.journal_records import Intent
from edgecap.captures.fetching import Fetching
from edgecap.captures.keep import keep
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import Part
from edgecap.requests import Filter, FullRequest, SimpleRequest
from tests.edgecap.captures.test_derive import job, put_raw
from tests.edgecap.packets.files import SECOND, pcap
from tests.edgecap.proposals import traffic
from tests.edgecap.report.incidents import alert, noted

BEGAN = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


def capture(store, number, frames, *, start, seconds=60, kind="simple", fields=None, incident=None):
    """An entry with these packets, evenly over the time, that was asked for with a filter on the target."""
    found = job(number, submitted=start + timedelta(seconds=seconds), kind=kind)
    begin, step = int(start.timestamp() * SECOND), seconds * SECOND // max(len(frames), 1)
    data = pcap([(begin + n * step, frame, len(frame)) for n, frame in enumerate(frames)])
    asked = Filter(**{"destination_address": traffic.TARGET, **(fields or {})})
    request = (
        SimpleRequest(time_limit=seconds, offset_time=found.submitted, filter=asked)
        if kind == "simple"
        else FullRequest(time_limit=seconds, colo="ORD", filter=asked)
    )
    intent = Intent(
        intent_id=f"i{number}",
        request=request,
        account="default",
        archive="default",
        body={},
        decided=found.submitted,
        incident=incident,
    )
    return keep(store, found, Fetching(tuple(put_raw(store, found, {"all.pcap": data}))), intent)


def part(entry, phase, number=1):
    """The part of an incident that an entry is."""
    return Part(
        phase=phase, number=number, request="it", why="", state="archived", entry=entry.prefix, packets=1
    )


def incident(store, *, kinds=(traffic.ntp_answer,), before=4000, started=True):
    """An incident that is over: a capture around the attack's start, and a full one of the attack."""
    opened = noted(alert(at=BEGAN + timedelta(seconds=40), started=BEGAN if started else None))
    quiet = traffic.usual(before)
    onset = traffic.mixed(kinds, attack=500, others=500)
    around = capture(
        store,
        1,
        quiet + onset,
        start=BEGAN - timedelta(seconds=60 * before / (before + len(onset))),
        incident=opened.incident,
    )
    during = capture(
        store,
        2,
        traffic.mixed(kinds, seed=9),
        start=BEGAN + timedelta(seconds=50),
        seconds=10,
        kind="full",
        incident=opened.incident,
    )
    parts = [part(around, "before"), part(during, "during")]
    Incidents(store).open(opened)
    return opened, parts
