"""Proving to Cloudflare that a bucket is ours, once, before full captures are written to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from edgecap.captures.destinations import contains, destination_conf, read_destination, same_destination
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Ownership
from edgecap.errors import (
    ApiError,
    BucketNotValidated,
    ConfigError,
    DeadlinePassed,
    InvalidRequest,
    NetworkFailure,
    ObjectMissing,
    RateLimited,
    RequestRefused,
    ServerFailure,
    UnexpectedAnswer,
)
from edgecap.settings import StoreLocation
from edgecap.settings.uri import Address, parse_uri
from edgecap.stores.base import Store
from edgecap.stores.rights import CLOUDFLARE_ON_AWS, CLOUDFLARE_ON_GOOGLE, R2_PERMISSION

FIRST, MOST = 1.0, 15.0  # seconds between two looks, growing by half
LONGEST_CHALLENGE = 64 * 1024  # bytes; a real one is a line
SEARCH = 3  # the whole bucket, which may be large, is searched only at every third look
OLD_CHALLENGE = 5  # looks for the challenge of an earlier registration before asking for a new one
_PASSING = (NetworkFailure, ServerFailure, RateLimited)
_GRANTS = {
    "s3": f"allow {CLOUDFLARE_ON_AWS} s3:PutObject on the bucket (`edgecap bucket policy --cloudflare`)",
    "gs": f"make {CLOUDFLARE_ON_GOOGLE} a Storage Object Admin of the bucket",
    "r2": f"use the keys of a token with {R2_PERMISSION} on the bucket",
}

Sleep = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class _Patience:
    """Waits between two looks, which grow until a deadline of `clock`."""

    deadline: float
    sleep: Sleep
    clock: Callable[[], float]

    async def next(self, looked: int) -> bool:
        """Wait after `looked` looks; False, at once, if the time is over."""
        left = self.deadline - self.clock()
        if left <= 0:
            return False
        await self.sleep(min(left, MOST, FIRST * 1.5 ** min(looked - 1, 20)))
        return True


async def register(
    client: Client,
    store: Store,
    place: StoreLocation,
    *,
    timeout: float = 900.0,  # noqa: ASYNC109 - it ends the looking, never a call in flight
    sleep: Sleep = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
    on_begin: Callable[[], object] = lambda: None,
) -> Ownership:
    """Register a bucket with Cloudflare, unless it is registered already.

    A registration that was begun earlier is finished rather than begun anew.

    Args:
        client: the account's API.
        store: the same bucket and folder, from our side, to read the challenge file.
        place: the bucket as the settings name it.
        timeout: seconds for all of it; Cloudflare may take ten minutes to validate.
        sleep: waits the given seconds.
        clock: seconds, from any start.
        on_begin: called once it is clear that the bucket can be registered, and is not yet.

    Raises:
        BucketNotValidated: the challenge did not arrive, or Cloudflare rejected the answer to it.
        DeadlinePassed: it is still pending.
        ConfigError: Cloudflare cannot write to the place, or the settings lack its keys.
        ApiError: the API refused something else, or cannot be reached.
        StoreError: the bucket cannot be read.
    """
    wanted = parse_uri(place.uri)
    public = destination_conf(place, with_secrets=False)
    patience = _Patience(clock() + timeout, sleep, clock)
    known = _pick(await client.list_ownerships(), wanted)
    if known and known.succeeded:
        return known
    on_begin()
    challenge = ""
    if known and known.filename and not known.failed:
        challenge = await _challenge(store, known.filename, patience, looks=OLD_CHALLENGE)
    if known and challenge:
        with suppress(RequestRefused):  # the file may be older than the registration: begin anew
            return await _validate(client, wanted, public, known, challenge, patience)
        known = _pick(await client.list_ownerships(), wanted)
        if known and known.succeeded:
            return known
    begun = await _begin(client, wanted, place, known)
    if begun.succeeded:
        return begun
    challenge = await _challenge(store, begun.filename, patience)
    if not challenge:
        raise BucketNotValidated(
            f"Cloudflare's challenge file {begun.filename or '(unnamed)'} did not appear in the bucket",
            where=public,
            hint=_GRANTS[wanted.scheme],
        )
    try:
        return await _validate(client, wanted, public, begun, challenge, patience)
    except RequestRefused as refused:
        raise _rejected(wanted, public, refused.what) from refused


async def require_validated(client: Client, place: StoreLocation) -> None:
    """Raise before a full capture is asked for, if its bucket is known not to be validated.

    A bucket passes if a folder above the wanted one is validated: only the API knows whether that is enough.

    Raises:
        BucketNotValidated: it is not registered, is pending, or was rejected.
        ConfigError: Cloudflare cannot write to the place.
        ApiError: the API could not be asked.
    """
    wanted = parse_uri(place.uri)
    public = destination_conf(place, with_secrets=False)
    ownerships = await client.list_ownerships()
    for ownership in ownerships:
        address = read_destination(ownership.destination_conf)
        if ownership.succeeded and (address is None or contains(address, wanted)):
            return
    known = _pick(ownerships, wanted)
    if known is None:
        raise BucketNotValidated(
            "the bucket is not registered with Cloudflare",
            where=public,
            hint="run `edgecap bucket register`, or the flow register-bucket",
        )
    if known.failed:
        raise _rejected(wanted, public, "status failed")
    raise BucketNotValidated(
        f"Cloudflare has not validated the bucket yet (status {known.status})",
        where=public,
        hint="wait up to ten minutes, or run `edgecap bucket register`, or the flow register-bucket",
    )


def _pick(ownerships: list[Ownership], wanted: Address, ownership_id: str = "") -> Ownership | None:
    """The registration of the wanted destination: one that succeeded, else that id, else the newest."""
    ours = [
        ownership
        for ownership in ownerships
        if (address := read_destination(ownership.destination_conf)) and same_destination(address, wanted)
    ]
    ours += [other for other in ownerships if ownership_id and other.id == ownership_id and other not in ours]

    def rank(ownership: Ownership) -> tuple[bool, bool, bool, float]:
        submitted = ownership.submitted.timestamp() if ownership.submitted else 0.0
        meant = bool(ownership_id) and ownership.id == ownership_id
        return ownership.succeeded, meant, not ownership.failed, submitted

    return max(ours, key=rank, default=None)


async def _begin(client: Client, wanted: Address, place: StoreLocation, known: Ownership | None) -> Ownership:
    """Register the bucket. A half-finished registration is removed first if the API refuses a second one."""
    secret = destination_conf(place, with_secrets=True)
    if wanted.scheme == "r2" and "secret-access-key=" not in secret:
        raise ConfigError(
            "Cloudflare needs the R2 bucket's keys to write to it",
            where=wanted.uri,
            hint="set access_key_id and secret_access_key of the bucket",
        )
    try:
        return await client.create_ownership(secret)
    except RequestRefused:
        if known is None or not known.id:
            raise
        await client.delete_ownership(known.id)
        return await client.create_ownership(secret)
    except (NetworkFailure, ServerFailure, UnexpectedAnswer) as lost:
        # It may have worked even so: only the list can tell.
        begun = _pick(await client.list_ownerships(), wanted) if lost.sent else None
        if begun is None or (known is not None and begun.id == known.id):
            raise
        return begun


async def _challenge(store: Store, filename: str, patience: _Patience, looks: int = 0) -> str:
    """The challenge file's content; empty if it does not appear in time, or within `looks` looks."""
    looked = 0
    while True:
        looked += 1
        content = await asyncio.to_thread(_look, store, filename, search=looked % SEARCH == 0)
        if content or looked == looks or not await patience.next(looked):
            return content


