"""The judge of the fault matrix notices every kind of violation: a judge that cannot fail is worthless."""

import gzip
import hashlib
import json
import shutil
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.requests import rfc3339
from tests.faults.evidence import Delivery, Evidence, RunSeen
from tests.faults.judge import count_packets, judge, outcome_of
from tests.faults.site import State

pytestmark = pytest.mark.skipif(not shutil.which("capinfos"), reason="capinfos is not installed")

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
RUN, OTHER_RUN = "7a1b", "9c2d"
CAPTURE, OTHER_CAPTURE = "a" * 32, "b" * 32
POSTED = "/client/v4/accounts/x/pcaps"


def pcap(packets, fill=b"\0"):
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    return head + b"".join(
        struct.pack("<IIII", 1_800_000_000 + n, 0, 60, 60) + fill * 60 for n in range(packets)
    )


def at(seconds):
    return rfc3339(START + timedelta(seconds=seconds))


def post(seconds, capture_id, *, kind="simple", body=None, caller="edgecap", outcome="accepted", **more):
    shown = {"type": kind, **(body or {"offset_time": capture_id})}
    request = {"event": "request", "method": "POST", "path": POSTED, "body": shown, "caller": caller}
    return {
        **request,
        "received": at(seconds),
        "wall": at(seconds),
        "outcome": outcome,
        "status": 200,
        "capture_id": capture_id,
        **more,
    }


def lane(seconds, capture_id, change, *, kind="simple"):
    state = {"event": "state", "type": kind, "capture_id": capture_id}
    state |= {
        "time": at(seconds),
        "wall": at(seconds),
        "after": "running" if change == "taken" else "success",
    }
    return {**state, **({"lane": change} if change else {})}


def simple(seconds, capture_id, **more):
    return [lane(seconds, capture_id, "taken"), post(seconds, capture_id, **more)]


def full(begins, ends, capture_id, **more):
    taken = [lane(begins, capture_id, "taken", kind="full"), post(begins, capture_id, kind="full", **more)]
    return [*taken, lane(ends, capture_id, "free", kind="full")]


def history(*types, message="it says why"):
    return [
        State(kind, kind.title(), message, START + timedelta(seconds=n))
        for n, kind in enumerate(["SCHEDULED", "PENDING", "RUNNING", *types])
    ]


