"""An alert from any source: what happened, to which address, since when, and which alerts are the same."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

Event = Literal["start", "end", "other"]
"""`start`: the attack began, or is still going on. `end`: it is over. `other`: news that needs no packets."""

Severity = Literal["critical", "high", "medium", "low", "info", "unknown"]

_RISING: tuple[Severity, ...] = ("info", "low", "unknown", "medium", "high", "critical")
_ACTION = re.compile(r"(?i)(?<![a-z])(drop(s|ped)?|pass(es|ed)|mitigat\w*|actions?|block(s|ed)?)(?![a-z])")
_LABEL = 200  # characters of a label's value
_IDENTITY = 32  # hexadecimal digits, as many as an intent's id has


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Alert(BaseModel):
    """One alert. Only `source`, `kind`, `event`, `identity`, `incident` and `received` are always known.

    A field that the payload lacks is None or empty. A value that could not be used is described in `notes`.
    Recognisable secrets are removed from all texts and from `raw`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, title="Alert")

    source: str = Field(description="Which product sent it, such as cloudflare")
    kind: str = Field(description="The alert's type in the source's own words")
    event: Event = Field(description="Whether it began, ended, or neither")
    severity: Severity = Field("unknown", description="On one scale for all sources")
    identity: str = Field(description="Equal each time the same alert is sent; 32 hex digits")
    incident: str = Field(
        description="Joins the start and the end of one attack; 32 hex digits. Sources that report the "
        "state of a thing use it again: a start after its end is a new incident"
    )
    thing: str = Field(
        "", description="Equal for every occurrence of one alert, if the source says so; 32 hex digits"
    )
    received: Moment = Field(description="When it reached us, UTC")
    started: Moment | None = Field(None, description="When the attack began, UTC, if the alert says so")
    ended: Moment | None = Field(
        None,
        description="When it ended, UTC; an `end` without a time has `received`. A `start` has it if the "
        "attack was over when we heard of it",
    )
    targets: tuple[str, ...] = Field(
        (), description="Addresses under attack; a network has its prefix length, a single address has none"
    )
    local_targets: tuple[str, ...] = Field(
        (),
        description="Private, loopback, link-local, multicast or broadcast addresses of a label such as "
        "instance, or of the title: targets only if the policy's rule says so",
    )
    target_port: int | None = Field(None, description="TCP or UDP port, 1 to 65535")
    protocol: int | None = Field(None, description="IP protocol number, 0 to 255")
    announced: tuple[str, ...] = Field(
        (),
        description="Prefixes that Cloudflare began to announce, says the alert: from now on, their packets "
        "arrive at the edge",
    )
    source_addresses: tuple[str, ...] = Field((), description="Where the packets come from, if it is named")
    source_ports: tuple[int, ...] = Field((), description="The same for their ports")
    colos: tuple[str, ...] = Field((), description="Data centres that the alert names, such as ZRH")
    pps: float | None = Field(None, description="Packets per second")
    bps: float | None = Field(None, description="Bits per second")
    title: str = Field("", description="One line for people")
    text: str = Field("", description="More for people, as the source wrote it")
    labels: dict[str, str] = Field(default_factory=dict, description="What else the source says, by name")
    notes: tuple[str, ...] = Field((), description="Values of the payload that could not be used, in words")
    left_out: int = Field(
        0, description="How many alerts the sender left out of the notification, as it says"
    )
    raw: dict[str, Any] = Field(default_factory=dict, description="The payload, or this alert's part of it")

    @property
    def is_announcement(self) -> bool:
        """Whether it only says which prefixes are announced now, and tells of no attack."""
        return bool(self.announced) and self.targets == self.announced

    @property
    def actions(self) -> dict[str, str]:
        """The labels that say what was done to the packets, such as `dropped`. Most alerts have none."""
        return {name: value[:_LABEL] for name, value in sorted(self.labels.items()) if _ACTION.search(name)}

    def __str__(self) -> str:
        """Such as `cloudflare dos_attack_l4 start high 203.0.113.7:443`; without an unknown severity."""
        where = ",".join(self.targets)
        port = f":{self.target_port}" if self.target_port else ""
        severity = "" if self.severity == "unknown" else self.severity
        return " ".join(filter(None, (self.source, self.kind, self.event, severity, where + port)))


def rank(severity: Severity) -> int:
    """How severe it is, from 1. An alert of unknown severity is between low and medium."""
    return _RISING.index(severity) + 1


def derive(*parts: str) -> str:
    """32 hex digits made from `parts` in their order; the same in every process."""
    data = b"".join(len(raw).to_bytes(8) + raw for raw in (part.encode("utf-8", "replace") for part in parts))
    return hashlib.sha256(data).hexdigest()[:_IDENTITY]


def summary_of(alert: Alert) -> dict[str, Any]:
    """The alert without its payload and its long texts, as manifests and run parameters carry it.

    Of its labels it has those that say what was done to the packets.
    """
    kept = alert.model_dump(mode="json", exclude={"raw", "text", "labels", "notes"}, exclude_defaults=True)
    return {**kept, "labels": alert.actions} if alert.actions else kept
