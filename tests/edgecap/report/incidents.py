"""Incidents as real ones are: one that is over, with a capture missing, and one that has just begun."""

from dataclasses import replace
from datetime import timedelta

from edgecap.alerts.model import Alert, derive, summary_of
from edgecap.alerts.policy.decision import decide, read_policy
from edgecap.incidents.overview import Overview
from edgecap.incidents.record import HeldBack, IncidentEvent, Part, closed_record
from edgecap.report.loading import Pictured
from tests.edgecap.report.hostile import hostile_entry, hostile_summary
from tests.edgecap.report.summaries import START, TARGET, entry_of, flood, quiet, reflection

POLICY = read_policy(
    '[[rules]]\nname = "floods"\nbefore = 400\nafter = 120\n[rules.during]\ncolos = ["ORD", "AMS"]\n'
)
ID = derive("attack")
NO_PACKETS = "No packets matched the filter in the time limit given"


def alert(event="start", *, at=START, **more):
    """An alert that arrives so late after the attack's start, as they do."""
    facts = {
        "source": "cloudflare",
        "kind": "advanced_ddos_attack_l4_alert",
        "event": event,
        "severity": "high",
        "identity": derive("attack", event),
        "incident": ID,
        "received": at,
        "started": START - timedelta(seconds=41),
        "targets": (TARGET,),
        "target_port": 443,
        "protocol": 6,
        "pps": 96_000.0,
        "bps": 61_000_000.0,
        **({"ended": at - timedelta(seconds=20)} if event == "end" else {}),
    }
    return Alert(**{**facts, **more})


def noted(given):
    return IncidentEvent(
        incident=ID,
        alert=summary_of(given),
        plan=decide(given, POLICY),
        account="default",
        at=given.received + timedelta(seconds=1),
    )


def captured(planned, summary, number):
    """One that was archived with this summary."""
    full = planned.request.type == "full"
    entry = entry_of(
        summary,
        capture_id=f"{number:x}af1" * 8,
        type=planned.request.type,
        colo=planned.request.colo if full else "",
        start=summary.first,
        raw=("raw/s1.pcap", "raw/s2.pcap") if full else ("raw/all.pcap",),
    )
    part = Part(
        phase=planned.phase,
        number=planned.number,
        request=str(planned.request),
        why=planned.why,
        state="archived",
        entry=entry.prefix,
        packets=summary.packets,
        bytes=summary.bytes,
        capture_id=entry.manifest.entry_id,
    )
    return Pictured(part, planned, entry, summary)


def without(planned, state, reason):
    return Pictured(
        Part(
            phase=planned.phase,
            number=planned.number,
            request=str(planned.request),
            why=planned.why,
            state=state,
            reason=reason,
        ),
        planned,
    )


def attack():
    """Over after 41 minutes: before and after it was quiet, ORD saw it, AMS did not."""
    opened = noted(alert())
    ended = noted(alert("end", at=START + timedelta(minutes=41)))
    found, number = [], 1
    for planned in (*opened.plan.captures, *ended.plan.captures):
        number += 1
        if planned.phase == "during":
            if planned.request.colo == "AMS":
                found.append(without(planned, "missing", NO_PACKETS))
            else:
                found.append(captured(planned, flood(opened.at + timedelta(seconds=4), onset=0), number))
            continue
        start = planned.request.offset_time - timedelta(seconds=planned.request.time_limit)
        length = planned.request.time_limit
        if start <= START - timedelta(seconds=41) < planned.request.offset_time:
            onset = 1 - 41 / length
            made = flood(start, seconds=length, sampled=True, strength=0.001, onset=onset)
        else:
            made = quiet(start, seconds=length)
        found.append(captured(planned, made, number))
    record = closed_record(
        opened,
        ended,
        tuple(each.part for each in found),
        held_back=HeldBack(joined=2, repeated=14),
        at=START + timedelta(minutes=44),
    )
    return Overview(ID, opened=opened, ended=ended, record=record), found


def just_begun():
    """A minute in: one capture is there, the others wait."""
    opened = noted(alert(started=None, title="Reflection against the resolver"))
    first, *others = opened.plan.captures
    start = first.request.offset_time - timedelta(seconds=first.request.time_limit)
    found = [captured(first, reflection(start, seconds=first.request.time_limit), 9)]
    found += [without(planned, "pending", "waits for the full lane") for planned in others]
    return Overview(ID, opened=opened), found


def hostile(name):
    """One in which everything that others choose is `name`."""
    opened = noted(alert(title=name, kind=name, source=name, notes=(name,)))
    captures = [
        replace(
            each,
            part=each.part.model_copy(update={"reason": name, "why": name, "request": name}),
            entry=hostile_entry(name) if each.entry else None,
            summary=hostile_summary(name) if each.summary else None,
            remark=name,
        )
        for each in attack()[1]
    ]
    return Overview(ID, opened=opened), captures
