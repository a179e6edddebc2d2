"""Incidents as real ones are: one that is over, with a capture missing, and one that has just begun."""

from dataclasses import replace
from datetime import timedelta

from edgecap.alerts.model import Alert, derive, summary_of
from edgecap.alerts.policy.decision import decide, read_policy
from edgecap.analytics.dropped import Dropped, Group, Grouping, PacketFile, Series
from edgecap.incidents.drops import Drops
from edgecap.incidents.mitigation import mitigation_in, planned_window
from edgecap.incidents.overview import Overview
from edgecap.incidents.record import HeldBack, IncidentEvent, Part, closed_record
from edgecap.packets.verdict.intervals import Estimate
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


def mitigated():
    """The same attack, of which the edge dropped most from 20 s after its start; ORD saw it, AMS nothing."""
    incident, captures = attack()
    drops = Drops(incident=ID, round="closing", at=START + timedelta(minutes=43), logpush=dropped())
    incident = replace(incident, drops=(drops,))
    parts = incident.with_mitigation(
        each.part.model_copy(update={"capture_id": each.part.capture_id or "ab" * 16}) for each in captures
    )
    return replace(incident, record=incident.record.model_copy(update={"captures": tuple(parts)})), [
        replace(
            each,
            part=part,
            summary=_of_an_attack(each),
            mitigation=mitigation_in(incident.dropped, _time_of(each, incident)),
        )
        for each, part in zip(captures, parts, strict=True)
    ]


def _of_an_attack(each):
    is_attack = each.summary and each.part.phase == "during"
    return each.summary.model_copy(update={"strength": "likely"}) if is_attack else each.summary


def _time_of(each, incident):
    if each.summary and each.summary.first:
        return each.summary.first, each.summary.last
    return planned_window(each.planned, incident.began, incident.attack_ended)


def dropped():
    """Estimates in steps of 15 s: usual traffic, then an attack that rules of two systems drop."""
    since, until = START - timedelta(minutes=3), START + timedelta(minutes=43)
    steps = int((until - since).total_seconds() // 15)
    flooded = range(9, 176)
    passed = [90_000.0 if each in (9, 10) else 4_000.0 for each in range(steps)]
    gone = [
        1_400_000.0 - 2_000 * abs(90 - each) if each in flooded and each > 10 else 0.0
        for each in range(steps)
    ]
    through, lost = (estimate(sum(each)) for each in (passed, gone))
    return Dropped(
        source="logpush",
        asked=START + timedelta(minutes=43),
        targets=(TARGET,),
        since=since,
        until=until,
        sampling="1 in 1,000 to 1 in 10,000, as the rows say",
        samples=24_000,
        passed=through,
        dropped=lost,
        groupings=(
            grouping("system", lost, dosd=0.93, flowtrackd=0.07),
            grouping("reason", lost, BLOCKED=0.93, UNEXPECTED=0.07),
            grouping("rule", lost, fdfdac75430c4c47a959592f0aa5e68a=0.93),
            grouping("vector", lost, **{"SYN Flood": 1.0}),
            grouping("network", lost, AS64500=0.4, AS64501=0.3, AS64502=0.2, AS64503=0.06, AS64504=0.03),
            grouping("country", lost, NL=0.4, VN=0.3, BR=0.3),
            grouping("colo", lost, ORD=0.2, AMS=0.5, ZRH=0.3),
        ),
        series=Series(start=since, seconds=15, passed=tuple(passed), dropped=tuple(gone)),
        packets=PacketFile(
            key=f"incidents/{ID}/dropped/closing.pcapng",
            size=9,
            sha256="0" * 64,
            packets=22_000,
            lacking={"TTL": 9},
        ),
        notes=("2 rows are of another dataset",),
    )


def estimate(value):
    return Estimate(value=value, low=value * 0.98, high=value * 1.02)


def grouping(by, whole, **shares):
    titles = {"network": "EXAMPLE-CLOUD", "rule": "Generic high-volume SYN floods"}
    groups = [
        Group(
            name=name,
            title=titles.get(by, ""),
            dropped=estimate(whole.value * share),
            passed=estimate(90_000 * share if by in ("network", "country", "colo") else 0),
        )
        for name, share in shares.items()
    ]
    return Grouping(by=by, groups=tuple(groups))


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
    groups = tuple(
        each.model_copy(
            update={
                "groups": tuple(
                    group.model_copy(update={"name": name, "title": name}) for group in each.groups
                )
            }
        )
        for each in dropped().groupings
    )
    gone = dropped().model_copy(
        update={"groupings": groups, "notes": (name,), "sampling": name, "targets": (name,)}
    )
    drops = Drops(incident=ID, round="closing", at=START, analytics=gone, problems=(name,))
    return Overview(ID, opened=opened, drops=(drops,)), captures
