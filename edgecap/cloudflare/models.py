"""Answers of the PCAPs API, parsed without ever failing: the API promises nothing about `result`.

A missing or unreadable field is empty or None; undocumented fields are kept. Secrets are removed on input, so
that no model, log or manifest can show one.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_serializer,
    model_validator,
)

from edgecap.redact import redact

SUCCEEDED = frozenset({"success", "complete"})
FAILED = frozenset({"failed"})
PENDING = "pending"
PAGE = 50  # maximum captures in the list
_FILTER_NUMBERS = ("source_port", "destination_port", "protocol")


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def _status(value: object) -> str:
    return _text(value).strip().lower() or "unknown"


def _whole(value: object) -> int | None:
    """A whole number, from a number or from text such as "800" or "60.0"."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        pass
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return None


def _moment(value: object) -> datetime | None:
    """An aware UTC time from RFC 3339 text; None for anything else, and for year 1, which means "never"."""
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    else:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC) if moment.year > 1 else None
    except (OverflowError, ValueError):
        return None


def _filter(value: object) -> dict[str, Any]:
    """A filter without empty fields, with numeric ports and protocol."""
    if not isinstance(value, dict):
        return {}
    kept = {str(name): item for name, item in value.items() if item is not None and item != ""}
    for name in _FILTER_NUMBERS:
        number = _whole(kept.get(name))
        if number is not None:
            kept[name] = number
    return kept


def _cleaned(value: Any) -> Any:
    """A deep copy with every secret in its strings replaced."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _cleaned(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return deepcopy(value)


Text = Annotated[str, BeforeValidator(_text)]
Status = Annotated[str, BeforeValidator(_status)]
Whole = Annotated[int | None, BeforeValidator(_whole)]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]
FilterAnswer = Annotated[dict[str, Any], BeforeValidator(_filter)]


class Answer(BaseModel):
    """An object in an answer; `raw` is the answer as received, without secrets.

    Dumping gives `raw`, so edgecap stores what the API said; reading that back gives an equal model.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_raw(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(value, dict):
            return handler(value)
        clean = _cleaned(value)
        answer = handler(clean)
        answer._raw = clean  # noqa: SLF001 - its own class
        return answer

    @model_serializer(mode="plain")
    def _as_received(self) -> dict[str, Any]:
        return self.raw

    @property
    def raw(self) -> dict[str, Any]:
        """The `result`, or one item of it, as received; secrets are `***`.

        A copy: changing it has no effect here.
        """
        return deepcopy(self._raw)


class Capture(Answer):
    """A packet capture as the API describes it. Times are UTC, `time_limit` seconds, `byte_limit` bytes."""

    id: Text = ""
    type: Text = ""  # simple, full
    status: Status = "unknown"
    system: Text = ""
    submitted: Moment = None
    time_limit: Whole = None
    packet_limit: Whole = None
    byte_limit: Whole = None
    offset_time: Moment = None  # simple: the end of the window
    filter_v1: FilterAnswer = {}
    colo_name: Text = ""
    destination_conf: Text = ""
    error_message: Text = ""
    packets_captured: Whole = None
    packets_remaining: Whole = None
    stop_requested: Moment = None

    @property
    def colo(self) -> str:
        """The data centre of a full capture: `colo_name`, or `colo` as in some of the documentation."""
        return self.colo_name or _text(self._raw.get("colo"))

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it. An undocumented status is not final."""
        return self.succeeded or self.failed

    @property
    def succeeded(self) -> bool:
        """Whether it is finished, with packets to fetch."""
        return self.status in SUCCEEDED

    @property
    def why_failed(self) -> str:
        """Why a failed one did, with Cloudflare's words in quotes: they are not edgecap's advice."""
        if not self.error_message:
            return "the capture failed, and Cloudflare gives no reason"
        return f'Cloudflare says "{self.error_message}"'

    @property
    def failed(self) -> bool:
        """Whether it is finished without packets; `error_message` may say why."""
        return self.status in FAILED


class Ownership(Answer):
    """A bucket that an account registered for full captures, and the state of its ownership proof."""

    id: Text = ""
    status: Status = "unknown"  # pending, success, failed
    submitted: Moment = None
    validated: Moment = None
    destination_conf: Text = ""  # without secrets
    filename: Text = ""  # of the challenge; with or without the directory

    @property
    def succeeded(self) -> bool:
        """Whether Cloudflare accepted the proof."""
        return self.status in SUCCEEDED

    @property
    def failed(self) -> bool:
        """Whether Cloudflare rejected the proof."""
        return self.status in FAILED


@dataclass(frozen=True, slots=True)
class Listing:
    """`GET /pcaps`: up to the 50 latest captures, in no guaranteed order.

    Attributes:
        captures: the account's captures, including those of other users.
        server_time: the server's time of the answer, aware, UTC; estimated from earlier answers if this one
            had no `Date`; this machine's time if none had.
        total: number of captures, if the answer states it: there may be further pages.
    """

    captures: list[Capture]
    server_time: datetime
    total: int | None = None

    def reaches_back_to(self, moment: datetime) -> bool:
        """Whether it must contain every capture submitted since `moment`, except for the list's lag.

        A total of one page proves nothing: the API may count only what it is willing to list.
        """
        count, total = len(self.captures), self.total or 0
        whole = total <= count and (count < PAGE or total > PAGE)
        return whole or any(capture.submitted and capture.submitted < moment for capture in self.captures)
