"""The judge of a case: the edge's log, the bytes of the archive, and what Prefect's API says of runs.

Nothing here asks edgecap: files are plain bytes, hashed with hashlib and counted with Wireshark's capinfos.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.faults.evidence import Evidence, RunSeen, asks, intents, repeats

SPACING = 60.0  # seconds between two simple requests, by the server's clock
STOPPED = 15.0  # seconds in which a cancelled run's full capture must have been stopped
ENDED = 120.0  # seconds in which a cancelled run must be over
CAPTURING = ("unknown", "pending", "running")  # states of a full capture that still collects packets
UNTYPED = "Flow run encountered an exception"


def judge(evidence: Evidence) -> list[str]:
    """The rules that were broken, one line each."""
    return [
        *_once(evidence),
        *_ours(evidence),
        *_spaced(evidence),
        *_one_full_at_a_time(evidence),
        *_not_refused(evidence),
        *_kept(evidence),
        *_whole(evidence),
        *_true(evidence),
        *_over(evidence),
        *_freed(evidence),
        *_stopped(evidence),
        *_noticed(evidence),
    ]


def outcome_of(run: RunSeen, evidence: Evidence) -> str:
    """How a run ended, in words: `archived`, `archived (partial)`, `failed: ...`, `cancelled`, ..."""
    manifest = next(
        (
            manifest
            for manifest in evidence.manifests().values()
            if run.run_id in str((manifest.get("intent") or {}).get("run", ""))
        ),
        None,
    )
    ending = evidence.endings().get(run.run_id, {})
    kept = ""
    if manifest:
        flags = [] if manifest["state"] == "complete" else [manifest["state"]]
        flags += [flag for flag in manifest["flags"] if flag not in flags]
        kept = "archived" + (f" ({', '.join(flags)})" if flags else "")
    match run.last.type:
        case "COMPLETED":
            return kept or "completed without an entry"
        case "CANCELLED":
            return f"cancelled, {kept}" if kept else "cancelled"
        case "CRASHED":
            return f"given up, {kept}" if kept else f"given up: {ending.get('reason', 'no reason')}"
        case "FAILED":
            said = ": ".join(filter(None, [ending.get("error", ""), run.last.message]))
            return f"failed, {kept}: {said}" if kept else f"failed: {said}"
        case other:
            return f"left {other}"


def _once(evidence: Evidence) -> Iterator[str]:
    """One accepted capture for an intent; a journalled repeat of a simple one counts separately."""
    bodies = Counter(json.dumps(event["body"], sort_keys=True) for event in evidence.accepted)
    for body, count in bodies.items():
        # Two runs may want the same full capture; each simple one has a mark of its own.
        wanting = [intent for intent in intents(evidence).values() if asks(intent, json.loads(body))]
        if count > max(1, len(wanting)):
            yield f"one intent led to {count} accepted captures: {body}"
    if len(evidence.accepted) > len(evidence.runs) + repeats(evidence):
        yield f"{len(evidence.accepted)} captures were accepted for {len(evidence.runs)} runs"


def _ours(evidence: Evidence) -> Iterator[str]:
    """An intent's capture is one that the edge accepted from us for it, and that no other intent has."""
    posted = {event["capture_id"]: event for event in evidence.accepted}
    owners: dict[str, str] = {}
    for folder, intent in intents(evidence).items():
        record = evidence.files.get(f"{folder}accepted.json")
        if record is None:
            continue
        capture_id = json.loads(record)["capture_id"]
        if capture_id not in posted:
            yield f"capture {capture_id} was taken for ours, and somebody else had asked for it"
        elif not _same_wish(intent["body"], posted[capture_id]["body"]):
            yield f"capture {capture_id} is not what its intent asks for"
        if owner := owners.get(capture_id):
            yield f"capture {capture_id} is that of two intents: {owner} and {folder}"
        owners[capture_id] = folder
    for key, manifest in evidence.manifests().items():
        if manifest["entry_id"] not in posted:
            yield f"{key} keeps a capture that we never asked for"
    for key in evidence.archive.keys() & evidence.other.keys():
        yield f"{key} lies in both archives"


def _same_wish(wanted: Mapping[str, Any], posted: Mapping[str, Any]) -> bool:
    """Equal but for the window of a repeat, which has another fingerprint."""
    left_out = ("destination_conf", "offset_time")
    return {n: v for n, v in wanted.items() if n not in left_out} == {
        n: v for n, v in posted.items() if n not in left_out
    }


