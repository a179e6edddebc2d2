"""Verifying: does the archive still hold what its manifests promise? It needs nothing but the archive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgecap.archive.entries import Entry, read_entry
from edgecap.archive.layout import CAPTURES, MANIFEST, parse_prefix
from edgecap.archive.manifest import FileRecord, Totals
from edgecap.errors import EdgecapError, EntryMissing
from edgecap.packets.inspect import Inspector
from edgecap.stores.base import Store

KINDS = {
    "missing": "a file of the manifest is not there",
    "extra": "a file is there that the manifest does not know, left by an attempt that was interrupted",
    "size": "a file has another size",
    "hash": "a file has other bytes",
    "packets": "a file has another number of packets than the manifest states",
    "totals": "the manifest's totals are not the sums of its files",
    "unreadable": "a file or a manifest cannot be read",
    "misplaced": "the manifest belongs to another place in the archive",
    "unfinished": "files without a manifest: an entry in the making, or an attempt that was interrupted",
    "stray": "a file that belongs to no entry",
}
"""Every kind of problem, and what it means."""

HARMLESS = frozenset({"extra", "unfinished", "stray"})
"""Kinds that lose no packets of any entry."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as the manifest promises: its kind, from `KINDS`, the key, and one line."""

    kind: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying one prefix of the archive found. `entry` is None if there is none that can be read."""

    prefix: str
    entry: Entry | None
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing is lost: no problems, or only harmless ones."""
        return all(problem.kind in HARMLESS for problem in self.problems)


def verify_entry(store: Store, entry: Entry) -> list[Problem]:
    """Read every byte of an entry and hold it against the manifest. An empty list means that all is well.

    Raises:
        StoreError: the archive cannot be listed.
    """
    sizes = {info.key: info.size for info in store.list(entry.prefix)}
    return list(_problems(store, entry, sizes))


def verify_archive(store: Store) -> Iterator[Verdict]:
    """Verify all entries in the order of their keys, and name what belongs to none.

    Raises:
        StoreError: the archive cannot be listed.
    """
    for prefix, sizes in _by_prefix(store):
        if not prefix:
            yield Verdict("", None, [Problem("stray", key, KINDS["stray"]) for key in sizes])
        elif prefix + MANIFEST not in sizes:
            count = f"{len(sizes)} files" if len(sizes) > 1 else "1 file"
            yield Verdict(prefix, None, [Problem("unfinished", prefix, f"{count}, and no manifest")])
        else:
            try:
                entry = read_entry(store, prefix)
            except EntryMissing:
                continue  # removed since it was listed
            except EdgecapError as error:
                yield Verdict(prefix, None, [Problem("unreadable", prefix + MANIFEST, str(error))])
            else:
                yield Verdict(prefix, entry, list(_problems(store, entry, sizes)))


def _by_prefix(store: Store) -> Iterator[tuple[str, dict[str, int]]]:
    """Keys and sizes of one entry after the other; keys of no entry come under an empty prefix."""
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


def _problems(store: Store, entry: Entry, sizes: dict[str, int]) -> Iterator[Problem]:
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
            yield from _read(store, key, file)
    for key in sorted(sizes.keys() - known):
        yield Problem("extra", key, "the manifest does not know it")
    sums = Totals.of(manifest.files)
    for name in Totals.model_fields:
        stated, actual = getattr(manifest.totals, name), getattr(sums, name)
        if stated != actual:
            yield Problem(
                "totals", entry.prefix + MANIFEST, f"{name} is {stated}, and its files have {actual}"
            )


def _read(store: Store, key: str, file: FileRecord) -> Iterator[Problem]:
    digest = hashlib.sha256()
    inspector = Inspector() if file.packets is not None else None
    try:
        with store.open(key) as reader:
            for chunk in reader:
                digest.update(chunk)
                if inspector is not None:
                    inspector.feed(chunk)
    except EdgecapError as error:
        yield Problem("unreadable", key, str(error))
        return
    if digest.hexdigest() != file.sha256:
        yield Problem("hash", key, f"its SHA-256 is {digest.hexdigest()} instead of {file.sha256}")
    if inspector is not None:
        packets = inspector.finish().packets
        if packets != file.packets:
            yield Problem("packets", key, f"it has {packets} packets instead of {file.packets}")