def _look(store: Store, filename: str, *, search: bool) -> str:
    for key in _keys(store, filename, search=search):
        with suppress(ObjectMissing, InvalidRequest), store.open(key) as reader:
            content = b"".join(_first(reader, LONGEST_CHALLENGE)).decode("utf-8", "replace").strip()
            if content:
                return content
    return ""


def _keys(store: Store, filename: str, *, search: bool) -> Iterator[str]:
    """Where the file may be, the likeliest place first: `filename` may or may not include the directory."""
    name = filename.strip("/").rpartition("/")[2]
    if not name:
        return
    yield name
    if filename.strip("/") != name:
        yield filename.strip("/")
    for info in store.list() if search else ():
        if info.key.endswith(name) and info.key != name:
            yield info.key


def _first(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[:most]
        most -= len(chunk)
        if most <= 0:
            return


async def _validate(
    client: Client, wanted: Address, public: str, begun: Ownership, challenge: str, patience: _Patience
) -> Ownership:
    """Answer the challenge and wait for the verdict. If an answer may be lost, it is given again."""
    looked = 0
    while True:
        try:
            answered = await client.validate_ownership(public, challenge)
        except _PASSING as trouble:
            # Answering twice does no harm. But the first answer may have worked: the list knows.
            looked += 1
            known = _pick(await client.list_ownerships(), wanted, begun.id)
            if known and known.succeeded:
                return known
            if not await patience.next(looked):
                raise _late(public, trouble) from trouble
            continue
        if answered.succeeded:
            return answered
        if answered.failed:
            raise _rejected(wanted, public, "status failed")
        return await _settled(client, wanted, public, begun, patience)


async def _settled(
    client: Client, wanted: Address, public: str, begun: Ownership, patience: _Patience
) -> Ownership:
    """The registration once it is no longer pending."""
    looked = 0
    trouble: ApiError | None = None
    while True:
        try:
            known = _pick(await client.list_ownerships(), wanted, begun.id)
            trouble = None
        except _PASSING as error:
            known, trouble = None, error
        if known and known.succeeded:
            return known
        if known and known.failed and known.id in ("", begun.id):  # not an older one's
            raise _rejected(wanted, public, "status failed")
        looked += 1
        if not await patience.next(looked):
            raise _late(public, trouble)


def _late(public: str, trouble: ApiError | None) -> DeadlinePassed:
    said = f" (the last look failed: {trouble.what})" if trouble else ""
    return DeadlinePassed(
        f"Cloudflare has not validated the bucket in time{said}",
        where=public,
        hint="run this again later; what was begun is kept",
    )


def _rejected(wanted: Address, public: str, said: str) -> BucketNotValidated:
    return BucketNotValidated(
        f"Cloudflare rejected the bucket's ownership challenge: {said}",
        where=public,
        hint=f"{_GRANTS[wanted.scheme]}, then run `edgecap bucket register`, or the flow register-bucket",
    )
