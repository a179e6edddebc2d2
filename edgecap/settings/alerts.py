"""The settings of the alert receiver: its address, and the sources of alerts that it accepts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from edgecap.settings.pointer import Pointer

_SECRET = (
    "The secret that the sender of these alerts knows; docs/alerts says for each source where to enter it"  # noqa: S105 - a description
)
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\-_:\[\]]+(?:/[A-Za-z0-9._~/-]*)?")
_OPEN = "true: accept alerts without a secret, from anyone who reaches the receiver"


class SourceSettings(BaseModel):
    """A source that may send alerts. Without its table, the source is off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: SecretStr | None = Field(None, description=_SECRET)
    open: bool = Field(default=False, description=_OPEN)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        _not_both(self.secret, accepts_anybody=self.open)
        return self


class GenericMapping(BaseModel):
    """JSON pointers to an alert's fields in a payload, from the payload or from each item of `alerts`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alerts: Pointer | None = Field(None, description="A list of alerts; without it the payload is one alert")
    kind: Pointer = Field("/kind", description="The alert's type, which policies match")
    event: Pointer = Field("/event", description="Whether it began or ended; missing means that it began")
    start_words: list[str] = Field(
        ["start", "started", "firing", "triggered", "open", "alert", "ban"],
        description="Words in `event` for a start, in any case",
    )
    end_words: list[str] = Field(
        ["end", "ended", "resolved", "recovered", "closed", "ok", "unban"],
        description="Words in `event` for an end; any other word takes no packets",
    )
    severity: Pointer = Field("/severity", description="Words such as critical, warning, P1")
    id: Pointer = Field("/id", description="The same for the same alert, however often it is sent")
    incident: Pointer = Field("/incident", description="The same for the start and the end of one attack")
    started: Pointer = Field("/started", description="RFC 3339, or Unix seconds or milliseconds")
    ended: Pointer = Field("/ended", description="The same")
    target: Pointer = Field("/target", description="One address or several, with a port or without")
    target_port: Pointer = Field("/target_port", description="Number or text")
    protocol: Pointer = Field("/protocol", description="Number or name, such as 17 or UDP")
    source: Pointer = Field("/source", description="Addresses that packets come from")
    source_port: Pointer = Field("/source_port", description="Ports that packets come from")
    colos: Pointer = Field("/colos", description="Data centres, such as ZRH or ord02")
    pps: Pointer = Field("/pps", description="Packets a second, such as 800 or 500K pps")
    bps: Pointer = Field("/bps", description="Bits a second, such as 1200000000 or 1.2 Gbps")
    title: Pointer = Field("/title", description="One line for people")
    text: Pointer = Field("/text", description="More for people")
    labels: Pointer = Field("/labels", description="A table of names and values")


class GenericSettings(GenericMapping):
    """The source `generic`: a secret, and the pointers into its payload."""

    secret: SecretStr | None = Field(None, description=_SECRET)
    open: bool = Field(default=False, description=_OPEN)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        _not_both(self.secret, accepts_anybody=self.open)
        return self

    @property
    def mapping(self) -> GenericMapping:
        """The pointers alone: readers of payloads need no secret."""
        return GenericMapping.model_validate(self.model_dump(exclude={"secret", "open"}))


def _not_both(secret: SecretStr | None, *, accepts_anybody: bool) -> None:
    if accepts_anybody and secret is not None and secret.get_secret_value().strip():
        raise ValueError("it has a secret and open = true, which would ignore it: remove one of them")


def _public_address(url: str) -> str:
    url = url.strip().rstrip("/")
    if url and not _ADDRESS.fullmatch(url):
        raise ValueError("an address such as https://edgecap.example.net is needed, without user or query")
    return url


class AlertSettings(BaseModel):
    """A table for each enabled source of `edgecap.alerts.sources.registry`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cloudflare: SourceSettings | None = None
    alertmanager: SourceSettings | None = None
    grafana: SourceSettings | None = None
    pagerduty: SourceSettings | None = None
    datadog: SourceSettings | None = None
    fastnetmon: SourceSettings | None = None
    generic: GenericSettings | None = None


class ReceiverSettings(BaseModel):
    """The alert receiver's address, policy and targets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        "127.0.0.1",
        description="Address to listen at; it speaks plain HTTP, so put a TLS proxy in front of it",
    )
    port: int = Field(4280, ge=0, le=65_535, description="Port to listen at; 0 takes a free one")
    policy: Path | None = Field(
        None, description="The policy file (TOML); without it only the built-in rules apply"
    )
    account: str = Field("default", description="Name of the account that takes the captures")
    archive: str = Field("default", description="Name of the archive that keeps them")
    keep_days: int = Field(90, ge=1, description="Days after which a finished alert is forgotten")
    report_token: SecretStr | None = Field(
        None,
        description="The token that opens reports at `/captures/ID` and `/incidents/ID`: as a bearer token, "
        "or as the password that a browser asks for. Without it, no report is served",
    )
    report_url: Annotated[str, AfterValidator(_public_address)] = Field(
        "",
        description="The address at which people reach the receiver, such as `https://edgecap.example.net`. "
        "Prefect's artifacts link to reports there, so set it for the workers too",
    )


class IncidentSettings(BaseModel):
    """How incidents end, and which notifications that sends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    close_after: float = Field(
        86_400, gt=0, description="Seconds after which an incident closes if no alert ends it"
    )
    notify: list[str] = Field(
        [],
        description="Prefect notification blocks to notify when one closes, such as slack-webhook/on-call",
    )
