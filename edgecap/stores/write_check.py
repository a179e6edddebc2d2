"""Proving that a place can be written, and that it protects what it holds from being overwritten.

The proof is a put like any other, of a few bytes, at a key that nobody had before: with the condition, the
checksum, the encryption and the metadata that every put has. So it works where the provider lets nobody
overwrite or delete (Object Lock, a retention policy, a key without the right), and it fails where a real put
would. A second put of the same key must be refused: the journal relies on it for "at most one capture".

What was put is deleted if that is allowed. Where it is not, it stays: 7 bytes, below `WRITE_CHECKS`, which no
listing of ours shows. A rule of the bucket can remove it by age. So a run does not prove it anew each time:
once a day for each user of a machine is enough, since the first thing that a run does is a put anyhow.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from contextlib import suppress
from datetime import timedelta

from edgecap.errors import ObjectExists, StoreError, StoreUnwritable
from edgecap.files.private_folder import private_folder
from edgecap.stores.base import Store

WRITE_CHECKS = ".edgecap-write-check/"
_OLD = ".edgecap-write-check"  # the one key of earlier versions, which may be there for ever
_DAY = timedelta(days=1)


def is_write_check(key: str) -> bool:
    """Whether a key is one of these proofs, and nothing that was kept."""
    return key == _OLD or key.startswith(WRITE_CHECKS)


def prove_create_only(store: Store, overwrites: str) -> None:
    """Put a new key, and see that a second put of it is refused.

    Args:
        store: the place.
        overwrites: what it means if it is not: one line.

    Raises:
        StoreUnwritable: nothing can be put, or the second put was not refused.
        StoreError: whatever else a put raises.
    """
    key = WRITE_CHECKS + uuid.uuid4().hex
    store.put(key, b"edgecap")
    try:
        store.put(key, b"another")
    except ObjectExists:
        pass
    else:
        raise StoreUnwritable(
            f"{overwrites}, so nothing protects what is archived from being overwritten",
            where=store.uri,
            hint="use another place",
        )
    finally:
        with suppress(StoreError):
            store.delete(key)


def require_writable(store: Store, *, proven_within: timedelta = _DAY) -> None:
    """Check a store, and that it can be written, unless this machine's user has proven that lately.

    Args:
        store: the place.
        proven_within: how old the last proof may be. That of a folder costs nothing, and is made each time.

    Raises:
        StoreError: as `store.check(write=True)`.
    """
    name = hashlib.sha256(repr(store).encode()).hexdigest()
    with suppress(StoreError, OSError):
        proof = private_folder("edgecap-proofs") / name
        age = time.time() - proof.stat().st_mtime
        if store.local(WRITE_CHECKS + "x") is None and 0 <= age < proven_within.total_seconds():
            return store.check()
    store.check(write=True)
    with suppress(StoreError, OSError):
        (private_folder("edgecap-proofs") / name).touch()
    return None
