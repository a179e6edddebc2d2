"""The layout of an archive: its keys.

::

    intents/<intent id>/{intent,posting-1,answer-1,absent-1,accepted,ended}.json
    captures/2026/11/23/2026-11-23T06-34-06Z_full_ORD_<capture id>/
        raw/<server or key>.pcap
        packets.pcapng  summary.json  flows.parquet
        manifest.json
    incidents/<incident id>/{opened,ended}.json     while it goes on
    incidents/<incident id>/placed/<event>/<n>.json at which data centres its full captures are
    incidents/<incident id>/held-back/<number>.json how many alerts joined or repeated it so far
    incidents/<incident id>/lost/<capture>.json     a capture whose run ended and asked for nothing
    incidents/<incident id>/proposals.json          filters that were proposed, when it is closed
    incidents/<incident id>/dropped/<round>.json    what the edge dropped, as far as it was known at a time
    incidents/<incident id>/dropped/<round>.pcapng  the headers of dropped packets
    incidents/<incident id>.json                    once it is closed
    same-request/<digest>/2026/11/<folder of an entry>  hints: which captures asked for the same
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edgecap.errors import UnexpectedAnswer

if TYPE_CHECKING:
    from edgecap.cloudflare.models import Capture

CAPTURES = "captures/"
INTENTS = "intents/"
INCIDENTS = "incidents/"
SAME_REQUEST = "same-request/"
RAW = "raw/"
MANIFEST = "manifest.json"
PACKETS = "packets.pcapng"
SUMMARY = "summary.json"
FLOWS = "flows.parquet"
SIMPLE_NAME = "all.pcap"  # a simple capture is one file from all data centres
EVERYWHERE = "all"
UNKNOWN = "unknown"

LONGEST_NAME = 120  # characters of a name made here; file systems allow 255 bytes
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_SUFFIXES = (".pcap", ".pcapng", ".cap")
_DIGEST = 8  # hex digits that tell apart what would else share a name
_STAMP = "%Y-%m-%dT%H-%M-%SZ"
_PREFIX = re.compile(
    r"captures/\d{4}/\d\d/\d\d/(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)_([A-Za-z0-9.-]+)_([A-Za-z0-9.-]+)_([^/]+)/"
)


@dataclass(frozen=True, slots=True)
class EntryPlace:
    """An entry as its prefix describes it. `submitted` is aware, UTC, in whole seconds."""

    prefix: str
    submitted: datetime
    type: str
    colo: str
    capture_id: str


def entry_prefix(capture: Capture, *, decided: datetime | None = None) -> str:
    """The prefix of a capture's entry, with a `/` at its end; always the same for the same capture.

    Args:
        capture: as the API returned it. Its time is `submitted`; the place of a simple one is `all`.
        decided: the intent's time, used if the API does not state when the capture was submitted.

    Raises:
        UnexpectedAnswer: the capture has no id, or neither time is known.
    """
    if not capture.id:
        raise UnexpectedAnswer(
            "the capture has no id", where="the API's answer", hint="look in the dashboard"
        )
    time = capture.submitted or decided
    if time is None:
        raise UnexpectedAnswer(
            "it is not known when the capture was submitted", where=f"capture {capture.id}"
        )
    time = time.astimezone(UTC)
    colo = _part(capture.colo) or (EVERYWHERE if capture.type == "simple" else UNKNOWN)
    stamp = time.replace(microsecond=0, tzinfo=None).isoformat(timespec="seconds").replace(":", "-") + "Z"
    folder = f"{time.year:04}/{time:%m/%d}"
    return f"{CAPTURES}{folder}/{stamp}_{_part(capture.type) or UNKNOWN}_{colo}_{safe_name(capture.id)}/"


def parse_prefix(key: str) -> EntryPlace | None:
    """The entry to which `key` belongs; None if it belongs to none."""
    match = _PREFIX.match(key)
    if match is None:
        return None
    stamp, kind, colo, capture_id = match.groups()
    try:
        submitted = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return EntryPlace(match[0], submitted, kind, colo, capture_id)


def lies_in_an_entry(key: str) -> bool:
    """Whether `key`, in any bucket, belongs to an entry of an archive in any folder of that bucket.

    A hint to an entry does, too: its name has the capture's id.
    """
    parts = key.split("/")
    return any(
        (part == CAPTURES.rstrip("/") and parse_prefix("/".join(parts[start:])))
        or (part == SAME_REQUEST.rstrip("/") and place_of_hint(key))
        for start, part in enumerate(parts)
    )


def raw_names(source_keys: Iterable[str], capture_id: str) -> dict[str, str]:
    """A file name for each source key, all different even if case does not count.

    A full capture's objects are all called `pcap_<id>.pcap`, in folders that tell the servers apart; so the
    name is made of the folders. Keys that arrive later do not change the names of earlier ones, unless two
    keys lead to one name, which is very unlikely: then both names carry a digest of their key.

    >>> raw_names(["ord02-s1/pcap_0af1.pcap", "ord02-s2/pcap_0af1.pcap.gz"], "0af1")
    {'ord02-s1/pcap_0af1.pcap': 'ord02-s1.pcap', 'ord02-s2/pcap_0af1.pcap.gz': 'ord02-s2.pcap'}
    """
    names = {key: _raw_name(key, capture_id) for key in sorted(set(source_keys))}
    seen = Counter(name.lower() for name in names.values())
    return {
        key: name if seen[name.lower()] == 1 else _raw_name(key, capture_id, digest=True)
        for key, name in names.items()
    }


def _raw_name(source_key: str, capture_id: str, *, digest: bool = False) -> str:
    *folders, last = source_key.split("/")
    stem = last.removesuffix(".gz")
    suffix = next((end for end in _SUFFIXES if stem.lower().endswith(end)), "")
    stem = stem[: len(stem) - len(suffix)]
    if stem in (f"pcap_{capture_id}", capture_id):
        stem = ""
    parts = [part for part in (*folders, stem) if part and part != capture_id]
    plain = "_".join(parts)
    lossy = len(parts) > 1 and any("_" in part for part in parts)
    name = _bounded(plain or "packets", source_key, force=lossy or digest)
    return name + (suffix or ".pcap").lower()


def safe_name(text: str) -> str:
    """`text` as one part of a key: letters, digits, `.`, `_`, `-`, of bounded length.

    A name that had to be changed carries a digest, so different texts keep different names.
    """
    return _bounded(text, text)


def _bounded(text: str, origin: str, *, force: bool = False) -> str:
    name = _UNSAFE.sub("-", text).lstrip(".-")[:LONGEST_NAME]
    if name == text and name and not force:
        return name
    tail = hashlib.sha256(origin.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{name[: LONGEST_NAME - _DIGEST - 1]}-{tail}" if name else tail


def _part(text: str) -> str:
    """A part between the underscores of a prefix; empty if `text` is."""
    return safe_name(text).replace("_", "-")[:40] if text else ""


def intent_key(intent_id: str) -> str:
    """Where the journal keeps an intent."""
    return f"{INTENTS}{safe_name(intent_id)}/intent.json"


def posting_key(intent_id: str, number: int) -> str:
    """Where the journal keeps that an intent's POST is about to be made, for the `number`th time."""
    return f"{INTENTS}{safe_name(intent_id)}/posting-{number}.json"