def _stopped(evidence: Evidence) -> Iterator[str]:
    """Within 15 s of a cancel, or of the POST, the capture was stopped or over."""
    if not evidence.cancels:
        return
    cancel = min(evidence.cancels)
    for event in evidence.accepted:
        if event["body"]["type"] != "full":
            continue
        at, capture_id = _wall(event), event["capture_id"]
        if at > cancel + STOPPED:
            yield f"capture {capture_id} was started {at - cancel:.0f} s after the cancel"
        over = [
            _wall(each)
            for each in evidence.events
            if each.get("capture_id") == capture_id and (each["event"] in ("stop", "captured") or _past(each))
        ]
        late = min(over, default=float("inf")) - max(cancel, at)
        if late > STOPPED:
            when = "never" if late == float("inf") else f"only {late:.0f} s after the cancel"
            yield f"capture {capture_id} was {when} stopped"
    for run in evidence.runs:
        # A run that is done with Cloudflare ends, too.
        last = run.last.at.timestamp() - cancel
        if run.last.type == "CANCELLED" and last > ENDED:
            yield f"run {run.run_id} was over {last:.0f} s after the cancel only"


def _past(event: Mapping[str, Any]) -> bool:
    return event["event"] == "state" and event["after"] not in CAPTURING


def _wall(event: Mapping[str, Any]) -> float:
    return _time(event["wall"]).timestamp()


def _noticed(evidence: Evidence) -> Iterator[str]:
    """A run's death is noticed in time, if the case says what that is."""
    if evidence.noticed_within is None:
        return
    for seconds in evidence.noticed:
        if seconds is None:
            yield "nobody noticed that a run was dead"
        elif seconds > evidence.noticed_within:
            yield f"that a run was dead was noticed after {seconds:.0f} s only"


def _spaced(evidence: Evidence) -> Iterator[str]:
    times = [
        _time(event["time"])
        for event in evidence.events
        if event["event"] == "state" and event.get("type") == "simple" and event.get("lane") == "taken"
    ]
    for before, after in pairwise(times):
        # The log's line comes a moment of real time after the acceptance.
        if (gap := (after - before).total_seconds()) < SPACING - 0.05 * evidence.speed:
            yield f"two simple captures were accepted {gap:.1f} s apart"


def _one_full_at_a_time(evidence: Evidence) -> Iterator[str]:
    holder = ""
    for event in evidence.events:
        if event["event"] != "state" or event.get("type") != "full":
            continue
        if event.get("lane") == "taken":
            if holder:
                yield f"full capture {event['capture_id']} began while {holder} held the lane"
            holder = event["capture_id"]
        elif event.get("lane") == "free" and event["capture_id"] == holder:
            holder = ""


def _not_refused(evidence: Evidence) -> Iterator[str]:
    """None of our requests is refused, unless somebody was a moment faster or the list hid the reason."""
    people = [event for event in evidence.posts("accepted") if event.get("caller") != evidence.ours]
    excuse = timedelta(seconds=max(evidence.lag, 1.0) + 2.0 * evidence.speed)
    for event in evidence.posts("refused"):
        if event.get("caller") != evidence.ours or event.get("fault"):
            continue
        at, kind = _time(event["received"]), (event["body"] or {}).get("type")
        if not any(
            (other["body"] or {}).get("type") == kind
            and timedelta() <= at - _time(other["received"]) <= excuse
            for other in people
        ):
            yield f"a request was refused: {event['status']} {event.get('reason')}"


def _kept(evidence: Evidence) -> Iterator[str]:
    """An accepted capture is archived with the delivered packets, or fails with a typed reason."""
    manifests = list(evidence.manifests().values())
    for event in evidence.accepted:
        capture_id = event["capture_id"]
        mine = [manifest for manifest in manifests if manifest["entry_id"] == capture_id]
        if len(mine) > 1:
            yield f"capture {capture_id} has {len(mine)} entries"
        if mine:
            yield from _complete(evidence, capture_id, mine[0])
            continue
        if not has_reason(evidence, capture_id):
            yield f"capture {capture_id} was accepted and is neither archived nor failed with a reason"


def has_reason(evidence: Evidence, capture_id: str) -> bool:
    """Whether the journal or the failed run's state states why a capture has no entry."""
    ending = evidence.endings().get(capture_id, {})
    if ending.get("outcome") == "failed" and ending.get("error") and ending.get("reason"):
        return True
    if ending.get("outcome") == "repeated" and ending.get("repeated_by"):
        return True
    return any(
        _failed_with_reason(run) and _belongs(evidence, capture_id, run.run_id) for run in evidence.runs
    )


def _failed_with_reason(run: RunSeen) -> bool:
    """Prefect puts its own words before an exception that edgecap did not turn into a reason."""
    return run.last.type == "FAILED" and bool(run.last.message) and not run.last.message.startswith(UNTYPED)


