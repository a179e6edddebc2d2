"""`edgecap alert`: send a payload again, preview its captures, list the alerts that arrived."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import yaml  # type: ignore[import-untyped]
from cyclopts import Parameter

from deployments.receiver.replay import replay
from edgecap.alerts.policy.decision import load_policy
from edgecap.alerts.sources.enabled import enabled_sources
from edgecap.alerts.sources.registry import source_called
from edgecap.alerts.understanding import understand
from edgecap.alerts.words import briefly, in_words
from edgecap.cli.options import Json
from edgecap.cli.output import console, print_json, print_plan, print_table, printable, say
from edgecap.errors import ConfigError, InvalidRequest
from edgecap.incidents.inbox.alert_inbox import INBOX, AlertInbox, Judged, Outcome
from edgecap.incidents.inbox.missed import Kind, Missed
from edgecap.redact import redact
from edgecap.requests import CaptureRequest, rfc3339
from edgecap.settings import Settings, load_settings
from edgecap.units import size, stamp

File = Annotated[Path, Parameter(name="FILE")]
OnlyRefused = Annotated[bool, Parameter(show_default=False)]
OnlyQuarantined = Annotated[bool, Parameter(show_default=False)]

_SHORT_ID = 8  # characters; enough for `edgecap incident show`
_MOST_TEXT = 10_000  # characters shown of a body; an alert has a few thousand
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - an address to connect to for each wildcard
_LOST: tuple[Kind, ...] = ("refused", "cut off")
_REFUSED_COLUMNS = ("last", ">times", "what", "source", "sender", ">size", "why")
_COLUMNS = ("received", ">arrival", "outcome", "incident", "alert", "why")


def replay_command(file: File, /, *, source: str, url: str | None = None, json: Json = False) -> None:
    """Send a payload to the receiver, as its product would.

    Args:
        file: The payload, as the product sends it.
        source: cloudflare, alertmanager, grafana, pagerduty, datadog, fastnetmon, generic or one of your own.
        url: Address of the receiver; by default the settings' on this machine.
        json: Print one JSON document.
    """
    body = _read(file)
    settings = load_settings()
    source_called(source, settings.alerts)
    if source not in settings.alerts.tables:
        raise ConfigError(
            f"alerts from {source} are off",
            where=f"alerts.{source}",
            hint=f"set EDGECAP_ALERTS__{source.upper()}__SECRET, as the receiver has it",
        )
    answer = replay(url or _address(settings), enabled_sources(settings.alerts)[source], body, direct=not url)
    if json:
        print_json({"url": answer.url, "status": answer.status, "arrival": answer.arrival})
    elif answer.arrival is None:
        console().print(f"{answer.status} from {answer.url}: a test message, which starts nothing.")
    else:
        console().print(f"{answer.status} from {answer.url}: on disk as arrival {answer.arrival}.")
        say("`edgecap alert list` shows the result.")


def explain(file: File, /, *, source: str, json: Json = False) -> None:
    """Show what edgecap would capture for a payload, and why. Captures nothing.

    Shows the `request` of each capture as prefect.yaml has it.

    Args:
        file: The payload, as the product sends it.
        source: cloudflare, alertmanager, grafana, pagerduty, datadog, fastnetmon, generic or one of your own.
        json: Print one JSON document.
    """
    body = _read(file)
    settings = load_settings()
    policy = load_policy(settings.receiver.policy, settings.bounds, settings.alerts.names)
    now = datetime.now(UTC)
    found = understand(
        source_called(source, settings.alerts), body, policy, received=now, now=now, bounds=settings.bounds
    )
    if json:
        print_json(
            [
                {
                    "alert": alert.model_dump(mode="json", exclude={"raw"}),
                    "plan": plan.model_dump(mode="json"),
                }
                for alert, plan in found
            ]
        )
        return
    for number, (alert, plan) in enumerate(found):
        if number:
            console().print()
        print_plan(console(), plan, in_words(alert))
        for each in plan.captures:
            console().print(f"\nrequest:  # {each.phase} {each.number}", soft_wrap=True)
            for line in _as_yaml(each.request).splitlines():
                console().print(f"  {printable(line)}", soft_wrap=True)
    say("Nothing was captured." if found else "A test message: it starts nothing.")


def list_command(
    *, aside: OnlyQuarantined = False, refused: OnlyRefused = False, limit: int = 50, json: Json = False
) -> None:
    """List the alerts that this machine's receiver took, newest first, and what each led to.

    Args:
        aside: Only alerts that could not be parsed and runs that Prefect refused, with the reason.
        refused: Instead, the notifications that the receiver refused or that their sender cut off, by the
            hour, with sender, size and reason.
        limit: Maximum alerts; 0 for all.
        json: Print one JSON document.
    """
    if limit < 0:
        raise InvalidRequest(f"--limit {limit} is negative", field="--limit", hint="give 0 for all alerts")
    if refused and aside:
        raise InvalidRequest("--aside and --refused exclude each other", field="--refused", hint="give one")
    if refused:
        _list_refused(limit, json=json)
        return
    with AlertInbox(load_settings().home / INBOX, read_only=True) as inbox:
        lost = len(inbox.missed.newest(_LOST, 1))
        found = _asides(inbox, limit or -1)
        if not aside:
            found += _pending(inbox, limit or -1)
            found += [_judged(each) for each in inbox.alerts(limit or -1)]
            found.sort(key=_newest)
        by_prefect = _refused(inbox, limit or -1) if aside else []
    found = (by_prefect + found)[: limit or None]
    if json:
        print_json(found)
    elif found:
        rows = [
            (
                stamp(datetime.fromisoformat(each["received"])).removesuffix(" UTC"),
                each["arrival"] or "-",
                each["outcome"],
                (each["incident"] or "-")[:_SHORT_ID],
                each["alert"],
                each["why"],
            )
            for each in found
        ]
        print_table(console(), _COLUMNS, rows)
        if limit and len(found) == limit:
            say(f"The newest {limit}; --limit 0 shows all.")
    else:
        say("No alert was quarantined." if aside else "No alert has arrived yet.")
    if lost and not json:
        say("Some notifications were refused or cut off: `edgecap alert list --refused` shows them.")


def _list_refused(limit: int, *, json: bool) -> None:
    with AlertInbox(load_settings().home / INBOX, read_only=True) as inbox:
        found = inbox.missed.newest((*_LOST, "unauthorized"), limit or -1)
    if json:
        print_json(
            [{**asdict(each), "first": rfc3339(each.first), "last": rfc3339(each.last)} for each in found]
        )
    elif found:
        rows = [
            (
                stamp(each.last).removesuffix(" UTC"),
                each.count,
                _what(each),
                each.source,
                each.sender or "-",
                size(each.size) if each.size else "-",
                each.reason,
            )
            for each in found
        ]
        print_table(console(), _REFUSED_COLUMNS, rows)
    else:
        say("No notification was refused or cut off.")


def _what(each: Missed) -> str:
    """What happened, in words: a URL without a source is counted as unauthorized."""
    return "wrong URL" if each.kind == "unauthorized" and each.reason.startswith("404") else each.kind


def _as_yaml(request: CaptureRequest) -> str:
    """A request as `prefect.yaml` has it, without fields that have their default."""
    fields = request.model_dump(mode="json", exclude_defaults=True)
    return str(yaml.safe_dump({"type": request.type, **fields}, sort_keys=False, allow_unicode=True))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidRequest(
            f"the payload cannot be read: {error.strerror or error}",
            where=str(file),
            hint="name a readable file",
        ) from None


def _address(settings: Settings) -> str:
    host = _EVERYWHERE.get(settings.receiver.host, settings.receiver.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.receiver.port}"


def _newest(each: dict[str, Any]) -> int:
    return -int(each["arrival"])


def _record(received: datetime, outcome: str, **more: Any) -> dict[str, Any]:
    """One line of the list; each has all fields."""
    return {"received": rfc3339(received), "arrival": None, "outcome": outcome, "incident": None, **more}


def _judged(each: Judged) -> dict[str, Any]:
    alert, told = each.alert, str(each.outcome).replace("_", " ")
    return _record(
        alert.received,
        told,
        arrival=each.arrival,
        incident=each.incident,
        source=alert.source,
        alert=briefly(alert),
        why=_why(each),
    )


def _why(each: Judged) -> str:
    """The reason for the outcome: the plan's, if the plan decided."""
    match each.outcome:
        case Outcome.JOINED if each.plan.captures:  # as earlier versions wrote it
            return "the incident goes on" if each.alert.event == "end" else "its incident has these captures"
        case Outcome.REPEATED:
            return "already known"
        case Outcome.NOTHING if each.plan.captures:
            return "it ends an unknown incident"
    return each.plan.reason


def _pending(inbox: AlertInbox, limit: int) -> list[dict[str, Any]]:
    why = "not processed yet: the receiver does so while it runs"
    return [
        _record(
            each.received,
            "waits",
            arrival=each.id,
            source=each.source,
            alert=f"from {each.source}, {len(each.body):,} bytes",
            why=why,
        )
        for each in inbox.pending(limit)
    ]


def _asides(inbox: AlertInbox, limit: int) -> list[dict[str, Any]]:
    return [
        _record(
            each.received,
            "put aside",
            arrival=each.id,
            source=each.source,
            alert=f"from {each.source}, {len(each.body):,} bytes",
            why=each.reason,
            body=redact(each.body[:_MOST_TEXT].decode("utf-8", "replace")),
        )
        for each in inbox.asides(limit)
    ]


def _refused(inbox: AlertInbox, limit: int) -> list[dict[str, Any]]:
    orders: Iterable[Any] = reversed(inbox.orders(limit, refused=True))
    return [
        _record(
            each.created,
            f"{each.event} refused",
            incident=each.incident,
            source=each.alert.source,
            alert=briefly(each.alert),
            why=each.refused,
        )
        for each in orders
    ]
