"""Verifying that the archive holds what its manifests promise. It needs nothing but the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edgecap.archive.entries import Entry, read_entry
from edgecap.archive.layout import CAPTURES, MANIFEST, parse_prefix
from edgecap.archive.manifest import FileRecord, Totals
from edgecap.errors import Damaged, EntryMissing, ObjectMissing, StoreError, StoreUnreachable
from edgecap.files.durable import forget_cached
from edgecap.files.hashing import sha256_of
from edgecap.packets.inspect import Inspector
from edgecap.packets.inspection import Inspection
from edgecap.stores.base import Store
from edgecap.stores.reading import read_object

KINDS = {
    "missing": "a file of the manifest is not there",
    "extra": "a file is there that the manifest does not know, left by an attempt that was interrupted",
    "size": "a file has another size",
    "hash": "a file has other bytes",
    "packets": "a file has another number of packets than the manifest states",
    "totals": "the manifest's totals are not the sums of its files",
    "unreadable": "this version cannot read a manifest",
    "unread": "the store did not give a file or a manifest this time, so nothing is known of it",
    "misplaced": "the manifest belongs to another place in the archive",
    "unfinished": "files without a manifest: an entry in the making, or an attempt that was interrupted",
    "stray": "a file that belongs to no entry",
}
"""Every kind of problem, and its meaning."""

HARMLESS = frozenset({"extra", "unfinished", "stray"})
"""Kinds of problems that cost no entry any packets."""

UNREAD = "unread"
Watch = Callable[[bytes], object]
_READS = 2  # a byte that was flipped on the way is right the next time
_GIVE_UP = 3  # after this many files in a row that the store did not give, it is asked whether it answers
_ATTEMPTS = 2  # to read a file; the store's own library makes several tries in each


@dataclass(frozen=True, slots=True)
class Problem:
    """A difference from the manifest: its kind, from `KINDS`, the key, and one line."""

    kind: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verified:
    """The result for one prefix of the archive. `entry` is None if there is none that can be read."""

    prefix: str
    entry: Entry | None
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Everything was read and nothing is lost: no problems, or only harmless ones."""
        return all(problem.kind in HARMLESS for problem in self.problems)

    @property
    def damaged(self) -> bool:
        """Something was read, or found missing, that is not as the manifest promises."""
        return any(problem.kind not in HARMLESS and problem.kind != UNREAD for problem in self.problems)


def verify_entry(store: Store, entry: Entry, *, watch: Watch | None = None) -> list[Problem]:
    """Read every byte of an entry and compare it with the manifest. An empty list means: no problems.

    A file that the store does not give is a problem of the kind `unread`, which says nothing of its bytes.

    Args:
        store: the archive.
        entry: the entry.
        watch: called with each chunk that was read.

    Raises:
        StoreError: the archive cannot be listed.
    """
    sizes = {info.key: info.size for info in store.list(entry.prefix)}
    return list(_problems(_Reading(store, watch), entry, sizes))


def verify_archive(store: Store, *, watch: Watch | None = None) -> Iterator[Verified]:
    """Verify all entries in the order of their keys, and name the files that belong to none.

    A file that the store does not give is a problem of the kind `unread`. The others are verified even so, as
    long as the store answers.

    Args:
        store: the archive.
        watch: called with each chunk that was read.

    Raises:
        StoreError: the archive cannot be listed, or no longer answers.
    """
    reading = _Reading(store, watch)
    for prefix, sizes in _by_prefix(store):
        reading.require_answers()
        if not prefix:
            yield Verified("", None, [Problem("stray", key, KINDS["stray"]) for key in sizes])
        elif prefix + MANIFEST not in sizes:
            count = f"{len(sizes)} files" if len(sizes) > 1 else "1 file"
            yield Verified(prefix, None, [Problem("unfinished", prefix, f"{count}, and no manifest")])
        else:
            try:
                entry = reading.entry(prefix)
            except EntryMissing:
                continue  # removed since it was listed
            except StoreError as error:
                kind = "unreadable" if isinstance(error, Damaged) else UNREAD
                yield Verified(prefix, None, [Problem(kind, prefix + MANIFEST, str(error))])
            else:
                yield Verified(prefix, entry, list(_problems(reading, entry, sizes)))


