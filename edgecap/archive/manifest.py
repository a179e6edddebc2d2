"""The manifest: an entry's record. It is written last, so an entry exists when its manifest does."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from edgecap.archive.layout import MANIFEST, entry_prefix
from edgecap.archive.text import Json
from edgecap.files.unpacking import GZIP_DAMAGED, ZSTD_DAMAGED
from edgecap.packets.inspection import (
    ABSURD_LENGTH,
    BAD_STRUCTURE,
    EMPTY,
    NOT_PCAP,
    TOO_LARGE,
    TRUNCATED,
    Inspection,
)
from edgecap.packets.residual import Residual
from edgecap.units import plural

if TYPE_CHECKING:
    from edgecap.cloudflare.models import Capture

FORMAT = "edgecap/1"
RAW_ROLE = "raw"
PARTIAL = "partial"
DAMAGED = "damaged"
LIMIT_REACHED = "limit-reached"
STOPPED = "stopped"
UNSUMMARISED = "unsummarised"  # in British spelling, unlike all else: archives and scripts hold it

ENTRY_FLAGS = {
    EMPTY: "no packet was captured",
    TRUNCATED: "a file ends inside a packet",
    DAMAGED: "a file can be read only in part",
    NOT_PCAP: "a file is not a pcap; it is kept unchanged",
    TOO_LARGE: "a file is far larger than the capture's limit: it was left packed, or in the bucket",
    LIMIT_REACHED: "the packet or byte limit ended the capture",
    PARTIAL: "files are missing that the capture should have",
    STOPPED: "the capture was stopped before its time",
    UNSUMMARISED: "its packets could not be merged and summarized; the raw files are kept as they are",
}
"""Every flag that an entry may carry, and what it means."""

_UNREADABLE = {
    ABSURD_LENGTH: DAMAGED,
    BAD_STRUCTURE: DAMAGED,
    GZIP_DAMAGED: DAMAGED,
    ZSTD_DAMAGED: DAMAGED,
}
State = Literal["complete", "partial", "empty"]
ShownState = Literal["complete", "partial", "empty", "no-match"]
"""`no-match`: complete, but none of its packets matches the filter that edgecap applied."""


class _Record(BaseModel):
    # Fields that a newer version adds are kept, and do not stop this one from reading.
    model_config = ConfigDict(extra="allow", frozen=True)


class FileRecord(_Record):
    """One file of an entry. Sizes in bytes; times aware, UTC, rounded down to microseconds."""

    name: str = Field(min_length=1, description="Key below the entry's prefix, such as raw/ord02-s1.pcap")
    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    role: str = Field("raw", description="raw: as fetched; merged, flows, summary: made of it")
    packets: int | None = Field(None, description="Packets that can be read; null if it holds none by nature")
    bytes_on_wire: int | None = None
    first: AwareDatetime | None = None
    last: AwareDatetime | None = None
    source_key: str = Field("", description="Where it was fetched from, in the bucket; empty for a download")
    source_size: int | None = Field(None, description="Bytes there, packed as they were")
    source_etag: str = Field("", description="The store's tag of the version that was fetched")
    source_sha256: str = Field("", description="Of the bytes there, packed as they were")
    encoding: str = Field("", description="gzip if the source was packed and this is not")
    verified_by: str = Field(
        "",
        description="What the fetched bytes were held against: a checksum that the store states (sha256,"
        " crc32c, crc64nvme, md5, ...; md5-of-parts, ... of what was put in parts), gzip-crc32 of a packed"
        " file, two-reads where nothing is stated; one-read where the API gave it only once, and"
        " reads-differ where it gave other bytes each time. `length` in older entries: nothing but size",
    )
    flags: tuple[str, ...] = ()
    damage: str = Field("", description="What cannot be read, one line")
    damage_offset: int | None = Field(None, description="Byte at which good data ends")

    @classmethod
    def of(cls, name: str, *, size: int, sha256: str, found: Inspection | None = None, **more: Any) -> Self:
        """The record of a file, with the findings of its inspection.

        Args:
            name: the key below the entry's prefix.
            size: bytes as kept.
            sha256: hex digest of the bytes as kept.
            found: the inspection; None for a file that is no packet file.
            more: the other fields.
        """
        if found is not None:
            more = {
                "packets": found.packets,
                "bytes_on_wire": found.bytes_on_wire,
                "first": found.first,
                "last": found.last,
                "flags": found.flags,
                "damage": found.damage,
                "damage_offset": found.damage_offset,
                **more,
            }
        return cls(name=name, size=size, sha256=sha256, **more)


class Totals(_Record):
    """Sums over the raw files."""

    files: int = 0
    size: int = 0
    packets: int = 0
    bytes_on_wire: int = 0
    first: AwareDatetime | None = None
    last: AwareDatetime | None = None

    @classmethod
    def of(cls, files: Iterable[FileRecord]) -> Self:
        """The sums over those of `files` that are raw."""
        raw = [file for file in files if file.role == RAW_ROLE]
        return cls(
            files=len(raw),
            size=sum(file.size for file in raw),
            packets=sum(file.packets or 0 for file in raw),
            bytes_on_wire=sum(file.bytes_on_wire or 0 for file in raw),
            first=min((file.first for file in raw if file.first), default=None),
            last=max((file.last for file in raw if file.last), default=None),
        )

    def __str__(self) -> str:
        """Such as `1,200 packets in 2 files`."""
        return f"{plural(self.packets, 'packet')} in {plural(self.files, 'file')}"


class Versions(_Record):
    """The versions that made the entry."""

    edgecap: str = Field(default_factory=lambda: metadata.version("edgecap"))
    python: str = Field(default_factory=platform.python_version)
    platform: str = Field(default_factory=platform.platform)


class Times(_Record):
    """The times of a capture, aware, UTC. `submitted` and `final` by the API's clock, the others by ours."""

    decided: AwareDatetime | None = None
    submitted: AwareDatetime | None = None
    final: AwareDatetime | None = None
    fetched: AwareDatetime | None = None
    committed: AwareDatetime | None = None


