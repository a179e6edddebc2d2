"""Upload files to S3, large ones in parts."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecap.errors import Damaged
from edgecap.files.durable import explained
from edgecap.stores.s3.answers import stated_in
from edgecap.stores.s3.errors import RAISED

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

SINGLE_PUT = 64 << 20  # bytes; larger files are multipart uploads
NONCE = "edgecap-put"  # metadata that identifies our own put after its answer was lost
_PART = 8 << 20
_MOST_PARTS = 9_000  # S3 allows 10,000
_PARALLEL = 4


def upload_whole(
    client: S3Client,
    target: dict[str, str],
    source: bytes | Path,
    *,
    begin: dict[str, Any],
    condition: dict[str, Any],
) -> dict[str, Any]:
    """Upload `source` in one request, with its MD5, if `condition` holds.

    The arguments are those of `upload_parts`.

    Returns:
        S3's answer, and the server's time as `LastModified`.

    Raises:
        Damaged: the server received other bytes.
    """
    if isinstance(source, bytes):
        return _put(client, {**target, **begin, **condition}, source, _md5(source))
    with explained(source), source.open("rb") as file:
        md5 = hashlib.file_digest(file, _new_md5).digest()
        file.seek(0)
        return _put(client, {**target, **begin, **condition}, file, md5)


def _put(client: S3Client, asked: dict[str, Any], body: Any, md5: bytes) -> dict[str, Any]:
    answer: Any = client.put_object(**asked, Body=body, ContentMD5=base64.b64encode(md5).decode())
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    modified = parsedate_to_datetime(date) if date else datetime.now(UTC)
    if stated_in(answer.get("ETag", "").strip('"'), answer).get("md5", md5.hex()) != md5.hex():
        raise Damaged("the server received other bytes", where=asked["Key"], hint="try again")
    return {**answer, "LastModified": modified}


def _new_md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def upload_parts(
    client: S3Client,
    target: dict[str, str],
    source: Path,
    size: int,
    *,
    begin: dict[str, Any],
    condition: dict[str, Any],
) -> None:
    """Upload `source` in parts, each with its MD5, and complete the upload if `condition` holds.

    Args:
        client: boto3's.
        target: its `Bucket` and `Key`.
        source: the file.
        size: its bytes.
        begin: arguments for the new object, such as its metadata.
        condition: `IfNoneMatch`, or empty for servers that do not support it.

    Raises:
        Damaged: the server received other bytes; or the file changed.
    """
    part_size = max(_PART, -(-size // _MOST_PARTS))
    upload: Any = {**target, "UploadId": client.create_multipart_upload(**target, **begin)["UploadId"]}  # type: ignore[arg-type]
    try:
        with explained(source), source.open("rb") as file:
            descriptor = file.fileno()

            def send(number: int) -> Any:
                data = os.pread(descriptor, min(part_size, size - number * part_size), number * part_size)
                answer = client.upload_part(
                    **upload,
                    PartNumber=number + 1,
                    Body=data,
                    ContentMD5=base64.b64encode(_md5(data)).decode(),
                )
                return {"PartNumber": number + 1, "ETag": answer["ETag"]}, len(data)

            with ThreadPoolExecutor(_PARALLEL, "edgecap-put") as pool:
                try:
                    sent = list(pool.map(send, range(-(-size // part_size))))
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        _require_all(sum(length for _, length in sent), size, source)
        client.complete_multipart_upload(
            **upload, MultipartUpload={"Parts": [part for part, _ in sent]}, **condition
        )
    except BaseException:
        with suppress(*RAISED):  # unaborted parts cost money until the bucket's rules remove them
            client.abort_multipart_upload(**upload)
        raise


def abort_old(client: S3Client, bucket: str, base: str, before: datetime, ours: Callable[[str], bool]) -> int:
    """Abort multipart uploads started before `before`: their parts cost money, and no listing shows them.

    Args:
        client: boto3's.
        bucket: the bucket's name.
        base: only keys with this prefix; `ours` gets the rest of the key.
        before: aware.
        ours: whether an upload to this key may be aborted.

    Returns:
        The number of aborted uploads.
    """
    aborted = 0
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=base):
        for upload in page.get("Uploads", ()):
            key = upload["Key"]
            # Some servers ignore the requested prefix.
            if not key.startswith(base) or not ours(key.removeprefix(base)):
                continue
            if upload["Initiated"] < before:
                with suppress(client.exceptions.NoSuchUpload):  # completed or aborted since the listing
                    client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])
                    aborted += 1
    return aborted


def _require_all(sent: int, size: int, source: Path) -> None:
    if sent != size:
        raise Damaged("the file changed during the upload", where=str(source), hint="try again")
