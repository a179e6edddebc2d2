"""Amazon S3, Cloudflare R2 and every other S3 server, through boto3.

boto3 checks only what a request requires: many servers do not support its other checks, and it silently skips
ranged and multipart reads. `edgecap.stores.integrity` checks instead.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from edgecap.errors import (
    Damaged,
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreUnreachable,
    StoreUnwritable,
)
from edgecap.files.durable import explained as disk_explained
from edgecap.settings import StoreLocation
from edgecap.settings.uri import Address
from edgecap.stores.base import UPLOAD_AGE, ObjectInfo, Swept
from edgecap.stores.keys import check_key
from edgecap.stores.pieces import BodyReader
from edgecap.stores.s3.answers import content_range, info_of
from edgecap.stores.s3.client import connect, endpoint_of, keys_of
from edgecap.stores.s3.errors import RAISED, code_of, explain, explained, reason_of, status_of
from edgecap.stores.s3.parts import sizes_of_parts
from edgecap.stores.s3.signed_get import SignedGets
from edgecap.stores.s3.upload import NONCE, SINGLE_PUT, abort_old, upload_parts, upload_whole
from edgecap.stores.staging import local_staging, sweep_folder
from edgecap.stores.write_check import is_write_check, prove_create_only

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_CONFLICTS = 3  # attempts of a put that collides with another one
_TAKEN = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.NOT_FOUND)  # 404: the upload was completed before


class S3Store:
    """A bucket, or a folder in one. Keys are below the URI's path.

    Credentials come from the settings, else from an r2 URI's query, else from boto3's own chain.

    Args:
        address: the parsed URI.
        place: endpoint and keys.
        attempts: how often boto3 sends a request without an answer, the first time included, with growing
            pauses. A GET after the first is sent once before that, see `signed_get`.

    Raises:
        ConfigError: the endpoint is not a URL, or the R2 account is missing.
    """

    def __init__(self, address: Address, place: StoreLocation, *, attempts: int = 4) -> None:
        self._bucket = address.bucket
        self._base = f"{address.path}/" if address.path else ""
        self._address = address
        self._endpoint = endpoint_of(address, place)
        self._keys = keys_of(address, place)
        self._attempts = attempts
        self._conditional_parts = True  # until the server refuses such an upload
        self._lock = threading.Lock()
        self._made: tuple[S3Client, SignedGets] | None = None

    def __repr__(self) -> str:
        return f"<S3Store {self.uri} at {self._endpoint or 'AWS'}>"

    @property
    def uri(self) -> str:
        """The URI without its parameters."""
        return self._address.uri

    def check(self, *, write: bool = False) -> None:
        """Raise if the bucket cannot be listed, or, with `write`, if it cannot take puts.

        Raises:
            StoreMissing: the bucket does not exist.
            StoreDenied: the credentials are missing, wrong, or without the right to list.
            StoreUnwritable: listing is allowed, writing is not; or the server overwrites existing objects.
            StoreUnreachable: no answer.
        """
        with explained(self.uri):
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._base, MaxKeys=1)
        if write:
            prove_create_only(self, "the server ignores If-None-Match")

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose key starts with `prefix`, 1,000 per request. States no checksums.

        Raises:
            StoreMissing, StoreDenied, StoreUnreachable: as `check`.
        """
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._base + prefix
        )
        with explained(self.uri):
            for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._base)
                    if key and not is_write_check(key):
                        yield ObjectInfo(
                            key, item["Size"], item["LastModified"].astimezone(UTC), item["ETag"].strip('"')
                        )

    def stat(self, key: str) -> ObjectInfo:
        """Size, time, version, and the checksums of the whole object that the server states.

        Raises:
            ObjectMissing: no such object.
            StoreMissing: no such bucket.
        """
        check_key(key)
        try:
            with explained(self._where(key)):
                answer = self._client.head_object(
                    Bucket=self._bucket, Key=self._base + key, ChecksumMode="ENABLED"
                )
        except ObjectMissing as error:
            # Any server may answer a HEAD so, and S3 does if the bucket is missing: a read gets a body.
            self._read_byte(key)
            raise StoreUnreachable(
                "the store contradicts itself: HEAD does not find the object, and GET does",
                where=self._where(key),
                hint="try again",
            ) from error
        except StoreDenied:
            # A HEAD has no body with the reason; a listing or a read has.
            self.check()
            self._read_byte(key)
            raise
        return info_of(key, answer, answer["ContentLength"])

    @contextmanager
    def open(
        self, key: str, *, start: int = 0, etag: str = "", length: int | None = None
    ) -> Iterator[BodyReader]:
        """Read `key` from byte `start` on.

        Raises:
            ObjectMissing: no such object.
            ObjectChanged: its version is not `etag`.
        """
        check_key(key)
        where = self._where(key)
        asked = {"If-Match": f'"{etag}"'} if etag else {}
        ranged = bool(start) or length is not None
        if ranged:
            asked["Range"] = f"bytes={start}-" + ("" if length is None else str(start + length - 1))
        answer = self._get(key, asked)
        if answer is None:  # `start` is at or beyond the end
            yield BodyReader(None, self.stat(key), partial(explained, where))
            return
        try:
            size = int(answer["ContentLength"])
            if ranged:
                begin, _, size = content_range(answer.get("ContentRange", ""), where)
                if begin != start:
                    raise StoreError("the server ignores ranges", where=where, hint="use another S3 server")
            yield BodyReader(answer["Body"], info_of(key, answer, size), partial(explained, where))
        finally:
            answer["Body"].close()

    def put(self, key: str, source: bytes | Path, *, move: bool = False) -> ObjectInfo:
        """Create `key`. Files of more than 64 MiB are multipart uploads, visible after their last part.

        Some servers support conditional puts, but not conditional multipart uploads. Then edgecap first asks
        whether the key is free, and two simultaneous uploads of one large file may both succeed. Objects that
        decide who was first, such as the journal's, are never that large.

        Raises:
            ObjectExists: the key exists.
            StoreUnwritable: the credentials have no right to write, or the server ignores conditions.
            Damaged: the server received other bytes.
        """
        check_key(key)
        where = self._where(key)
        nonce = uuid.uuid4().hex
        with disk_explained(source if isinstance(source, Path) else where):
            size = source.stat().st_size if isinstance(source, Path) else len(source)
        for attempt in range(_CONFLICTS):
            if size > SINGLE_PUT and self._exists(key):
                raise ObjectExists("the key is taken", where=where)
            try:
                with self._writing(where):
                    info = self._put(key, source, size, nonce)
                break
            except StoreError as error:
                cause = error.__cause__
                status = status_of(cause) if isinstance(cause, ClientError) else 0
                if status == HTTPStatus.NOT_IMPLEMENTED:
                    if size <= SINGLE_PUT or not self._conditional_parts:
                        raise StoreUnwritable(
                            f"the server does not support If-None-Match: {error.what}",
                            where=where,
                            hint="use another S3 server",
                        ) from error
                    self._conditional_parts = False
                elif status in _TAKEN and (found := self._is_ours(key, nonce)):
                    info = found  # an earlier attempt succeeded, and its answer was lost
                    break
                elif status == HTTPStatus.PRECONDITION_FAILED:
                    raise ObjectExists("the key is taken", where=where) from error
                elif status != HTTPStatus.CONFLICT or attempt == _CONFLICTS - 1:
                    raise
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
            with self._writing(self._where(key)):
                self._client.delete_object(Bucket=self._bucket, Key=self._base + key)
        except ObjectMissing:
            return

    def staging(self) -> Path:
        """A private folder of this user below TMPDIR."""
        return local_staging()

    def sweep(
        self,
        older_than: timedelta,
        *,
        ours: Callable[[str], bool],
        uploads_older_than: timedelta = UPLOAD_AGE,
    ) -> Swept:
        """Remove old files from this user's local folder, and abort unfinished multipart uploads.

        Raises:
            StoreMissing, StoreDenied, StoreUnreachable: as `check`.
            StoreUnwritable: an old file in the local folder cannot be removed.
        """
        local = sweep_folder(self.staging(), older_than)
        before = datetime.now(UTC) - uploads_older_than
        try:
            with self._writing(self.uri):
                aborted = abort_old(self._client, self._bucket, self._base, before, ours)
        except StoreUnwritable as error:
            # Keys that may only create are recommended; a rule of the bucket can abort the uploads instead.
            return Swept(local.files, local.bytes, refused=error.what)
        return Swept(local.files, local.bytes, aborted)

    def part_sizes(self, info: ObjectInfo, *, exact: bool = False) -> Sequence[int] | None:
        """The sizes of a multipart object's parts, if the server tells; see `sizes_of_parts`."""
        target = {"Bucket": self._bucket, "Key": self._base + info.key, "IfMatch": f'"{info.etag}"'}
        return sizes_of_parts(self._client, target, info.size, self._where(info.key), exact=exact)

    @property
    def _client(self) -> S3Client:
        return self._connected[0]

    @property
    def _connected(self) -> tuple[S3Client, SignedGets]:
        with self._lock:
            if self._made is None:
                with explained(self.uri):
                    self._made = connect(self._address, self._endpoint, self._keys, self._attempts)
            return self._made

    def _get(self, key: str, asked: dict[str, str]) -> Any:
        """The answer to a GET with the headers `asked`; None if the range begins beyond the end."""
        where = self._where(key)
        gets = self._connected[1]
        try:
            return gets.get(self._base + key, asked)
        except ClientError as error:
            if status_of(error) != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise explain(error, where) from error
            return None
        except RAISED as error:
            raise explain(error, where) from error

    def _read_byte(self, key: str) -> None:
        """Read a byte and raise S3's error, if any; an empty object is no error."""
        if first := self._get(key, {"Range": "bytes=0-0"}):
            first["Body"].close()

    def _where(self, key: str) -> str:
        return f"{self.uri}/{key}"

    def _extra(self) -> dict[str, Any]:
        return {"ServerSideEncryption": self._address.sse} if self._address.sse else {}

    @contextmanager
    def _writing(self, where: str) -> Iterator[None]:
        try:
            with explained(where):
                yield
        except StoreDenied as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and code_of(cause) == "AccessDenied":
                raise StoreUnwritable(
                    f"the key has no right to write here{reason_of(cause)}",
                    where=where,
                    hint="grant it, or use another key",
                ) from cause
            raise

    def _put(self, key: str, source: bytes | Path, size: int, nonce: str) -> ObjectInfo:
        target = {"Bucket": self._bucket, "Key": self._base + key}
        begin = {"Metadata": {NONCE: nonce}, **self._extra()}
        condition = {"IfNoneMatch": "*"}
        if not isinstance(source, Path) or size <= SINGLE_PUT:
            answer = upload_whole(self._client, target, source, begin=begin, condition=condition)
            return info_of(key, answer, size)
        if not self._conditional_parts:
            condition = {}
        upload_parts(self._client, target, source, size, begin=begin, condition=condition)
        info = self.stat(key)
        if info.size != size:
            raise Damaged(
                f"the server has {info.size} of {size} bytes", where=self._where(key), hint="try again"
            )
        return info

    def _exists(self, key: str) -> bool:
        try:
            self.stat(key)
        except ObjectMissing:
            return False
        return True

    def _is_ours(self, key: str, nonce: str) -> ObjectInfo | None:
        with suppress(*RAISED):
            answer = self._client.head_object(Bucket=self._bucket, Key=self._base + key)
            # Some servers return the names of metadata in capitals.
            if nonce in answer["Metadata"].values():
                return info_of(key, answer, answer["ContentLength"])
        return None
