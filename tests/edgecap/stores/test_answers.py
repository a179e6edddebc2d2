"""Answers that are not the store's, and refusals: the line says what came, and the reason that it gave."""

import json
from datetime import timedelta

import pytest
from pydantic import SecretStr

from edgecap.errors import Damaged, ObjectMissing, StoreDenied, StoreError, StoreUnreachable, StoreUnwritable
from edgecap.settings import StoreLocation
from edgecap.settings.uri import parse_uri
from edgecap.stores import open_store
from edgecap.stores.s3.store import S3Store
from edgecap.stores.s3.upload import SINGLE_PUT
from tests.stand_ins import one_answer

KEYS = {"access_key_id": SecretStr("AKIAEXAMPLE"), "secret_access_key": SecretStr("EXAMPLE")}


def store_at(scheme, url):
    """A store whose server is at `url`; for S3, one that asks once."""
    place = StoreLocation(
        uri=f"{scheme}://some-bucket/x", endpoint_url=url, **(KEYS if scheme == "s3" else {})
    )
    return S3Store(parse_uri(place.uri), place, attempts=1) if scheme == "s3" else open_store(place)


def read(store):
    with store.open("k") as reader:
        return b"".join(reader)


@pytest.fixture
def large(tmp_path):
    """A file that is put in parts; it takes no room."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(SINGLE_PUT + 1)
    return tmp_path / "large"


@pytest.fixture
def calls(large):
    """Every call of a store that asks its server."""
    return {
        "check": lambda store: store.check(),
        "check(write)": lambda store: store.check(write=True),
        "list": lambda store: list(store.list()),
        "stat": lambda store: store.stat("k"),
        "open": read,
        "open from": lambda store: store.open("k", start=3).__enter__(),
        "put": lambda store: store.put("k", b"data"),
        "put parts": lambda store: store.put("k", large),
        "delete": lambda store: store.delete("k"),
    }


@pytest.mark.parametrize("status", [200, 302, 403, 404])
@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_web_page_is_no_answer_of_a_store(scheme, status, calls):
    """A network that wants a sign-in answers every call so. Nothing is empty, stored or missing for that."""
    with one_answer(status) as server:
        store = store_at(scheme, server.url)
        for name, call in calls.items():
            with pytest.raises(StoreUnreachable, match=r"the answer is not .*wants a sign-in") as caught:
                call(store)
            assert "\n" not in str(caught.value), name
        if scheme == "s3":
            with pytest.raises(StoreUnreachable, match="the answer is not S3's"):
                store.sweep(timedelta(days=1), ours=lambda _: True)


NO_BACKEND = [b"", b"default backend - 404", b"<ok/>", b'{"message": "no Route matched"}']


@pytest.mark.parametrize("body", NO_BACKEND)
@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_404_of_something_on_the_way_does_not_make_anything_missing(scheme, body, calls):
    """A load balancer without a server behind it answers so. Then nothing is to be restored."""
    with one_answer(404, body, **{"content-type": "text/plain"}) as server:
        store = store_at(scheme, server.url)
        for name, call in calls.items():
            with pytest.raises(StoreUnreachable, match=r"the answer is not .*HTTP 404 without") as caught:
                call(store)
            assert not caught.value.permanent, name
        if scheme == "s3":
            with pytest.raises(StoreUnreachable, match="the answer is not S3's"):
                store.sweep(timedelta(days=1), ours=lambda _: True)


@pytest.mark.parametrize("status", [403, 412, 416])
def test_a_refusal_without_an_error_of_s3s_is_none_of_s3s(status, calls):
    """Nobody's right is missing, nothing was replaced, and nothing is at its end."""
    with one_answer(status, b"no", **{"content-type": "text/plain"}) as server:
        store = store_at("s3", server.url)
        for name, call in calls.items():
            if name in ("stat", "put parts") and status != 403:
                continue  # a HEAD, which asks for neither
            with pytest.raises(StoreUnreachable, match=f"the answer is not S3's: it is an HTTP {status}"):
                call(store)


