"""What a store states of an object's bytes is checked; where it states nothing, two reads must agree."""

import base64
import hashlib

import pytest
from awscrt.checksums import XXHash, crc64nvme

from edgecap.errors import Damaged
from edgecap.stores import open_store
from tests.edgecap.stores.one_object import fetch_one

MIB = 1 << 20


def no_wait(_):
    """Between two attempts."""


def xxhash(hasher, data):
    hasher.update(data)
    return hasher.finalize()


STATED = {
    "crc64nvme": lambda data: crc64nvme(data, 0).to_bytes(8, "big"),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha512": lambda data: hashlib.sha512(data).digest(),
    "md5": lambda data: hashlib.md5(data).digest(),
    "xxhash64": lambda data: xxhash(XXHash.new_xxhash64(), data),
    "xxhash3": lambda data: xxhash(XXHash.new_xxhash3_64(), data),
    "xxhash128": lambda data: xxhash(XXHash.new_xxhash3_128(), data),
}


@pytest.fixture
def encrypted(place_of, raw, bucket, noise):
    """An object whose ETag says nothing of its bytes: it is encrypted with a key of KMS."""

    def put(**more):
        place = place_of("s3", "")
        raw(place).put_object(
            Bucket=bucket, Key="edge/x", Body=noise, ServerSideEncryption="aws:kms", SSEKMSKeyId="k", **more
        )
        assert "md5" not in dict(open_store(place).stat("edge/x").checksums)

    return put


@pytest.mark.parametrize("name", ["crc64nvme", "sha1", "sha256"])
def test_a_flipped_byte_is_found_by_what_the_server_states(name, encrypted, flaky, tmp_path, noise):
    """MiniStack checks it when it is put, keeps it, and states it as AWS does."""
    encrypted(**{f"Checksum{name.upper()}": base64.b64encode(STATED[name](noise)).decode()})
    store, through, proxy = flaky("s3")
    (info,) = store.list()
    proxy.flip(2_000_000)
    fetched = fetch_one(through, info, tmp_path / "x", sleep=no_wait)
    assert proxy.went_off == 1
    assert fetched.verified_by == name
    assert (tmp_path / "x").read_bytes() == noise
    proxy.flip(2_000_000, times=1_000)
    with pytest.raises(Damaged, match=f"the {name} of the bytes is .*, the store states"):
        fetch_one(through, info, tmp_path / "x", sleep=no_wait)


@pytest.mark.parametrize("name", STATED)
def test_every_checksum_that_aws_may_state_is_read(name, encrypted, flaky, tmp_path, noise):
    """MiniStack does not know the newest: a proxy states them as AWS's API model does."""
    encrypted()
    store, through, proxy = flaky("s3")
    (info,) = store.list()
    proxy.headers = {
        f"x-amz-checksum-{name}": base64.b64encode(STATED[name](noise)).decode(),
        "x-amz-checksum-type": "FULL_OBJECT",
    }
    assert dict(through.stat("x").checksums) == {name: STATED[name](noise).hex()}
    assert fetch_one(through, info, tmp_path / "x", sleep=no_wait).verified_by == name
    proxy.headers[f"x-amz-checksum-{name}"] = base64.b64encode(STATED[name](b"")).decode()
    with pytest.raises(Damaged, match=name):
        fetch_one(through, info, tmp_path / "x", sleep=no_wait)


def test_without_a_checksum_two_reads_must_agree(encrypted, flaky, tmp_path, noise):
    encrypted()
    store, through, proxy = flaky("s3")
    (info,) = store.list()
    fetched = fetch_one(through, info, tmp_path / "x", sleep=no_wait)
    assert fetched.verified_by == "two-reads"
    assert proxy.starts == [0, 0]
    proxy.flip(2_000_000)
    fetched = fetch_one(through, info, tmp_path / "x", sleep=no_wait)
    assert (tmp_path / "x").read_bytes() == noise
    assert fetched.verified_by == "two-reads"
    assert proxy.starts[2:] == [0, 0, 0]


UNEQUAL = (5 * MIB, 7 * MIB, 6 * MIB)


@pytest.mark.parametrize("algorithm", ["", "SHA1", "SHA256", "CRC32"])
@pytest.mark.parametrize(
    "sizes", [UNEQUAL, (6 * MIB, 5 * MIB, 7 * MIB, 6 * MIB)], ids=["unequal", "look-equal"]
)
def test_parts_of_different_sizes_are_checked(algorithm, sizes, place_of, multipart, flaky, tmp_path, noise):
    """The server tells the sizes; those that look equal by the first and the last are asked for once more."""
    place = place_of("s3", "")
    data = (noise * 9)[: sum(sizes)]
    multipart(place, "edge/x", data, *sizes, **({"ChecksumAlgorithm": algorithm} if algorithm else {}))
    store, through, proxy = flaky("s3")
    (info,) = store.list()
    assert store.part_sizes(info, exact=True) == list(sizes)
    name = f"{algorithm.lower() or 'md5'}-of-parts"
    assert fetch_one(store, info, tmp_path / "x").verified_by == name
    proxy.flip(8_000_000)
    fetched = fetch_one(through, info, tmp_path / "y", sleep=no_wait)
    assert proxy.went_off == 1
    assert fetched.verified_by == name
    assert (tmp_path / "y").read_bytes() == data


def test_stored_damage_of_unequal_parts_is_damage(place_of, multipart, flaky, tmp_path, noise):
    """Every byte comes as it is stored, and is not what the ETag says: that is no wrong guess."""
    place = place_of("s3", "")
    multipart(place, "edge/x", (noise * 9)[: sum(UNEQUAL)], *UNEQUAL)
    store, through, proxy = flaky("s3")
    (info,) = store.list()
    proxy.flip(8_000_000, times=1_000)
    with pytest.raises(Damaged, match="md5-of-parts of the bytes"):
        fetch_one(through, info, tmp_path / "x", sleep=no_wait)


@pytest.mark.parametrize("kind", ["s3", pytest.param("ceph", marks=pytest.mark.xdist_group("ceph"))])
def test_unequal_parts_whose_sizes_are_not_told_are_read_twice(
    kind, place_of, multipart, flaky, tmp_path, noise
):
    """Ceph tells none; nor does MiniStack through a proxy that drops the header."""
    data = (noise * 9)[: sum(UNEQUAL)]
    multipart(place_of(kind, ""), "edge/x", data, *UNEQUAL)
    store, through, proxy = flaky(kind)
    proxy.headers = {"x-amz-mp-parts-count": ""}
    (info,) = store.list()
    assert through.part_sizes(info, exact=True) is None
    proxy.requests.clear()
    proxy.flip(8_000_000)
    fetched = fetch_one(through, info, tmp_path / "x", sleep=no_wait)
    assert fetched.verified_by == "two-reads"
    assert (tmp_path / "x").read_bytes() == data
