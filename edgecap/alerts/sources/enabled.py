"""The sources of alerts that the settings switch on, each with its secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.sources.registry import sources
from edgecap.alerts.sources.signing import bearer, header
from edgecap.errors import ConfigError
from edgecap.settings.alerts import AlertSettings

_AUTHORIZATION = "Authorization"
_SCHEMES = ("bearer", "basic")


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

    def why_refused(self, headers: Mapping[str, str], body: bytes) -> str:
        """Why `accepts` said no, for people on this machine: what was missing or wrong, and never a secret.

        Args:
            headers: the request's.
            body: empty if it was not read, since the headers were enough.
        """
        signature = self.source.signature
        if signature and header(headers, signature):
            return (
                f"the signature in {signature} does not match the body: another secret, or a proxy changed it"
            )
        # "Bearer secret" would be taken for a secret itself, and blacked out.
        scheme, mark, _ = header(headers, _AUTHORIZATION).partition(" ")
        told = f"{_AUTHORIZATION} ({scheme.capitalize()})" if mark and scheme.lower() in _SCHEMES else ""
        wanted = signature or next(iter(self.source.sign(body, self.secret)))
        takes_bearer = self.source.verify(bearer(self.secret), b"", self.secret)
        if takes_bearer and told:
            return f"the secret in {told} is not that of the settings"
        if not signature and header(headers, wanted):
            if wanted.lower() == _AUTHORIZATION.lower():
                return f"the header {wanted} has neither a Bearer nor a Basic secret"
            return f"the secret in {wanted} is not that of the settings"
        if told or header(headers, _AUTHORIZATION):
            what = "a signature in" if signature else "the secret in"
            return f"{told or _AUTHORIZATION} came, and the source wants {what} {wanted}"
        other = f" (nor {_AUTHORIZATION})" if takes_bearer and wanted != _AUTHORIZATION else ""
        return f"no header {wanted}{other}"

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
