"""`edgecap resolve`: record whether Cloudflare accepted a request, if its list of captures cannot tell."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import JournalRecord
from edgecap.captures.adoption import Match
from edgecap.captures.resolving import Candidate, candidates, find_intent, say_accepted, say_not_accepted
from edgecap.cli.options import Archive, Json
from edgecap.cli.output import console, print_json, print_table
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import InvalidRequest
from edgecap.requests import rfc3339
from edgecap.settings import DEFAULT, Settings, load_settings
from edgecap.stores import open_store

_WORDS = {Match.YES: "yes", Match.MAYBE: "maybe", Match.NO: "no"}


def resolve(
    intent: Annotated[str, Parameter(name="INTENT")],
    /,
    *,
    capture: str | None = None,
    not_accepted: bool = False,
    archive: Archive = DEFAULT,
    json: Json = False,
) -> None:
    """Record whether Cloudflare accepted a request, or show the captures that may be its own.

    Args:
        intent: The intent's id or its first characters, from the failed run's message.
        capture: The id of the capture that Cloudflare accepted for it.
        not_accepted: Cloudflare accepted no capture for it.
        archive: Name of the archive with the intent's journal.
        json: Print one JSON document.
    """
    if capture and not_accepted:
        raise InvalidRequest(
            "--capture and --not-accepted contradict each other", where="resolve", hint="give one of them"
        )
    settings = load_settings()
    journal = Journal(open_store(settings.archive(archive)))
    record = find_intent(journal, intent)
    name = record.intent.intent_id
    if capture:
        say_accepted(journal, record, asyncio.run(_get(settings, record, capture)))
        line = (
            f"Intent {name} led to capture {capture}. `edgecap reconcile` archives it, if its run has ended."
        )
        _say(line, json=json, intent=name, capture=capture)
    elif not_accepted:
        say_not_accepted(journal, record, at=datetime.now(UTC))
        line = (
            f"Intent {name} is closed: Cloudflare accepted nothing for it, and edgecap posts nothing for it."
        )
        _say(line, json=json, intent=name, capture=None)
    else:
        _show(record, candidates(record, asyncio.run(_list(settings, record))), json=json)


async def _get(settings: Settings, record: JournalRecord, capture_id: str) -> Capture:
    async with Client(settings.account(record.intent.account)) as client:
        return await client.get_capture(capture_id)


async def _list(settings: Settings, record: JournalRecord) -> list[Capture]:
    async with Client(settings.account(record.intent.account)) as client:
        listing = await client.list_captures()
        first = min((posting.at for posting in record.postings), default=None)
        return (await client.list_back_to(listing, first) if first else listing).captures


def _say(line: str, *, json: bool, intent: str, capture: str | None) -> None:
    if json:
        print_json({"intent": intent, "capture": capture})
    else:
        console().print(line)


def _show(record: JournalRecord, found: list[Candidate], *, json: bool) -> None:
    intent = record.intent
    state = f"capture {record.capture_id}" if record.accepted else "no known capture"
    if record.ended:
        state = f"over: {record.ended.reason}"
    posted = [rfc3339(posting.at) for posting in record.postings]
    if json:
        listed = [{"match": _WORDS[one.match], "capture": one.capture.raw} for one in found]
        print_json(
            {"intent": intent.intent_id, "state": state, "posted": posted, "candidates": listed},
        )
        return
    out = console()
    out.print(f"Intent {intent.intent_id}: {intent.request}; {state}")
    out.print(f"  run: {intent.run or 'unknown'}")
    out.print(f"  posted: {', '.join(posted) or 'never'}")
    if not found:
        out.print("The list of captures shows none that may be its own.")
        return
    rows = [
        (
            one.capture.id,
            _WORDS[one.match],
            rfc3339(one.capture.submitted) if one.capture.submitted else "",
            one.capture.status,
            one.capture.colo,
            one.capture.destination_conf,
        )
        for one in found
    ]
    print_table(out, ("capture", "matches", "submitted", "status", "where", "bucket"), rows)
