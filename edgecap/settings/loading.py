"""Load the settings from the file and the environment, and check them as a whole."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError

from edgecap.errors import ConfigError
from edgecap.settings.models import (
    DEFAULT,
    FOLDER,
    Account,
    Settings,
    StoreLocation,
    base_folder,
    config_file,
)
from edgecap.settings.overlap import overlap
from edgecap.settings.permissions import require_private
from edgecap.settings.variables import check_variables, meant_by


def load_settings() -> Settings:
    """Read the settings again.

    Raises:
        ConfigError: the file cannot be read, or a value in it or in the environment is invalid, also a
            variable for proxies and certificates. Or other users can read or change what they should not,
            and `strict_permissions` is set.
    """
    if os.environ.get("EDGECAP_CONFIG") and not config_file().is_file():
        raise ConfigError(
            "the settings file does not exist",
            where=str(config_file()),
            hint="create it, or unset EDGECAP_CONFIG",
        )
    check_variables(os.environ)
    try:
        settings = Settings()
    except ValidationError as error:
        raise _wrong(error) from None
    except SettingsError as error:
        raise ConfigError(
            str(error), where="the environment", hint="write it as JSON, or set its parts one by one"
        ) from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the settings cannot be read: {error}", where=str(config_file()), hint="correct the file"
        ) from None
    _take_sdk_variables(settings)
    if os.environ.get(FOLDER):
        _make_absolute(settings, base_folder())
    _keep_apart(settings)
    require_private(settings)
    return settings


def _wrong(error: ValidationError) -> ConfigError:
    """The first wrong setting, as it is written in the environment or in the file."""
    first = error.errors(include_input=False, include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    variable = f"EDGECAP_{'__'.join(path)}".upper()
    named = next((name for name in os.environ if name.upper() == variable), "")
    field = named or ".".join(path)
    where = "the environment" if named else f"{config_file()} or the environment"
    if first["type"] == "extra_forbidden":
        hint = f"{meant_by(path)}docs/settings.md lists all"
        return ConfigError(f"unknown setting {field}", where=where, hint=hint)
    return ConfigError(f"{field}: {first['msg']}", where=where, hint="correct this setting")


def check_places(settings: Settings) -> None:
    """Reject archives and buckets whose place depends on the current folder.

    Raises:
        ConfigError: one is a relative folder.
    """
    for kind, places in (("archive", settings.archives), ("bucket", settings.buckets)):
        for name, place in places.items():
            if folder := _relative(place):
                raise ConfigError(
                    f"{kind} {name!r} is a relative folder, which depends on where a program runs",
                    where=place.uri,
                    hint=f"write file:{folder.resolve()}",
                )


def _keep_apart(settings: Settings) -> None:
    """Reject a bucket inside an archive, or around it: archived files would look like deliveries."""
    for bucket, place in settings.buckets.items():
        for archive, home in settings.archives.items():
            try:
                apart = not overlap(place, home)
            except ConfigError:
                continue  # a wrong URI is reported when that place is used
            if not apart:
                raise ConfigError(
                    f"bucket {bucket!r} and archive {archive!r} overlap",
                    where=f"{place.uri}, {home.uri}",
                    hint="give each its own folder: neither may contain the other",
                )


def _relative(place: StoreLocation) -> Path | None:
    scheme, _, path = place.uri.partition(":")
    return Path(path) if scheme.lower() == "file" and path and not path.startswith("/") else None


def _make_absolute(settings: Settings, folder: Path) -> None:
    settings.home = folder / settings.home
    settings.prefect_yaml = settings.prefect_yaml and folder / settings.prefect_yaml
    if settings.receiver.policy:
        policy = folder / settings.receiver.policy
        settings.receiver = settings.receiver.model_copy(update={"policy": policy})
    for place in [*settings.archives.values(), *settings.buckets.values()]:
        if path := _relative(place):
            place.uri = f"file:{folder / path}"
        if place.credentials_file:
            place.credentials_file = folder / place.credentials_file


def _take_sdk_variables(settings: Settings) -> None:
    names = {
        "account_id": "CLOUDFLARE_ACCOUNT_ID",
        "api_token": "CLOUDFLARE_API_TOKEN",
        "email": "CLOUDFLARE_EMAIL",
        "api_key": "CLOUDFLARE_API_KEY",
        "base_url": "CLOUDFLARE_BASE_URL",
    }
    given = {field: os.environ[name] for field, name in names.items() if os.environ.get(name)}
    if given:
        account = settings.accounts.get(DEFAULT, Account())
        settings.accounts[DEFAULT] = Account.model_validate({**account.model_dump(), **given})