def answer_key(intent_id: str, number: int) -> str:
    """Where the journal keeps the answer to that POST, if it names no capture."""
    return f"{INTENTS}{safe_name(intent_id)}/answer-{number}.json"


def absent_key(intent_id: str, number: int) -> str:
    """Where the journal keeps the proof that this POST started nothing."""
    return f"{INTENTS}{safe_name(intent_id)}/absent-{number}.json"


def accepted_key(intent_id: str) -> str:
    """Where the journal keeps an intent's accepted capture."""
    return f"{INTENTS}{safe_name(intent_id)}/accepted.json"


def ended_key(intent_id: str) -> str:
    """Where the journal keeps how an intent ended."""
    return f"{INTENTS}{safe_name(intent_id)}/ended.json"


def incident_key(incident_id: str) -> str:
    """Where an incident's record lies once it is closed."""
    return f"{INCIDENTS}{safe_name(incident_id)}.json"


def incident_prefix(incident_id: str) -> str:
    """Where all that is known of an incident lies, but for its record."""
    return f"{INCIDENTS}{safe_name(incident_id)}/"


def incident_event_key(incident_id: str, event: str) -> str:
    """Where the decisions on an incident's start or end are kept: `event` is `opened` or `ended`."""
    return f"{incident_prefix(incident_id)}{event}.json"


def proposals_key(incident_id: str) -> str:
    """Where the filters that were proposed when an incident was closed are kept."""
    return f"{incident_prefix(incident_id)}proposals.json"


def escalation_key(incident_id: str, alert: str) -> str:
    """Where the decision on an alert is that added captures to an incident; `alert` is its identity."""
    return f"{incident_prefix(incident_id)}escalated/{safe_name(alert)}.json"


def placed_key(incident_id: str, event: str, number: int) -> str:
    """Where it is kept at which data centres an event's full captures are, by the number of the choice."""
    return f"{incident_prefix(incident_id)}placed/{event}/{number}.json"


def notice_key(incident_id: str, event: str, channel: str) -> str:
    """Where it is written down that a notification about an incident went to a channel."""
    return f"{incident_prefix(incident_id)}told/{safe_name(event)}/{safe_name(channel)}.json"


def lost_key(incident_id: str, phase: str, number: int) -> str:
    """Where it is written down that the run of an incident's capture ended and asked for nothing."""
    return f"{INCIDENTS}{safe_name(incident_id)}/lost/{phase}-{number}.json"


def dropped_prefix(incident_id: str) -> str:
    """Where it is written down what the edge dropped of an incident's packets."""
    return f"{INCIDENTS}{safe_name(incident_id)}/dropped/"


def held_back_prefix(incident_id: str) -> str:
    """Where it is written down how many alerts joined or repeated an incident."""
    return f"{INCIDENTS}{safe_name(incident_id)}/held-back/"


def place_of_hint(key: str) -> EntryPlace | None:
    """The entry to which a hint leads: its folder's name begins with its day. None if it is no hint."""
    folder = key.rpartition("/")[2]
    return parse_prefix(f"{CAPTURES}{folder[:10].replace('-', '/')}/{folder}/")


def same_request_prefix(digest: str, time: datetime) -> str:
    """Where hints to the captures of a request lie that were submitted in a month."""
    return f"{SAME_REQUEST}{digest}/{time.astimezone(UTC):%Y/%m}/"
