"""Whether a bucket and an archive in the settings overlap."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from edgecap.settings.models import StoreLocation
from edgecap.settings.uri import Address, parse_uri

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def overlap(one: StoreLocation, other: StoreLocation) -> bool:
    """Whether one of two places is the other, or a folder in it.

    Raises:
        ConfigError: a URI is wrong.
    """
    first, second = parse_uri(one.uri), parse_uri(other.uri)
    if first.scheme == "file" or second.scheme == "file":
        if first.scheme != second.scheme:
            return False
        here, there = Path(first.path).resolve(), Path(second.path).resolve()
        return here.is_relative_to(there) or there.is_relative_to(here)
    if (_server(one, first), first.bucket) != (_server(other, second), second.bucket):
        return False
    here, there = Path("/", first.path), Path("/", second.path)
    return here.is_relative_to(there) or there.is_relative_to(here)


def _server(place: StoreLocation, address: Address) -> str:
    """The server of a bucket: the same for all its spellings, as far as they are known."""
    url = urlsplit((place.endpoint_url or "").lower())
    # The scheme's default port makes no difference.
    host = url.netloc.removesuffix(_DEFAULT_PORTS.get(url.scheme, "")).rstrip(":")
    if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return "s3"
    if host == "storage.googleapis.com":
        return "gs"
    if host or address.scheme != "r2":
        return host or address.scheme
    return address.r2_host