def test_a_404_about_something_else_makes_no_object_missing():
    body = denial("NoSuchConfiguration", "There is no such thing.")
    with one_answer(404, body, **{"content-type": "application/xml"}) as server:
        store = store_at("s3", server.url)
        for call in (read, lambda store: store.stat("k"), lambda store: store.delete("k")):
            with pytest.raises(
                StoreError, match="the store refuses the request: There is no such thing"
            ) as caught:
                call(store)
            assert type(caught.value) is StoreError


@pytest.mark.parametrize("kind", ["s3", "gcs", pytest.param("ceph", marks=pytest.mark.xdist_group("ceph"))])
def test_an_object_that_is_not_there_is_missing(kind, place_of):
    """The servers' own answers. What a read says counts, and what a HEAD says is asked for once more."""
    store = open_store(place_of(kind))
    for call in (read, lambda store: store.stat("k"), lambda store: store.open("k", start=3).__enter__()):
        with pytest.raises(ObjectMissing, match="there is no such object"):
            call(store)
    store.delete("k")


def test_an_object_that_head_and_read_disagree_on_is_not_missing(flaky):
    store, through, proxy = flaky("s3")
    store.put("k", b"1")
    proxy.never, proxy.trouble = b"HEAD ", b"404 Not Found"
    with pytest.raises(StoreUnreachable, match="contradicts itself"):
        through.stat("k")


@pytest.mark.parametrize("body", [b"", b"{}", b"<ok/>", b"<?xml version='1.0'?><Other/>"])
def test_an_answer_without_s3_s_usual_fields_is_not_s3_s(body, calls):
    """Whatever it is: no ETag, or another root element. What removes has no body, and cannot be told."""
    with one_answer(200, body, **{"content-type": "application/xml"}) as server:
        store = store_at("s3", server.url)
        for name, call in calls.items():
            if name != "delete":
                # botocore itself takes a 200 without XML for a failure of S3's.
                with pytest.raises(StoreUnreachable, match=r"the answer is not S3's: it|cannot answer now"):
                    call(store)


def test_a_success_with_an_error_in_its_body_is_an_error(flaky, large):
    """S3 completes an upload so, since it sends 200 before it knows."""
    body = b"<?xml version='1.0'?>\n<Error><Code>InternalError</Code><Message>We failed.</Message></Error>"
    with one_answer(200, body, **{"content-type": "application/xml"}) as server:
        store = store_at("s3", server.url)
        with pytest.raises(StoreUnreachable, match="cannot answer now: We failed"):
            list(store.list())


def test_a_page_that_is_an_object_is_read(place_of, raw, bucket):
    place = place_of("s3", "")
    page = b"<!doctype html><html></html>"
    raw(place).put_object(Bucket=bucket, Key="page", Body=page, ContentType="text/html")
    store = open_store(place)
    with store.open("page") as reader:
        assert b"".join(reader) == page
    assert store.stat("page").size == len(page)


SCP = (
    "User: arn:aws:sts::111122223333:assumed-role/edgecap/i-0abc is not authorized to perform: s3:GetObject"
    ' on resource: "arn:aws:s3:::some-bucket/x/k" with an explicit deny in a service control policy'
)
S3_SAYS = {  # code: (status, what AWS says, what is raised)
    "AccessDenied": (403, SCP, StoreDenied),
    "AllAccessDisabled": (403, "All access to this object has been disabled", StoreDenied),
    "AccountProblem": (403, "There is a problem with your AWS account: payment", StoreDenied),
    "KMS.DisabledException": (400, "arn:aws:kms:eu-west-1:111122223333:key/1 is disabled.", StoreError),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid", StoreDenied),
    "AuthorizationHeaderMalformed": (400, "the region is wrong; expecting 'eu-west-1'", StoreError),
    "QuotaExceeded": (403, "Quota of 5 GB of bucket some-bucket", StoreError),
}


def denial(code, said):
    return f"<Error><Code>{code}</Code><Message>{said}</Message><RequestId>1</RequestId></Error>".encode()