def entry(capture_id, files, run=RUN, *, state="complete", packets=None, folder="e", kind="simple", **more):
    """An entry as edgecap would leave it, and its intent."""
    prefix = f"captures/2026/11/23/{folder}_{capture_id}/"
    count = sum(count_packets(data) for data in files.values()) if packets is None else packets
    manifest = {
        "entry_id": capture_id,
        "prefix": prefix,
        "state": state,
        "flags": [] if state == "complete" else [state],
        "intent": {"run": f"{run} a run"},
        "totals": {"packets": count},
        "files": [
            {"name": name, "role": "raw", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        ],
    }
    return {
        **{prefix + name: data for name, data in files.items()},
        prefix + "manifest.json": json.dumps(manifest).encode(),
        **intent(capture_id, run, kind=kind, **more),
    }


def intent(capture_id, run=RUN, ended=None, *, kind="simple", **more):
    decided = {"run": f"{run} a run", "body": {"type": kind, "offset_time": capture_id}, **more}
    records = {"intent": decided, "accepted": {"capture_id": capture_id}, "ended": ended}
    return {f"intents/i-{run}/{n}.json": json.dumps(value).encode() for n, value in records.items() if value}


FILE = pcap(3)


@pytest.fixture
def good():
    """A case in which all went well: one simple capture, one run that died once."""
    return Evidence(
        events=simple(0, CAPTURE),
        speed=1.0,
        archive=entry(CAPTURE, {"raw/all.pcap": FILE}),
        deliveries={CAPTURE: [Delivery("", FILE, 3)]},
        runs=[RunSeen(RUN, history("CRASHED", "SCHEDULED", "PENDING", "RUNNING", "COMPLETED"))],
        freed=[62.0],
    )


def changed(evidence, key, data):
    """The evidence with one file of the archive changed, or removed if there are no data."""
    [full_key] = [each for each in evidence.archive if each.endswith(key)]
    rest = {each: old for each, old in evidence.archive.items() if each != full_key}
    return replace(evidence, archive=rest if data is None else {**rest, full_key: data})


def two_runs(evidence, events, *, kind="simple"):
    return replace(
        evidence,
        events=events,
        archive={**evidence.archive, **entry(OTHER_CAPTURE, {"raw/all.pcap": FILE}, OTHER_RUN, kind=kind)},
        deliveries={**evidence.deliveries, OTHER_CAPTURE: [Delivery("", FILE, 3)]},
        runs=[*evidence.runs, RunSeen(OTHER_RUN, history("COMPLETED"))],
    )


def test_a_good_case_has_no_violation(good):
    assert judge(good) == []
    assert outcome_of(good.runs[0], good) == "archived"


def test_two_accepted_captures_of_one_intent(good):
    events = [*good.events, *simple(90, OTHER_CAPTURE, body={"offset_time": CAPTURE})]
    assert any("one intent led to 2" in found for found in judge(replace(good, events=events)))


def test_more_accepted_captures_than_runs(good):
    events = [*good.events, *simple(90, OTHER_CAPTURE)]
    assert any(
        "2 captures were accepted for 1 runs" in found for found in judge(replace(good, events=events))
    )


def test_two_simple_captures_within_the_minute_also_with_a_person(good):
    close = two_runs(good, [*simple(0, CAPTURE), *simple(59, OTHER_CAPTURE)])
    assert any("59.0 s apart" in found for found in judge(close))
    apart = two_runs(good, [*simple(0, CAPTURE), *simple(60, OTHER_CAPTURE)])
    assert judge(apart) == []
    person = replace(good, events=[*good.events, *simple(30, OTHER_CAPTURE, caller="a person")])
    assert any("30.0 s apart" in found for found in judge(person))


def test_two_full_captures_in_the_lane(good):
    one_by_one = [*full(0, 50, CAPTURE), *full(51, 99, OTHER_CAPTURE)]
    fulls = replace(good, archive=entry(CAPTURE, {"raw/all.pcap": FILE}, kind="full"))
    assert judge(two_runs(fulls, one_by_one, kind="full")) == []
    first, second = full(0, 50, CAPTURE), full(20, 99, OTHER_CAPTURE)
    both = [*first[:2], *second[:2], first[2], second[2]]
    assert any(
        "while" in found and "held the lane" in found for found in judge(two_runs(fulls, both, kind="full"))
    )


def test_a_refused_request_unless_a_person_or_the_fault_explains_it(good):
    refused = post(61, None, outcome="refused", status=429, reason="too soon")
    assert any("was refused: 429" in found for found in judge(replace(good, events=[*good.events, refused])))
    person = simple(60.5, OTHER_CAPTURE, caller="a person")
    assert judge(replace(good, events=[*good.events, *person, refused])) == []
    long_ago = replace(good, events=[*simple(-60, OTHER_CAPTURE, caller="a person"), *good.events, refused])
    assert any("was refused" in found for found in judge(long_ago))
    fault = {**refused, "fault": ["rate_limit"]}
    assert judge(replace(good, events=[*good.events, fault])) == []


def test_an_accepted_capture_without_an_entry_or_a_reason(good):
    bare = replace(good, archive=intent(CAPTURE))
    assert any("neither archived nor failed" in found for found in judge(bare))
    # A reason without the name of an error, or a run that failed for an intent of another run, is none.
    nameless = replace(good, archive=intent(CAPTURE, ended={"outcome": "failed", "error": "", "reason": "x"}))
    assert any("neither archived nor failed" in found for found in judge(nameless))
    other = replace(bare, runs=[*good.runs, RunSeen(OTHER_RUN, history("FAILED"))])
    assert any("neither archived nor failed" in found for found in judge(other))


def test_a_typed_reason_in_journal_or_run_state_is_enough(good):
    ended = {"outcome": "failed", "error": "CaptureFailed", "reason": "no packets"}
    assert judge(replace(good, archive=intent(CAPTURE, ended=ended))) == []
    failed = [RunSeen(RUN, history("FAILED"))]
    assert judge(replace(good, archive=intent(CAPTURE), runs=failed)) == []
    for none in ("", "Flow run encountered an exception: OSError: [Errno 30] Read-only file system"):
        untyped = [RunSeen(RUN, history("FAILED", message=none))]
        assert judge(replace(good, archive=intent(CAPTURE), runs=untyped)) != []


def test_two_entries_of_one_capture(good):
    twice = {**good.archive, **entry(CAPTURE, {"raw/all.pcap": FILE}, folder="f")}
    assert any("has 2 entries" in found for found in judge(replace(good, archive=twice)))


def test_packets_that_differ_from_the_delivered_ones(good):
    other = replace(good, archive=entry(CAPTURE, {"raw/all.pcap": pcap(3, b"\1")}))
    found = judge(other)
    assert any("lacks 1 of 1 delivered files" in each for each in found)
    assert any("has 1 files that were not delivered" in each for each in found)
    assert any("is nothing that the edge delivered" in each for each in found)


def test_a_manifest_that_claims_other_packets_than_there_are(good):
    wrong = replace(good, archive=entry(CAPTURE, {"raw/all.pcap": FILE}, packets=4))
    assert any("claims 4 packets of 3" in found for found in judge(wrong))
    # The edge says four, file and manifest agree on three: only an independent count can tell.
    more = replace(good, deliveries={CAPTURE: [Delivery("", FILE, 4)]})
    assert any("holds 3 packets of 4" in found for found in judge(more))


def test_a_file_of_a_server_that_was_not_fetched(good):
    two = {CAPTURE: [Delivery("s1", FILE, 3), Delivery("s2", gzip.compress(pcap(2)), 2)]}
    assert any("lacks 1 of 2" in found for found in judge(replace(good, deliveries=two)))
    both = entry(CAPTURE, {"raw/s1.pcap": FILE, "raw/s2.pcap": pcap(2)})
    assert judge(replace(good, deliveries=two, archive=both)) == []


def test_an_entry_that_hides_or_invents_that_a_file_is_missing(good):
    assert any("and a file is missing" in found for found in judge(replace(good, lost={CAPTURE})))
    partial = replace(good, archive=entry(CAPTURE, {"raw/all.pcap": FILE}, state="partial"))
    assert any("and no file is missing" in found for found in judge(partial))
    assert judge(replace(partial, lost={CAPTURE})) == []


def test_a_final_name_over_other_bytes_than_its_manifest_says(good):
    assert any("is not what its manifest" in found for found in judge(changed(good, "all.pcap", FILE[:-1])))
    assert any("is not there" in found for found in judge(changed(good, "all.pcap", None)))


def test_a_torn_file_counts_also_without_a_manifest(good):
    orphan = {**good.archive, "captures/2026/11/23/o_x/raw/s1.pcap": FILE[:50]}
    assert any("nothing that the edge delivered" in found for found in judge(replace(good, archive=orphan)))


def test_a_torn_record_of_the_journal(good):
    torn = {**good.archive, "intents/other/intent.json": b'{"run": "'}
    assert any("no whole JSON" in found for found in judge(replace(good, archive=torn)))


def test_a_completed_run_that_went_on(good):
    again = [RunSeen(RUN, history("COMPLETED", "SCHEDULED", "RUNNING", "COMPLETED"))]
    assert any("went on after it was completed" in found for found in judge(replace(good, runs=again)))


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "SCHEDULED", "CANCELLING"])
def test_a_run_that_did_not_end(good, state):
    hanging = [RunSeen(RUN, history(state))]
    assert any("did not end" in found for found in judge(replace(good, runs=hanging)))


