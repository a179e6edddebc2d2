"""`edgecap incident list` and `show`: alerts that led to captures, and the results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Group, RenderableType

from edgecap.archive.entries import find_entry
from edgecap.cli.options import Archive, Json
from edgecap.cli.output import console, pairs, print_json, print_plan, print_table, say, table
from edgecap.errors import Damaged, EntryMissing, InvalidRequest, ObjectMissing, StoreError
from edgecap.incidents.inbox.alert_inbox import INBOX, AlertInbox
from edgecap.incidents.overview import Overview, Overviews
from edgecap.incidents.record import Part
from edgecap.report.words import verdict
from edgecap.requests import rfc3339
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores import open_store
from edgecap.units import stamp

if TYPE_CHECKING:
    from edgecap.report.loading import Pictured

_COLUMNS = ("opened", "id", "state", ">captures", ">packets", "alert")
_CAPTURES = ("phase", "id", ">packets", "looks like, or why there are none", "state")
_SHORT_ID = 8  # characters; enough for `edgecap show`


def list_command(*, limit: int = 50, archive: Archive = DEFAULT, json: Json = False) -> None:
    """List incidents, newest first: open ones and closed ones.

    Args:
        limit: Maximum incidents; 0 for all.
        archive: Name of the archive in the settings.
        json: Print one JSON document.
    """
    if limit < 0:
        raise InvalidRequest(f"--limit {limit} is negative", field="--limit", hint="give 0 for all incidents")
    with overviews(archive) as known:
        found, damaged = known.newest()
        shown = [(each, list(known.parts(each))) for each in found[: limit or None]]
    if json:
        print_json([_as_json(each, parts) for each, parts in shown])
    elif shown:
        print_table(console(), _COLUMNS, [_row(each, parts) for each, parts in shown])
        if len(found) > len(shown):
            say(f"The newest {limit} of {len(found)}; --limit 0 shows all.")
    elif not damaged:
        say("There is no incident yet.")
    if damaged:
        raise Damaged(
            f"{len(damaged)} of the incidents cannot be read, such as: {damaged[0].what}",
            where=damaged[0].where,
            hint=damaged[0].hint,
        )


def show(
    incident_id: Annotated[str, Parameter(name="ID")], /, *, archive: Archive = DEFAULT, json: Json = False
) -> None:
    """Show one incident: what it looks like, its alert, its captures, and the rule that decided.

    Args:
        incident_id: The incident's id, or its first characters.
        archive: Name of the archive in the settings.
        json: Print one JSON document.
    """
    from edgecap.report.incident_words import incident_verdict  # noqa: PLC0415 - `list` does without
    from edgecap.report.loading import pictured  # noqa: PLC0415 - the same

    with overviews(archive) as known:
        found = _find(known, archive, incident_id)
        captures = list(pictured(open_store(load_settings().archive(archive)), known, found))
    if json:
        record = _as_json(found, [each.part for each in captures])
        verdicts = [each.summary.verdict if each.summary else None for each in captures]
        told = [{**each, "verdict": said} for each, said in zip(record["captures"], verdicts, strict=True)]
        print_json({**record, "verdict": incident_verdict(found, captures), "captures": told})
        return
    out = console()
    out.print(_page(found, captures))
    for number, (title, plan, alert) in enumerate(found.plans):
        out.print(f"\n{title}", style="bold")
        print_plan(out, plan, alert, limits=not number)  # those of the rule that opened the incident


def _find(known: Overviews, archive: str, wanted: str) -> Overview:
    """The incident with this id; if it is a capture's id, the error says so."""
    try:
        return known.find(wanted)
    except EntryMissing as missing:
        try:
            entry = find_entry(open_store(load_settings().archive(archive)), wanted)
        except EntryMissing:
            raise missing from None
        short = entry.manifest.entry_id[:8]
        raise EntryMissing(
            f"{wanted!r} is a capture, not an incident", hint=f"`edgecap show {short}` shows it"
        ) from None


@contextmanager
def overviews(archive: str) -> Iterator[Overviews]:
    """The incidents of an archive; with the inbox's data if the receiver runs on this machine."""
    settings = load_settings()
    store = open_store(settings.archive(archive))
    try:
        inbox = AlertInbox(settings.home / INBOX, read_only=True)
    except ObjectMissing:
        yield Overviews(store, None)
        return
    except StoreError as error:
        say(f"Without the receiver's inbox: {error}")
        yield Overviews(store, None)
        return
    with inbox:
        yield Overviews(store, inbox)


