"""All sources by name: `POST /alerts/<name>` is answered for these."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edgecap.alerts import alertmanager, cloudflare, datadog, fastnetmon, generic, grafana, pagerduty
from edgecap.alerts.generic import GenericMapping, generic_source
from edgecap.alerts.source import Source

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        each.SOURCE.name: each.SOURCE
        for each in (cloudflare, alertmanager, grafana, pagerduty, datadog, fastnetmon, generic)
    }
)
"""Every source; `generic` has its default mapping."""


def sources(mapping: GenericMapping) -> Mapping[str, Source]:
    """The same, with `generic` as the settings map it."""
    return MappingProxyType({**SOURCES, generic.NAME: generic_source(mapping)})
