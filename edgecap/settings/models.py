"""Settings: accounts, buckets and archives have names; run parameters carry only the names.

Sources, the later ones overriding: `edgecap.toml` (or the file in `EDGECAP_CONFIG`) and the environment:
`EDGECAP_ARCHIVES__MAIN__URI=s3://...`, and for the account `default` the official SDK's variables:
`CLOUDFLARE_API_TOKEN`, `CLOUDFLARE_ACCOUNT_ID`, `CLOUDFLARE_EMAIL`, `CLOUDFLARE_API_KEY`,
`CLOUDFLARE_BASE_URL`.

Relative paths start at the current folder, or at `EDGECAP_FOLDER`: a flow run does not run in its worker's
folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from edgecap.clock import ServerClock
from edgecap.errors import ConfigError
from edgecap.redact import redact
from edgecap.requests import Bounds
from edgecap.settings.alerts import AlertSettings, IncidentSettings, ReceiverSettings
from edgecap.settings.analytics import AnalyticsSettings

DEFAULT = "default"
CONFIG = "edgecap.toml"
FOLDER = "EDGECAP_FOLDER"
_T = TypeVar("_T")
_KEYS = ("access-key-id", "secret-access-key")

BASE_URL = "https://api.cloudflare.com/client/v4"


class Account(BaseModel):
    """A Cloudflare account and its credentials: a token, or e-mail and key."""

    model_config = ConfigDict(extra="forbid")

    account_id: str = Field("", description="The account's id, 32 hexadecimal digits")
    api_token: SecretStr | None = Field(None, description="An API token: the preferred way to sign in")
    email: str | None = Field(None, description="The older way: the user's e-mail, together with `api_key`")
    api_key: SecretStr | None = Field(None, description="The user's global API key")
    base_url: str = Field(BASE_URL, description="Where the API answers")
    analytics: AnalyticsSettings = Field(
        default_factory=AnalyticsSettings, description="Network Analytics: a table of its own, see below"
    )

    @property
    def lanes(self) -> str:
        """The name of the account's lanes: its id, and the API's address if it is not Cloudflare's.

        Simulators with one account id have separate lanes: their clocks and captures differ.
        """
        address = self.base_url.strip().rstrip("/")
        if address == BASE_URL:
            return self.account_id
        return f"{self.account_id}_{hashlib.sha256(address.encode()).hexdigest()[:8]}"


class StoreLocation(BaseModel):
    """A bucket or an archive: a URI, and credentials other than the environment's own.

    uri: file:/var/lib/edgecap  s3://bucket/dir?region=eu-west-1  r2://bucket/dir?account-id=<id>  gs://bucket/dir
    """

    model_config = ConfigDict(extra="forbid")

    uri: str = Field(description="Its place; the schemes are `file:`, `s3:`, `r2:` and `gs:`")
    endpoint_url: str | None = Field(None, description="An S3 or GCS server other than the provider's own")
    access_key_id: SecretStr | None = Field(None, description="S3 or R2 key, if not from the environment")
    secret_access_key: SecretStr | None = Field(None, description="Its secret")
    credentials_file: Path | None = Field(None, description="A Google service account's key file")

    @model_validator(mode="after")
    def _take_keys_out_of_the_uri(self) -> Self:
        """Move keys in an r2 URI to the secret fields; keys set there take precedence."""
        address, _, query = self.uri.partition("?")
        items = [item.partition("=") for item in query.split("&") if item]
        keys = {name.lower(): unquote(value) for name, _, value in items if name.lower() in _KEYS}
        if len(keys) == len(_KEYS):
            rest = "&".join("".join(item) for item in items if item[0].lower() not in _KEYS)
            self.uri = address + (f"?{rest}" if rest else "")
            self.access_key_id = self.access_key_id or SecretStr(keys[_KEYS[0]])
            self.secret_access_key = self.secret_access_key or SecretStr(keys[_KEYS[1]])
        return self

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, redact(value) if isinstance(value, str) else value


class Bucket(StoreLocation):
    """A bucket to which Cloudflare writes full captures."""

    uri: str = Field(description="Its place; the schemes are `s3:`, `r2:` and `gs:`")
    delete_delivered: bool = Field(
        False,
        description="Delete a file that Cloudflare delivered for a capture of ours, once its entry is "
        "committed and every byte of the entry was read back",
    )


class Timing(BaseModel):
    """Waits and deadlines, in seconds."""

    model_config = ConfigDict(extra="forbid")

    poll_first: float = Field(1.0, gt=0, description="First wait between two requests for a capture's status")
    poll_most: float = Field(15.0, gt=0, description="Longest wait between two of them")
    margin: float = Field(900.0, gt=0, description="A capture must have ended this long after its time limit")
    delivery: float = Field(
        600.0, gt=0, description="A full capture's files must be in the bucket this long after its end"
    )
    settle: float = Field(
        10.0,
        ge=0,
        description="How long the bucket's listing must stay the same before it counts as complete",
    )
    simple_spacing: float = Field(
        60.0, gt=0, description="Shortest time between two simple requests, on the server's clock"
    )
    full_retry: float = Field(
        3.0, gt=0, description="Time between two checks of whether the full lane is free"
    )
    urgent_after: float = Field(
        1800.0, gt=0, description="After waiting this long, a run alternates with higher-priority ones"
    )
    late_after: float = Field(
        600.0, gt=0, description="A scheduled full capture that starts more than this after its time is late"
    )
    outage: float = Field(
        86_400.0,
        ge=0,
        description="How long a run waits for Cloudflare or a store that does not answer; "
        "a simple capture waits no longer than Cloudflare keeps its packets",
    )
    server_speed: float = Field(
        1.0, gt=0, description="How fast the API's clock runs; other than 1 only with a simulator"
    )

    def server_clock(self, now: Callable[[], datetime]) -> ServerClock:
        """The API's clock.

        Args:
            now: tells the server's time, aware, UTC: as the client does, or as a list of captures says.
        """
        return ServerClock(now, self.server_speed)


class Settings(BaseSettings):
    """Everything that can be set. `load_settings` reads it."""

    model_config = SettingsConfigDict(env_prefix="EDGECAP_", env_nested_delimiter="__", extra="forbid")

    accounts: dict[str, Account] = Field(default_factory=dict)
    buckets: dict[str, Bucket] = Field(default_factory=dict)
    archives: dict[str, StoreLocation] = Field(default_factory=dict)
    bounds: Bounds = Field(default_factory=Bounds)
    timing: Timing = Field(default_factory=Timing)
    receiver: ReceiverSettings = Field(default_factory=ReceiverSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    incidents: IncidentSettings = Field(default_factory=IncidentSettings)
    prefect_yaml: Path | None = Field(
        None,
        description="Your own file of deployments and schedules: they are added to edgecap's own, and change "
        "those of the same name. A file with `pull:` at its top is deployed alone (docs/capture.md)",
    )
    strict_permissions: bool = Field(
        False,
        description="Refuse to run if other users of the machine can read or change a file with secrets or "
        "the folder of an archive. Otherwise edgecap only says so",
    )
    ui_hosts: list[str] = Field(
        [],
        description="Further names under which the Prefect server of `edgecap up` answers, such as those of "
        "a reverse proxy; it always answers as `127.0.0.1` and `localhost`",
    )
    home: Path = Field(Path(".edgecap"), description="Folder of a one-machine setup: database, logs, results")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library fixes the signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment over the file; no `.env`, which would surprise in a folder that has one."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())

    def account(self, name: str = DEFAULT) -> Account:
        """The account called `name`.

        Raises:
            ConfigError: there is none, or it lacks its id or its credentials.
        """
        account = _named(
            "accounts",
            self.accounts,
            name,
            f"set {_variables(name)}, or add it to edgecap.toml",
        )
        if not _filled(account.account_id):
            raise ConfigError(
                f"account {name!r} has no account_id",
                where=f"accounts.{name}",
                hint="set CLOUDFLARE_ACCOUNT_ID",
            )
        if not _filled(account.api_token) and not (_filled(account.email) and _filled(account.api_key)):
            raise ConfigError(
                f"account {name!r} has no credentials",
                where=f"accounts.{name}",
                hint="set CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY",
            )
        return account

    def bucket(self, name: str = DEFAULT) -> Bucket:
        """The bucket called `name`, to which Cloudflare writes full captures.

        Raises:
            ConfigError: there is none.
        """
        return _named(
            "buckets",
            self.buckets,
            name,
            f"set EDGECAP_BUCKETS__{name.upper()}__URI, or add it to edgecap.toml",
        )

    def archive(self, name: str = DEFAULT) -> StoreLocation:
        """The archive called `name`, where entries are kept.

        Raises:
            ConfigError: there is none.
        """
        return _named(
            "archives",
            self.archives,
            name,
            f"set EDGECAP_ARCHIVES__{name.upper()}__URI, or add it to edgecap.toml",
        )


def _variables(account: str) -> str:
    """The variables that describe an account."""
    start = "CLOUDFLARE_" if account == DEFAULT else f"EDGECAP_ACCOUNTS__{account.upper()}__"
    return f"{start}ACCOUNT_ID and {start}API_TOKEN"


def _named(kind: str, table: dict[str, _T], name: str, hint: str) -> _T:
    if name not in table:
        known = ", ".join(sorted(table)) or "none"
        missing = "" if table or config_file().is_file() else f"; there is no {config_file().absolute()}"
        raise ConfigError(
            f"no {kind[:-1]} is called {name!r} (known: {known}){missing}", where=kind, hint=hint
        )
    return table[name]


def base_folder() -> Path:
    """The folder from which relative paths count: `EDGECAP_FOLDER`, or the current one."""
    return Path(os.environ.get(FOLDER, ""))


def config_file() -> Path:
    """The settings file, whether it exists or not: `EDGECAP_CONFIG`, or `edgecap.toml` in this folder."""
    return base_folder() / (os.environ.get("EDGECAP_CONFIG") or CONFIG)


def _filled(value: str | SecretStr | None) -> bool:
    return bool(value and (value if isinstance(value, str) else value.get_secret_value()).strip())
