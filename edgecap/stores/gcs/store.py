"""Google Cloud Storage, through google-cloud-storage; reading streams over the same signed session."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import google_crc32c
from google.api_core import exceptions as api
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage.retry import DEFAULT_RETRY

from edgecap.errors import (
    Damaged,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreMissing,
    StoreUnwritable,
)
from edgecap.files.durable import explained as disk_explained
from edgecap.settings import StoreLocation
from edgecap.settings.uri import Address
from edgecap.stores.base import UPLOAD_AGE, ObjectInfo, Swept
from edgecap.stores.gcs.answers import answered, crc_of, info_of
from edgecap.stores.gcs.client import connect, endpoint_of
from edgecap.stores.gcs.errors import RAISED, explained, status_of, writing
from edgecap.stores.keys import check_key
from edgecap.stores.pieces import BodyReader
from edgecap.stores.staging import local_staging, sweep_folder
from edgecap.stores.write_check import is_write_check, prove_create_only

_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two bytes
_RETRY = DEFAULT_RETRY.with_timeout(60.0)
_FIRST = DEFAULT_RETRY.with_timeout(5.0)  # short, so that a missing bucket is reported at once
_UPLOAD_CHUNK = 8 << 20  # bytes per request of a resumable upload, held in memory
_NONCE = "edgecap-put"  # metadata that identifies our own put after its answer was lost


class GcsStore:
    """A bucket, or a folder in one. Keys are below the URI's path; an object's version is its generation.

    Credentials come from the service account file, else from Google's default chain. An emulator
    (STORAGE_EMULATOR_HOST, or an `http:` endpoint) gets none.

    Args:
        address: the parsed URI.
        place: endpoint and credentials.
    """

    def __init__(self, address: Address, place: StoreLocation) -> None:
        self._address = address
        self._base = f"{address.path}/" if address.path else ""
        self._endpoint = endpoint_of(place)
        self._file = place.credentials_file
        self._lock = threading.Lock()
        self._made: tuple[Any, AuthorizedSession] | None = None

    def __repr__(self) -> str:
        return f"<GcsStore {self.uri} at {self._endpoint}>"

    @property
    def uri(self) -> str:
        """The URI without parameters."""
        return self._address.uri

    def check(self, *, write: bool = False) -> None:
        """Raise if the bucket cannot be listed, or, with `write`, if it cannot take puts.

        Raises:
            StoreMissing: the bucket does not exist.
            StoreDenied: the credentials are missing, wrong, or without the right to list.
            StoreUnwritable: listing is allowed, writing is not; or the server overwrites existing objects.
            StoreUnreachable: no answer.
        """
        bucket = self._bucket
        with self._listing():
            next(
                iter(bucket.list_blobs(prefix=self._base, max_results=1, timeout=_TIMEOUT, retry=_FIRST)),
                None,
            )
        if write:
            prove_create_only(self, "the server ignores ifGenerationMatch")

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose key starts with `prefix`, with the checksums that GCS states.

        Raises:
            StoreMissing, StoreDenied, StoreUnreachable: as `check`.
        """
        blobs = self._bucket.list_blobs(prefix=self._base + prefix, timeout=_TIMEOUT, retry=_RETRY)
        with self._listing():
            for blob in blobs:
                key = blob.name.removeprefix(self._base)
                if key and not is_write_check(key):
                    yield info_of(key, blob)

    def stat(self, key: str) -> ObjectInfo:
        """Size, time, generation and checksums.

        Raises:
            ObjectMissing: no such object.
            StoreMissing: no such bucket.
        """
        check_key(key)
        blob = self._bucket.blob(self._base + key)
        try:
            with explained(self._where(key)):
                blob.reload(timeout=_TIMEOUT, retry=_RETRY)
        except ObjectMissing:
            self._require_bucket()
            raise
        return info_of(key, blob)

    @contextmanager
    def open(
        self, key: str, *, start: int = 0, etag: str = "", length: int | None = None
    ) -> Iterator[BodyReader]:
        """Read `key` from byte `start` on, at most `length` bytes, as stored: the server never un-gzips it.

        Raises:
            ObjectMissing: no such object.
            ObjectChanged: its generation is not `etag`.
        """
        check_key(key)
        where = self._where(key)
        url = (
            f"{self._endpoint}/download/storage/v1/b/{quote(self._address.bucket, safe='')}"
            f"/o/{quote(self._base + key, safe='')}?alt=media"
        )
        headers = {"Accept-Encoding": "gzip"}  # otherwise GCS un-gzips objects that are labelled gzip
        if etag:
            url += f"&generation={quote(etag, safe='')}"
        if start or length is not None:
            headers["Range"] = f"bytes={start}-" + ("" if length is None else str(start + length - 1))
        with explained(where):
            try:
                answer = self._asked(url, headers)
            except api.GoogleAPICallError as error:
                if error.code == HTTPStatus.NOT_FOUND:
                    self._require_version(key, etag)
                raise
        try:
            if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                yield BodyReader(None, self.stat(key), partial(explained, where))
                return
            info = answered(key, answer.headers, where, ranged="Range" in headers, start=start)
            if etag and info.etag != etag:
                raise ObjectChanged("the object was replaced", where=where, hint="read it again")
            yield BodyReader(answer.raw, info, partial(explained, where))
        finally:
            answer.close()

    def put(self, key: str, source: bytes | Path, *, move: bool = False) -> ObjectInfo:
        """Create `key`; it becomes visible after its last byte.

        Raises:
            ObjectExists: the key exists.
            StoreUnwritable: the credentials have no right to write.
            Damaged: the server received other bytes.
        """
        check_key(key)
        where = self._where(key)
        nonce = uuid.uuid4().hex
        blob = self._bucket.blob(self._base + key)
        blob.metadata = {_NONCE: nonce}
        sending = {
            "if_generation_match": 0,
            "checksum": "crc32c",
            "timeout": _TIMEOUT,
            "retry": _RETRY,
            "content_type": "application/octet-stream",
        }
        try:
            with writing(where):
                if isinstance(source, Path):
                    blob.chunk_size = _UPLOAD_CHUNK
                    with disk_explained(source), source.open("rb") as file:
                        size = os.fstat(file.fileno()).st_size
                        if size > _UPLOAD_CHUNK and self._exists(key):  # before uploading gigabytes in vain
                            raise ObjectExists("the key is taken", where=where)
                        crc = crc_of(file)
                        file.seek(0)
                        blob.upload_from_file(file, size=size, **sending)
                else:
                    crc = google_crc32c.extend(0, source)
                    blob.upload_from_string(source, **sending)
        except (ObjectChanged, StoreUnwritable) as error:
            # The key exists (412). Without the right to delete, or under retention, GCS may answer 403.
            if not self._reloaded(blob):
                raise
            if (blob.metadata or {}).get(_NONCE) != nonce:
                raise ObjectExists("the key is taken", where=where) from error
        except ObjectMissing:
            self._require_bucket()
            raise
        info = info_of(key, blob)
        if dict(info.checksums).get("crc32c", f"{crc:08x}") != f"{crc:08x}":
            with suppress(*RAISED):
                blob.delete(if_generation_match=blob.generation, timeout=_TIMEOUT)
            raise Damaged("the server received other bytes", where=where, hint="try again")
        if move and isinstance(source, Path):
            with disk_explained(source):
                source.unlink(missing_ok=True)
        return info

    def local(self, key: str) -> None:
        """None: the store is not on this machine."""

    def delete(self, key: str) -> None:
        """Remove `key`, if it exists."""
        check_key(key)
        try:
            with writing(self._where(key)):
                self._bucket.blob(self._base + key).delete(timeout=_TIMEOUT, retry=_RETRY)
        except ObjectMissing:
            self._require_bucket()

    def staging(self) -> Path:
        """A private folder of this user below TMPDIR."""
        return local_staging()

    def sweep(
        self,
        older_than: timedelta,
        *,
        ours: Callable[[str], bool],  # noqa: ARG002 - see below
        uploads_older_than: timedelta = UPLOAD_AGE,  # noqa: ARG002 - the same
    ) -> Swept:
        """Remove old files from this user's local folder. Google drops unfinished uploads after a week.

        Raises:
            StoreUnwritable: an old file cannot be removed.
        """
        return sweep_folder(self.staging(), older_than)

    @property
    def _bucket(self) -> Any:
        return self._connected()[0].bucket(self._address.bucket)

    @property
    def _session(self) -> AuthorizedSession:
        return self._connected()[1]

    def _connected(self) -> tuple[Any, AuthorizedSession]:
        with self._lock:
            if self._made is None:
                with explained(self.uri):
                    self._made = connect(self._endpoint, self._file)
            return self._made

    def _reloaded(self, blob: Any) -> bool:
        """Load `blob`; returns whether the object exists."""
        try:
            with explained(self._where(blob.name.removeprefix(self._base))):
                blob.reload(timeout=_TIMEOUT, retry=_RETRY)
        except (ObjectMissing, StoreDenied):
            return False
        return True

    def _exists(self, key: str) -> bool:
        try:
            self.stat(key)
        except ObjectMissing:
            return False
        return True

    def _where(self, key: str) -> str:
        return f"{self.uri}/{key}"

    @contextmanager
    def _listing(self) -> Iterator[None]:
        try:
            with explained(self.uri):
                yield
        except ObjectMissing as error:
            raise StoreMissing(
                "the bucket does not exist", where=self.uri, hint="create it, or correct the URI"
            ) from error

    def _require_bucket(self) -> None:
        try:
            self._bucket.reload(timeout=_TIMEOUT, retry=_RETRY)
        except RAISED as error:
            # Reading the bucket's own metadata takes another right than reading objects.
            if status_of(error) == HTTPStatus.NOT_FOUND:
                self.check()

    def _asked(self, url: str, headers: dict[str, str]) -> Any:
        """GET with the library's retries; the caller reads the body.

        The library's own readers take three to five times as long (measured): they hash or buffer bytes that
        pass through here anyway. `edgecap.stores.reading` resumes a body that is cut later.
        """

        def ask() -> Any:
            answer = self._session.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
            if answer.ok or answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return answer
            with answer:
                raise api.from_http_response(answer)  # type: ignore[no-untyped-call]

        return _RETRY(ask)()

    def _require_version(self, key: str, etag: str) -> None:
        """Raise the reason why this version is gone: no object, no bucket, or replaced."""
        info = self.stat(key)
        if etag and info.etag != etag:
            raise ObjectChanged("the object was replaced", where=self._where(key), hint="read it again")
