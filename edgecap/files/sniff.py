"""Detect a file's type from its first bytes."""

from __future__ import annotations

from enum import StrEnum

ENOUGH = 512  # bytes that decide every type; four decide pcap, pcapng, gzip and zstd

PCAP_MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x34\xcd\xb2\xa1": ("<", 1_000),
    b"\xa1\xb2\xcd\x34": (">", 1_000),
}
"""First four bytes of a classic pcap to its byte order and the nanoseconds per unit of its fractions."""
MODIFIED_PCAP = frozenset({b"\x34\xcd\xb2\xa1", b"\xa1\xb2\xcd\x34"})
"""Those of Alexey Kuznetzov's modified pcap, whose records have a header of 24 bytes."""
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"  # reads the same in both byte orders
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # after a byte from 0x50 to 0x5f: a frame without data


class Kind(StrEnum):
    """A file's type, as far as its beginning tells."""

    PCAP = "pcap"
    PCAPNG = "pcapng"
    GZIP = "gzip"
    ZSTD = "zstd"
    EMPTY = "empty"
    HTML = "html"
    JSON = "json"
    XML = "xml"
    UNKNOWN = "unknown"


def sniff(head: bytes) -> Kind:
    """The type of a file that begins with `head`: its first `ENOUGH` bytes, or all of it if it is shorter.

    Servers answer HTML, JSON or XML instead of packets if something is wrong.
    """
    if not head:
        return Kind.EMPTY
    if head[:4] in PCAP_MAGICS:
        return Kind.PCAP
    if head[:4] == PCAPNG_MAGIC:
        return Kind.PCAPNG
    if head[:2] == GZIP_MAGIC:
        return Kind.GZIP
    if is_zstd(head):
        return Kind.ZSTD
    return _sniff_text(head.removeprefix(b"\xef\xbb\xbf").lstrip()[:ENOUGH].lower())


def is_zstd(head: bytes) -> bool:
    """Whether a zstd frame begins here; parallel compressors start files with a skippable one."""
    return head[:4] == ZSTD_MAGIC or (head[1:4] == _ZSTD_SKIPPABLE and head[0] & 0xF0 == 0x50)  # noqa: PLR2004


def _sniff_text(text: bytes) -> Kind:
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return Kind.HTML
    if text.startswith((b"<?xml", b"<error")):
        return Kind.XML
    if text[:1] in (b"{", b"[") and text[1:].lstrip()[:1] in (b'"', b"{", b"[", b"}", b"]"):
        return Kind.JSON
    return Kind.UNKNOWN
