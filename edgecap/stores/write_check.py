"""Prove that a store can be written to, and that it never overwrites an object.

The proof is an ordinary put of a few bytes at a new key: with the condition, the checksum, the encryption and
the metadata of every put. So it works where nobody may overwrite or delete (Object Lock, a retention policy,
a key without the right), and it fails where a real put would. A second put of the same key must be refused:
the journal relies on that for "at most one capture".

The object is deleted if that is allowed. Otherwise its 7 bytes stay below `WRITE_CHECKS`, which edgecap's
listings skip; a rule of the bucket can remove them by age. Each user of a machine repeats the proof daily,
not in every run: a run's first step is a put anyway.
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
_OLD = ".edgecap-write-check"  # the one key of earlier versions; some archives still have it
_DAY = timedelta(days=1)


def is_write_check(key: str) -> bool:
    """Whether a key belongs to such a proof, not to a capture."""
    return key == _OLD or key.startswith(WRITE_CHECKS)


def prove_create_only(store: Store, overwrites: str) -> None:
    """Put a new key, and require that a second put of it is refused.

    Args:
        store: the store.
        overwrites: the reason to report if the second put succeeds: one line.

    Raises:
        StoreUnwritable: the first put failed, or the second was not refused.
        StoreError: any other error of a put.
    """
    key = WRITE_CHECKS + uuid.uuid4().hex
    store.put(key, b"edgecap")
    try:
        store.put(key, b"another")
    except ObjectExists:
        pass
    else:
        raise StoreUnwritable(
            f"{overwrites}, so nothing protects the archive from being overwritten",
            where=store.uri,
            hint="use another place",
        )
    finally:
        with suppress(StoreError):
            store.delete(key)


def require_writable(store: Store, *, proven_within: timedelta = _DAY) -> None:
    """Check a store, and that it can be written to, unless this user has proved that recently.

    Args:
        store: the store.
        proven_within: how old the last proof may be. A folder's proof is free, and is repeated each time.

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
