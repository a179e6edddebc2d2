"""The settings of the alert receiver: its address, and the sources of alerts that it accepts."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from edgecap.settings.pointer import Pointer, Pointers

_SECRET = (
    "The secret that the sender of these alerts knows; docs/alerts says for each source where to enter it"  # noqa: S105 - a description
)
_FORMER = "Accepted as well, while the senders change to `secret` (docs/security.md)"
_HEADER = re.compile(r"[A-Za-z0-9-]*")
_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\-_:\[\]]+(?:/[A-Za-z0-9._~/-]*)?")
_OPEN = "true: accept alerts without a secret, from anyone who reaches the receiver"


def _header_name(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise ValueError(f"{name!r} is not a header's name: letters, digits and hyphens")
    return name


class SourceSettings(BaseModel):
    """A source that may send alerts. Without its table, the source is off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: SecretStr | None = Field(None, description=_SECRET)
    former_secret: SecretStr | None = Field(None, description=_FORMER)
    open: bool = Field(default=False, description=_OPEN)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        _not_both(self.secret, accepts_anybody=self.open)
        return self


class GenericMapping(BaseModel):
    """JSON pointers to an alert's fields in a payload, from the payload or from each item of `alerts`.

    Where an entry has several pointers, the first that finds a usable value counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    alerts: Pointer | None = Field(
        None,
        description="A list of alerts; without it the payload is one alert, or a list of them",
    )
    kind: Pointers = Field(["/kind", "/attack_type"], description="The alert's type, which policies match")
    event: Pointers = Field(
        [
            *("/event", "/status", "/state", "/action", "/event_type", "/alert_state", "/current_state"),
            *("/alert_status", "/notification_type", "/transition", "/phase", "/event_action", "/msg_type"),
            *("/eventType", "/alertState", "/alertStatus", "/currentState", "/notificationType", "/type"),
        ],
        description="Whether it began or ended. If it is missing, a time in `ended` means that it is over, "
        "and otherwise it began. A value in none of the four lists takes no packets if the first pointer "
        "finds it, and is passed over if another one does",
    )
    start_words: list[str] = Field(
        [
            *(
                "start",
                "started",
                "attack_start",
                "attack_started",
                "firing",
                "trigger",
                "triggered",
                "open",
                "opened",
                "new",
            ),
            *(
                "create",
                "created",
                "active",
                "ongoing",
                "detected",
                "alert",
                "alerting",
                "alarm",
                "problem",
                "ban",
            ),
        ],
        description="Values of `event` for a start, in any case, also after a dot: `alert.started`",
    )
    end_words: list[str] = Field(
        [
            *(
                "end",
                "ended",
                "attack_end",
                "attack_ended",
                "attack_stop",
                "stop",
                "stopped",
                "finished",
                "resolve",
            ),
            *("resolved", "recovered", "recovery", "close", "closed", "clear", "cleared", "inactive"),
            *("ok", "normal", "unban", "up", "over", "expired", "terminated", "completed"),
        ],
        description="Values of `event` for an end",
    )
    both_words: list[str] = Field(
        ["attack_short_term"],
        description="Values of `event` for a message that tells of an attack from its start to its end",
    )
    other_words: list[str] = Field(
        [
            *("acknowledge", "acknowledged", "ack", "update", "updated", "attack_update", "test"),
            *("muted", "snoozed", "silenced", "suppressed", "no data", "nodata", "unknown"),
        ],
        description="Values of `event` for news that takes no packets",
    )
    severity: Pointers = Field(
        ["/severity", "/priority", "/level", "/payload/severity"],
        description="Words such as critical, warning, P1",
    )
    id: Pointers = Field(
        ["/id", "/alert_id"], description="The same for the same alert, however often it is sent"
    )
    incident: Pointers = Field(
        ["/incident", "/incident_id", "/attack_id", "/dedup_key"],
        description="The same for the start and the end of one attack",
    )
    started: Pointers = Field(
        ["/started", "/start", "/start_time", "/started_at"],
        description="RFC 3339, or Unix seconds or milliseconds",
    )
    ended: Pointers = Field(
        ["/ended", "/end", "/end_time", "/ended_at"],
        description="The same; 0 means that it is not over",
    )
    target: Pointers = Field("/target", description="One address or several, with a port or without")
    target_port: Pointers = Field("/target_port", description="Number or text")
    protocol: Pointers = Field("/protocol", description="Number or name, such as 17 or UDP")
    source: Pointers = Field("/source", description="Addresses that packets come from")
    source_port: Pointers = Field("/source_port", description="Ports that packets come from")
    colos: Pointers = Field("/colos", description="Data centres, such as ZRH or ord02")
    pps: Pointers = Field("/pps", description="Packets a second, such as 800 or 500K pps")
    bps: Pointers = Field("/bps", description="Bits a second, such as 1200000000 or 1.2 Gbps")
    title: Pointers = Field(
        ["/title", "/name", "/summary", "/payload/summary"], description="One line for people"
    )
    text: Pointers = Field(["/text", "/description", "/message"], description="More for people")
    labels: Pointers = Field(
        [
            *("/labels", "/tags", "/annotations", "/details", "/custom_details", "/fields", "/attributes"),
            *("/dimensions", "/payload/custom_details"),
        ],
        description="A table of names and values, a list of names with values, or tags; all that are there",
    )

    def pointers(self, entry: str) -> tuple[str, ...]:
        """The pointers of an entry, in their order."""
        written = getattr(self, entry)
        return (written,) if isinstance(written, str) else tuple(written)


class GenericSettings(GenericMapping):
    """The source `generic`, or one of your own: a secret, and the pointers into its payload."""

    secret: SecretStr | None = Field(None, description=_SECRET)
    former_secret: SecretStr | None = Field(None, description=_FORMER)
    open: bool = Field(default=False, description=_OPEN)
    signature_header: Annotated[str, AfterValidator(_header_name)] = Field(
        "",
        description="The header in which the product signs the body with the secret (HMAC-SHA256), such as "
        "`X-Hub-Signature-256`. Without it, the secret itself comes in `Authorization`",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        _not_both(self.secret, accepts_anybody=self.open)
        return self


def _not_both(secret: SecretStr | None, *, accepts_anybody: bool) -> None:
    if accepts_anybody and secret is not None and secret.get_secret_value().strip():
        raise ValueError("it has a secret and open = true, which would ignore it: remove one of them")


def _public_address(url: str) -> str:
    url = url.strip().rstrip("/")
    if url and not _ADDRESS.fullmatch(url):
        raise ValueError("an address such as https://edgecap.example.net is needed, without user or query")
    return url


def _proxy(text: object) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text) if isinstance(text, str) else None
    except ValueError:
        network = None
    if network is None:
        raise ValueError(f"{text!r} is neither an address nor a network, such as 192.0.2.7 or 192.0.2.0/28")
    if not network.prefixlen:
        raise ValueError(f"{text} holds every address, so that any sender could call itself another")
    return network


class AlertSettings(BaseModel):
    """A table for each enabled source of `edgecap.alerts.sources.registry`, and what concerns all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target_labels: list[str] = Field(
        [],
        description="Your own names of labels and tags that hold the target; they come before those that "
        "edgecap knows (docs/alerts/alertmanager.md)",
    )
    cloudflare: SourceSettings | None = None
    alertmanager: SourceSettings | None = None
    grafana: SourceSettings | None = None
    pagerduty: SourceSettings | None = None
    datadog: SourceSettings | None = None
    fastnetmon: SourceSettings | None = None
    generic: GenericSettings | None = None
    custom: dict[str, GenericSettings] = Field(
        default_factory=dict, description="Sources of your own, by name: what `generic` can, each for itself"
    )

    @model_validator(mode="after")
    def _names_of_their_own(self) -> Self:
        for name in self.custom:
            if name in PRODUCTS:
                raise ValueError(f"custom.{name}: {name} is a source of edgecap's; choose another name")
            if not _SOURCE_NAME.fullmatch(name):
                raise ValueError(
                    f"custom.{name}: a source's name has small letters, digits, hyphens and underscores"
                )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The sources that could be on: edgecap's, and those of `custom`."""
        return (*PRODUCTS, *self.custom)

    @property
    def tables(self) -> dict[str, SourceSettings | GenericSettings]:
        """The tables of the sources that are on, by name."""
        products = {name: getattr(self, name) for name in PRODUCTS}
        return {name: table for name, table in {**products, **self.custom}.items() if table is not None}


PRODUCTS = tuple(name for name in AlertSettings.model_fields if name not in ("target_labels", "custom"))
"""The sources that edgecap knows, by name."""


class ReceiverSettings(BaseModel):
    """The alert receiver's address, policy and targets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        "127.0.0.1",
        description="Address to listen at; it speaks plain HTTP, so put a TLS proxy in front of it "
        "(docs/reverse-proxy.md)",
    )
    port: int = Field(4280, ge=0, le=65_535, description="Port to listen at; 0 takes a free one")
    trusted_proxies: list[Annotated[IPv4Network | IPv6Network, BeforeValidator(_proxy)]] = Field(
        [],
        description="Addresses or networks of the proxies whose `X-Forwarded-For` counts "
        "(docs/reverse-proxy.md). Nobody else's does",
    )
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
        description="Prefect notification blocks to notify when one opens, escalates or closes, and when "
        "alerts led to no capture, such as slack-webhook/on-call",
    )