class Manifest(_Record):
    """An entry's record. Without secrets, and readable without edgecap."""

    format: str = Field(FORMAT, pattern=r"^edgecap/\d+$")
    entry_id: str = Field(min_length=1, description="The capture's id")
    prefix: str = Field(pattern=r"^captures/.+/$", description="Where in the archive the files lie")
    type: str = Field(description="simple or full")
    colo: str = Field("", description="Data centre of a full capture; empty for all of them")
    state: State
    flags: tuple[str, ...] = Field((), description="From the set that ENTRY_FLAGS documents, sorted")
    request: Json = Field(default_factory=dict, description="What was asked for; empty if we did not ask")
    capture: Json = Field(description="As the API returned it last")
    intent: Json | None = Field(None, description="The journal's record of the decision")
    files: tuple[FileRecord, ...] = ()
    totals: Totals
    residual: Residual | None = Field(None, description="Null: nothing was filtered after the download")
    verdict: str = Field(
        "", description="The summary's verdict; empty if there is no summary, and in older manifests"
    )
    trouble: str = Field("", description="Why there is no summary; empty if there is one")
    times: Times
    versions: Versions = Field(default_factory=Versions)

    @property
    def kept_packets(self) -> int:
        """The packets that matched the filter which edgecap applied; without one, all that were fetched."""
        return self.residual.kept if self.residual else self.totals.packets

    @property
    def shown_state(self) -> ShownState:
        """Its state as people see it: an entry without a packet that matches is not merely complete."""
        return "no-match" if self.state == "complete" and not self.kept_packets else self.state

    @property
    def account(self) -> str:
        """Name of the account in the settings; empty if edgecap did not start the capture."""
        return str((self.intent or {}).get("account") or "")

    @property
    def incident(self) -> str:
        """Id of the incident that the capture is part of; empty if it is of none."""
        return str((self.intent or {}).get("incident") or "")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [file.name for file in self.files]
        if len(set(names)) < len(names) or MANIFEST in names:
            raise ValueError("two files have one name")
        return self


def make_manifest(
    capture: Capture,
    files: Sequence[FileRecord],
    *,
    times: Times,
    request: BaseModel | None = None,
    intent: BaseModel | None = None,
    missing: bool = False,
    too_large: bool = False,
    residual: Residual | None = None,
    verdict: str = "",
    trouble: str = "",
) -> Manifest:
    """The manifest of a finished capture, with state, flags and totals as they follow from its files.

    Args:
        capture: as the API returned it last.
        files: all files of the entry.
        times: the times that are known; `submitted` is filled in from the capture.
        request: what was asked for, if edgecap asked.
        intent: the journal's record, if there is one.
        missing: whether files are known to be missing.
        too_large: whether files were left in the bucket because they are far larger than the capture's limit.
        residual: the filter that was applied after the download.
        verdict: the summary's.
        trouble: why the packets could not be summarized.

    Raises:
        UnexpectedAnswer: the capture has no id, or no time for its prefix.
    """
    totals = Totals.of(files)
    flags = {
        _UNREADABLE.get(flag, flag)
        for file in files
        if file.role == RAW_ROLE
        for flag in file.flags
        if flag in (TRUNCATED, NOT_PCAP, TOO_LARGE) or flag in _UNREADABLE
    }
    if missing:
        flags.add(PARTIAL)
    if too_large:
        flags |= {PARTIAL, TOO_LARGE}
    state: State = "partial" if flags else "complete" if totals.packets else "empty"
    if not totals.packets:
        flags.add(EMPTY)
    if capture.stop_requested is not None:
        flags.add(STOPPED)
    if trouble:
        flags.add(UNSUMMARISED)
    # The API need not echo the limits.
    packet_limit = capture.packet_limit or getattr(request, "packet_limit", None)
    byte_limit = capture.byte_limit or getattr(request, "byte_limit", None)
    if _reached(totals.packets, packet_limit) or _reached(totals.bytes_on_wire, byte_limit):
        flags.add(LIMIT_REACHED)
    return Manifest(
        entry_id=capture.id,
        prefix=entry_prefix(capture, decided=times.decided),
        type=capture.type,
        colo=capture.colo,
        state=state,
        flags=tuple(sorted(flags)),
        request=request.model_dump(mode="json") if request else {},
        capture=capture.raw,
        intent=intent.model_dump(mode="json") if intent else None,
        files=tuple(sorted(files, key=lambda file: file.name)),
        totals=totals,
        residual=residual,
        verdict=verdict,
        trouble=trouble,
        times=times.model_copy(update={"submitted": capture.submitted or times.submitted}),
    )


def _reached(count: int, limit: int | None) -> bool:
    return limit is not None and 0 < limit <= count


def manifest_schema() -> str:
    """The JSON schema of a manifest, as `docs/manifest.schema.json` has it."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Manifest.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"
