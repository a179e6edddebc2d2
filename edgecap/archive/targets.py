"""The addresses that a capture was about: those of its filter, and the targets of its alert."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from edgecap.archive.manifest import Manifest

Network = IPv4Network | IPv6Network


def targets(manifest: Manifest) -> Iterator[Network]:
    """The addresses that the filter or the alert names, and networks; an address is a network of one."""
    for text in _texts(manifest):
        with suppress(ValueError):
            yield ip_network(text, strict=False)


def _texts(manifest: Manifest) -> Iterator[str]:
    """Texts that are an address if they look like one."""
    for fields in (manifest.request.get("filter"), manifest.capture.get("filter_v1")):
        if isinstance(fields, Mapping):
            yield from (str(fields.get(name) or "") for name in ("source_address", "destination_address"))
    expression = str(manifest.request.get("expression") or "")
    yield from (word.strip("()") for word in expression.split() if "." in word or ":" in word)
    alert: Any = (manifest.intent or {}).get("alert")
    found = alert.get("targets") if isinstance(alert, Mapping) else None
    if isinstance(found, list | tuple):
        yield from map(str, found)
