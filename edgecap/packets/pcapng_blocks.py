"""Blocks of a pcapng that are about the whole file: names, secrets, journal entries, custom ones.

They go along with the packets when files are merged. Format:
https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html
"""

from __future__ import annotations

import struct

NAMES = 4
JOURNAL = 9
SECRETS = 10
CUSTOM = 0xBAD  # one that may be copied; another number is for those that may not
CARRIED = frozenset({NAMES, JOURNAL, SECRETS, CUSTOM})

_HEAD = 8  # type and length
_NAME_ENDS = 0
# Words of 32 bits in front of what has no byte order: a secret's type and length, a custom block's owner.
_WORDS = {SECRETS: 2, CUSTOM: 1}


def native_block(kind: int, block: bytes, *, swapped: bool) -> bytes:
    """A block of `CARRIED` in this machine's byte order.

    Args:
        kind: its type.
        block: whole, with both of its lengths.
        swapped: it is in the other byte order.
    """
    if not swapped:
        return block
    body = bytearray(block[_HEAD:-4])
    words = min(_WORDS.get(kind, 0), len(body) // 4)
    for at in range(0, 4 * words, 4):
        body[at : at + 4] = body[at : at + 4][::-1]
    if kind == NAMES:
        _turn_list(body, _turn_list(body, 0))
    elif kind == SECRETS and words == _WORDS[SECRETS]:
        (size,) = struct.unpack_from("=I", body, 4)
        _turn_list(body, _HEAD + size + (-size & 3))
    length = struct.pack("=I", len(block))
    return struct.pack("=I", kind) + length + bytes(body) + length


def _turn_list(body: bytearray, at: int) -> int:
    """Turn codes and lengths from `at` on, up to the list's end; return the position behind it."""
    while at + 4 <= len(body):
        body[at : at + 4] = bytes((body[at + 1], body[at], body[at + 3], body[at + 2]))
        code, size = struct.unpack_from("=HH", body, at)
        at += 4 + size + (-size & 3)
        if code == _NAME_ENDS:
            break
    return at
