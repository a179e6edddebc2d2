"""Finding entries by listing the archive: there is no index that could be wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from edgecap.archive.layout import CAPTURES, MANIFEST, EntryPlace, parse_prefix, safe_name
from edgecap.archive.manifest import Manifest
from edgecap.archive.text import read_json
from edgecap.errors import Damaged, EntryMissing, ObjectMissing, StoreError, StoreUnreachable
from edgecap.stores.base import Store
from edgecap.units import plural

_FIRST_YEAR = 2020  # the API did not exist before
_ATTEMPTS = 2  # to read a manifest among many; the store's own library makes several tries in each
_GIVE_UP = 3  # manifests in a row that the store did not give
_SHOWN = 3  # ids named when a beginning of one is ambiguous


@dataclass(frozen=True, slots=True)
class Entry:
    """A capture as kept: its manifest, and where it lies (`uri` without secrets, `prefix` ends with `/`)."""

    manifest: Manifest
    prefix: str
    uri: str

    @property
    def where(self) -> str:
        """For people: the store and the prefix in it."""
        return f"{self.uri}/{self.prefix}"

    @property
    def path(self) -> str:
        """Where its files are: a folder's path on this machine, or the URI of a place in a bucket."""
        return self.where.removeprefix("file:")


def read_entry(store: Store, prefix: str, *, attempts: int = 5) -> Entry:
    """The entry whose files lie under `prefix`.

    Args:
        store: the archive.
        prefix: the entry's.
        attempts: how often in a row reading may be cut without getting further.

    Raises:
        EntryMissing: there is no manifest, so no entry.
        Damaged: this version cannot read the manifest.
        StoreError: the store does not give it; whether there is one is unknown.
    """
    try:
        manifest = read_json(store, prefix + MANIFEST, Manifest, attempts=attempts)
    except ObjectMissing:
        raise EntryMissing(
            "there is no entry", where=f"{store.uri}/{prefix}", hint="`edgecap list` shows those there are"
        ) from None
    return Entry(manifest, prefix, store.uri)


def find_entry(store: Store, id_or_prefix: str) -> Entry:
    """The entry with this capture id or an unambiguous beginning of it, this path or prefix, or a file's key.

    Raises:
        EntryMissing: there is none, or more than one id begins like this.
        Damaged: its manifest cannot be read.
    """
    wanted = id_or_prefix.strip()
    for root in (store.uri, store.uri.removeprefix("file:")):
        wanted = wanted.removeprefix(f"{root}/")
    if place := parse_prefix(wanted.rstrip("/") + "/"):
        return read_entry(store, place.prefix)
    found: list[EntryPlace] = []
    for period in date_prefixes(None, None, datetime.now(UTC)) if wanted else ():
        for place in _places(store, period):
            if place.capture_id == safe_name(wanted):
                return read_entry(store, place.prefix)
            if place.capture_id.startswith(wanted):
                found.append(place)
    if len(found) == 1:
        return read_entry(store, found[0].prefix)
    if found:
        shown = ", ".join(place.capture_id for place in found[:_SHOWN])
        more = ", ..." if len(found) > _SHOWN else ""
        raise EntryMissing(
            f"{len(found)} entries begin with {wanted!r}: {shown}{more}", hint="give more of the id"
        )
    raise EntryMissing(
        f"there is no entry {wanted!r}", where=store.uri, hint="`edgecap list` shows those there are"
    )


