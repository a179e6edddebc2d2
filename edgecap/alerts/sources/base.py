"""What every source of alerts offers: authentication of its requests, and alerts from its payloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from edgecap.alerts.model import Alert


class Verify(Protocol):
    """`verify(headers, body, secret)`."""

    def __call__(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        """Whether the sender knows the secret, compared in constant time. An empty one is never accepted."""


class Sign(Protocol):
    """`sign(body, secret)`."""

    def __call__(self, body: bytes, secret: str) -> dict[str, str]:
        """The headers that the product sends with `body`; `verify` accepts them for this secret only."""


class Parse(Protocol):
    """`parse(payload, received=...)`."""

    def __call__(self, payload: object, *, received: datetime) -> list[Alert]:
        """The alerts in a payload that `payload.decode` made of a body; empty for a ping.

        The same payload always gives the same alerts, except for times that `received` replaces.

        Raises:
            AlertNotUnderstood: it is not what this source sends.
        """


class IsPing(Protocol):
    """`is_ping(payload)`."""

    def __call__(self, payload: object) -> bool:
        """Whether the payload only tests the connection: answer 200 and do nothing."""


@dataclass(frozen=True, slots=True)
class AlertSource:
    """A product that sends alerts to `POST /alerts/<name>`.

    Attributes:
        signature: the header in which it signs the body; empty if it sends the secret itself. Without this
            header, `verify` needs no body.
    """

    name: str
    verify: Verify
    sign: Sign
    parse: Parse
    is_ping: IsPing
    signature: str = ""

    def __str__(self) -> str:
        """Its name, as in the path."""
        return self.name


def never_pings(payload: object) -> bool:  # noqa: ARG001 - the signature of `IsPing`
    """For products without a test message."""
    return False
