"""Customers' buckets: access to them, and delivery of files."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from edgecap.settings import StoreLocation
from edgecap.settings.uri import Address, parse_uri
from edgecap.simulator.faults import Fault, Faults
from edgecap.simulator.recorder import ServerFile
from edgecap.simulator.variants import Variant
from edgecap.stores import Store, open_store

Buckets = Callable[[str], Store]
"""Maps a destination URI to its store. Raises errors of `edgecap.errors`."""


@dataclass(frozen=True)
class EdgeBuckets:
    """Opens destinations with the edge's own credentials, as Cloudflare does, or with those in an r2 URI.

    Attributes:
        s3_endpoint: an S3 server for `s3:` and `r2:`, other than the providers'.
        gcs_endpoint: a GCS server for `gs:`, other than Google's.
        access_key_id: the edge's key for S3.
        secret_access_key: its secret.
    """

    s3_endpoint: str | None = None
    gcs_endpoint: str | None = None
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None

    def __call__(self, uri: str) -> Store:
        """The store at `uri`, without a request.

        Raises:
            ConfigError: the URI is wrong.
        """
        address = parse_uri(uri)
        if address.scheme == "gs":
            return open_store(StoreLocation(uri=uri, endpoint_url=self.gcs_endpoint))
        own = address.access_key_id is None
        return open_store(
            StoreLocation(
                uri=uri,
                endpoint_url=self.s3_endpoint,
                access_key_id=self.access_key_id if own else address.access_key_id,
                secret_access_key=self.secret_access_key if own else address.secret_access_key,
            )
        )


def destination_key(address: Address) -> tuple[str, str, str]:
    """The identity of a destination: parameters and keys are ignored."""
    return address.scheme, address.bucket, address.path


@dataclass(frozen=True)
class Delivery:
    """A file to deliver to a bucket.

    Attributes:
        key: its key in the bucket.
        path: the bytes to deliver, faults included.
        file: the server's file.
        late: delay in seconds; None: never delivered.
        faults: the kinds of faults applied to it.
    """

    key: str
    path: Path
    file: ServerFile
    late: float | None
    faults: tuple[str, ...]


def prepare(
    files: Iterable[ServerFile], capture_id: str, started: datetime, variant: Variant, faults: Faults
) -> Iterator[Delivery]:
    """Yield the deliveries of a full capture, file by file."""
    for number, file in enumerate(files):
        key = object_key(file.server, number, capture_id, started, variant)
        path = file.path
        struck = faults.for_file(key)
        if variant.gzip != "no":
            path = path.with_suffix(".gz")
            with file.path.open("rb") as source, gzip.open(path, "wb", compresslevel=1) as target:
                shutil.copyfileobj(source, target)
        kinds = {fault.kind: fault for fault in struck}
        if "flip_byte" in kinds:
            _flip(path, kinds["flip_byte"], faults)
        late = kinds["late_file"].amount(30.0) if "late_file" in kinds else 0.0
        yield Delivery(key, path, file, None if "missing_file" in kinds else late, tuple(kinds))


def object_key(server: str, number: int, capture_id: str, started: datetime, variant: Variant) -> str:
    """The key of a server's file, below the destination's folder."""
    end = ".pcap.gz" if variant.gzip == "named" else ".pcap"
    if variant.key_scheme == "flat":
        return f"pcap_{capture_id}{f'_{number}' if number else ''}{end}"
    date = f"{started:%Y%m%d}/" if variant.key_scheme == "date" else ""
    return f"{date}{server}/pcap_{capture_id}{end}"


def _flip(path: Path, fault: Fault, faults: Faults) -> None:
    size = path.stat().st_size
    offset = min(size - 1, int(fault.amount(faults.roll(size))))
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))
