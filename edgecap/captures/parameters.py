"""The request that the parameters of a flow run ask for, in either of their two forms.

Schedules, alerts and programs give a table `request`. The forms of Prefect's UI give flat fields. Only
the form for a full capture has the field `colo`, and requires it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import MISSING, TypeAdapter

from edgecap.protocols import PROTOCOL_NUMBERS
from edgecap.requests import Bounds, CaptureRequest, FullRequest, SimpleRequest

ANY = "any"  # the protocol in a form that matches every packet
_FILTER = ("source_address", "destination_address", "source_port", "destination_port")
_FIELDS = {
    "seconds": "time_limit",
    "packets": "packet_limit",
    "bytes": "byte_limit",
    "until": "offset_time",
    "filter_expression": "expression",
    "colo": "colo",
    "bucket": "bucket",
}
_REQUEST: TypeAdapter[SimpleRequest | FullRequest] = TypeAdapter(CaptureRequest)


def is_full(parameters: Mapping[str, Any]) -> bool:
    """Whether a run with these parameters takes a full capture."""
    request = parameters.get("request")
    if isinstance(request, Mapping):
        return request.get("type") == "full"
    return isinstance(request, FullRequest) or bool(filled_in(parameters.get("colo")))


def request_of(parameters: Mapping[str, Any]) -> SimpleRequest | FullRequest:
    """The request that a flow run's parameters ask for; fields that nobody filled in have their defaults.

    Args:
        parameters: of a run of the flow `capture`, as Prefect's API shows them or as Prefect validated them.

    Raises:
        ValueError: they ask for no request that there is.
    """
    if filled_in(parameters.get("request")):
        return _REQUEST.validate_python(parameters["request"])
    fields = {name: value for name, given in parameters.items() if (value := filled_in(given)) is not None}
    wanted: dict[str, Any] = {ours: fields[name] for name, ours in _FIELDS.items() if name in fields}
    wanted["type"] = "full" if "colo" in fields else "simple"
    wanted["filter"] = {name: fields[name] for name in _FILTER if name in fields}
    if (protocol := fields.get("protocol", ANY)) != ANY:
        wanted["filter"]["protocol"] = PROTOCOL_NUMBERS.get(protocol, protocol)
    return _REQUEST.validate_python(wanted)


def filled_in(value: object) -> Any:
    """What a person entered in a field of a form, without spaces around it; None for an empty field."""
    value = value.strip() if isinstance(value, str) else value
    return None if value is MISSING or value == "" else value


def within_bounds(schema: Mapping[str, Any], bounds: Bounds) -> dict[str, Any]:
    """The schema of a form's fields with the limits that the settings give.

    The flows' signatures have those of the documentation: settings are read where a flow is deployed.

    Args:
        schema: JSON schema of a flow's parameters. One without a form's fields comes back as it is.
        bounds: of requests.

    Returns:
        A schema whose numbers, also those in descriptions and default values, are within `bounds`.
    """
    fields: dict[str, Any] = {**schema.get("properties", {})}
    most = {
        "seconds": bounds.full_time_limit if "colo" in fields else bounds.simple_time_limit,
        "packets": bounds.packet_limit,
        "bytes": bounds.byte_limit,
    }
    for name, limit in most.items():
        field = fields.get(name)
        if field and "maximum" in field:
            field = {**field, "maximum": limit}
            if description := field.get("description"):
                field["description"] = re.sub(r"\b1 to \d+", f"1 to {limit}", description)
            if isinstance(field.get("default"), int):
                field["default"] = min(field["default"], limit)
            fields[name] = field
    return {**schema, "properties": fields}
