"""All sources by name: `POST /alerts/<name>` is answered for these."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edgecap.alerts.sources import alertmanager, cloudflare, datadog, fastnetmon, generic, grafana, pagerduty
from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.sources.generic import generic_source
from edgecap.settings.alerts import GenericMapping

SOURCES: Mapping[str, AlertSource] = MappingProxyType(
    {
        each.SOURCE.name: each.SOURCE
        for each in (cloudflare, alertmanager, grafana, pagerduty, datadog, fastnetmon, generic)
    }
)
"""Every source; `generic` has its default mapping."""


def sources(mapping: GenericMapping) -> Mapping[str, AlertSource]:
    """The same, with `generic` as the settings map it."""
    return MappingProxyType({**SOURCES, generic.NAME: generic_source(mapping)})
