"""The reference of all settings, from the models: `python -m edgecap.settings_doc` writes it."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from edgecap.alerts.settings import (
    AlertSettings,
    GenericSettings,
    IncidentSettings,
    ReceiverSettings,
    SourceSettings,
)
from edgecap.requests import Bounds
from edgecap.settings import Account, Place, Settings, Timing

TARGET = Path("docs/settings.md")
_HEAD = """# Settings

From `edgecap.toml` in the folder where a command runs, or the file that `EDGECAP_CONFIG` names; the
environment wins over the file. Names of accounts, buckets and archives are yours; `default` is the one that
is taken when a command or a schedule names none. For the account `default`, the official SDK's own variables
count too: `CLOUDFLARE_API_TOKEN`, `CLOUDFLARE_ACCOUNT_ID`, `CLOUDFLARE_EMAIL`, `CLOUDFLARE_API_KEY`,
`CLOUDFLARE_BASE_URL`. Written by `python -m edgecap.settings_doc`.
"""
_SOURCES = "Who may send alerts, of " + ", ".join(AlertSettings.model_fields)


def settings_page() -> str:
    """The page `docs/settings.md`."""
    parts = [_HEAD]
    for title, table, variable, model in (
        ("A Cloudflare account", "accounts.NAME", "ACCOUNTS__NAME__", Account),
        ("A bucket that full captures are written to", "buckets.NAME", "BUCKETS__NAME__", Place),
        ("An archive", "archives.NAME", "ARCHIVES__NAME__", Place),
        ("How long to wait for what (seconds)", "timing", "TIMING__", Timing),
        ("The API's documented bounds", "bounds", "BOUNDS__", Bounds),
        ("The alert receiver", "receiver", "RECEIVER__", ReceiverSettings),
        ("Incidents", "incidents", "INCIDENTS__", IncidentSettings),
        (_SOURCES, "alerts.SOURCE", "ALERTS__SOURCE__", SourceSettings),
        ("Alerts from anything else", "alerts.generic", "ALERTS__GENERIC__", GenericSettings),
    ):
        parts.append(f"\n## {title}: `[{table}]`\n")
        parts += _rows(model, variable)
    parts.append("\n## At the top of the file\n")
    parts += _rows(Settings, "", only=("home",))
    return "\n".join(parts).replace("\n\n\n", "\n\n") + "\n"


def _rows(model: type[BaseModel], variable: str, only: tuple[str, ...] = ()) -> list[str]:
    rows = ["| setting | environment | kind | default | meaning |", "|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if only and name not in only:
            continue
        default = "" if field.is_required() or field.default in (None, "") else f"`{field.default}`"
        meaning = field.description or ""
        rows.append(
            f"| `{name}` | `EDGECAP_{variable}{name.upper()}` | {_kind(field)} | {default} | {meaning} |"
        )
    return rows


def _kind(field: FieldInfo) -> str:
    return " or ".join(_name(part) for part in _parts(field.annotation) if part is not type(None))


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _name(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return _name(get_args(kind)[0])
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        Path: "path",
        SecretStr: "secret",
    }
    return names.get(kind, getattr(kind, "__name__", str(kind)))


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(settings_page())
