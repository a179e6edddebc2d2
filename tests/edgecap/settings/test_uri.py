"""URIs of buckets and archives, right and wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from edgecap.errors import ConfigError
from edgecap.settings import StoreLocation
from edgecap.settings.uri import Address, parse_uri
from edgecap.stores import open_store

ACCOUNT = "f037e56e89293a057740de681ac9abbe"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:/var/lib/edgecap", Address("file", "", "/var/lib/edgecap")),
        ("file:///var/lib/edgecap", Address("file", "", "/var/lib/edgecap")),
        ("file://localhost/var", Address("file", "", "/var")),
        ("file:archive", Address("file", "", "archive")),
        ("file:/with%20space", Address("file", "", "/with space")),
        ("s3://bucket", Address("s3", "bucket", "")),
        ("S3://bucket/", Address("s3", "bucket", "")),
        ("s3://my.bucket/a/b/?region=eu-west-1", Address("s3", "my.bucket", "a/b", region="eu-west-1")),
        ("s3://bucket?region=x-1&sse=AES256", Address("s3", "bucket", "", region="x-1", sse="AES256")),
        ("gs://bucket_1/dir", Address("gs", "bucket_1", "dir")),
        (f"r2://bucket/dir?account-id={ACCOUNT}", Address("r2", "bucket", "dir", account_id=ACCOUNT)),
        (
            f"r2://bucket?account-id={ACCOUNT}&jurisdiction=eu",
            Address("r2", "bucket", "", account_id=ACCOUNT, jurisdiction="eu"),
        ),
        (
            f"r2://bucket?account-id={ACCOUNT}&jurisdiction=default",
            Address("r2", "bucket", "", account_id=ACCOUNT),
        ),
    ],
)
def test_is_taken_apart(uri, expected):
    assert parse_uri(uri) == expected


def test_an_r2_uri_may_carry_keys_which_never_show():
    uri = f"r2://bucket/dir?account-id={ACCOUNT}&access-key-id=AK&secret-access-key=S+K%2F"
    address = parse_uri(uri)
    assert address.access_key_id == SecretStr("AK")
    assert address.secret_access_key == SecretStr("S+K/")
    for text in (repr(address), str(address), address.uri, repr(open_store(StoreLocation(uri=uri)))):
        assert "AK" not in text
        assert "S+K" not in text
    assert open_store(StoreLocation(uri=uri)).uri == "r2://bucket/dir"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", "not a folder or bucket"),
        ("/var/lib/edgecap", "not a folder or bucket"),
        ("ftp://bucket", "not a folder or bucket"),
        ("https://bucket.s3.amazonaws.com", "not a folder or bucket"),
        ("file:", "no folder"),
        ("file://elsewhere/x", "elsewhere"),
        ("file:/x%00", "no folder"),
        ("s3:bucket", "not a bucket name"),
        ("s3://", "not a bucket name"),
        ("s3:///x", "not a bucket name"),
        ("s3://Bucket", "not a bucket name"),
        ("s3://b", "not a bucket name"),
        ("s3://bucket:80/x", "no user, port"),
        ("s3://user:secret@bucket/x", "no user, port"),
        ("s3://[bucket", "not valid"),
        ("s3://bucket/a/../b", "`..`"),
        ("s3://bucket/a//b", "empty"),
        ("s3://bucket?regoin=x", "'regoin' is not a parameter"),
        ("s3://bucket?region=a&region=b", "twice"),
        ("s3://bucket?region=http://x", "not a valid region"),
        ("s3://bucket?sse=rot13", "not a server-side encryption"),
        ("gs://bucket?region=x", "is not a parameter"),
        ("r2://bucket?account-id=", "not a valid account-id"),
        ("r2://bucket?account-id=x/../y", "not a valid account-id"),
        (f"r2://bucket?account-id={ACCOUNT}&access-key-id=AK", "only one of"),
        (f"r2://bucket?account-id={ACCOUNT}&jurisdiction=eu.example.net", "not a valid jurisdiction"),
        (f"r2://bucket?account-id={ACCOUNT}&jurisdiction=", "not a valid jurisdiction"),
        ("s3://bucket?jurisdiction=eu", "is not a parameter"),
    ],
)
def test_a_wrong_one_gets_one_line(uri, said):
    with pytest.raises(ConfigError, match=r".") as caught:
        parse_uri(uri)
    line = str(caught.value)
    assert said in line
    assert "\n" not in line
    assert caught.value.hint
    assert "secret@" not in line


@given(st.text(), st.sampled_from(["", "file:", "s3://", "s3://bucket/", "r2://bucket?", "gs://b-b?region="]))
def test_any_text_is_an_address_or_one_clear_line(text, start):
    try:
        address = parse_uri(start + text)
    except ConfigError as error:
        line = str(error)
    else:
        line = repr(address)
        assert address.scheme == "file" or parse_uri(address.uri.replace("%", "%25")).path == address.path
    assert "\n" not in line


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (StoreLocation(uri="r2://bucket"), "account"),
        (StoreLocation(uri="s3://bucket", endpoint_url="localhost:9000"), "not a URL"),
        (StoreLocation(uri="gs://bucket", endpoint_url="localhost:9000"), "not a URL"),
        (StoreLocation(uri="s3://bucket", access_key_id=SecretStr("AK")), "only one of"),
    ],
)
def test_options_of_a_uri_are_checked_too(place, said):
    with pytest.raises(ConfigError, match=said):
        open_store(place)


def test_the_endpoint_of_r2_comes_from_the_account():
    place = StoreLocation(uri=f"r2://bucket?account-id={ACCOUNT}")
    assert f"https://{ACCOUNT}.r2.cloudflarestorage.com" in repr(open_store(place))
    for name in ("eu", "us", "fedramp"):
        within = StoreLocation(uri=f"r2://bucket?account-id={ACCOUNT}&jurisdiction={name}")
        assert f"at https://{ACCOUNT}.{name}.r2.cloudflarestorage.com>" in repr(open_store(within))
    custom = StoreLocation(uri="r2://bucket", endpoint_url="https://x.eu.r2.cloudflarestorage.com")
    assert "https://x.eu.r2.cloudflarestorage.com" in repr(open_store(custom))
