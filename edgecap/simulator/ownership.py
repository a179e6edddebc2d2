"""Proof of bucket ownership: the edge writes a challenge file, the customer sends its content back."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from edgecap.errors import EdgecapError
from edgecap.redact import redact
from edgecap.requests import rfc3339
from edgecap.settings.uri import Address
from edgecap.simulator.bodies import BodyReader
from edgecap.simulator.buckets import Buckets, destination_key
from edgecap.simulator.captures import keyless
from edgecap.simulator.clock import Clock
from edgecap.simulator.envelope import Refused
from edgecap.simulator.log import EdgeLog
from edgecap.simulator.variants import Variant
from edgecap.stores import Store


@dataclass
class Ownership:
    """A bucket that a customer registered.

    Attributes:
        account_id: its account.
        destination_conf: as sent; may hold keys.
        address: the same, parsed.
        submitted: when it was registered.
        write_at: when the challenge file is due; None once it is written.
        id: 32 hexadecimal digits.
        name: the challenge file's name.
        content: the challenge file's content.
        status: `pending`, `success` or `failed`.
        settles_at: when a correct answer takes effect.
        validated: when it did.
    """

    account_id: str
    destination_conf: str
    address: Address
    submitted: datetime
    write_at: datetime | None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    name: str = field(default_factory=lambda: f"ownership-challenge-{secrets.token_hex(16)}.txt")
    content: str = field(default_factory=lambda: secrets.token_urlsafe(96), repr=False)
    status: str = "pending"
    settles_at: datetime | None = None
    validated: datetime | None = None


class Ownerships:
    """All registered buckets.

    Args:
        buckets: opens destinations.
        variant: format of answers, and durations.
        clock: the simulator's.
        log: records every change.
        wake: called when there is something to do later.
    """

    def __init__(
        self, buckets: Buckets, variant: Variant, clock: Clock, log: EdgeLog, wake: Callable[[], None]
    ) -> None:
        self._buckets = buckets
        self._variant = variant
        self._clock = clock
        self._log = log
        self._wake = wake
        self._lock = threading.RLock()
        self._known: dict[str, Ownership] = {}

    def __repr__(self) -> str:
        return f"<Ownerships [{len(self._known)} buckets]>"

    def list(self, account_id: str | None = None) -> list[dict[str, Any]]:
        """The buckets of an account, or of all, as the API shows them, oldest first."""
        with self._lock:
            return [self._shown(o) for o in self._known.values() if account_id in (None, o.account_id)]

    def create(self, account_id: str, body: Any) -> dict[str, Any]:
        """Register a bucket and write a challenge file into it.

        A validated bucket stays validated; another one gets a new challenge.

        Raises:
            Refused: the destination is wrong, or its bucket does not exist or cannot be written to.
        """
        reader = BodyReader(body, self._variant)
        uri, address = reader.destination()
        with self._lock:
            known = self._find(account_id, address)
            if known is not None and known.status == "success":
                return self._shown(known)
        store = self.reach(reader, uri, write=True)
        now = self._clock.now()
        wait = self._variant.challenge_after
        made = Ownership(account_id, uri, address, now, now + timedelta(seconds=wait))
        if not wait:
            try:
                self._write(made, store)
            except EdgecapError as error:
                raise _unreachable(reader, error) from None
        with self._lock:
            if (replaced := self._find(account_id, address)) is not None:
                del self._known[replaced.id]
            self._known[made.id] = made
        self._note(made, "created")
        self._wake()
        return self._shown(made)

    def validate(self, account_id: str, body: Any) -> dict[str, Any]:
        """Compare the customer's challenge with the content that was written.

        Raises:
            Refused: the destination is wrong or was never registered, or there is no challenge in the body.
        """
        reader = BodyReader(body, self._variant)
        _, address = reader.destination()
        given = reader.text("ownership_challenge").strip()
        with self._lock:
            known = self._find(account_id, address)
            if known is None:
                raise reader.wrong("destination_conf", "destination_conf has no ownership challenge")
            if known.status != "success":
                now = self._clock.now()
                right = secrets.compare_digest(given.encode(), known.content.encode())
                known.status = "pending" if right else "failed"
                known.settles_at = now + timedelta(seconds=self._variant.validation_takes) if right else None
                self._note(known, "right answer" if right else "wrong answer")
                self.tick(now)
            answer = self._shown(known)
        self._wake()
        return answer

    def delete(self, account_id: str, ownership_id: str) -> None:
        """Unregister a bucket.

        Raises:
            Refused: the bucket is not registered.
        """
        with self._lock:
            known = self._known.get(ownership_id)
            if known is None or known.account_id != account_id:
                raise Refused.by(self._variant.missing)
            del self._known[ownership_id]
        self._note(known, "deleted")

    def require(self, account_id: str, reader: BodyReader) -> Store:
        """The store of a full capture's destination.

        Raises:
            Refused: the bucket was not validated, or does not exist.
        """
        uri, address = reader.destination()
        store = self.reach(reader, uri, write=False)
        with self._lock:
            known = self._find(account_id, address)
            if known is None or known.status != "success":
                raise reader.wrong(
                    "destination_conf", "destination_conf is invalid: the bucket's ownership is not validated"
                )
        return store

    def reach(self, reader: BodyReader, uri: str, *, write: bool) -> Store:
        """The store at `uri`, which must exist.

        Raises:
            Refused: it does not exist, or cannot be written to.
        """
        try:
            store = self._buckets(uri)
            store.check(write=write)
        except EdgecapError as error:
            raise _unreachable(reader, error) from None
        return store

    def tick(self, now: datetime) -> datetime | None:
        """Do everything that is due; returns the next due time."""
        with self._lock:
            known = list(self._known.values())
        due = []
        for ownership in known:
            if (write_at := ownership.write_at) is not None:
                if write_at > now:
                    due.append(write_at)
                else:
                    self._write_late(ownership)
            if (settles_at := ownership.settles_at) is not None and ownership.status == "pending":
                if settles_at > now:
                    due.append(settles_at)
                else:
                    with self._lock:
                        ownership.status, ownership.validated = "success", settles_at
                        ownership.settles_at = None
                    self._note(ownership, "validated")
        return min(due, default=None)

    def _write_late(self, ownership: Ownership) -> None:
        with self._lock:
            if ownership.write_at is None:
                return  # another thread is writing it; a second put would find it existing
            ownership.write_at = None
        try:
            self._write(ownership, self._buckets(ownership.destination_conf))
        except EdgecapError as error:
            with self._lock:
                ownership.status = "failed"
            self._note(ownership, f"challenge not written: {redact(str(error))}")

    def _write(self, ownership: Ownership, store: Store) -> None:
        store.put(ownership.name, ownership.content.encode())
        ownership.write_at = None

    def _find(self, account_id: str, address: Address) -> Ownership | None:
        wanted = destination_key(address)
        mine = (o for o in self._known.values() if o.account_id == account_id)
        return next((o for o in mine if destination_key(o.address) == wanted), None)

    def _shown(self, ownership: Ownership) -> dict[str, Any]:
        uri, folder = ownership.destination_conf, ownership.address.path
        in_folder = self._variant.filename_folder and folder
        answer: dict[str, Any] = {
            "id": ownership.id,
            "status": ownership.status,
            "submitted": rfc3339(ownership.submitted),
            "validated": rfc3339(ownership.validated) if ownership.validated is not None else "",
            "destination_conf": uri if self._variant.echo_keys else keyless(uri),
            "filename": f"{folder}/{ownership.name}" if in_folder else ownership.name,
        }
        if self._variant.extra_fields:
            answer["attempts"] = 1
        return answer

    def _note(self, ownership: Ownership, action: str) -> None:
        self._log.write(
            "ownership",
            action=action,
            ownership_id=ownership.id,
            account_id=ownership.account_id,
            bucket=ownership.address.uri,
            status=ownership.status,
        )


def _unreachable(reader: BodyReader, error: EdgecapError) -> Refused:
    return reader.wrong("destination_conf", f"destination_conf is invalid: {redact(error.what)}")
