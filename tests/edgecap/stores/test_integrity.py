"""Checks find every flipped byte, and guess how a multipart object was cut."""

import hashlib
import zlib
from datetime import UTC, datetime

import botocore.session
import google_crc32c
import pytest
from botocore.httpchecksum import (
    CrtCrc64NvmeChecksum,
    CrtXxhash3Checksum,
    CrtXxhash64Checksum,
    CrtXxhash128Checksum,
    Sha1Checksum,
    Sha256Checksum,
    Sha512Checksum,
)
from hypothesis import given
from hypothesis import strategies as st

from edgecap.errors import Damaged
from edgecap.stores.base import ObjectInfo
from edgecap.stores.folder import FolderStore
from edgecap.stores.integrity import Check, likely_part_sizes

NOW = datetime.now(UTC)
MIB = 1 << 20


# In the order in which they are taken.
NAMES = [
    "sha256",
    "crc32c",
    "crc64nvme",
    "xxhash3",
    "xxhash128",
    "xxhash64",
    "crc32",
    "sha1",
    "md5",
    "sha512",
]


def digests(data):
    """As botocore makes them, which fills the fields of the same names; its own are not used here."""
    makers = {
        "sha256": Sha256Checksum,
        "crc64nvme": CrtCrc64NvmeChecksum,
        "xxhash3": CrtXxhash3Checksum,
        "xxhash128": CrtXxhash128Checksum,
        "xxhash64": CrtXxhash64Checksum,
        "sha1": Sha1Checksum,
        "sha512": Sha512Checksum,
    }
    found = {
        "crc32c": f"{google_crc32c.value(data):08x}",
        "crc32": f"{zlib.crc32(data):08x}",
        "md5": hashlib.md5(data).hexdigest(),
    }
    for name, make in makers.items():
        checksum = make()
        checksum.update(data)
        found[name] = checksum.digest().hex()
    return found


def of_parts(name, data, *sizes):
    """Of parts of these sizes; the last size is that of all parts that follow, too."""
    parts, start = [], 0
    while start < len(data):
        size = sizes[min(len(parts), len(sizes) - 1)]
        parts.append(bytes.fromhex(digests(data[start : start + size])[name]))
        start += size
    return f"{digests(b''.join(parts))[name]}-{len(parts)}"


def check(tmp_path, data, checksums, received=None, store=None, *, exact=False):
    info = ObjectInfo("x", len(data), NOW, "e", tuple(checksums.items()))
    judge = Check(store or FolderStore(tmp_path), info, exact=exact)
    received = data if received is None else received
    for start in range(0, len(received), 1_000):
        judge.update(received[start : start + 1_000])
    return judge.finish(hashlib.sha256(received).hexdigest())


@pytest.mark.parametrize("name", NAMES)
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
    """And one of the whole object before one of its parts, which asks for their sizes."""
    data = b"packets"
    stated = {f"{name}-of-parts": of_parts(name, data, 3) for name in NAMES} | digests(data)
    for name in NAMES:
        assert check(tmp_path, data, stated) == name
        del stated[name]
    assert len(stated) == len(NAMES)
    assert check(tmp_path, data, {}) is None


def test_every_algorithm_that_boto3_knows_is_checked():
    """A new one in a new boto3 fails here, and is to be added."""
    model = botocore.session.get_session().get_service_model("s3")
    assert {name.lower() for name in model.shape_for("ChecksumAlgorithm").enum} == set(NAMES)


def test_a_wrong_length_is_always_damage(tmp_path):
    with pytest.raises(Damaged, match="3 bytes arrived instead of 4"):
        check(tmp_path, b"1234", {}, b"123")
    with pytest.raises(Damaged, match="5 bytes arrived instead of 4"):
        check(tmp_path, b"1234", {}, b"12345")


class Telling(FolderStore):
    """A store that knows how large the parts are; asked for the first and the last only, it may be wrong."""

    def __init__(self, root, *sizes):
        super().__init__(root)
        self._sizes = sizes

    def part_sizes(self, info, *, exact):
        if exact:
            return self._sizes
        return [self._sizes[0]] * (len(self._sizes) - 1) + [self._sizes[-1]]


@pytest.mark.parametrize("name", NAMES)
@given(sizes=st.lists(st.integers(1, 3_000), min_size=2, max_size=6), at=st.integers(0))
def test_parts_of_known_sizes_are_checked(name, tmp_path_factory, sizes, at):
    """Of any sizes: a flipped byte is damage once every part's size is known, and nothing before."""
    folder = tmp_path_factory.getbasetemp()
    data = bytes(number % 251 for number in range(sum(sizes)))
    stated = {f"{name}-of-parts": of_parts(name, data, *sizes)}
    store = Telling(folder, *sizes)
    assert check(folder, data, stated, store=store, exact=True) == f"{name}-of-parts"
    at %= len(data)
    flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    assert check(folder, data, stated, flipped, store=store) is None
    with pytest.raises(Damaged, match="parts"):
        check(folder, data, stated, flipped, store=store, exact=True)


def test_parts_that_only_look_equal_decide_nothing(tmp_path):
    data = bytes(range(256)) * 50
    stated = {"md5-of-parts": of_parts("md5", data, 3_000, 2_900, 3_100, 3_000, 800)}
    store = Telling(tmp_path, 3_000, 2_900, 3_100, 3_000, 800)
    assert check(tmp_path, data, stated, store=store) is None
    assert check(tmp_path, data, stated, store=store, exact=True) == "md5-of-parts"


def test_an_object_of_one_part_needs_no_request_for_parts(tmp_path):
    stated = {"md5-of-parts": of_parts("md5", b"packets", 7)}
    assert check(tmp_path, b"packets", stated) == "md5-of-parts"
    with pytest.raises(Damaged):
        check(tmp_path, b"packets", stated, b"pockets")


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
