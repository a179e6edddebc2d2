"""Fetching without faults: hashes, gzip by its magic bytes, order, durability."""

import gzip
import hashlib
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.stores import open_store
from edgecap.stores.integrity import VerifiedBy
from edgecap.stores.pending_file import PendingFile
from edgecap.stores.transfer import fetch_many
from tests.edgecap.stores.one_object import fetch_one

VERIFIED = {"file": "two-reads", "s3": "md5", "r2": "md5", "gs": "crc32c"}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_fetched_objects_are_hashed_and_verified(store, tmp_path, noise):
    counted = []
    info = store.put("dir/x.pcap", noise)
    fetched = fetch_one(store, info, tmp_path / "x.pcap", on_bytes=counted.append)
    assert fetched.path.read_bytes() == noise
    assert (fetched.size, fetched.sha256) == (len(noise), sha256(noise))
    assert (fetched.source_size, fetched.source_sha256) == (len(noise), sha256(noise))
    assert fetched.encoding == ""
    assert fetched.verified_by == VERIFIED[store.uri.partition(":")[0]]
    assert sum(counted) == len(noise) * (2 if fetched.verified_by == "two-reads" else 1)


def test_many_are_fetched_in_their_order(store, tmp_path):
    infos = [store.put(f"s{number}/x.pcap", b"%d" % number * number) for number in range(20)]
    targets = [tmp_path / f"{number}.pcap" for number in range(20)]
    fetched = fetch_many(store, infos, targets, parallel=4)
    assert [each.path for each in fetched] == targets
    assert [each.path.read_bytes() for each in fetched] == [b"%d" % n * n for n in range(20)]
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


def test_none_is_fetched_from_nothing(store):
    assert fetch_many(store, [], []) == []


def test_gzip_is_known_by_its_magic(store, tmp_path, noise):
    """Also with several members, as log shippers write; the name does not matter."""
    packed = gzip.compress(noise[:1_000_000], 1) + gzip.compress(noise[1_000_000:], 1)
    info = store.put("x.pcap", packed)
    fetched = fetch_one(store, info, tmp_path / "x.pcap")
    assert fetched.path == tmp_path / "x.pcap"
    assert fetched.path.read_bytes() == noise
    assert (fetched.size, fetched.sha256) == (len(noise), sha256(noise))
    assert (fetched.source_size, fetched.source_sha256) == (len(packed), sha256(packed))
    assert fetched.encoding == "gzip"
    plain = fetch_one(store, store.put("y.pcap.gz", b"not packed"), tmp_path / "y")
    assert (plain.encoding, plain.path.read_bytes()) == ("", b"not packed")


@pytest.mark.parametrize("damage", ["cut", "flipped", "followed"])
def test_damaged_gzip_is_kept_as_it_came(store, tmp_path, noise, damage):
    packed = bytearray(gzip.compress(noise, 1))
    if damage == "cut":
        del packed[-100_000:]
    elif damage == "flipped":
        packed[1_000_000] ^= 1
    else:
        packed += b"something else"
    fetched = fetch_one(store, store.put("x", bytes(packed)), tmp_path / "x.pcap")
    assert fetched.path == tmp_path / "x.pcap.gz"
    assert fetched.path.read_bytes() == packed
    assert fetched.encoding == "gzip-damaged"
    assert fetched.sha256 == fetched.source_sha256 == sha256(packed)
    assert [path.name for path in tmp_path.glob("*x*")] == ["x.pcap.gz"]


@given(st.lists(st.binary(max_size=40), max_size=8), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_landing_does_not_care_how_the_bytes_are_cut(tmp_path_factory, chunks, packed):
    """The magic may come in two chunks, and any prefix of it may be all there is."""
    folder = tmp_path_factory.mktemp("landing")
    data = b"".join(chunks)
    sent = gzip.compress(data) if packed else data
    # Cut where the chunks of the plain data were cut, and after the first byte.
    lengths = [1, *(len(chunk) for chunk in chunks), len(sent)]
    landing = PendingFile(folder / "x", 1 << 20)
    position = 0
    for length in lengths:
        landing.write(sent[position : position + length])
        position += length
    landing.finish()
    fetched = landing.publish(VerifiedBy.TWO_READS)
    landing.clear()
    assert fetched.source_sha256 == sha256(sent)
    if packed:
        assert fetched.encoding == "gzip"
        assert fetched.path.read_bytes() == data
    elif data.startswith(b"\x1f\x8b"):
        assert fetched.encoding
    else:
        assert fetched.path.read_bytes() == data
    assert [path.name for path in folder.iterdir()] == [fetched.path.name]


def test_gzip_without_a_checksum_of_the_store_vouches_for_itself(place_of, tmp_path):
    store = open_store(place_of("folder"))
    fetched = fetch_one(store, store.put("x", gzip.compress(b"packets")), tmp_path / "x")
    assert fetched.verified_by == "gzip-crc32"


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA256"])
def test_checksums_of_the_whole_object_are_used(place_of, raw, bucket, tmp_path, noise, algorithm):
    """What an uploader left with the object; MiniStack checks it, keeps it and states it."""
    from base64 import b64encode  # noqa: PLC0415 - the same

    import google_crc32c  # noqa: PLC0415 - by this test alone

    digest = {
        "CRC32": zlib.crc32(noise).to_bytes(4, "big"),
        "CRC32C": google_crc32c.value(noise).to_bytes(4, "big"),
        "SHA256": hashlib.sha256(noise).digest(),
    }[algorithm]
    place = place_of("s3", "")
    checksum = {f"Checksum{algorithm}": b64encode(digest).decode()}
    raw(place).put_object(Bucket=bucket, Key="x", Body=noise, **checksum)
    store = open_store(place)
    assert dict(store.stat("x").checksums)[algorithm.lower()] == digest.hex()
    (info,) = store.list()
    assert fetch_one(store, info, tmp_path / "x").verified_by == algorithm.lower()


def test_checksums_of_parts_are_used(place_of, multipart, tmp_path, noise):
    """What current AWS libraries leave with large objects; it is cheaper to check than their MD5s."""
    place = place_of("s3", "")
    multipart(place, "x", noise * 4, 5_500_000, ChecksumAlgorithm="CRC32")
    store = open_store(place)
    (info,) = store.list()
    assert fetch_one(store, info, tmp_path / "x").verified_by == "crc32-of-parts"


def test_a_gzip_bomb_does_not_fill_the_memory(place_of, tmp_path):
    """Megabytes of zeros in a few kilobytes: unpacked in pieces, in a process that may not grow."""
    place = place_of("folder")
    root = place.uri.removeprefix("file:")
    packer = zlib.compressobj(9, wbits=31)
    with Path(root, "bomb").open("wb") as file:
        file.writelines(packer.compress(bytes(1 << 20)) for _ in range(64))
        file.write(packer.flush())
    program = textwrap.dedent(f"""
        import resource
        from pathlib import Path
        from edgecap.settings import StoreLocation
        from edgecap.stores import open_store
        from edgecap.stores.transfer import fetch_many

        store = open_store(StoreLocation(uri={place.uri!r}))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        fetched = fetch_many(store, [store.stat("bomb")], [Path({str(tmp_path / "plain")!r})])[0]
        assert fetched.size == 64 << 20
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 30_000, "kilobytes"
