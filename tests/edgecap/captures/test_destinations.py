"""Destinations in the API's words: what Cloudflare needs is there, secrets only when asked for."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.captures.destinations import (
    contains,
    destination_conf,
    read_destination,
    same_bucket,
    same_destination,
)
from edgecap.errors import ConfigError
from edgecap.settings import StoreLocation
from edgecap.settings.uri import parse_uri

KEYS = {"access_key_id": "AKAK", "secret_access_key": "SK/+="}


@pytest.mark.parametrize(
    ("place", "public", "secret"),
    [
        (StoreLocation(uri="s3://bucket"), "s3://bucket", None),
        (StoreLocation(uri="s3://bucket/?region=eu-west-1"), "s3://bucket?region=eu-west-1", None),
        (
            StoreLocation(
                uri="s3://bucket/a/b/?sse=AES256&region=eu-west-1", endpoint_url="http://127.0.0.1:1", **KEYS
            ),
            "s3://bucket/a/b?region=eu-west-1&sse=AES256",
            None,
        ),
        (StoreLocation(uri="s3://bucket/a?sse=aws:kms"), "s3://bucket/a?sse=aws:kms", None),
        (StoreLocation(uri="s3://bucket/a%20b/{DATE}"), "s3://bucket/a%20b/{DATE}", None),
        (StoreLocation(uri="gs://bucket/dir", credentials_file="/key.json"), "gs://bucket/dir", None),
        (
            StoreLocation(uri="r2://bucket/dir?account-id=023e", **KEYS),
            "r2://bucket/dir?account-id=023e",
            "r2://bucket/dir?account-id=023e&access-key-id=AKAK&secret-access-key=SK%2F%2B%3D",
        ),
        (
            StoreLocation(
                uri="r2://bucket?account-id=023e&region=auto&access-key-id=AKAK&secret-access-key=SK"
            ),
            "r2://bucket?account-id=023e",
            "r2://bucket?account-id=023e&access-key-id=AKAK&secret-access-key=SK",
        ),
        (StoreLocation(uri="r2://bucket?account-id=023e"), "r2://bucket?account-id=023e", None),
        # No parameter of the API's: where it came from is edgecap's own business.
        (
            StoreLocation(uri="r2://bucket?account-id=023e&jurisdiction=eu", **KEYS),
            "r2://bucket?account-id=023e",
            "r2://bucket?account-id=023e&access-key-id=AKAK&secret-access-key=SK%2F%2B%3D",
        ),
    ],
)
def test_speaks_the_api_s_form(place, public, secret):
    assert destination_conf(place, with_secrets=False) == public
    assert destination_conf(place, with_secrets=True) == (secret or public)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("file:/var/lib/edgecap", "Cloudflare cannot write to a folder"),
        ("r2://bucket/dir", "account is not named"),
        ("ftp://bucket", "not a folder or bucket"),
        ("s3://", "not a bucket name"),
        ("bucket", "not a folder or bucket"),
    ],
)
@pytest.mark.parametrize("with_secrets", [False, True])
def test_a_bucket_that_cloudflare_cannot_write_to_is_a_settings_error(uri, says, with_secrets):
    with pytest.raises(ConfigError, match=says) as caught:
        destination_conf(StoreLocation(uri=uri, **KEYS), with_secrets=with_secrets)
    assert "SK" not in str(caught.value)
    assert caught.value.hint


names = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]", fullmatch=True)
folders = st.lists(st.text("abcXYZ 0129-_.%+&?#é", min_size=1, max_size=6), max_size=3)
keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)


@given(name=names, parts=folders, key=keys, secret=keys)
def test_the_form_can_be_read_back_and_its_keys_are_whole(name, parts, key, secret):
    path = "/".join(part for part in parts if part not in (".", ".."))
    quoted = path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    place = StoreLocation(
        uri=f"r2://{name}/{quoted}?account-id=1", access_key_id=key, secret_access_key=secret
    )
    text = destination_conf(place, with_secrets=True)
    query = parse_qs(urlsplit(text).query, strict_parsing=True)
    assert query == {"account-id": ["1"], "access-key-id": [key], "secret-access-key": [secret]}
    again = parse_uri(text)
    assert (again.bucket, again.path) == (name, path.strip("/"))
    public = destination_conf(place, with_secrets=False)
    assert same_destination(parse_uri(public), again)
    assert "secret-access-key" not in public


B = "s3://bucket/dir?region=us-east-1"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (B, B, True),
        (B, "s3://bucket/dir/?region=us-east-1&sse=AES256", True),
        (B, "s3://bucket/dir", True),
        (B, "s3://bucket/dir?region=eu-west-1", False),
        (B, "s3://bucket?region=us-east-1", False),
        (B, "s3://bucket/Dir", False),
        (B, "s3://other/dir", False),
        (B, "gs://bucket/dir", False),
        (
            "r2://bucket?account-id=A",
            "r2://bucket?account-id=a&access-key-id=***&secret-access-key=***",
            True,
        ),
        ("r2://bucket?account-id=A", "r2://bucket?account-id=B", False),
        ("s3://bucket/a%20b", "s3://bucket/a b", True),
    ],
)
def test_destinations_are_the_same_whatever_their_keys(one, other, same):
    left, right = read_destination(one), read_destination(other)
    assert same_destination(left, right) is same
    assert same_destination(right, left) is same


@pytest.mark.parametrize(
    ("outer", "inner", "inside"),
    [
        ("s3://bucket", B, True),
        (B, B, True),
        (B, "s3://bucket/dir/deeper", True),
        (B, "s3://bucket/directory", False),
        (B, "s3://bucket", False),
        ("s3://other", B, False),
    ],
)
def test_a_folder_contains_its_subfolders(outer, inner, inside):
    assert contains(parse_uri(outer), parse_uri(inner)) is inside


def test_a_bucket_is_the_same_whatever_the_folder():
    assert same_bucket(parse_uri("s3://bucket/a"), parse_uri("s3://bucket/b"))


def test_a_bucket_in_a_jurisdiction_differs_although_the_api_omits_it():
    within, without = (parse_uri(f"r2://b-1?account-id=1{more}") for more in ("&jurisdiction=eu", ""))
    assert not same_bucket(within, parse_uri("r2://b-1?account-id=1&jurisdiction=fedramp"))
    assert same_bucket(within, without)


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        ("r2://b-1?account-id=1&access-key-id=***&new=thing", "b-1"),
        ("s3://b-1?region=ODD!", "b-1"),
        ("  s3://b-1/dir ", "b-1"),
        ("", None),
        ("***", None),
        ("https://storage.example/b", None),
    ],
)
def test_destinations_in_api_answers_are_read_as_far_as_possible(text, bucket):
    address = read_destination(text)
    assert (address and address.bucket) == bucket
