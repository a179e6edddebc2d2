"""What other users of this machine can read or change of that which holds secrets or packets."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from edgecap.errors import ConfigError
from edgecap.settings.models import Settings, config_file

_READ, _CHANGE = stat.S_IRGRP | stat.S_IROTH, stat.S_IWGRP | stat.S_IWOTH


def open_to_others(settings: Settings) -> list[str]:
    """A line for each file with secrets, and each folder of an archive, that other users can read or change.

    The state folder is not among them: edgecap closes it to others itself.
    """
    found = []
    if (file := config_file()).is_file():
        secrets = _holds_one(file, settings)
        found += _told(file, 0o600, "the settings, with secrets,") if secrets else _told_change(file)
    for place in [*settings.archives.values(), *settings.buckets.values()]:
        if place.credentials_file:
            found += _told(place.credentials_file, 0o600, "a key file")
    for name, archive in settings.archives.items():
        scheme, _, path = archive.uri.partition(":")
        if scheme.lower() == "file":
            found += _told(Path(path), 0o700, f"the archive {name!r}")
    return found


def require_private(settings: Settings) -> None:
    """Refuse files and folders that others can read or change, if the setting `strict_permissions` says so.

    Raises:
        ConfigError: there is one.
    """
    if settings.strict_permissions and (found := open_to_others(settings)):
        raise ConfigError(found[0], where="strict_permissions", hint="close it, or switch this setting off")


def _told(path: Path, wanted: int, what: str) -> list[str]:
    mode = _mode(path)
    if not mode & (_READ | _CHANGE):
        return []
    can = "read and change" if mode & _CHANGE and mode & _READ else "change" if mode & _CHANGE else "read"
    return [f"Other users can {can} {what} in {path} (mode {mode:04o}): chmod {wanted:o} {path}"]


def _told_change(path: Path) -> list[str]:
    """For a file without secrets: one who can change it says where edgecap sends those it has elsewhere."""
    mode = _mode(path)
    if not mode & _CHANGE:
        return []
    return [f"Other users can change the settings in {path} (mode {mode:04o}): chmod go-w {path}"]


def _mode(path: Path) -> int:
    """The mode's last digits; 0 if there is no such file, or it cannot be looked at."""
    try:
        return stat.S_IMODE(path.stat().st_mode) & 0o777
    except OSError:
        return 0


def _holds_one(file: Path, settings: Settings) -> bool:
    try:
        text = file.read_text()
    except (OSError, ValueError):
        return False
    return any(secret in text for secret in _secrets(settings) if secret)


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, dict):
        for each in value.values():
            yield from _secrets(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secrets(each)