class _Reading:
    """Reads files of the archive, and gives up sooner while the store gives nothing."""

    def __init__(self, store: Store, watch: Watch | None = None) -> None:
        self.store = store
        self._watch = watch
        self._attempts = _ATTEMPTS
        self._failures = 0  # in a row

    def require_answers(self) -> None:
        """Raise if the store gave nothing several times in a row, and does not answer when asked."""
        if self._failures >= _GIVE_UP:
            self.store.check()
            self._failures = 0

    def entry(self, prefix: str) -> Entry:
        """The entry at `prefix`. Raises as `read_entry`."""
        with self._watched():
            try:
                return read_entry(self.store, prefix, attempts=self._attempts)
            except Damaged:
                return read_entry(self.store, prefix, attempts=self._attempts)

    def file(self, key: str, *, inspect: bool) -> tuple[str, Inspection | None]:
        """SHA-256 of a file, and what is in it if that is asked for. Raises as `read_object`."""
        inspector = Inspector() if inspect else None
        if path := self.store.local(key):
            forget_cached(path)
        with self._watched():
            chunks = read_object(self.store, key, attempts=self._attempts)

            def use(chunk: bytes) -> None:
                if inspector:
                    inspector.feed(chunk)
                if self._watch:
                    self._watch(chunk)

            sha256 = sha256_of(chunks, use)
        return sha256, inspector.finish() if inspector else None

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except StoreUnreachable:
            self._attempts = 1  # thousands of files, each waited for, would take days
            self._failures += 1
            raise
        self._attempts = _ATTEMPTS
        self._failures = 0


def _by_prefix(store: Store) -> Iterator[tuple[str, dict[str, int]]]:
    """Keys and sizes, entry by entry; keys that belong to no entry come with an empty prefix."""
    current = ""
    sizes: dict[str, int] = {}
    for info in store.list(CAPTURES):
        place = parse_prefix(info.key)
        prefix = place.prefix if place else ""
        if prefix != current and sizes:
            yield current, sizes
            sizes = {}
        current = prefix
        sizes[info.key] = info.size
    if sizes:
        yield current, sizes


def _problems(reading: _Reading, entry: Entry, sizes: dict[str, int]) -> Iterator[Problem]:
    manifest = entry.manifest
    if manifest.prefix != entry.prefix:
        yield Problem("misplaced", entry.prefix + MANIFEST, f"it belongs to {manifest.prefix}")
    known = {entry.prefix + MANIFEST}
    for file in manifest.files:
        key = entry.prefix + file.name
        known.add(key)
        if key not in sizes:
            yield Problem("missing", key, "it is not there")
        elif sizes[key] != file.size:
            yield Problem("size", key, f"it has {sizes[key]} bytes instead of {file.size}")
        else:
            yield from _read(reading, key, file)
    for key in sorted(sizes.keys() - known):
        yield Problem("extra", key, "the manifest does not know it")
    sums = Totals.of(manifest.files)
    for name in Totals.model_fields:
        stated, actual = getattr(manifest.totals, name), getattr(sums, name)
        if stated != actual:
            yield Problem(
                "totals", entry.prefix + MANIFEST, f"{name} is {stated}, and its files have {actual}"
            )


def _read(reading: _Reading, key: str, file: FileRecord) -> Iterator[Problem]:
    sha256, found = "", None
    for _ in range(_READS):
        try:
            sha256, found = reading.file(key, inspect=file.packets is not None)
        except ObjectMissing:
            yield Problem("missing", key, "it is not there any more")
            return
        except Damaged as error:
            yield Problem("hash", key, str(error))
            return
        except StoreError as error:
            yield Problem(UNREAD, key, str(error))
            return
        if sha256 == file.sha256:
            break
    if sha256 != file.sha256:
        yield Problem("hash", key, f"its SHA-256 is {sha256} instead of {file.sha256}")
    if found is not None and found.packets != file.packets:
        yield Problem("packets", key, f"it has {found.packets} packets instead of {file.packets}")
