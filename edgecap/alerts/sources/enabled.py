"""The sources of alerts that the settings switch on, each with its secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.sources.registry import sources
from edgecap.alerts.sources.signing import header
from edgecap.errors import ConfigError
from edgecap.settings.alerts import AlertSettings


@dataclass(frozen=True, slots=True)
class EnabledSource:
    """A source that is switched on.

    Attributes:
        source: reads and authenticates its requests.
        secret: shared with the senders; empty only if anybody may send.
        former_secret: accepted as well, unless it is empty.
    """

    source: AlertSource
    secret: str = field(repr=False)
    former_secret: str = field(default="", repr=False)

    @property
    def open(self) -> bool:
        """Whether anybody may send."""
        return not self.secret

    def is_signed(self, headers: Mapping[str, str]) -> bool:
        """Whether it takes the body to tell who sent this: it has a signature. Otherwise the headers tell."""
        return not self.open and bool(self.source.signature and header(headers, self.source.signature))

    def accepts(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the sender knows the secret, compared in constant time."""
        known = filter(None, (self.secret, self.former_secret))
        return self.open or any(self.source.verify(headers, body, secret) for secret in known)

    def signed_headers(self, body: bytes) -> dict[str, str]:
        """The headers that the product sends with `body`; none if the source is open."""
        return {} if self.open else self.source.sign(body, self.secret)


def enabled_sources(alerts: AlertSettings) -> dict[str, EnabledSource]:
    """The sources that are on, by name.

    Raises:
        ConfigError: no source is on, or one has neither a secret nor `open = true`.
    """
    found: dict[str, EnabledSource] = {}
    known = sources(alerts)
    for name, table in alerts.tables.items():
        secret = table.secret.get_secret_value().strip() if table.secret else ""
        if not secret and not table.open:
            place = f"custom.{name}" if name in alerts.custom else name
            variable = f"EDGECAP_ALERTS__{place.replace('.', '__').upper()}__SECRET"
            raise ConfigError(
                f"alerts from {name} have no secret",
                where=f"alerts.{place}",
                hint=f"set {'`secret` in that table' if '-' in name else variable}, "
                "or open = true to accept anybody",
            )
        former = table.former_secret.get_secret_value().strip() if table.former_secret else ""
        found[name] = EnabledSource(known[name], secret, former)
    if not found:
        raise ConfigError(
            "no source of alerts is set",
            where="alerts",
            hint="set the secret of one, such as EDGECAP_ALERTS__CLOUDFLARE__SECRET",
        )
    return found
