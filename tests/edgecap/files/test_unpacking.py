"""Unpacking gzip and zstd piece by piece."""

import gzip
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgecap.files.gunzip import Gunzip
from edgecap.files.unpacking import PIECE, Unpacker
from edgecap.files.unzstd import Unzstd, zstd

SKIPPED = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
CHECKED = {zstd.CompressionParameter.checksum_flag: 1}


@dataclass(frozen=True)
class Form:
    """A way to pack: ours to undo, the library's to do, and what may lie around the members of a file."""

    unpacker: type[Unpacker]
    pack: Callable[[bytes], bytes]
    before: bytes = b""
    between: bytes = b""
    after: bytes = b""


GZIP = Form(Gunzip, gzip.compress, after=bytes(5))
ZSTD = Form(Unzstd, lambda data: zstd.compress(data, options=CHECKED), SKIPPED, SKIPPED, SKIPPED)
forms = pytest.mark.parametrize("form", [GZIP, ZSTD], ids=lambda form: form.unpacker.form)


def unpack(form: Form, packed: bytes, step: int = 1 << 20) -> tuple[bytes, str]:
    unpacker = form.unpacker()
    chunks = (packed[start : start + step] for start in range(0, len(packed), step))
    out = b"".join(piece for chunk in chunks for piece in unpacker.feed(chunk))
    unpacker.finish()
    return out, unpacker.problem


@forms
@given(members=st.lists(st.binary(max_size=300), min_size=1, max_size=4), step=st.integers(1, 400))
def test_members_come_out_joined_however_they_are_cut(form, members, step):
    packed = form.before + form.between.join(map(form.pack, members)) + form.after
    assert unpack(form, packed, step) == (b"".join(members), "")


@forms
@given(plain=st.binary(min_size=1, max_size=300), data=st.data())
def test_every_cut_is_noticed(form, plain, data):
    packed = form.pack(plain)
    out, problem = unpack(form, packed[: data.draw(st.integers(1, len(packed) - 1))])
    assert plain.startswith(out)
    assert "cut" in problem


@forms
@given(st.binary(max_size=300), st.integers(1, 7))
def test_any_bytes_give_the_same_however_they_are_cut(form, tail, step):
    packed = form.pack(b"packets") + tail
    assert unpack(form, packed, step) == unpack(form, packed)


# The library has two decoders, takes one or the other by how much it is given, and they differ on these.
@example(b"\x20\x00\x03\x00\x00\x00", 1)
@example(b"\x50\x2a\x4d\x18\x00\x00\x00\x00", 5)
@given(st.binary(max_size=40), st.integers(1, 7))
def test_any_frame_gives_the_same_however_it_is_cut(tail, step):
    packed = b"\x28\xb5\x2f\xfd" + tail
    assert unpack(ZSTD, packed, step) == unpack(ZSTD, packed)


@forms
def test_a_flipped_byte_is_noticed_by_the_checksum(form):
    packed = bytearray(form.pack(bytes(range(256))))
    packed[100] ^= 1
    assert "damaged" in unpack(form, bytes(packed))[1]


@pytest.mark.parametrize(
    ("form", "tail"),
    [(GZIP, tail) for tail in (b"x", b"\0\0x", b"\x1f", b"\0" + gzip.compress(b"more", mtime=0))]
    + [(ZSTD, tail) for tail in (b"xxxx", b"\0\0\0\0", b"\x28\xb5", b"P")],
)
def test_bytes_after_the_end_are_a_problem_unless_padding(form, tail):
    out, problem = unpack(form, form.pack(b"packets") + tail)
    assert out == b"packets"
    assert problem


@pytest.mark.parametrize(
    ("form", "compressor"), [(GZIP, zlib.compressobj(9, wbits=31)), (ZSTD, zstd.ZstdCompressor())]
)
def test_a_bomb_comes_out_in_bounded_pieces(form, compressor):
    size = 64 << 20
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(size >> 20)) + compressor.flush()
    assert len(bomb) < size / 500
    unpacker = form.unpacker()
    assert max(map(len, unpacker.feed(bomb))) <= PIECE
    unpacker.finish()
    assert (unpacker.size, unpacker.problem) == (size, "")
    assert repr(unpacker) == f"<{form.unpacker.__name__} [{size} bytes, 1 members] ok>"


def test_a_window_beyond_128_mib_is_refused_and_not_allocated():
    head = b"\x28\xb5\x2f\xfd\x00" + bytes([(28 - 10) << 3])
    assert "damaged after 0 unpacked bytes" in unpack(ZSTD, head + bytes(100))[1]


@forms
def test_nothing_is_no_stream(form):
    assert f"not a {form.unpacker.form}" in unpack(form, b"")[1]


def packed_damaged(form: Form, content: bytes, place: int, change: int) -> bytes:
    packed = bytearray(form.pack(content))
    packed[10 + place % (len(packed) - 10)] ^= change
    return bytes(packed)


@forms
@given(st.lists(st.integers(0, 255), min_size=50, max_size=400), st.integers(0, 1 << 16), st.integers(1, 255))
def test_of_a_damaged_file_all_comes_that_stands_before_the_damage(form, content, place, change):
    """Also in the call that meets it, of whatever size; the libraries alone would give nothing of that."""
    packed = packed_damaged(form, bytes(content) * 3, place, change)
    at_once = unpack(form, packed)
    assert at_once == unpack(form, packed, 1)
    assert at_once == unpack(form, packed, 7)


def test_of_a_damaged_zstd_the_blocks_before_the_damage_come():
    """A block has 128 KiB; noise is not packed at all. The header of the fourth is one that cannot be."""
    noise = random.Random(1).randbytes(500_000)
    packed = bytearray(ZSTD.pack(noise))
    header = packed.index(noise[3 * 131_072 :][:50]) - 3
    packed[header : header + 3] = b"\xff" * 3
    out, problem = unpack(ZSTD, bytes(packed))
    assert out == noise[: 3 * 131_072]
    assert f"is damaged after {3 * 131_072} unpacked bytes" in problem
    assert (out, problem) == unpack(ZSTD, bytes(packed), 1000)
