"""No secret survives `redact`, wherever it stands, and what is no secret does."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgecap.redact
from edgecap.redact import redact

SECRET = "s3cr3tS3CR3T/+="

PLACES = [
    "r2://bucket/dir?account-id=1&access-key-id=AK&secret-access-key={}",
    "r2://bucket?secret-access-key={}&account-id=1",
    "r2://bucket?ACCESS-KEY-ID={}&account-id=1",
    "cannot read r2%3A%2F%2Fbucket%3Fsecret-access-key%3D{}%26account-id%3D1",
    'the API says {{"destination_conf": "r2://b?secret-access-key={}\\u0026account-id=1"}}',
    "https://bucket.s3.amazonaws.com/key?X-Amz-Credential=a&X-Amz-Signature={}&x=1",
    "https://bucket.s3.amazonaws.com/key?X-Amz-Security-Token={}",
    "https://storage.googleapis.com/bucket/key?X-Goog-Signature={}",
    "Authorization: Bearer {}",
    "{{'authorization': 'bearer {}'}}",
    "X-Auth-Key: {}",
    "{{'X-Auth-Key': '{}', 'x': 1}}",
    "cf-webhook-auth: {}",
    "CLOUDFLARE_API_TOKEN={} edgecap list",
    "CLOUDFLARE_API_KEY='{}'",
    "AWS_SECRET_ACCESS_KEY = {}",
    '{{"api_token": "{}"}}',
    "api_key = b'{}'",
]


@pytest.mark.parametrize("place", PLACES)
def test_hides_a_secret_wherever_it_stands(place):
    shown = redact(place.format(SECRET))
    assert SECRET not in shown
    assert "***" in shown


@pytest.mark.parametrize("password", ["pw", "p@ss@word", "p:w"])
def test_hides_a_url_s_password_even_with_an_at_sign(password):
    assert redact(f"see https://me:{password}@host/a@b") == "see https://***@host/a@b"


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/dir?region=eu-west-1&sse=AES256",
        "r2://bucket/dir?account-id=023e105f4ecef8ad9ca31a8372d0c353",
        "set CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY",
        "accounts.default.api_token: Input should be a valid string",
        "write to noc@example.net; see https://example.net/a",
    ],
)
def test_leaves_text_without_secrets_alone(text):
    assert redact(text) == text


def test_text_after_a_secret_stays_readable():
    shown = redact("r2://b?access-key-id=AK&secret-access-key=SK&account-id=1 (GET /pcaps)")
    assert shown == "r2://b?access-key-id=***&secret-access-key=***&account-id=1 (GET /pcaps)"


@given(st.text(alphabet="rb=&?:/@% '\"*3Dabearer-keyids\n", max_size=60))
def test_redacting_twice_changes_nothing_more(text):
    assert redact(redact(text)) == redact(text)


KEYS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="&\"'%\\"), min_size=1
)


@given(key=KEYS)
def test_no_key_of_an_r2_destination_is_seen(key):
    shown = redact(f"r2://b?access-key-id={key}&secret-access-key={key}&account-id=1")
    assert shown == "r2://b?access-key-id=***&secret-access-key=***&account-id=1"


def test_the_docstring_is_true():
    assert doctest.testmod(edgecap.redact).failed == 0