def list_entries(
    store: Store,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    type: str | None = None,  # noqa: A002 - the API's word
    colo: str | None = None,
    wanted: Callable[[Entry], bool] | None = None,
    limit: int | None = None,
) -> Iterator[Entry]:
    """Entries by the time of their submission, newest first. Only the folders of the wanted days are listed.

    Args:
        store: the archive.
        since: earliest time, aware, inclusive.
        until: latest time, aware, exclusive.
        type: only this type, `simple` or `full`.
        colo: only this place, in any case, as it was asked for.
        wanted: only entries for which this is true; asked last, with the entry's manifest.
        limit: entries at most.

    Raises:
        Damaged: after all other entries, if this version cannot read some manifests; it names them.
        StoreError: after all other entries, if the store did not give some manifests; at once, if the archive
            cannot be listed.
    """
    unreadable: list[str] = []
    unread: list[StoreError] = []
    silent = 0  # manifests in a row for which the store did not answer
    for place in _newest_first(store, since, until):
        if limit is not None and limit <= 0:
            break
        if (type is not None and place.type != type) or (colo and place.colo.lower() != colo.lower()):
            continue
        try:
            entry = read_entry(store, place.prefix, attempts=_ATTEMPTS)
        except EntryMissing:
            continue  # removed since it was listed
        except Damaged as error:
            unreadable.append(error.where)
            continue
        except StoreError as error:
            unread.append(error)
            silent = silent + 1 if isinstance(error, StoreUnreachable) else 0
            if silent == _GIVE_UP:
                break  # thousands of manifests, each waited for, would take hours
            continue
        silent = 0
        if wanted is not None and not wanted(entry):
            continue
        yield entry
        limit = None if limit is None else limit - 1
    _tell(unreadable, unread, gave_up=silent == _GIVE_UP)


def _tell(unreadable: list[str], unread: list[StoreError], *, gave_up: bool) -> None:
    """Raise if manifests could not be read: damage first, then those that the store did not give."""
    rest = ", and the rest was not looked at" if gave_up else ""
    count = f"{plural(len(unread), 'entry', 'entries')} could not be read{rest}" if unread else ""
    if unreadable:
        manifests = plural(len(unreadable), "manifest")
        raise Damaged(
            f"{manifests} cannot be read" + (f"; {count}" if count else ""),
            where=", ".join(unreadable[:_SHOWN]),
            hint="update edgecap if a newer one wrote them; else restore them from a copy",
        )
    if unread:
        first = unread[0]
        error = first.__class__(f"{count}: {first.what}", where=first.where, hint=first.hint)
        error.permanent = first.permanent
        raise error from first


def _newest_first(store: Store, since: datetime | None, until: datetime | None) -> Iterator[EntryPlace]:
    for period in date_prefixes(since, until, datetime.now(UTC)):
        places = [place for place in _places(store, period) if _within(place, since, until)]
        yield from sorted(places, key=lambda place: (place.submitted, place.prefix), reverse=True)


def _within(place: EntryPlace, since: datetime | None, until: datetime | None) -> bool:
    # A prefix has whole seconds.
    return (since is None or place.submitted >= since.replace(microsecond=0)) and (
        until is None or place.submitted < until
    )


def _places(store: Store, period: str) -> Iterator[EntryPlace]:
    for info in store.list(CAPTURES + period):
        if info.key.endswith("/" + MANIFEST):
            place = parse_prefix(info.key)
            if place is not None and info.key == place.prefix + MANIFEST:
                yield place


def date_prefixes(since: datetime | None, until: datetime | None, now: datetime) -> Iterator[str]:
    """Parts of keys that together cover the wanted time, newest first, and not a day more.

    A listing of many keys costs less than many listings. So earlier years are listed as a whole, and months
    of this year; single days only if the wanted time begins or ends inside a month.
    """
    start = since.astimezone(UTC).date() if since else date(_FIRST_YEAR, 1, 1)
    # A clock may be ahead of ours; nothing is as far ahead as the end of next year.
    end = until.astimezone(UTC).date() if until else date(now.year + 1, 12, 31)
    for year in range(end.year, start.year - 1, -1):
        if year != now.year and start <= date(year, 1, 1) and date(year, 12, 31) <= end:
            yield f"{year:04}/"
            continue
        for month in range(12, 0, -1):
            first = date(year, month, 1)
            last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
            if start <= first and last <= end:
                yield f"{year:04}/{month:02}/"
                continue
            for day in range(min(last, end).toordinal(), max(first, start).toordinal() - 1, -1):
                yield f"{date.fromordinal(day):%Y/%m/%d}/"
