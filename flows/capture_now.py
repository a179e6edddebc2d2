"""The two forms of Prefect's UI for a capture now: flat fields, from which the run makes its request.

Both flows are called `capture`, like the one for schedules, alerts and programs. So all code that finds or
stops runs of `capture` finds these too. Prefect's UIs make the forms from the signatures and docstrings.
"""

# No `from __future__ import annotations`: Prefect makes the form of the UI from the real types.
from datetime import datetime
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as this_run
from pydantic import MISSING, BeforeValidator, Field, WithJsonSchema

from edgecap.captures.order import CaptureOrder
from edgecap.captures.parameters import ANY, filled_in, request_of
from edgecap.requests import Bounds
from edgecap.settings import DEFAULT
from flows.capture import take_capture
from tasks.archive import EntrySummary

# A default of None becomes null in the form, which Prefect then refuses as no number. MISSING gives the
# field no default, so the form sends nothing for an empty one; Prefect also accepts null for it.
EMPTY: Any = MISSING
_BOUNDS = Bounds()
_LARGEST_PORT = 65_535
_PROTOCOLS = [ANY, "tcp", "udp", "icmp", "gre", "esp", "ah", "ipip", "sctp"]
_NO_HOST_NAME = r"^\s*[0-9A-Fa-f.:/]*\s*$"
_COLO = r"^\s*([A-Za-z]{3}([0-9]{2,3})?|[Aa][Uu][Tt][Oo])\s*$"
_EMPTIED = BeforeValidator(filled_in)


def _labelled(label: str) -> Any:
    """A field's label. Without one, the form shows the parameter's name."""
    return Field(json_schema_extra={"title": label})


def _number(least: int, most: int) -> Any:
    """What a form takes as a number: with bounds beside a null, it would show a choice of two types."""
    return WithJsonSchema({"type": "integer", "minimum": least, "maximum": most})


def _text(pattern: str = "") -> Any:
    return WithJsonSchema({"type": "string", **({"pattern": pattern} if pattern else {})})


_Text = Annotated[str | None, _EMPTIED]
_Number = Annotated[int | None, _EMPTIED]
Expression = Annotated[_Text, _text(), _labelled("Filter expression")]
Destination = Annotated[_Text, _text(_NO_HOST_NAME), _labelled("Destination address")]
Source = Annotated[_Text, _text(_NO_HOST_NAME), _labelled("Source address")]
DestinationPort = Annotated[_Number, _number(0, _LARGEST_PORT), _labelled("Destination port")]
SourcePort = Annotated[_Number, _number(0, _LARGEST_PORT), _labelled("Source port")]
Protocol = Annotated[_Text, WithJsonSchema({"type": "string", "enum": _PROTOCOLS}), _labelled("Protocol")]
MostPackets = Annotated[_Number, _number(1, _BOUNDS.packet_limit), _labelled("Most packets")]
MostBytes = Annotated[_Number, _number(1, _BOUNDS.byte_limit), _labelled("Most bytes")]
Until = Annotated[
    datetime | None,
    _EMPTIED,
    WithJsonSchema({"type": "string", "format": "date-time"}),
    _labelled("End of the window"),
]
Colo = Annotated[str, _text(_COLO), _labelled("Data centre")]
Bucket = Annotated[_Text, _text(), _labelled("Bucket")]
Account = Annotated[_Text, _text(), _labelled("Account")]
Archive = Annotated[_Text, _text(), _labelled("Archive")]


def _name() -> str:
    """Such as `simple 60s 203.0.113.7:443`."""
    return str(request_of(this_run.parameters))


