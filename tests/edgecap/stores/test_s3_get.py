"""Our own signed GETs are boto3's, only cheaper; whatever is unusual goes back to boto3."""

import time
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from edgecap.errors import ObjectMissing, StoreDenied
from edgecap.stores.s3_get import signature

WORDS = st.text("abcXYZ019/+=", min_size=1, max_size=40)


@given(
    key=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40),
    secret=WORDS,
    token=st.none() | WORDS,
    moment=st.integers(0, 4_000_000_000),
)
def test_signs_as_botocore_does(key, secret, token, moment):
    """For any key, secret, session token and time."""
    credentials = ReadOnlyCredentials("AKIDEXAMPLE", secret, token)
    path = "/bucket/" + quote(key, safe="/~")
    ours = signature("GET", "127.0.0.1:9000", path, "eu-west-1", credentials, time.gmtime(moment))
    signed = {name: value for name, value in ours.items() if name != "Authorization"}
    request = AWSRequest("GET", f"http://127.0.0.1:9000{path}", headers=signed)
    request.context["timestamp"] = ours["x-amz-date"]
    theirs = S3SigV4Auth(credentials, "s3", "eu-west-1")
    to_sign = theirs.string_to_sign(request, theirs.canonical_request(request))
    scope = f"Credential=AKIDEXAMPLE/{ours['x-amz-date'][:8]}/eu-west-1/s3/aws4_request"
    names = theirs.signed_headers(theirs.headers_to_sign(request))
    assert ours["Authorization"] == (
        f"AWS4-HMAC-SHA256 {scope},SignedHeaders={names},Signature={theirs.signature(to_sign, request)}"
    )


@pytest.fixture
def counted(flaky):
    """A store that has read an object already, through a proxy that sees every request."""
    store, through, proxy = flaky("s3")
    for key in ("x", "y"):
        store.put(key, key.encode())
    with through.open("x") as reader:
        assert b"".join(reader) == b"x"
    proxy.requests.clear()
    return store, through, proxy


def by_boto3(head):
    return b"boto3" in head.lower().partition(b"user-agent:")[2].partition(b"\r\n")[0]


def test_the_first_get_is_boto3s_and_the_others_are_not(counted):
    _, through, proxy = counted
    for _ in range(3):
        with through.open("y") as reader:
            assert b"".join(reader) == b"y"
            assert dict(reader.info.checksums) == dict(through.stat("y").checksums)
    gets = [head for head in proxy.requests if head.startswith(b"GET")]
    assert len(gets) == 3
    assert not any(by_boto3(head) for head in gets)


def test_what_is_not_the_object_is_asked_of_boto3(counted):
    """Which knows what a missing object and a server's trouble mean."""
    store, through, proxy = counted
    store.delete("y")
    with pytest.raises(ObjectMissing), through.open("y"):
        pass
    assert [by_boto3(head) for head in proxy.requests] == [False, True]


def test_a_connection_that_breaks_is_left_to_boto3(counted):
    _, through, proxy = counted
    proxy.cut(0)
    with through.open("y") as reader:
        assert b"".join(reader) == b"y"
    assert [by_boto3(head) for head in proxy.requests] == [False, True]


def test_a_key_that_is_no_longer_good_is_denied(counted):
    """The short way signs too: with a wrong secret it gets nothing."""
    _, through, _ = counted
    credentials = through._connected()[1]._session.get_credentials()
    credentials.secret_key = "wrong"
    with pytest.raises(StoreDenied, match="secret access key is wrong"), through.open("y"):
        pass


def test_its_state_can_be_read(counted, place_of):
    _, through, proxy = counted
    assert (
        repr(through._connected()[1]) == f"<QuickGet {proxy.url.removeprefix('http://')}/{through._bucket} >"
    )
