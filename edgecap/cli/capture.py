"""`edgecap capture simple` and `edgecap capture full`: take a capture now, from the request to the entry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from edgecap.archive.entries import find_entry
from edgecap.captures.destinations import destination_conf
from edgecap.cli.dry_run import dry_run
from edgecap.cli.entries import entry_json
from edgecap.cli.entry_table import ListedEntry, print_entries
from edgecap.cli.forked import go_on_in_fork
from edgecap.cli.options import Account, Archive, Json
from edgecap.cli.output import console, print_json, say
from edgecap.cli.running import run_capture
from edgecap.cli.values import parse_protocol, parse_size, parse_when
from edgecap.errors import InvalidRequest, WindowTooOld
from edgecap.filters.check import check_request
from edgecap.report.words import without_packets
from edgecap.requests import Filter, FullRequest, SimpleRequest
from edgecap.settings import DEFAULT, Settings, load_settings
from edgecap.stores import open_store


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Which:
    """The packets to keep; an option that is not given matches everything."""

    src: Annotated[str | None, Parameter(help="IPv4 address that packets come from.")] = None
    dst: Annotated[str | None, Parameter(help="IPv4 address that packets go to.")] = None
    sport: Annotated[int | None, Parameter(help="TCP or UDP port that packets come from.")] = None
    dport: Annotated[int | None, Parameter(help="TCP or UDP port that packets go to.")] = None
    proto: Annotated[str | None, Parameter(help="IP protocol: a name such as udp, or a number.")] = None

    expression: Annotated[
        str,
        Parameter(
            name="--filter",
            help="Filter as for tcpdump; packets must also match the options above. "
            "`edgecap explain` shows the API's part.",
            show_default=False,
        ),
    ] = ""

    def filter(self) -> Filter:
        """The API's `filter_v1` fields."""
        return Filter(
            source_address=self.src,
            destination_address=self.dst,
            source_port=self.sport,
            destination_port=self.dport,
            protocol=None if self.proto is None else parse_protocol(self.proto, field="--proto"),
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class How:
    """Account, archive and output."""

    account: Account = DEFAULT
    archive: Archive = DEFAULT
    json: Json = False
    dry_run: Annotated[
        bool,
        Parameter(
            help="Print the exact request and its earliest start; only list captures at Cloudflare.",
            show_default=False,
        ),
    ] = False


_OPTIONS = {
    "time_limit": "--seconds",
    "packet_limit": "--packets",
    "byte_limit": "--bytes",
    "offset_time": "--at",
    "colo_name": "--colo",
    "filter_v1.source_address": "--src",
    "filter_v1.destination_address": "--dst",
    "filter_v1.source_port": "--sport",
    "filter_v1.destination_port": "--dport",
    "filter_v1.protocol": "--proto",
    "expression": "--filter",
}
"""The option that a person types for a field of a request, as errors name it."""
_EVERYTHING = Which()
_AS_USUAL = How()


def simple(
    *,
    seconds: int = 60,
    packets: int = 10_000,
    at: str | None = None,
    which: Which = _EVERYTHING,
    how: How = _AS_USUAL,
) -> None:
    """Look back at sampled packet headers in all data centres.

    Args:
        seconds: Seconds to look back, 1 to 300.
        packets: Maximum packets, 1 to 10000.
        at: End of the window: 10m for ten minutes ago, or a time such as 2026-11-23T06:30:00Z.
        which: Which packets.
        how: Account, archive and output.
    """
    ends = parse_when(at, field="--at", now=datetime.now(UTC)) if at else None
    request = SimpleRequest(
        time_limit=seconds,
        packet_limit=packets,
        offset_time=ends,
        filter=which.filter(),
        expression=which.expression,
    )
    _take(request, how)


def full(
    *,
    colo: str,
    seconds: int = 60,
    packets: int | None = None,
    bytes: str | None = None,  # noqa: A002 - the option's name
    bucket: str = DEFAULT,
    detach: Annotated[bool, Parameter(show_default=False)] = False,
    which: Which = _EVERYTHING,
    how: How = _AS_USUAL,
) -> None:
    """Record every packet, whole, at one data centre from now on.

    Args:
        colo: Data centre such as ord02, city such as ORD (all its data centres), or auto: where most arrives.
        seconds: Seconds to capture, 1 to 86400.
        packets: Maximum packets, 1 to 10000; no limit by default.
        bytes: Maximum bytes, such as 100MB, up to 1GB; no limit by default.
        bucket: Name of the bucket in the settings that Cloudflare writes to.
        detach: Let Ctrl-C end this command only; the capture goes on at Cloudflare.
        which: Which packets.
        how: Account, archive and output.
    """
    _take(
        FullRequest(
            colo=colo,
            bucket=bucket,
            time_limit=seconds,
            packet_limit=packets,
            byte_limit=None if bytes is None else parse_size(bytes, field="--bytes"),
            filter=which.filter(),
            expression=which.expression,
        ),
        how,
        detach=detach,
    )


def _take(request: SimpleRequest | FullRequest, how: How, *, detach: bool = False) -> None:
    settings = load_settings()
    _check(request, settings, how)
    if how.dry_run:
        dry_run(request, settings, account=how.account, archive=how.archive, json=how.json)
        return
    go_on_in_fork(settings.home)
    summary = run_capture(request, settings, account=how.account, archive=how.archive, detach=detach)
    entry = find_entry(open_store(settings.archive(how.archive)), summary.where)
    if how.json:
        print_json(entry_json(entry, summary.verdict))
    else:
        print_entries(console(), [ListedEntry(entry, summary.verdict)])
        if without_packets(entry.manifest):
            say(f"`edgecap show {entry.manifest.entry_id[:8]}` says why.")


def _check(request: SimpleRequest | FullRequest, settings: Settings, how: How) -> None:
    """Reject at once an invalid request that no server is needed to judge, in the words of the options."""
    try:
        check_request(request, settings.bounds, now=datetime.now(UTC))
    except InvalidRequest as error:
        raise _in_options(error) from None
    except WindowTooOld as error:
        raise WindowTooOld(error.what, where=_OPTIONS[error.where], hint=error.hint) from None
    settings.account(how.account)
    open_store(settings.archive(how.archive))
    if isinstance(request, FullRequest):
        destination_conf(settings.bucket(request.bucket), with_secrets=False)


def _in_options(error: InvalidRequest) -> InvalidRequest:
    """The error with the options that a person typed, in place of the request's fields."""
    option = _OPTIONS.get(error.field, error.field)
    field = error.field.removeprefix("filter_v1.")
    what = re.sub(rf"(^|no packet can match: ){field} ", rf"\g<1>{option} ", error.what)
    where = re.sub(rf"^({re.escape(error.field)}|{field})", option, error.where)
    return InvalidRequest(
        what.replace("the expression asks", "--filter asks"),
        field=option,
        where=where,
        hint=error.hint.replace("use the filter expression", "use --filter"),
    )
