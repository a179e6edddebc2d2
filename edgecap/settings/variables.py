"""Settings that do not exist, in the environment and in the file: mostly typing errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from edgecap.errors import ConfigError
from edgecap.settings.models import Settings

_PREFIX = "EDGECAP_"
_OTHERS = ("config", "debug", "folder")  # variables that people set, and that are no settings
_ALIKE = 0.75  # of difflib's ratio: two letters that change places in a word of four
_SERVICE = ("tcp://", "udp://")  # values of variables that Kubernetes makes for a service called edgecap-...


def check_variables(environment: Mapping[str, str]) -> None:
    """Reject a variable that is meant to be a setting and is ignored.

    Variables of other programs may begin with `EDGECAP_` too, such as those that Kubernetes makes for a
    service of this name. So only names with a double underscore, and names much like a setting's, are looked
    at.

    Raises:
        ConfigError: there is such a variable.
    """
    for name in sorted(environment):
        if name.upper().startswith(_PREFIX):
            meant = _meant(name[len(_PREFIX) :].lower(), environment[name])
            if meant is not None:
                hint = f"did you mean {_PREFIX}{meant.upper()}? " if meant else ""
                raise ConfigError(
                    f"unknown setting {name}",
                    where="the environment",
                    hint=f"{hint}docs/settings.md lists all",
                )


def meant_by(path: Sequence[str]) -> str:
    """What an unknown setting of the file may mean, as the beginning of a hint; empty if nothing is like it.

    Args:
        path: the names down to the unknown one, as in the file: `("alerts", "kentik")`.
    """
    *above, name = path
    known = _names_in(Settings, above)
    alike = get_close_matches(name.lower(), known, n=1)
    if alike:
        return f"did you mean {'.'.join([*above, alike[0]])}? "
    if above == ["alerts"]:
        return f"a source of your own is [alerts.custom.{name}]; "
    return ""


def _names_in(model: Any, path: Sequence[str]) -> Sequence[str]:
    """The settings below a path of the file; none if it leads to a value."""
    kind: Any = model
    for name in path:
        kinds = [kind, *get_args(kind)]
        if any(get_origin(each) is dict for each in kinds):  # named by people, such as accounts.default
            kind = next(get_args(each)[1] for each in kinds if get_origin(each) is dict)
        else:
            fields = _model_in(kind)
            if name not in fields:
                return ()
            kind = fields[name].annotation
    return tuple(_model_in(kind))


def _model_in(kind: Any) -> Mapping[str, Any]:
    """The fields of a model, or of the one in `Model | None`."""
    for each in (kind, *get_args(kind)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each.model_fields
    return {}


def _meant(name: str, value: str) -> str | None:
    """What a variable without its prefix may mean, empty if that cannot be told; None if it is all right."""
    sections = Settings.model_fields
    section, nested, rest = name.partition("__")
    if section in sections:
        return None  # pydantic looks at the rest
    if nested:
        alike = get_close_matches(section, sections, n=1)
        return f"{alike[0]}__{rest}" if alike else ""
    for known, field in sections.items():
        inner = field.annotation
        fields = inner.model_fields if isinstance(inner, type) and issubclass(inner, BaseModel) else {}
        inside = name.removeprefix(f"{known}_")
        if inside != name and inside in fields and not value.startswith(_SERVICE):
            return f"{known}__{inside}"
    if name in _OTHERS:
        return None
    alike = get_close_matches(name, (*_OTHERS, "home"), n=1, cutoff=_ALIKE)
    return alike[0] if alike else None
