"""Parse the body of a `POST`, with the documented bounds."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from edgecap.errors import ConfigError
from edgecap.requests import LOOK_BACK, SYSTEM, Filter
from edgecap.settings.uri import Address, parse_uri
from edgecap.simulator.envelope import Problem, Refused
from edgecap.simulator.variants import Variant

SIMPLE_TIME_LIMIT = 300
PACKET_LIMIT = 10_000
BYTE_LIMIT = 1_000_000_000
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", flags=re.ASCII)
_ADDRESSES = ("source_address", "destination_address")
_NUMBERS = {"source_port": 65_535, "destination_port": 65_535, "protocol": 255}


@dataclass(frozen=True)
class Wanted:
    """The requested capture.

    Attributes:
        type: `simple` or `full`.
        time_limit: seconds.
        packet_limit: maximum packets, or None.
        byte_limit: maximum bytes, or None.
        filter: the filter.
        filter_v1: the filter as sent, to be echoed.
        offset_time: end of a simple capture's window, rounded as in the variant.
        colo: data centre or city of a full capture, as sent.
        destination_conf: bucket of a full capture, as sent; may hold keys.
    """

    type: str
    time_limit: int
    packet_limit: int | None
    byte_limit: int | None
    filter: Filter
    filter_v1: dict[str, Any]
    offset_time: datetime
    colo: str = ""
    destination_conf: str = ""


class BodyReader:
    """Parses a JSON body, field by field. `null` is invalid for every field, as in the OpenAPI document.

    Args:
        body: the parsed body.
        variant: how invalid fields are refused.

    Raises:
        Refused: the body is not a JSON object.
    """

    def __init__(self, body: Any, variant: Variant) -> None:
        self._variant = variant
        if not isinstance(body, dict):
            raise self.wrong("", "the request body must be a JSON object")
        self._body = body

    def wrong(self, field: str, message: str) -> Refused:
        """The refusal of a field, or of the whole body."""
        invalid = self._variant.invalid
        pointer = "/" + field.replace(".", "/") if self._variant.pointers and field else ""
        return Refused(invalid.status, (Problem(invalid.code, message, pointer),))

    def text(self, field: str) -> str:
        """A required, non-empty text."""
        value = self._body.get(field)
        if not isinstance(value, str) or not value:
            raise self.wrong(field, f"{field} is required and must be a string")
        return value

    def number(self, field: str, most: int, *, required: bool) -> int | None:
        """A whole number from 1 to `most`; None if it is missing and not `required`."""
        if field not in self._body and not required:
            return None
        value = self._body.get(field)
        whole = _whole(value)
        if whole is None or not 1 <= whole <= most:
            raise self.wrong(field, f"{field} must be a whole number between 1 and {most}")
        return whole

    def capture(self, now: datetime) -> Wanted:
        """The body of `POST /pcaps`."""
        kind = self.text("type")
        if kind not in ("simple", "full"):
            raise self.wrong("type", "type must be simple or full")
        if self.text("system") != SYSTEM:
            raise self.wrong("system", f"system must be {SYSTEM}")
        full = kind == "full"
        longest = self._variant.full_time_limit if full else SIMPLE_TIME_LIMIT
        time_limit = self.number("time_limit", longest, required=True)
        assert time_limit is not None
        wanted, sent = self._filter()
        return Wanted(
            type=kind,
            time_limit=time_limit,
            packet_limit=self.number("packet_limit", PACKET_LIMIT, required=not full),
            byte_limit=self.number("byte_limit", BYTE_LIMIT, required=False) if full else None,
            filter=wanted,
            filter_v1=sent,
            offset_time=now if full else self._offset(now),
            colo=self._colo() if full else "",
            destination_conf=self.text("destination_conf") if full else "",
        )

    def destination(self) -> tuple[str, Address]:
        """`destination_conf` as sent, and parsed."""
        uri = self.text("destination_conf")
        try:
            address = parse_uri(uri)
        except ConfigError as error:
            raise self.wrong("destination_conf", f"destination_conf is invalid: {error.what}") from None
        if address.scheme == "file":
            raise self.wrong("destination_conf", "destination_conf must be an s3, gs or r2 bucket")
        return uri, address

    def _colo(self) -> str:
        # The documentation's curl examples send `colo`, the schema and every SDK send `colo_name`.
        return self.text("colo" if "colo_name" not in self._body and "colo" in self._body else "colo_name")

    def _offset(self, now: datetime) -> datetime:
        moment = now
        if "offset_time" in self._body:
            parsed = _moment(self._body["offset_time"])
            if parsed is None:
                raise self.wrong("offset_time", "offset_time must be an RFC 3339 time")
            if parsed > now:
                raise self.wrong("offset_time", "offset_time must not be in the future")
            if parsed < now - LOOK_BACK:
                raise self.wrong("offset_time", "offset_time must be within the last 24 hours")
            moment = parsed
        unit = 10 ** (6 - self._variant.offset_digits)
        return moment.replace(microsecond=moment.microsecond // unit * unit)

    def _filter(self) -> tuple[Filter, dict[str, Any]]:
        sent = self._body.get("filter_v1", {})
        if not isinstance(sent, dict):
            raise self.wrong("filter_v1", "filter_v1 must be an object")
        values: dict[str, Any] = {}
        for field in _ADDRESSES:
            value = sent.get(field, "")
            if value != "":
                values[field] = self._address(f"filter_v1.{field}", value)
        for field, most in _NUMBERS.items():
            if field in sent:
                whole = _whole(sent[field])
                if whole is None or not 0 <= whole <= most:
                    name = f"filter_v1.{field}"
                    raise self.wrong(name, f"{name} must be a whole number between 0 and {most}")
                values[field] = whole
        return Filter.model_validate(values), {**values}

    def _address(self, field: str, value: Any) -> str:
        kind = "an IP address or network" if self._variant.lenient_filters else "an IPv4 address"
        refused = self.wrong(field, f"{field} must be {kind}")
        if not isinstance(value, str):
            raise refused
        try:
            if self._variant.lenient_filters:
                ipaddress.ip_network(value, strict=False)
            else:
                ipaddress.IPv4Address(value)
        except ValueError:
            raise refused from None
        return value


def _whole(value: Any) -> int | None:
    """A JSON number without a fraction, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value)


def _moment(value: Any) -> datetime | None:
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    date, clock, fraction, zone = found.groups()
    microseconds = int(((fraction or ".")[1:] + "000000")[:6])
    try:
        whole = datetime.fromisoformat(f"{date}T{clock}{'+00:00' if zone in 'Zz' else zone}")
        return whole.astimezone(UTC) + timedelta(microseconds=microseconds)
    except (ValueError, OverflowError):
        return None
