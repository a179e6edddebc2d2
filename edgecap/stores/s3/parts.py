"""The part sizes of a multipart object in S3: its checksums are of the parts."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

from edgecap.errors import StoreError, StoreUnreachable
from edgecap.stores.s3.errors import explained

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_ASKING = 8  # parallel requests


def sizes_of_parts(
    client: S3Client, target: dict[str, Any], size: int, where: str, *, exact: bool
) -> Sequence[int] | None:
    """The size in bytes of each part, in order; None if the server does not tell.

    Args:
        client: boto3's.
        target: `Bucket` and `Key`, and the version as `IfMatch`.
        size: the object's bytes.
        where: the object, as a URI without secrets.
        exact: ask for each of up to 10,000 parts, even if the first and the last fit equal sizes.

    Raises:
        StoreUnreachable: no answer.
    """
    ask = partial(_part, client, target, where)
    if not (found := ask(1)):
        return None
    first, count = found
    rest = size - first * (count - 1)
    if 0 < rest <= first and not exact and ask(count) == (rest, count):
        return (*repeat(first, count - 1), rest)
    with ThreadPoolExecutor(_ASKING, "edgecap-parts") as pool:
        parts = [found, *pool.map(ask, range(2, count + 1))]
    sizes = [part[0] for part in parts if part]
    return sizes if len(sizes) == count and sum(sizes) == size else None


def _part(client: S3Client, target: dict[str, Any], where: str, number: int) -> tuple[int, int] | None:
    """Size of a part, and the number of parts; None if the server does not tell."""
    try:
        with explained(where):
            answer: Any = client.head_object(**target, PartNumber=number)
            if not answer.get("PartsCount"):
                # Some servers tell only in a GET; its body is not read.
                answer = client.get_object(**target, PartNumber=number)
                answer["Body"].close()
    except StoreUnreachable:
        raise
    except StoreError:
        return None  # servers without part numbers refuse the request in various ways
    return (int(answer["ContentLength"]), int(answer["PartsCount"])) if answer.get("PartsCount") else None