def _row(incident: Overview, parts: list[Part]) -> tuple[object, ...]:
    archived = [part for part in parts if part.state == "archived"]
    return (
        stamp(incident.began).removesuffix(" UTC"),
        incident.id,
        incident.state,
        f"{len(archived)} of {len(parts)}",
        f"{sum(part.packets or 0 for part in archived):,}",
        incident.alert,
    )


def _page(incident: Overview, captures: list[Pictured]) -> RenderableType:
    from edgecap.report.edge_words import edge_problems, in_brief, quiet_captures  # noqa: PLC0415 - as above
    from edgecap.report.incident_words import cut_short, incident_verdict, name_of  # noqa: PLC0415 - the same

    held, in_inbox, told_at = incident.held_back, incident.in_inbox, incident.end_told
    told = [f"{held.joined} joined"] if held.joined else []
    told += [f"{held.repeated} repeated"] if held.repeated else []
    closed = incident.record.closed if incident.record else None
    planned = {remark for _, plan, _ in incident.plans for remark in plan.remarks}
    remarks = [each for each in (incident.record.remarks if incident.record else ()) if each not in planned]
    rows: list[tuple[str, object]] = [
        ("incident", incident.id),
        ("looks like", incident_verdict(incident, captures)),
        ("alert", incident.alert_in_words),
        *([("severity", incident.severity)] if incident.severity else []),
        ("state", incident.state + (f": {incident.record.counts}" if incident.record else "")),
        ("rule", incident.rule),
        ("opened", stamp(incident.began)),
        *(("escalated", f"{stamp(each.at)}: {each.alert_in_words}") for each in incident.escalations),
        ("attack ended", stamp(incident.attack_ended, nothing="no end reported" if incident.record else "-")),
        *(
            [("end told", stamp(told_at))]
            if told_at and stamp(told_at) != stamp(incident.attack_ended)
            else []
        ),
        *([("closed", stamp(closed))] if closed else []),
        *([("alerts", ", ".join(told))] if told else []),
        *([("last alert", stamp(in_inbox.last))] if in_inbox else []),
        *((f"{event} run", run) for event, run in (in_inbox.runs if in_inbox else {}).items()),
        *(("not sent", _waiting(each)) for each in incident.orders),
        *((names, f"quiet: {words}") for words, names in quiet_captures(captures).items()),
        *cut_short(captures, incident.attack_began),
        *((("dropped", in_brief(incident.dropped)),) if in_brief(incident.dropped) else ()),
        *(("dropped", f"not known: {each}") for each in edge_problems(incident)),
        *(("note", each) for each in remarks),
    ]
    if not captures:
        return pairs(rows)
    lines = (
        (
            name_of(each.part),
            _id(each)[:_SHORT_ID] or "-",
            "-" if each.part.packets is None else f"{each.part.packets:,}",
            verdict(each.entry, each.summary) if each.entry else each.part.reason or each.remark,
            "quiet" if each.part.state == "mitigated" else each.part.state,
        )
        for each in captures
    )
    return Group(pairs(rows), "", table(_CAPTURES, lines))


def _id(each: Pictured) -> str:
    return each.entry.manifest.entry_id if each.entry else each.part.capture_id


def _waiting(order: Any) -> str:
    if order.refused:
        return f"the {order.event}: Prefect refuses it: {order.refused}"
    return f"the {order.event}: not sent to Prefect yet"


def _as_json(incident: Overview, parts: list[Part]) -> dict[str, Any]:
    """The JSON form of an incident. Times are RFC 3339, UTC."""
    in_inbox = incident.in_inbox
    return {
        "id": incident.id,
        "state": incident.state,
        "alert": incident.alert,
        "rule": incident.rule,
        "opened": _time(incident.began),
        "escalated": [_time(each.at) for each in incident.escalations],
        "severity": incident.severity or None,
        "ended": _time(incident.attack_ended),
        "end_told": _time(incident.end_told),
        "closed": _time(incident.record.closed) if incident.record else None,
        "joined": incident.held_back.joined,
        "repeated": incident.held_back.repeated,
        "last": _time(in_inbox.last) if in_inbox else None,
        "runs": dict(in_inbox.runs) if in_inbox else {},
        "not_sent": [{"event": each.event, "refused": each.refused or None} for each in incident.orders],
        "remarks": list(incident.record.remarks) if incident.record else [],
        "captures": [part.model_dump(mode="json") for part in parts],
        "drops": [each.model_dump(mode="json") for each in incident.drops],
        "plans": {title: plan.model_dump(mode="json") for title, plan, _ in incident.plans},
    }


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