def test_a_full_capture_that_is_left_running(good):
    left = replace(good, events=full(0, 50, CAPTURE)[:-1])
    assert any("still runs at the edge" in found for found in judge(left))


@pytest.mark.parametrize("freed", [91.0, None])
def test_a_lane_that_is_not_free_within_ninety_seconds(good, freed):
    assert any("lane of a dead holder" in found for found in judge(replace(good, freed=[20.0, freed])))


@pytest.mark.parametrize(
    ("types", "archive", "words"),
    [
        (["FAILED"], intent(CAPTURE, ended={"error": "StoreFull"}), "failed: StoreFull: it says why"),
        (["FAILED"], {}, "failed: it says why"),
        (["CANCELLED"], {}, "cancelled"),
        (["COMPLETED"], {}, "completed without an entry"),
        (["CRASHED"], {}, "given up: no reason"),
        (["RUNNING"], {}, "left RUNNING"),
        (["CANCELLED"], entry(CAPTURE, {}, state="empty"), "cancelled, archived (empty)"),
    ],
)
def test_how_a_run_ended_in_words(good, types, archive, words):
    assert outcome_of(RunSeen(RUN, history(*types)), replace(good, archive=archive)) == words


def test_a_colleague_s_capture_that_was_adopted(good):
    theirs = replace(good, events=simple(0, CAPTURE, caller="a person"))
    found = judge(theirs)
    assert any("was taken for ours" in each for each in found)
    assert any("keeps a capture that we never asked for" in each for each in found)


def test_a_capture_that_differs_from_its_intent(good):
    other = {**good.archive, **intent(CAPTURE, body={"type": "simple", "time_limit": 99})}
    assert any("is not what its intent asks for" in found for found in judge(replace(good, archive=other)))
    # A full capture's destination is not journalled, and no difference.
    asked = {"type": "full", "colo_name": "ord02"}
    files = entry(CAPTURE, {"raw/all.pcap": FILE}, body=asked)
    posted = full(0, 50, CAPTURE, body={**asked, "destination_conf": "s3://bucket"})
    assert judge(replace(good, events=posted, archive=files)) == []