@pytest.mark.parametrize("code", S3_SAYS)
def test_s3_s_reason_is_in_the_message(code, calls):
    """In each call: also in those that begin with a HEAD, whose refusal has no body."""
    status, said, kind = S3_SAYS[code]
    with one_answer(status, denial(code, said), **{"content-type": "application/xml"}) as server:
        store = store_at("s3", server.url)
        for name, call in calls.items():
            if status != 403 and name in ("stat", "put parts"):
                continue  # a HEAD: 400, and no more
            with pytest.raises(StoreError) as caught:
                call(store)
            writes = kind is StoreDenied and code == "AccessDenied" and name in ("put", "delete")
            assert isinstance(caught.value, StoreUnwritable if writes else kind), name
            assert said.rstrip(".") in str(caught.value), name
            assert "\n" not in str(caught.value)


def test_a_reason_is_one_line_without_secrets_and_not_said_twice():
    secret = "no:\n  x-amz-security-token=HIDE-ME and more " + "x" * 2_000
    with one_answer(403, denial("AccessDenied", secret), **{"content-type": "application/xml"}) as server:
        with pytest.raises(
            StoreDenied, match=r"no right to do this: no: x-amz-security-token=\*\*\*"
        ) as caught:
            read(store_at("s3", server.url))
        assert "HIDE-ME" not in str(caught.value)
        assert len(str(caught.value)) < 700
        server.body = denial("AccessDenied", "Access Denied")
        with pytest.raises(StoreDenied, match="no right to do this \\(s3:"):
            read(store_at("s3", server.url))


def test_the_reason_of_a_denied_read_is_found(place_of, raw, bucket):
    """A policy of the bucket that forbids reading objects and nothing else."""
    place = place_of("s3")
    store = open_store(place)
    store.put("x", b"1")
    raw(place).put_bucket_policy(
        Bucket=bucket,
        Policy='{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",'
        f' "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{bucket}/*"}}]}}',
    )
    with pytest.raises(StoreDenied, match="no right to do this"):
        store.stat("x")


@pytest.mark.parametrize("code", ["NoSuchBucket", "AccessDenied"])
def test_an_r2_bucket_that_is_not_found_may_have_a_jurisdiction(code):
    """R2 says either of a bucket that its usual address does not have."""
    body = denial(code, "The specified bucket does not exist.")
    with one_answer(404, body, **{"content-type": "application/xml"}) as server:
        place = StoreLocation(uri="r2://some-bucket?account-id=1", endpoint_url=server.url, **KEYS)
        with pytest.raises(StoreError, match=r"; for one in a jurisdiction, add &jurisdiction=eu"):
            open_store(place).check()
        with pytest.raises(StoreError) as caught:
            store_at("s3", server.url).check()
        assert "jurisdiction" not in str(caught.value)


GCS_SAYS = {
    403: "edgecap@x.iam.gserviceaccount.com does not have storage.objects.get access to the bucket.",
    400: "The billing account for the owning project is disabled in state closed.",
}


@pytest.mark.parametrize("status", GCS_SAYS)
def test_gcs_s_reason_is_in_the_message(status, calls):
    said = GCS_SAYS[status]
    body = json.dumps({"error": {"code": status, "message": said, "errors": [{"message": said}]}}).encode()
    with one_answer(status, body, **{"content-type": "application/json"}) as server:
        store = store_at("gs", server.url)
        for name, call in calls.items():
            with pytest.raises(StoreError) as caught:
                call(store)
            assert said.rstrip(".") in str(caught.value), name
            writes = status == 403 and name in ("put", "put parts", "delete")
            assert isinstance(caught.value, StoreUnwritable) == writes, name
        server.body = said.encode()  # so a download is refused
        with pytest.raises(StoreError) as caught:
            read(store)
        assert said.rstrip(".") in str(caught.value)


def test_bytes_that_s3_says_it_received_otherwise_are_damaged():
    """Its sentence says no more than ours, and is left out."""
    body = denial("BadDigest", "The Content-MD5 you specified did not match what we received.")
    with (
        one_answer(400, body, **{"content-type": "application/xml"}) as server,
        pytest.raises(Damaged, match=r"corrupted on the way to the store \(s3:"),
    ):
        store_at("s3", server.url).put("k", b"data")
