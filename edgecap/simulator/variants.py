"""Undocumented properties of the real API, as choices; a client must work with all of them.

`VARIANTS` names several plausible APIs, which the tests use. Durations are seconds on the simulator's clock.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from edgecap.errors import ConfigError
from edgecap.simulator.envelope import Refusal

Step = tuple[str, float]
"""A state of a capture, and its duration; `running` of a full capture lasts as long as the request says."""

FINISHED = frozenset({"success", "complete", "failed"})

_TOO_SOON = Refusal(
    429, 10100, "Rate limit exceeded: one simple packet capture request per minute is allowed", True
)
_BUSY = Refusal(429, 10101, "A full packet capture is already pending or running for this account")
_THROTTLE = Refusal(429, 10500, "Please wait and consider throttling your request speed", True)
_WRONG_CREDENTIALS = Refusal(401, 10000, "Authentication error")
_NO_PERMISSION = Refusal(403, 10000, "Authentication error")
_INVALID = Refusal(400, 1002, "invalid")
_MISSING = Refusal(404, 1003, "packet capture or bucket not found")
_NOT_READY = Refusal(404, 1004, "no packet capture file is available for download")
_NOT_STOPPABLE = Refusal(400, 1005, "only a pending or running full packet capture can be stopped")


@dataclass(frozen=True)
class Variant:
    """One plausible API.

    Attributes:
        too_soon: the refusal of a simple capture less than a minute after the last one.
        busy: the refusal of a full capture while another one holds the lane.
        lane_until: a full capture holds the lane until its packets are `captured`, or until it is `final`.
        throttle: the refusal beyond the general rate limit.
        wrong_credentials: the refusal of an unknown, well-formed token or key.
        no_permission: the refusal of a valid token for this account or operation.
        invalid: status and code for an invalid field; the message is the field's own.
        pointers: whether a JSON pointer also names the invalid field.
        missing: the refusal of an unknown id.
        not_ready: the refusal of a download without a file.
        not_stoppable: the refusal to stop a capture that does not run.
        simple_steps: states of a simple capture in order, the last one final.
        full_steps: states of a full capture in order, `running` among them, the last one final.
        simple_without_packets: the end of a simple capture without matching packets.
        key_scheme: keys of a bucket's files. server: `<server>/pcap_<id>.pcap`; date:
            `<YYYYMMDD>/<server>/pcap_<id>.pcap`; flat: `pcap_<id>.pcap` and then `pcap_<id>_1.pcap`, ...
        gzip: no: not compressed; named: compressed, with `.gz`; silent: compressed, without `.gz`.
        empty_files: whether servers without matching packets deliver an empty file.
        files_after: seconds from the final state to the files; 0 means before it.
        list_order: of `GET /pcaps`.
        list_lag: seconds until the list shows a new capture.
        pages: whether the list has further pages, with `page`, `per_page` and `result_info`; if not, both are
            ignored.
        shown_after: seconds until a new capture is found by its id.
        download_after: seconds until a finished simple capture's file can be downloaded.
        download_redirects: whether a download is answered with 302, to another path.
        offset_digits: digits of a second that `offset_time` keeps.
        colo_field: the data centre's field in answers.
        empty_list: `result` of an empty list.
        absent: representation of fields without a value.
        extra_fields: whether answers have undocumented fields.
        filename_folder: whether an ownership's `filename` includes the destination's folder.
        challenge_after: seconds until the challenge file is in the bucket.
        validation_takes: seconds for which an ownership stays `pending` after the correct answer.
        stop_takes: seconds for which a capture continues after a stop request.
        stop_keeps: what a stopped capture delivers. Cloudflare's own command line warns that unsaved data is
            lost, without details. all: every file; some: the first server's only; nothing: no file, but
            success; failed: no file, and the capture fails.
        echo_keys: whether an r2 destination is echoed with its keys.
        full_time_limit: the longest full capture; one page of the documentation says 300.
        lenient_filters: whether IPv6 addresses and networks are accepted in filters.
        analytics_denied: how a token without the permission for analytics is refused. account: the error
            names the account; path: the error names the node; envelope: as a call for captures.
        analytics_errors: the HTTP status of an answer with errors. ok: 200; status: one for each kind.
        analytics_names: what the dimensions of addresses are called. ip: `ipDestinationAddress`; plain:
            `destinationAddress`.
        analytics_codes: what `coloCode` is. airport: a code that `colo_name` accepts; metro: that of the
            city, such as `CHI` for Chicago, where the city has one.
        analytics_lag: minimum and maximum of the further seconds until a city's minute can be in an answer.
        analytics_rewritten: seconds until all rows are as they stay; until then about a third is missing.
        analytics_incomplete: whether the rows of some cities are missing, and an error beside the data says
            so. Of a query with several nodes, one with an error does not keep the others from being answered.
        logpush_time: what `Datetime` is in Logpush's rows; the customer chooses it.
        logpush_sampler: the `MitigationSystem` of a packet that passed; it is documented as the system that
            sampled the packet. none: empty; dosd: always this one.
        logpush_fields: which fields they have; the customer chooses them. all: every one; few: no ids of
            sites, no details of headers; bare: only when, where, from, to and the outcome.
    """

    too_soon: Refusal = _TOO_SOON
    busy: Refusal = _BUSY
    lane_until: Literal["captured", "final"] = "final"
    throttle: Refusal = _THROTTLE
    wrong_credentials: Refusal = _WRONG_CREDENTIALS
    no_permission: Refusal = _NO_PERMISSION
    invalid: Refusal = _INVALID
    pointers: bool = False
    missing: Refusal = _MISSING
    not_ready: Refusal = _NOT_READY
    not_stoppable: Refusal = _NOT_STOPPABLE
    simple_steps: tuple[Step, ...] = (("pending", 1.0), ("running", 1.5), ("success", 0.0))
    full_steps: tuple[Step, ...] = (
        ("pending", 3.0),
        ("running", 0.0),
        ("conversion_pending", 3.0),
        ("conversion_running", 6.0),
        ("success", 0.0),
    )
    simple_without_packets: Literal["success", "failed"] = "success"
    key_scheme: Literal["server", "date", "flat"] = "server"
    gzip: Literal["no", "named", "silent"] = "no"
    empty_files: bool = False
    files_after: float = 0.0
    list_order: Literal["newest", "oldest", "shuffled"] = "newest"
    list_lag: float = 0.0
    pages: bool = False
    shown_after: float = 0.0
    download_after: float = 0.0
    download_redirects: bool = False
    offset_digits: Literal[0, 3, 6] = 6
    colo_field: Literal["colo_name", "colo", "both"] = "colo_name"
    empty_list: Literal["array", "null"] = "array"
    absent: Literal["omit", "null"] = "omit"
    extra_fields: bool = False
    filename_folder: bool = False
    challenge_after: float = 0.0
    validation_takes: float = 20.0
    stop_takes: float = 2.0
    stop_keeps: Literal["all", "some", "nothing", "failed"] = "all"
    echo_keys: bool = False
    full_time_limit: int = 86_400
    lenient_filters: bool = False
    analytics_denied: Literal["account", "path", "envelope"] = "account"
    analytics_errors: Literal["ok", "status"] = "ok"
    analytics_names: Literal["ip", "plain"] = "ip"
    analytics_codes: Literal["airport", "metro"] = "airport"
    analytics_lag: tuple[float, float] = (0.0, 0.0)
    analytics_rewritten: float = 0.0
    analytics_incomplete: bool = False
    logpush_time: Literal["seconds", "milliseconds", "nanoseconds", "rfc3339"] = "nanoseconds"
    logpush_sampler: Literal["none", "dosd"] = "none"
    logpush_fields: Literal["all", "few", "bare"] = "all"

    def __post_init__(self) -> None:
        """Raise ConfigError if the sequence of states is invalid."""
        for steps, name in ((self.simple_steps, "simple_steps"), (self.full_steps, "full_steps")):
            states = [state for state, _ in steps]
            if len(states) < 2 or states[-1] not in FINISHED or FINISHED & set(states[:-1]):  # noqa: PLR2004 - start, end
                raise ConfigError("the last state, and only it, must be final", where=name)
        if [state for state, _ in self.full_steps].count("running") != 1:
            raise ConfigError("a full capture must be `running` once", where="full_steps")


VARIANTS: dict[str, Variant] = {
    # The documented behaviour, and the simplest interpretation where it is undocumented.
    "documented": Variant(),
    # Refuses with 409, converts before it reports that, compresses, dates its folders. A stop loses files.
    "conflict": Variant(
        too_soon=Refusal(409, 1100, "Another simple capture was requested within the last 60 seconds"),
        busy=Refusal(409, 1101, "Account already has an active full capture"),
        lane_until="captured",
        wrong_credentials=Refusal(403, 9109, "Invalid access token"),
        no_permission=Refusal(403, 9109, "Unauthorized to access requested resource"),
        not_stoppable=Refusal(409, 1102, "capture is not running"),
        full_steps=(("pending", 1.0), ("running", 0.0), ("conversion_running", 2.0), ("complete", 0.0)),
        key_scheme="date",
        gzip="named",
        list_order="oldest",
        offset_digits=3,
        filename_folder=True,
        stop_keeps="some",
        analytics_denied="path",
        analytics_errors="status",
        analytics_names="plain",
        logpush_time="rfc3339",
        logpush_sampler="dosd",
    ),
    # Refuses everything with 400 and without headers, and is slow to show new captures.
    "lagging": Variant(
        too_soon=Refusal(400, 1002, "simple pcaps are limited to 1 request per minute"),
        busy=Refusal(400, 1002, "only one full pcap request may be pending or running at a time"),
        missing=Refusal(400, 1002, "no such pcap or bucket"),
        not_ready=Refusal(400, 1002, "no file to download"),
        full_steps=(
            ("pending", 2.0),
            ("running", 0.0),
            ("conversion_running", 2.0),
            ("conversion_pending", 2.0),
            ("success", 0.0),
        ),
        simple_without_packets="failed",
        files_after=8.0,
        list_order="shuffled",
        list_lag=5.0,
        shown_after=4.0,
        download_after=10.0,
        offset_digits=0,
        challenge_after=3.0,
        validation_takes=60.0,
        stop_takes=6.0,
        analytics_lag=(0.0, 600.0),
        analytics_rewritten=36_000.0,
        logpush_time="seconds",
    ),
    # Numbered files in one folder, compressed without `.gz`, older field names, downloads from another
    # address, and full captures of at most five minutes.
    "flat": Variant(
        too_soon=Refusal(429, 10100, "You have exceeded your rate limit"),
        busy=Refusal(429, 10100, "You have exceeded your rate limit"),
        key_scheme="flat",
        gzip="silent",
        empty_files=True,
        download_redirects=True,
        colo_field="colo",
        simple_steps=(("pending", 1.0), ("complete", 0.0)),
        pointers=True,
        full_time_limit=300,
        analytics_codes="metro",
        logpush_time="milliseconds",
        logpush_fields="few",
    ),
    # Undocumented fields, further pages of the list, and `null` for absent values.
    "talkative": Variant(
        throttle=Refusal(429, 971, "Please wait and consider throttling your request speed", True),
        invalid=Refusal(422, 1022, "invalid"),
        full_steps=(
            ("unknown", 1.0),
            ("pending", 1.0),
            ("running", 0.0),
            ("conversion_pending", 1.0),
            ("conversion_queued", 2.0),
            ("conversion_running", 2.0),
            ("success", 0.0),
        ),
        pages=True,
        colo_field="both",
        empty_list="null",
        absent="null",
        extra_fields=True,
        validation_takes=0.0,
        echo_keys=True,
        lenient_filters=True,
        analytics_denied="envelope",
        analytics_incomplete=True,
        logpush_fields="bare",
    ),
}


def make_variant(name: str, changes: Mapping[str, str] | None = None) -> Variant:
    """A named variant with some choices changed.

    Args:
        name: a key of `VARIANTS`.
        changes: choice to value, as JSON or plain text: `list_lag=5`, `gzip=named`.

    Raises:
        ConfigError: there is no such variant, choice or value.
    """
    if name not in VARIANTS:
        raise ConfigError(f"unknown variant {name!r} (known: {', '.join(VARIANTS)})", where="variant")
    values = {entry.name: getattr(VARIANTS[name], entry.name) for entry in dataclasses.fields(Variant)}
    for choice, text in (changes or {}).items():
        if choice not in values:
            raise ConfigError(f"unknown choice {choice!r} (known: {', '.join(values)})", where="set")
        try:
            values[choice] = json.loads(text)
        except ValueError:
            values[choice] = text
    try:
        return TypeAdapter(Variant).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ConfigError(
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}", where="set", hint="correct this choice"
        ) from None
