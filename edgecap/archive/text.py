"""How the archive writes JSON: sorted, readable, without secrets, and always valid UTF-8."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError

from edgecap.errors import Damaged
from edgecap.redact import HIDDEN, redact
from edgecap.stores.base import Store
from edgecap.stores.integrity import Check
from edgecap.stores.reading import ReadSource

LARGEST_RECORD = 64 << 20  # bytes; a manifest of 100,000 files has 50 MB
_READS = 3  # how often a record is read until the store's checksum confirms it, or two reads agree

_Model = TypeVar("_Model", bound=BaseModel)


def clean(value: Any) -> Any:
    """A copy of JSON data that can be stored: secrets as `***`, no half characters, no NaN."""
    if isinstance(value, str):
        return redact(value.encode("utf-8", "replace").decode())
    if isinstance(value, dict):
        return {
            clean(str(name)): _destination(item) if name == "destination_conf" else clean(item)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _destination(value: Any) -> Any:
    """A bucket's URI; an r2 one without its query, since its keys are in it, however they are written."""
    if isinstance(value, str) and not value.startswith(("s3://", "gs://")):
        address, mark, _ = value.partition("?")
        return clean(address + (f"?{HIDDEN}" if mark else ""))
    return clean(value)


Json = Annotated[dict[str, Any], BeforeValidator(clean)]
"""A JSON object from outside, cleaned on the way in."""


def to_json(record: BaseModel) -> bytes:
    """`record` as it is stored: two spaces, sorted names, a newline at the end, secrets as `***`."""
    data = clean(record.model_dump(mode="json"))
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_json(store: Store, key: str, model: type[_Model], *, attempts: int = 5) -> _Model:
    """Read the record under `key`. One flipped byte could make it another valid record.

    So the bytes must match the checksum that the store states. If the bucket states none, such as one with
    keys of KMS on a server without checksums, two reads must agree: that is one more request per record. A
    folder is read once: a second read would come out of the same memory.

    Args:
        store: where it is.
        key: the record's.
        model: the record's type.
        attempts: how often in a row an answer may be cut before it gives a further byte.

    Raises:
        ObjectMissing: there is none.
        Damaged: it is not such a record.
        StoreError: it cannot be read; whether it is there is unknown.
    """
    data = _sure(store, key, attempts)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the text"
        raise Damaged(
            f"this is no {model.__name__.lower()} that this version reads: {field}: {first['msg']}",
            where=f"{store.uri}/{key}",
            hint="update edgecap if a newer one wrote it; else restore it from a copy",
        ) from None


def _sure(store: Store, key: str, attempts: int) -> bytes:
    """The bytes of a record, confirmed by the store's checksum or by a second read. Raises as `read_json`."""
    seen: set[str] = set()
    for reads in range(1, _READS + 1):
        try:
            data, sha256, vouched = _read(store, key, attempts)
        except Damaged:  # a byte that was flipped on the way is right the next time
            if reads > 1:
                raise
            continue
        if vouched or sha256 in seen or store.local(key) is not None:
            return data
        seen.add(sha256)
    raise Damaged(f"{_READS} reads gave different bytes", where=f"{store.uri}/{key}", hint="try again")


def _read(store: Store, key: str, attempts: int) -> tuple[bytes, str, bool]:
    """The bytes of a record, their SHA-256, and whether the store's checksum confirms them.

    Raises:
        Damaged: the checksum does not match, or the record is too large.
    """
    where = f"{store.uri}/{key}"
    data = bytearray()
    source = ReadSource.of(store, key, attempts=attempts)
    for chunk in source.chunks():
        data += chunk
        if len(data) > LARGEST_RECORD:
            raise Damaged(
                f"the record is larger than {LARGEST_RECORD >> 20} MiB, so it is none of edgecap's",
                where=where,
            )
    check = Check(store, source.info)
    check.update(bytes(data))
    sha256 = hashlib.sha256(data).hexdigest()
    return bytes(data), sha256, check.finish(sha256) is not None