def test_a_capture_that_two_intents_have(good):
    both = {**good.archive, **intent(CAPTURE, OTHER_RUN)}
    assert any("is that of two intents" in found for found in judge(replace(good, archive=both)))
    other = intent(CAPTURE, OTHER_RUN)
    assert any("is that of two intents" in found for found in judge(replace(good, other=other)))


def test_two_intents_may_want_alike_captures_but_one_only_one(good):
    asked = {"type": "full", "colo_name": "ord02"}
    events = [*full(0, 50, CAPTURE, body=asked), *full(51, 99, OTHER_CAPTURE, body=asked)]
    one = entry(CAPTURE, {"raw/all.pcap": FILE}, body=asked)
    two = entry(OTHER_CAPTURE, {"raw/all.pcap": FILE}, OTHER_RUN, body=asked)
    fair = replace(
        two_runs(good, events),
        archive=one,
        other=two,
    )
    assert judge(fair) == []
    assert any("one intent led to 2 accepted" in found for found in judge(replace(fair, other={})))


def test_a_window_that_was_asked_for_again_without_a_mark(good):
    twice = [*simple(0, OTHER_CAPTURE), *simple(61, CAPTURE)]
    unmarked = replace(good, events=twice)
    assert any("2 captures were accepted for 1 runs" in found for found in judge(unmarked))
    first = intent(
        "",
        "first",
        {"outcome": "repeated", "error": "OutcomeUnknown", "reason": "unknown", "repeated_by": "i"},
    )
    decided = json.loads(first["intents/i-first/intent.json"])
    first["intents/i-first/intent.json"] = json.dumps(
        {**decided, "run": RUN, "body": {"type": "simple", "offset_time": OTHER_CAPTURE}}
    ).encode()
    del first["intents/i-first/accepted.json"]
    again = entry(CAPTURE, {"raw/all.pcap": FILE}, repeats="i-first")
    assert judge(replace(good, events=twice, archive={**first, **again})) == []


def test_a_key_that_lies_in_both_archives(good):
    assert any("lies in both archives" in found for found in judge(replace(good, other=good.archive)))


def cancelled(good, events, seconds):
    """A run of a full capture that was cancelled some seconds after the start."""
    ended = {"outcome": "cancelled", "error": "", "reason": "cancelled"}
    files = intent(CAPTURE, ended=ended, kind="full") | entry(CAPTURE, {"raw/all.pcap": FILE}, kind="full")
    runs = [RunSeen(RUN, history("CANCELLING", "CANCELLED"))]
    cancels = [(START + timedelta(seconds=seconds)).timestamp()]
    return replace(good, events=events, archive=files, runs=runs, cancels=cancels)


def test_a_cancel_after_which_the_full_capture_goes_on(good):
    late, soon = cancelled(good, full(0, 50, CAPTURE), 30), cancelled(good, full(0, 50, CAPTURE), 40)
    assert any("was only 20 s after the cancel stopped" in found for found in judge(late))
    assert judge(soon) == []
    stop = {"event": "stop", "capture_id": CAPTURE, "wall": at(40), "time": at(40)}
    assert judge(replace(late, events=[*late.events, stop])) == []
    never = replace(late, events=full(0, 50, CAPTURE)[:-1])
    assert any("was never stopped" in found for found in judge(never))


def test_a_cancel_after_which_a_full_capture_is_started(good):
    found = judge(cancelled(good, full(20, 22, CAPTURE), 0))
    assert any("was started 20 s after the cancel" in each for each in found)
    # A POST that was under way may be accepted a moment later, and then has its own fifteen seconds.
    assert judge(cancelled(good, full(10, 24, CAPTURE), 0)) == []


def test_a_cancelled_run_that_is_not_over_in_time(good):
    asked = cancelled(good, full(0, 50, CAPTURE), -200)
    assert any("was over" in found and "after the cancel only" in found for found in judge(asked))


@pytest.mark.parametrize(("noticed", "words"), [(121.0, "after 121 s only"), (None, "nobody noticed")])
def test_a_dead_run_that_is_noticed_too_late(good, noticed, words):
    late = replace(good, noticed=[9.0, noticed], noticed_within=120.0)
    assert any(words in found for found in judge(late))
    assert judge(replace(late, noticed_within=None)) == []
