"""All sources by name: `POST /alerts/<name>` is answered for these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from edgecap.alerts.model import Alert
from edgecap.alerts.sources import alertmanager, cloudflare, datadog, fastnetmon, generic, grafana, pagerduty
from edgecap.alerts.sources.base import AlertSource, Parse
from edgecap.alerts.sources.generic import generic_source
from edgecap.errors import ConfigError
from edgecap.settings.alerts import AlertSettings

SOURCES: Mapping[str, AlertSource] = MappingProxyType(
    {
        each.SOURCE.name: each.SOURCE
        for each in (cloudflare, alertmanager, grafana, pagerduty, datadog, fastnetmon, generic)
    }
)
"""Every product's source; `generic` has its default mapping."""

_LABELLED = (alertmanager, grafana, datadog)


def sources(alerts: AlertSettings) -> Mapping[str, AlertSource]:
    """The same, as the settings have them, and those that the settings add."""
    own_names = tuple(alerts.target_labels)
    labelled = {
        each.NAME: replace(each.SOURCE, parse=_with_names(each.parse, own_names)) for each in _LABELLED
    }
    mapped = {generic.NAME: alerts.generic} if alerts.generic else {}
    return MappingProxyType(
        {
            **SOURCES,
            **labelled,
            generic.NAME: generic_source(own_names=own_names),
            **{
                name: generic_source(
                    table, name=name, signature_header=table.signature_header, own_names=own_names
                )
                for name, table in {**mapped, **alerts.custom}.items()
            },
        }
    )


def source_called(name: str, alerts: AlertSettings) -> AlertSource:
    """The source with this name, whether or not it is on.

    Raises:
        ConfigError: there is none.
    """
    known = sources(alerts)
    if name not in known:
        raise ConfigError(
            f"there is no source {name!r}: known are {', '.join(known)}",
            where=f"alerts.custom.{name}",
            hint="choose one of them, or add a table for a source of your own",
        )
    return known[name]


class _ParseLabels(Protocol):
    def __call__(
        self, payload: object, *, received: datetime, own_names: Sequence[str] = ()
    ) -> list[Alert]: ...


def _with_names(parse: _ParseLabels, own_names: Sequence[str]) -> Parse:
    def parse_with_names(payload: object, *, received: datetime) -> list[Alert]:
        return parse(payload, received=received, own_names=own_names)

    return parse_with_names
