"""Stores behind one protocol: a folder, S3 and R2, Google Cloud Storage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgecap.settings.uri import parse_uri
from edgecap.stores.base import CHUNK, ObjectInfo, Reader, Store, Swept
from edgecap.stores.folder import FolderStore

if TYPE_CHECKING:  # code that needs no settings, such as the summary of a file, starts 0.1 s sooner
    from edgecap.settings import StoreLocation

__all__ = ["CHUNK", "ObjectInfo", "Reader", "Store", "Swept", "open_store"]


def open_store(place: StoreLocation) -> Store:
    """Return the store that `place` names, without a request: `check` does that.

    Raises:
        ConfigError: the URI or its credentials are wrong.
    """
    address = parse_uri(place.uri)
    if address.scheme == "file":
        return FolderStore(Path(address.path))
    if address.scheme == "gs":
        from edgecap.stores.gcs.store import GcsStore  # noqa: PLC0415 - its library takes a second to import

        return GcsStore(address, place)
    from edgecap.stores.s3.store import S3Store  # noqa: PLC0415 - the same

    return S3Store(address, place)
