"""Networks that cut, flip and lose: what is fetched is whole and right, or there is an error."""

import gzip
import hashlib
import itertools
import time

import pytest

from deployments.local.processes import free_port
from edgecap.errors import (
    Damaged,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreFull,
    StoreMissing,
    StoreUnreachable,
    StoreUnwritable,
)
from edgecap.settings.uri import parse_uri
from edgecap.stores import open_store
from edgecap.stores.s3.store import S3Store
from edgecap.stores.s3.upload import SINGLE_PUT
from edgecap.stores.transfer import LARGE, fetch_many
from tests.edgecap.stores.one_object import fetch_one

SERVERS = ["s3", "gcs", pytest.param("ceph", marks=pytest.mark.xdist_group("ceph"))]


def no_wait(_):
    """Between two attempts."""


@pytest.fixture(params=SERVERS)
def broken(request, flaky):
    """A store, the same store through a proxy, and the proxy."""
    return flaky(request.param)


def left_over(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_reading_goes_on_where_it_was_cut(broken, how, tmp_path, noise):
    """Three cuts: each new request begins where the last byte was handed on, and none at zero."""
    store, through, proxy = broken
    info = store.put("x", noise)
    proxy.cut(900_000, how=how, times=2)
    proxy.cut(500_000, how=how)
    fetched = fetch_one(through, info, tmp_path / "x", sleep=no_wait)
    assert proxy.went_off == 3
    assert fetched.sha256 == hashlib.sha256(noise).hexdigest()
    assert (tmp_path / "x").read_bytes() == noise
    assert proxy.starts[0] == 0
    assert len(proxy.starts) == 4
    assert all(later > earlier for earlier, later in itertools.pairwise(proxy.starts))
    if how == "fin":  # a reset takes along what the kernel had not handed on yet
        assert proxy.starts[3] > 2_200_000


@pytest.mark.parametrize("trouble", ["503 Service Unavailable", "429 Too Many Requests"])
def test_a_store_that_is_busy_for_a_moment_is_asked_again(broken, trouble, noise):
    """As the vendors' libraries do it, for each call that reads."""
    store, through, proxy = broken
    store.put("x", noise)
    proxy.trouble = trouble.encode()
    proxy.busy = 1
    with through.open("x") as reader:
        assert b"".join(reader) == noise
    proxy.busy = 1
    assert through.stat("x").size == len(noise)
    proxy.busy = 1
    assert [info.key for info in through.list()] == ["x"]
    assert proxy.went_off == 3


def test_cuts_without_progress_end(broken, tmp_path, noise):
    """Every answer ends after a few bytes of the body."""
    store, through, proxy = broken
    info = store.put("x", noise)
    proxy.cut(1_500, times=1_000)
    waits = []
    with pytest.raises(StoreUnreachable, match="does not answer"):
        fetch_one(through, info, tmp_path / "x", attempts=4, sleep=waits.append)
    assert proxy.went_off == 4
    assert len(waits) == 3
    assert all(0 < wait <= 5 for wait in waits)
    assert left_over(tmp_path) == []


@pytest.fixture
def asked_thrice(impatient_s3):
    """A place in S3, a store in it that makes a request three times, and the proxy between them."""
    return impatient_s3(3)


@pytest.mark.parametrize("trouble", ["503 Service Unavailable", "429 Too Many Requests"])
def test_an_unanswered_request_is_retried_as_often_as_configured(asked_thrice, trouble, tmp_path):
    """And no more often by what reads: five times as many took minutes to say that nobody is there."""
    store, through, proxy = asked_thrice
    info = store.put("x", b"1")
    proxy.trouble, proxy.never = trouble.encode(), b"/edge/x "
    waits = []
    with pytest.raises(StoreUnreachable):
        fetch_one(through, info, tmp_path / "x", sleep=waits.append)
    assert (len(proxy.requests), waits) == (3, [])
    with pytest.raises(StoreUnreachable):
        through.stat("x")
    assert len(proxy.requests) == 6


def test_a_store_that_goes_away_after_a_cut_is_given_up(asked_thrice, tmp_path, noise):
    """What came before does not count: the request for the rest is the store's library's to make again."""
    store, through, proxy = asked_thrice
    info = store.put("x", noise)
    proxy.cut(900_000)

    def go_away(_):
        proxy.never = b"/edge/x "

    with pytest.raises(StoreUnreachable):
        fetch_one(through, info, tmp_path / "x", sleep=go_away)
    assert len(proxy.requests) == 1 + 1 + 3  # cut; signed without the client; by the client
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_an_answer_cut_before_its_first_byte_is_requested_again(broken, how, tmp_path):
    """The libraries see an answer there, and leave its body to the reader."""
    store, through, proxy = broken
    info = store.put("x", bytes(100_000))
    before = len(proxy.requests)
    proxy.cut_body(how=how, times=2)
    fetch_one(through, info, tmp_path / "x", sleep=no_wait)
    assert proxy.went_off == 2
    assert len(proxy.requests) == before + 3
    assert (tmp_path / "x").read_bytes() == bytes(100_000)


def test_a_byte_flipped_on_the_way_is_healed(broken, tmp_path, noise):
    store, through, proxy = broken
    info = store.put("x", noise)
    proxy.flip(2_000_000)
    fetched = fetch_one(through, info, tmp_path / "x", sleep=no_wait)
    assert proxy.went_off == 1
    assert (tmp_path / "x").read_bytes() == noise
    assert fetched.verified_by in ("md5", "crc32c")


def test_bytes_flipped_every_time_are_caught(broken, tmp_path, noise):
    store, through, proxy = broken
    info = store.put("x", noise)
    proxy.flip(2_000_000, times=1_000)
    with pytest.raises(Damaged, match="the store states"):
        fetch_one(through, info, tmp_path / "x", sleep=no_wait)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("part_size", [5 << 20, 5_500_000], ids=["usual", "unusual"])
@pytest.mark.parametrize("kind", ["s3", pytest.param("ceph", marks=pytest.mark.xdist_group("ceph"))])
def test_a_flipped_byte_of_a_multipart_object_is_healed(
    kind, part_size, place_of, flaky, multipart, tmp_path, noise
):
    """MiniStack tells the part size. Ceph does not: usual ones are guessed, else two reads must agree."""
    store, through, proxy = flaky(kind)
    data = noise * 4
    multipart(place_of(kind, ""), "edge/parts", data, part_size)
    (info,) = store.list()
    assert info.etag.endswith("-3")
    proxy.flip(7_000_000)
    fetched = fetch_one(through, info, tmp_path / "x", sleep=no_wait)
    assert proxy.went_off == 1
    assert (tmp_path / "x").read_bytes() == data
    unknown = kind == "ceph" and part_size == 5_500_000
    assert fetched.verified_by == ("two-reads" if unknown else "md5-of-parts")


def test_several_streams_survive_cuts_and_flips(flaky, tmp_path, noise):
    """A large object is read in ranges, each of which is resumed by itself."""
    store, through, proxy = flaky("s3")
    source = tmp_path / "source"
    with source.open("wb") as file:
        for _ in range(LARGE // len(noise) + 1):
            file.write(noise)
    expected = hashlib.sha256(source.read_bytes()).hexdigest()
    info = store.put("large", source)
    proxy.cut(5_000_000, how="rst", times=3)
    proxy.cut(6_000_000, how="fin")
    proxy.flip(3_000_000)
    counted = []
    fetched = fetch_one(through, info, tmp_path / "x", sleep=no_wait, on_bytes=counted.append)
    assert proxy.went_off == 5
    assert len(proxy.starts) > 8
    assert fetched.sha256 == expected
    assert fetched.verified_by == "md5-of-parts"
    assert sum(counted) >= info.size


def test_an_object_replaced_while_it_is_read_is_noticed(broken, tmp_path, noise):
    """Half of the old and half of the new would be a file that never was."""
    store, through, proxy = broken
    info = store.put("x", noise)
    proxy.cut(2_000_000)

    def replace(_):
        store.delete("x")
        store.put("x", noise[::-1])

    with pytest.raises(ObjectChanged, match="replaced"):
        fetch_one(through, info, tmp_path / "x", sleep=replace)
    assert left_over(tmp_path) == []


def test_an_object_replaced_since_it_was_listed_is_noticed(broken, tmp_path):
    store, _, _ = broken
    info = store.put("x", b"old")
    store.delete("x")
    store.put("x", b"new")
    with pytest.raises(ObjectChanged):
        fetch_one(store, info, tmp_path / "x")


def test_the_first_error_stops_the_others(broken, tmp_path, noise):
    """Nothing unfinished stays; what was whole before may."""
    store, _, _ = broken
    infos = [store.put(f"{number}", noise[:300_000]) for number in range(12)]
    store.delete("0")
    with pytest.raises(ObjectMissing, match="edge/0"):
        # Slowly, or a server that is quick to give and slow to refuse gives them all before.
        fetch_many(
            store,
            infos,
            [tmp_path / info.key for info in infos],
            parallel=2,
            on_bytes=lambda _: time.sleep(0.5),
        )
    assert not (tmp_path / "11").exists()
    for path in tmp_path.iterdir():
        assert path.name in {info.key for info in infos}
        assert path.read_bytes() == noise[:300_000]


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_a_put_whose_answer_is_lost_counts_as_ours(kind, flaky):
    """The library tries again and is told that the key is taken: by the first try."""
    store, through, proxy = flaky(kind)
    after = {"s3": len("HTTP/1.1 100 Continue\r\n\r\n"), "gcs": 0}[kind]
    proxy.cut(after, methods="PUT POST")
    info = through.put("x", b"ours")
    assert proxy.went_off == 1
    assert [head.split(b" ")[0] for head in proxy.requests][-1] in (b"GET", b"HEAD")
    assert store.stat("x").etag == info.etag
    with pytest.raises(ObjectExists):
        through.put("x", b"ours")


def test_a_server_without_conditions_is_refused(flaky):
    """To look first whether a key is free proves nothing a moment later."""
    store, through, proxy = flaky("s3")
    proxy.refuse("If-None-Match")
    for call in (lambda: through.put("x", b"1"), lambda: through.check(write=True)):
        with pytest.raises(StoreUnwritable, match=r"does not support If-None-Match: .*no conditions"):
            call()
    assert list(store.list()) == []


def test_a_server_without_conditions_for_parts_is_asked_first(flaky, tmp_path):
    store, through, proxy = flaky("s3")
    proxy.refuse("If-None-Match")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(SINGLE_PUT + 1)
    through.put("x", tmp_path / "large")
    assert store.stat("x").size == SINGLE_PUT + 1
    with pytest.raises(ObjectExists):
        through.put("x", tmp_path / "large")


@pytest.mark.parametrize("kind", ["s3", "r2", "gcs", SERVERS[-1]])
def test_a_missing_bucket_is_reported(kind, place_of, bucket, tmp_path):
    place = place_of(kind)
    store = open_store(place.model_copy(update={"uri": place.uri.replace(bucket, "no-such-bucket")}))
    calls = [
        store.check,
        lambda: store.check(write=True),
        lambda: next(store.list()),
        lambda: store.stat("x"),
        lambda: store.open("x").__enter__(),
        lambda: store.put("x", b""),
        lambda: store.delete("x"),
    ]
    for call in calls:
        with pytest.raises(StoreMissing, match=r"bucket does not exist .*no-such-bucket.*; create it"):
            call()


@pytest.mark.parametrize("kind", ["s3", "r2", SERVERS[-1]])
@pytest.mark.parametrize("wrong", ["access_key_id", "secret_access_key"])
def test_wrong_keys_are_denied_and_not_shown(kind, wrong, place_of):
    place = place_of(kind)
    secret = type(place.secret_access_key)("AKIAWRONGWRONGWRONG")
    store = open_store(place.model_copy(update={wrong: secret}))
    for call in (
        store.check,
        lambda: store.stat("x"),
        lambda: store.put("x", b""),
        lambda: next(store.list()),
    ):
        with pytest.raises(StoreDenied, match="set AWS_ACCESS_KEY_ID") as caught:
            call()
        assert "WRONG" not in str(caught.value)
        assert "WRONG" not in repr(store)


def test_a_read_only_key_is_reported(place_of, raw, bucket):
    """MiniStack enforces the bucket's policy, as AWS does."""
    place = place_of("s3")
    raw(place).put_bucket_policy(
        Bucket=bucket,
        Policy='{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",'
        f' "Action": "s3:PutObject", "Resource": "arn:aws:s3:::{bucket}/*"}}]}}',
    )
    store = open_store(place)
    store.check()
    with pytest.raises(StoreUnwritable, match="no right to write here"):
        store.check(write=True)
    with pytest.raises(StoreUnwritable):
        store.put("x", b"")


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_a_server_that_is_not_there_is_unreachable(kind, place_of):
    place = place_of(kind).model_copy(update={"endpoint_url": f"http://127.0.0.1:{free_port()}"})
    store = S3Store(parse_uri(place.uri), place, attempts=1) if kind == "s3" else open_store(place)
    with pytest.raises(StoreUnreachable, match=r"does not answer: Connection refused .*check the network"):
        store.check()


def test_a_disk_that_fills_up_ends_a_fetch_and_leaves_nothing(place_of, small_disk):
    store = open_store(place_of("s3"))
    infos = [store.put(key, gzip.compress(bytes(8 << 20))) for key in "ab"]  # which nobody knows before
    with pytest.raises(StoreFull, match="no space is left"):
        fetch_many(store, infos, [small_disk / info.key for info in infos])
    assert left_over(small_disk) == []


def test_a_read_only_disk_ends_a_fetch(place_of, read_only_disk):
    store = open_store(place_of("s3"))
    with pytest.raises(StoreUnwritable, match="read-only"):
        fetch_one(store, store.put("x", b"1"), read_only_disk / "x")
