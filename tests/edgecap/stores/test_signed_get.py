"""GETs after the first are signed and sent without boto3's client; what fails goes through the client."""

import pytest

from edgecap.errors import ObjectMissing, StoreUnreachable

ODD_KEYS = ["a b+c", "~tilde/ü", "per%20cent", "dots.../up", "plus+&=#", "'(quoted)*'"]


def read(store, key, **asked):
    with store.open(key, **asked) as reader:
        return reader.info, b"".join(reader)


def gets(proxy):
    """Who sent each GET of an object, in order."""
    heads = [head for head in proxy.requests if head.startswith(b"GET ") and b"list-type=" not in head]
    return ["client" if b"amz-sdk-invocation-id" in head.lower() else "signed" for head in heads]


@pytest.mark.parametrize("kind", ["s3", pytest.param("ceph", marks=pytest.mark.xdist_group("ceph"))])
def test_later_gets_give_what_the_client_gives(kind, flaky):
    """The same bytes and the same metadata, of whole objects and of ranges, by keys of all kinds."""
    store, through, proxy = flaky(kind)
    for number, key in enumerate(["first", *ODD_KEYS]):
        store.put(key, f"the bytes of {number}".encode())
    expected = []
    for key in ODD_KEYS:
        for asked in ({}, {"start": 4}, {"start": 4, "length": 5}, {"etag": store.stat(key).etag}):
            _, passing, watched = flaky(kind)
            expected.append((key, asked, read(passing, key, **asked)))
            assert gets(watched) == ["client"], watched.requests
    read(through, "first")
    for key, asked, answer in expected:
        assert read(through, key, **asked) == answer
    assert gets(proxy) == ["client"] + ["signed"] * len(expected)


def test_a_missing_object_is_reported_by_the_client(flaky):
    """It names the error, and the next GET is its own too."""
    store, through, proxy = flaky("s3")
    store.put("x", b"packets")
    read(through, "x")
    with pytest.raises(ObjectMissing, match="no such object"):
        read(through, "y")
    assert read(through, "x") == read(through, "x")
    assert gets(proxy) == ["client", "signed", "client", "client", "signed"]


@pytest.mark.parametrize("trouble", ["503 Service Unavailable", "429 Too Many Requests"])
def test_a_get_answered_without_the_object_goes_through_the_client(trouble, flaky):
    store, through, proxy = flaky("s3")
    store.put("x", b"packets")
    read(through, "x")
    proxy.trouble, proxy.busy = trouble.encode(), 1
    assert read(through, "x")[1] == b"packets"
    assert proxy.went_off == 1
    assert gets(proxy) == ["client", "signed", "client"]


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_an_answer_that_is_not_genuine_is_refused(header, flaky):
    """As one through the client: without these headers something else than a store has answered."""
    store, through, proxy = flaky("s3")
    store.put("x", b"packets")
    read(through, "x")
    proxy.headers = {header: ""}
    with pytest.raises(StoreUnreachable, match="the answer is not S3's"):
        read(through, "x")
    assert gets(proxy) == ["client", "signed", "client"]


def test_a_connection_lost_before_the_answer_is_no_error(flaky):
    store, through, proxy = flaky("s3")
    store.put("x", b"packets")
    read(through, "x")
    proxy.cut(0)
    assert read(through, "x")[1] == b"packets"
    assert gets(proxy) == ["client", "signed", "client"]
