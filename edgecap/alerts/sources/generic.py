"""Any JSON, with a mapping from its fields to ours: for products without a parser of their own.

The mapping is a table of the settings; every entry is a JSON pointer into the payload, or several, and has a
default, so that a product whose payload can be written by hand needs none. Example::

    [alerts.custom.mine]              # POST /alerts/mine; [alerts.generic] is the one at /alerts/generic
    alerts = "/events"                # a list; without it the payload is one alert, or a list of them
    kind = "/rule/name"
    event = "/state"
    start_words = ["OPEN"]            # what `event` holds when it began, in any case
    end_words = ["CLOSED"]
    id = "/event_id"                  # the same for the same alert
    incident = "/attack/id"           # the same for the start and the end of an attack
    target = "/attack/victim"

What the mapping does not find, edgecap looks for in labels and in the payload, under the names of
`edgecap.alerts.sources.label_names`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any, Literal, TypeVar

from edgecap.alerts.model import Alert, Event, derive
from edgecap.alerts.sources import label_names, signing, titles, values
from edgecap.alerts.sources.base import AlertSource, never_pings
from edgecap.alerts.sources.fields import MOST_TARGETS, Fields
from edgecap.alerts.sources.order import in_order
from edgecap.alerts.sources.payload import as_objects, list_of_objects, not_understood
from edgecap.settings.alerts import GenericMapping
from edgecap.settings.pointer import look_up, named_values, pair_in

NAME = "generic"
_KEYS = ("kind", "id", "incident", "target", "source", "title")  # an alert has at least one of them
_ENTRIES = tuple(
    name for name in GenericMapping.model_fields if name != "alerts" and not name.endswith("_words")
)
_CLOCKS = timedelta(minutes=5)  # by which the sender's clock may be ahead of ours

_OF_ALERTS = ("alerts", "attacks", "incidents", "alert", "attack", "incident")
_OF_ANYTHING = ("events", "event", "data", "payload", "result", "items", "records")
_BETWEEN = re.compile(r"[\W_]+")
_DENIALS = frozenset(("not", "no", "never", "non", "un", "without", "isn", "t"))
_SUBJECTS = frozenset(("alert", "alarm", "problem", "ban", "test"))  # also nouns: what it is that ended
_LONGEST_STATE = 40  # characters; a longer one is a sentence

_TAGS = re.compile(r"\s*[\w.@-]{1,100}:[^\s,]+(?:\s*,\s*[\w.@-]{1,100}:[^\s,]+)*\s*")  # and no sentence

_T = TypeVar("_T")
_Told = Literal["start", "end", "both", "other"]

_DEFAULT = GenericMapping()
_FLAGS: Mapping[str, tuple[_Told, _Told]] = {
    **dict.fromkeys(("active", "is_active", "isActive", "ongoing", "firing"), ("start", "end")),
    **dict.fromkeys(("resolved", "is_resolved", "isResolved", "cleared"), ("end", "start")),
}


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> bool:  # noqa: ARG001 - all sources have it
    """A Bearer token, or Basic with the secret as password."""
    return signing.shared_secret(headers, secret)


def sign(body: bytes, secret: str) -> dict[str, str]:  # noqa: ARG001 - all sources have it
    """As most senders do it: a Bearer token."""
    return signing.bearer(secret)


def generic_source(
    mapping: GenericMapping | None = None,
    *,
    name: str = NAME,
    signature_header: str = "",
    own_names: Sequence[str] = (),
) -> AlertSource:
    """A source for a mapping of the settings.

    Args:
        mapping: without one, the default fields.
        name: the source's name, in the path and in its alerts.
        signature_header: the header with the body's HMAC; empty if the secret itself comes.
        own_names: labels with the target that the settings add.
    """
    chosen = mapping or GenericMapping()

    def parse(payload: object, *, received: datetime) -> list[Alert]:
        return parse_with(chosen, payload, received=received, name=name, own_names=own_names)

    def verify_signed(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        return signing.signature(headers, signature_header, body, secret)

    def sign_body(body: bytes, secret: str) -> dict[str, str]:
        return {signature_header: f"sha256={signing.hmac_sha256(body, secret)}"}

    if signature_header:
        return AlertSource(name, verify_signed, sign_body, parse, never_pings, signature=signature_header)
    return AlertSource(name, verify, sign, parse, never_pings)


def parse_with(
    mapping: GenericMapping,
    payload: object,
    *,
    received: datetime,
    name: str = NAME,
    own_names: Sequence[str] = (),
) -> list[Alert]:
    """The alerts that `mapping` finds in a payload, by time.

    Raises:
        AlertNotUnderstood: it is neither an object nor a list of objects, has no list where `alerts` points,
            or an alert has none of `kind`, `id`, `incident`, `target`, `source` and `title`.
    """
    items = as_objects(_one_of_pairs(_flat(payload)), name)
    if mapping.alerts is None:
        items = [inner for item in items for inner in _unwrapped(mapping, item, own_names)]
    else:
        at = mapping.alerts
        items = [item for raw in items for item in list_of_objects({at: look_up(raw, at)}, at, name)]
    found = [alert for item in items for alert in _alerts(mapping, item, received, name, own_names)]
    return in_order(_once(found))


def _alerts(
    mapping: GenericMapping, raw: dict[str, Any], received: datetime, name: str, own_names: Sequence[str]
) -> list[Alert]:
    """One alert; a start and an end if the message tells when it began and that it is over.

    The start is the same alert as the one that came before, if one did: it then makes nothing happen twice.
    """
    notes: list[str] = []
    at = mapping.pointers
    fields = Fields({each: look_up(raw, each) for entry in _ENTRIES for each in at(entry)}, notes)
    labels = _labels([fields.get(each) for each in at("labels")])
    known = label_names.traffic({**raw, **labels}, [], own_names=own_names)
    if not known["targets"] and not any(each in fields for entry in _KEYS for each in at(entry)):
        missing = ", ".join(at(entry)[0] for entry in _KEYS)
        raise not_understood(f"the payload has none of {missing}", name)
    kind = fields.line(*at("kind")) or "unknown"
    mapped, beside = fields.addresses(*at("target"))
    title = fields.line(*at("title"))
    targets = mapped or known["targets"]
    local_targets = known["local_targets"]
    if not targets:
        targets, in_title = titles.target_in(title, notes)
        local_targets = local_targets or in_title
    sources = fields.addresses(*at("source"))[0] or known["source_addresses"]
    started, ended = fields.moment(*at("started")), fields.moment(*at("ended"))
    told = _told(mapping, fields, raw, is_over=ended is not None and ended <= received + _CLOCKS)
    attack = (kind, ",".join(targets), ",".join(sources), started.isoformat() if started else "")
    same, start, joins = _keys(fields, at, attack, values.line(raw.get("event_id")))
    event: Event = "end" if told == "both" else told
    alert = Alert(
        source=name,
        kind=kind,
        event=event,
        severity=values.severity(
            *(fields.get(each) for each in at("severity")), *label_names.severity_words(labels)
        ),
        identity=derive(name, *same, event),
        incident=derive(name, *joins),
        # An id may be that of the message: then only the target tells what has ended.
        thing=derive(name, *targets)
        if targets and not any(each in fields for each in at("incident"))
        else "",
        received=received,
        started=started,
        ended=(ended or received) if event == "end" else None,
        targets=targets,
        local_targets=() if targets else local_targets,
        target_port=fields.port(*at("target_port")) or beside or known["target_port"],
        protocol=_first(fields.protocol(*at("protocol")), known["protocol"]),
        source_addresses=sources,
        source_ports=fields.ports(*at("source_port")) or known["source_ports"],
        colos=fields.colos(*at("colos")) or known["colos"],
        pps=_first(fields.rate("pps", *at("pps")), known["pps"]),
        bps=_first(fields.rate("bps", *at("bps")), known["bps"]),
        title=title or kind,
        text=fields.text(*at("text")),
        labels=labels,
        notes=tuple(notes),
        raw=raw,
    )
    if told == "both" or (alert.event == "end" and started and ended and started < ended):
        begin = {"event": "start", "identity": derive(name, *start, "start")}
        return [alert.model_copy(update=begin), alert]
    return [alert]


def _one_of_pairs(payload: object) -> object:
    """The object that a payload of nothing but names and values is; any other payload unchanged."""
    if isinstance(payload, list) and payload and all(map(_is_pair, payload)):
        return named_values(payload)
    return payload


def _flat(payload: object) -> object:
    """A list without the lists that it may consist of."""
    if isinstance(payload, list) and payload and all(isinstance(each, list) for each in payload):
        return [item for each in payload for item in each]
    return payload


def _unwrapped(
    mapping: GenericMapping, item: dict[str, Any], own_names: Sequence[str]
) -> list[dict[str, Any]]:
    """The alerts in an object that is none itself, such as `{"alert": {...}}` or `{"events": [{...}]}`.

    They have the other fields of the object, too, unless they have such fields themselves. In a field that
    could hold anything, such as `data`, they must name a target.
    """

    def is_alert(found: object) -> bool:
        return isinstance(found, dict) and any(
            look_up(found, each) is not None for entry in _KEYS for each in mapping.pointers(entry)
        )

    def has_target(found: object) -> bool:
        return isinstance(found, dict) and label_names.names_target(found, own_names)

    if is_alert(item) or has_target(item):
        return [item]
    for name in (*_OF_ALERTS, *_OF_ANYTHING):
        inner = item.get(name)
        found: list[Any] = inner if isinstance(inner, list) else [inner]
        if found and all(has_target(each) or (name in _OF_ALERTS and is_alert(each)) for each in found):
            around = {other: value for other, value in item.items() if other != name}
            return [{**around, **each} for each in found]
    return [item]


def _is_pair(item: object) -> bool:
    return isinstance(item, dict) and len(item) == 2 and pair_in(item) is not None  # noqa: PLR2004 - a pair


def _once(alerts: Sequence[Alert]) -> list[Alert]:
    """Without the start that an end tells of, if the message has the start itself."""
    told = Counter(alert.incident for alert in alerts if alert.event == "start")
    return [
        alert
        for alert, following in zip_longest(alerts, alerts[1:])
        if not (_is_told_by(alert, following) and told[alert.incident] > 1)
    ]


def _is_told_by(start: Alert, end: Alert | None) -> bool:
    return end is not None and start.event == "start" and end.event == "end" and start.raw is end.raw


def _told(mapping: GenericMapping, fields: Fields, raw: Mapping[str, Any], *, is_over: bool) -> _Told:
    """What the values of `event` say; without any, whether the attack is over."""
    words: dict[str, _Told] = {
        **dict.fromkeys(map(str.lower, mapping.other_words), "other"),
        **dict.fromkeys(map(str.lower, mapping.both_words), "both"),
        **dict.fromkeys(map(str.lower, mapping.end_words), "end"),
        **dict.fromkeys(map(str.lower, mapping.start_words), "start"),
    }
    pointers = mapping.pointers("event")
    written = [fields.line(each).lower() for each in pointers]
    for word in written:
        if told := _known(word, words):
            return told
    if written[0]:
        return "other"
    if told := _flag(mapping, raw):
        return told
    return "both" if is_over else "start"


def _flag(mapping: GenericMapping, raw: Mapping[str, Any]) -> _Told | None:
    """What `"active": false` and the like say, unless the settings map `event` to another field."""
    if mapping.event != _DEFAULT.event:
        return None
    for name, (true, false) in _FLAGS.items():
        if (said := values.text(raw.get(name)).lower()) in ("true", "false"):
            return true if said == "true" else false
    return None


def _known(word: str, words: Mapping[str, _Told]) -> _Told | None:
    """What a value says: as a whole, after its last dot, or by the words that it is made of.

    Of several known words, those for an alert as such count only if there are no others; the others must
    agree. A word that denies, such as not, makes it unknown.
    """
    for whole in (word, word.rpartition(".")[2], _BETWEEN.sub(" ", word), _BETWEEN.sub("_", word)):
        if whole in words:
            return words[whole]
    parts = _BETWEEN.split(word)
    if len(word) > _LONGEST_STATE or any(part in _DENIALS for part in parts):
        return None
    known = [part for part in parts if part in words]
    said = {words[part] for part in known if part not in _SUBJECTS} or {words[part] for part in known}
    return said.pop() if len(said) == 1 else None


def _keys(
    fields: Fields, at: Callable[[str], tuple[str, ...]], attack: tuple[str, ...], event_id: str
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What makes an alert the same one, the same for the start that an end tells of, and what joins alerts.

    Most products keep an alert's id from its start to its end, so it joins them if there is no better key.
    An `event_id` may be that of the message, so it tells alerts apart, and joins nothing.
    """
    alert_id, key = fields.line(*at("id")), fields.line(*at("incident"))
    whole = (key, *attack, "")
    if alert_id:
        return (alert_id,), whole if key else (alert_id,), (key or alert_id,)
    return (key, *attack, event_id), whole, (key,) if key else attack


def _labels(tables: Sequence[Any]) -> dict[str, str]:
    """Names and values: of a table, a list of names with values, or tags such as `target:203.0.113.7`."""
    found: dict[str, Any] = {}
    for written in reversed(tables):
        table = _decoded(written)
        if isinstance(table, dict):
            found.update(table)
        elif isinstance(table, list) or (isinstance(table, str) and _TAGS.fullmatch(table)):
            found.update({**label_names.from_tags(table), **named_values(table)})
    return {name: text for name, value in found.items() if (text := _joined(value))}


def _decoded(table: Any) -> Any:
    """What a text of JSON holds, such as Zabbix' `{EVENT.TAGSJSON}`; anything else unchanged."""
    if isinstance(table, str) and table.lstrip().startswith(("[", "{")):
        with suppress(ValueError, RecursionError):
            return json.loads(table)
    return table


def _joined(value: Any) -> str:
    """A value on one line; those of a list, parted by commas."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(values.line, value[:MOST_TARGETS])))
    return values.line(value)


def _first(value: _T | None, other: _T | None) -> _T | None:
    return other if value is None else value


SOURCE = generic_source()
