"""Checks find every flipped byte, and guess how a multipart object was cut."""

import hashlib
import zlib
from datetime import UTC, datetime

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.errors import Damaged
from edgecap.stores.base import ObjectInfo
from edgecap.stores.folder import FolderStore
from edgecap.stores.integrity import Check, Verdict, likely_part_sizes

NOW = datetime.now(UTC)
MIB = 1 << 20


def digests(data):
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "crc32c": f"{google_crc32c.value(data):08x}",
        "crc32": f"{zlib.crc32(data):08x}",
        "md5": hashlib.md5(data).hexdigest(),
    }


def of_parts(name, data, part_size):
    parts = [
        bytes.fromhex(digests(data[start : start + part_size])[name])
        for start in range(0, len(data), part_size)
    ]
    return f"{digests(b''.join(parts))[name]}-{len(parts)}"


def check(tmp_path, data, checksums, received=None, store=None):
    info = ObjectInfo("x", len(data), NOW, "e", tuple(checksums.items()))
    judge = Check(store or FolderStore(tmp_path), info)
    received = data if received is None else received
    for start in range(0, len(received), 1_000):
        judge.update(received[start : start + 1_000])
    return judge.finish(hashlib.sha256(received).hexdigest())


@pytest.mark.parametrize("name", ["sha256", "crc32c", "crc32", "md5"])
@given(data=st.binary(min_size=1, max_size=5_000), at=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_by_each(name, tmp_path_factory, data, at, bit):
    stated = {name: digests(data)[name]}
    folder = tmp_path_factory.getbasetemp()
    assert check(folder, data, stated) == name
    at %= len(data)
    flipped = data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
    with pytest.raises(Damaged, match="the store states"):
        check(folder, data, stated, flipped)


def test_the_cheapest_checksum_is_taken(tmp_path):
    data = b"packets"
    stated = digests(data)
    for name in ("sha256", "crc32c", "crc32", "md5"):
        assert check(tmp_path, data, stated) == name
        del stated[name]
    assert check(tmp_path, data, stated) == Verdict.LENGTH


def test_a_wrong_length_is_damage_whatever_else(tmp_path):
    with pytest.raises(Damaged, match="3 bytes arrived instead of 4"):
        check(tmp_path, b"1234", {}, b"123")
    with pytest.raises(Damaged, match="5 bytes arrived instead of 4"):
        check(tmp_path, b"1234", {}, b"12345")


class Telling(FolderStore):
    """A store that knows the part size."""

    def part_size(self, info):
        return 1_500


@pytest.mark.parametrize("name", ["md5", "crc32", "crc32c"])
@given(data=st.binary(min_size=1, max_size=9_000))
def test_parts_of_a_known_size_are_checked(name, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    stated = {f"{name}-of-parts": of_parts(name, data, 1_500)}
    assert check(folder, data, stated, store=Telling(folder)) == f"{name}-of-parts"
    with pytest.raises(Damaged, match="parts"):
        check(folder, data, stated, data[:-1] + bytes([data[-1] ^ 1]), store=Telling(folder))


def test_parts_that_cannot_be_guessed_decide_nothing(tmp_path):
    data = bytes(range(256)) * 50
    assert check(tmp_path, data, {"md5-of-parts": of_parts("md5", data, 1_500)}) is None


@given(st.sampled_from([5, 8, 10, 16, 32, 50, 64, 100]), st.integers(2, 10_000), st.integers(1))
def test_usual_part_sizes_are_guessed(mib, count, rest):
    size = mib * MIB
    total = size * (count - 1) + rest % size + 1
    guesses = likely_part_sizes(total, count)
    assert 1 <= len(guesses) <= 3
    assert all(-(-total // guess) == count for guess in guesses)
    if count > 12:  # with fewer, several usual sizes fit, and not all of them are tried
        assert size in guesses


@given(st.integers(0, 1 << 42), st.integers(1, 10_000))
def test_guessing_never_fails(total, count):
    assert len(likely_part_sizes(total, count)) <= 3