def _belongs(evidence: Evidence, capture_id: str, run_id: str) -> bool:
    """Whether a capture is a run's by the journal, or, without a journal, by the number of runs."""
    for key, data in evidence.files.items():
        if key.startswith("intents/") and key.endswith("/accepted.json"):
            intent = json.loads(evidence.files[key.replace("accepted.json", "intent.json")])
            if json.loads(data)["capture_id"] == capture_id:
                return str(intent["run"]).startswith(run_id)
    return len(evidence.runs) == 1


def _complete(evidence: Evidence, capture_id: str, manifest: Mapping[str, Any]) -> Iterator[str]:
    raw = [file for file in manifest["files"] if file["role"] == "raw"]
    delivered = evidence.deliveries.get(capture_id, ())
    wanted = Counter(hashlib.sha256(each.plain).hexdigest() for each in delivered)
    found = Counter(file["sha256"] for file in raw)
    if missing := (wanted - found).total():
        yield f"entry {capture_id} lacks {missing} of {len(delivered)} delivered files"
    if extra := (found - wanted).total():
        yield f"entry {capture_id} has {extra} files that were not delivered"
    packets = sum(each.packets for each in delivered)
    if manifest["totals"]["packets"] != packets:
        yield f"entry {capture_id} claims {manifest['totals']['packets']} packets of {packets} delivered"
    counted = sum(count_packets(evidence.files.get(manifest["prefix"] + file["name"], b"")) for file in raw)
    if counted != packets:
        yield f"entry {capture_id} holds {counted} packets of {packets} delivered"
    partial = manifest["state"] == "partial"
    if (capture_id in evidence.lost) != partial:
        yield f"entry {capture_id} is {manifest['state']}, and {'a' if not partial else 'no'} file is missing"


def _whole(evidence: Evidence) -> Iterator[str]:
    """A file that a manifest lists exists, with the listed size and hash."""
    for key, manifest in evidence.manifests().items():
        if not key.startswith(manifest["prefix"]):
            yield f"{key} says that it lies at {manifest['prefix']}"
        for file in manifest["files"]:
            data = evidence.files.get(manifest["prefix"] + file["name"])
            if data is None:
                yield f"{manifest['prefix']}{file['name']} is not there"
            elif (len(data), hashlib.sha256(data).hexdigest()) != (file["size"], file["sha256"]):
                yield f"{manifest['prefix']}{file['name']} is not what its manifest says"


def _true(evidence: Evidence) -> Iterator[str]:
    """Every packet file under a final name, in an entry or not, equals a file that the edge delivered."""
    delivered = {
        hashlib.sha256(data).hexdigest()
        for each in (each for many in evidence.deliveries.values() for each in many)
        for data in (each.data, each.plain)
    }
    for key, data in evidence.files.items():
        if key.startswith("captures/") and "/raw/" in key:
            if hashlib.sha256(data).hexdigest() not in delivered:
                yield f"{key} is nothing that the edge delivered"
        elif key.endswith(".json"):
            try:
                json.loads(data)
            except ValueError:
                yield f"{key} is no whole JSON"


def _over(evidence: Evidence) -> Iterator[str]:
    """Runs end by themselves, completed runs never run again, and no capture of ours runs at the edge."""
    for run in evidence.runs:
        types = [state.type for state in run.history]
        if "COMPLETED" in types and types.index("COMPLETED") != len(types) - 1:
            yield f"run {run.run_id} went on after it was completed: {' '.join(types)}"
        if run.last.type not in ("COMPLETED", "FAILED", "CANCELLED", "CRASHED"):
            yield f"run {run.run_id} did not end: {' '.join(types)}"
    free = {event["capture_id"] for event in evidence.events if event.get("lane") == "free"}
    for event in evidence.accepted:
        if event["body"]["type"] == "full" and event["capture_id"] not in free:
            yield f"capture {event['capture_id']} still runs at the edge"


def _freed(evidence: Evidence) -> Iterator[str]:
    for seconds in evidence.freed:
        if seconds is None:
            yield "the lane of a dead holder was never free again"
        elif seconds > evidence.freed_within:
            yield f"the lane of a dead holder was free after {seconds:.0f} s only"


def count_packets(data: bytes) -> int:
    """The number of packets in a capture file by capinfos; -1 if it cannot read the file."""
    with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
        Path(file.name).write_bytes(data)
        done = subprocess.run(["capinfos", "-rMc", file.name], capture_output=True, text=True, check=False)
    match = re.search(r"Number of packets:\s*(\d+)", done.stdout)
    return int(match[1]) if match and done.returncode == 0 else -1


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