@flow(name="capture", flow_run_name=_name, persist_result=True, retries=0)
async def simple_capture_now(
    filter_expression: Expression = EMPTY,
    destination_address: Destination = EMPTY,
    destination_port: DestinationPort = EMPTY,
    source_address: Source = EMPTY,
    source_port: SourcePort = EMPTY,
    protocol: Protocol = ANY,
    seconds: Annotated[_Number, _number(1, _BOUNDS.simple_time_limit), _labelled("Seconds")] = 60,
    until: Until = EMPTY,
    packets: MostPackets = _BOUNDS.packet_limit,
    account: Account = DEFAULT,
    archive: Archive = DEFAULT,
) -> State[EntrySummary]:
    """Look back at sampled packet headers in all data centres.

    Without any change it brings samples of all packets of the last minute. If several fields are filled in,
    packets must match all of them. Cloudflare allows one such request a minute; a run that waits for its turn
    is WaitingForLane.

    Args:
        filter_expression: Which packets, as for tcpdump, such as udp and src port 53. Empty takes all.
        destination_address: IPv4 address that packets go to, such as 203.0.113.7. Empty takes all.
        destination_port: TCP or UDP port that packets go to, such as 443. Empty takes all.
        source_address: IPv4 address that packets come from, such as 198.51.100.9. Empty takes all.
        source_port: TCP or UDP port that packets come from. Empty takes all.
        protocol: For one that is not listed, write proto and its number as the filter expression.
        seconds: How far to look back, 1 to 300.
        until: When the window ends, at most 24 hours ago. Empty means now.
        packets: The capture ends after this many, 1 to 10000.
        account: Name of the Cloudflare account in edgecap's settings.
        archive: Name of the archive in edgecap's settings.
    """
    return await _take(locals())


@flow(name="capture", flow_run_name=_name, persist_result=True, retries=0)
async def full_capture_now(
    colo: Colo,
    filter_expression: Expression = EMPTY,
    destination_address: Destination = EMPTY,
    destination_port: DestinationPort = EMPTY,
    source_address: Source = EMPTY,
    source_port: SourcePort = EMPTY,
    protocol: Protocol = ANY,
    seconds: Annotated[_Number, _number(1, _BOUNDS.full_time_limit), _labelled("Seconds")] = 60,
    packets: MostPackets = EMPTY,
    bytes: MostBytes = EMPTY,  # noqa: A002 - the field's name
    bucket: Bucket = DEFAULT,
    account: Account = DEFAULT,
    archive: Archive = DEFAULT,
) -> State[EntrySummary]:
    """Record every packet, whole, at one data centre from now on, into your bucket.

    Only the data centre must be filled in. If several fields are filled in, packets must match all of them.
    Cloudflare allows one full capture at a time; a run that waits for its turn is WaitingForLane.

    Args:
        colo: One data centre such as ord02, a city such as ORD for all of its data centres, or auto for
            where most of the packets to the destination address arrive.
        filter_expression: Which packets, as for tcpdump, such as udp and src port 53. Empty takes all.
        destination_address: IPv4 address that packets go to, such as 203.0.113.7. Empty takes all.
        destination_port: TCP or UDP port that packets go to, such as 443. Empty takes all.
        source_address: IPv4 address that packets come from, such as 198.51.100.9. Empty takes all.
        source_port: TCP or UDP port that packets come from. Empty takes all.
        protocol: For one that is not listed, write proto and its number as the filter expression.
        seconds: How long to record, 1 to 86400.
        packets: The capture ends after this many, 1 to 10000. Empty sets no limit.
        bytes: The capture ends after this many, 1 to 1000000000. Empty sets no limit.
        bucket: Name of the bucket in edgecap's settings that Cloudflare writes to.
        account: Name of the Cloudflare account in edgecap's settings.
        archive: Name of the archive in edgecap's settings.
    """
    return await _take(locals())


async def _take(fields: dict[str, Any]) -> State[EntrySummary]:
    account, archive = (filled_in(fields[name]) or DEFAULT for name in ("account", "archive"))
    return await take_capture(
        CaptureOrder(request_of(fields), this_run.id, this_run.name, account=account, archive=archive)
    )
