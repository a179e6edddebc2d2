"""Who knows the secret gets in, nobody else does: with vectors that were computed elsewhere."""

import base64
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgecap.alerts.sources import signing
from edgecap.alerts.sources.registry import SOURCES

DATA = Path(__file__).parents[3] / "data" / "alerts"
SECRET = "correct horse"
# RFC 4231, test case 2: a signature that is not of our own making.
RFC_KEY, RFC_DATA = "Jefe", b"what do ya want for nothing?"
RFC_SIGNATURE = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"

BEARER = ["alertmanager", "grafana", "datadog", "fastnetmon", "generic"]


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("name", SOURCES)
class TestEverySource:
    def test_refuses_a_request_without_any_authentication(self, name):
        assert not SOURCES[name].verify({}, b"{}", SECRET)

    def test_refuses_everything_if_no_secret_is_set(self, name):
        """An empty secret is no secret: it must not fit an empty header, nor an empty key's signature."""
        # HMAC-SHA256 of nothing with an empty key
        empty = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
        for headers in (
            {},
            {"cf-webhook-auth": ""},
            {"Authorization": "Bearer "},
            {"Authorization": "Bearer"},
            basic("edgecap", ""),
            {"X-PagerDuty-Signature": f"v1={empty}"},
            {"X-Grafana-Alerting-Signature": empty},
        ):
            assert not SOURCES[name].verify(headers, b"", "")

    @pytest.mark.parametrize(
        "headers",
        [
            {"cf-webhook-auth": "wrong"},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Digest {SECRET}"},
            {"Authorization": SECRET},
            {"Authorization": "Basic ???"},
            {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
            {"Authorization": "Basic \u00fc"},
            basic("edgecap", "wrong"),
            basic(SECRET, ""),
            {"X-PagerDuty-Signature": "v1=00"},
            {"X-PagerDuty-Signature": ",,v1=,v2"},
            {"X-Grafana-Alerting-Signature": "00"},
            {"X-Grafana-Alerting-Signature": "\u00fc"},
        ],
    )
    def test_refuses_wrong_credentials(self, name, headers):
        assert SOURCES[name].verify(headers, b"{}", SECRET) is False


@pytest.mark.parametrize("name", BEARER)
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {SECRET}"},
        {"authorization": f"bearer  {SECRET}"},
        basic("edgecap", SECRET),
        basic("", SECRET),
    ],
)
def test_a_bearer_token_or_a_basic_password(name, headers):
    assert SOURCES[name].verify(headers, b"{}", SECRET)


def test_a_password_may_have_a_colon():
    assert SOURCES["alertmanager"].verify(basic("edgecap", "a:b"), b"", "a:b")


@pytest.mark.parametrize("header", ["cf-webhook-auth", "Cf-Webhook-Auth", "CF-WEBHOOK-AUTH"])
def test_cloudflares_secret_is_sent_verbatim(header):
    assert SOURCES["cloudflare"].verify({header: SECRET}, b"", SECRET)
    assert not SOURCES["cloudflare"].verify({header: SECRET.upper()}, b"", SECRET)
    assert not SOURCES["cloudflare"].verify({"Authorization": f"Bearer {SECRET}"}, b"", SECRET)


class TestPagerDuty:
    def verify(self, signature, body=RFC_DATA, secret=RFC_KEY):
        return SOURCES["pagerduty"].verify({"x-pagerduty-signature": signature}, body, secret)

    def test_the_signature_of_the_rfc_s_example(self):
        assert self.verify(f"v1={RFC_SIGNATURE}")

    def test_one_valid_signature_of_several_is_enough(self):
        other = "f03de6f61df6e454f3620c4d6aca17ad072d3f8bbb2760eac3b2ad391b5e8073"
        assert self.verify(f"v1={other},v1={RFC_SIGNATURE}")
        assert self.verify(f"v1={RFC_SIGNATURE}, v1={other}")
        assert not self.verify(f"v1={other},v1={other}")

    @pytest.mark.parametrize("prefix", ["", "v0=", "v2=", "sha256=", "v1"])
    def test_other_versions_do_not_count(self, prefix):
        assert not self.verify(prefix + RFC_SIGNATURE)

    def test_one_more_byte_in_the_body_breaks_it(self):
        assert not self.verify(f"v1={RFC_SIGNATURE}", body=RFC_DATA + b"\n")
        assert not self.verify(f"v1={RFC_SIGNATURE}", secret="jefe")

    def test_a_real_payload_that_openssl_signed(self):
        """Made with `openssl dgst -sha256 -hmac`, a second opinion on what HMAC-SHA256 is."""
        body = (DATA / "pagerduty" / "incident-triggered.json").read_bytes()
        made = "a099150236373abb295702dbb3f7b607757e8e59bc3db095b025266a107164a7"
        assert self.verify(f"v1={made}", body=body, secret=SECRET)


class TestGrafana:
    def test_a_signature_over_the_body(self):
        headers = {"X-Grafana-Alerting-Signature": RFC_SIGNATURE}
        assert SOURCES["grafana"].verify(headers, RFC_DATA, RFC_KEY)
        assert not SOURCES["grafana"].verify(headers, RFC_DATA + b" ", RFC_KEY)

    def test_a_signature_covers_timestamp_and_body(self):
        """HMAC-SHA256 of `1795415465:{}` under the key `Jefe`, made with OpenSSL."""
        made = "7936d1f90c0da158f3d2592c9cc14b2ffe72e0411a5a1a61dc44466a0885a1ba"
        headers = {"X-Grafana-Alerting-Signature": made, "X-Grafana-Alerting-Timestamp": "1795415465"}
        assert SOURCES["grafana"].verify(headers, b"{}", RFC_KEY)
        later = {**headers, "X-Grafana-Alerting-Timestamp": "1795415466"}
        assert not SOURCES["grafana"].verify(later, b"{}", RFC_KEY)

    def test_a_wrong_signature_is_refused_despite_a_right_token(self):
        headers = {"X-Grafana-Alerting-Signature": "00", "Authorization": f"Bearer {SECRET}"}
        assert not SOURCES["grafana"].verify(headers, b"{}", SECRET)


# What an HTTP header can carry: products ask for such secrets, and `openssl rand -hex 32` makes one.
SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=80)


@pytest.mark.parametrize("name", SOURCES)
class TestSigning:
    @given(body=st.binary(max_size=200), secret=SECRETS)
    def test_a_signed_body_is_accepted(self, name, body, secret):
        source = SOURCES[name]
        assert source.verify(source.sign(body, secret), body, secret)

    @given(body=st.binary(max_size=200), secret=SECRETS, other=SECRETS)
    def test_a_signature_with_another_secret_is_refused(self, name, body, secret, other):
        assume(secret != other)
        source = SOURCES[name]
        assert not source.verify(source.sign(body, other), body, secret)

    def test_a_replay_is_signed_like_the_product(self, name):
        """The headers of the products' documentation, signatures by the example of the RFC."""
        expected = {
            "cloudflare": {"cf-webhook-auth": RFC_KEY},
            "pagerduty": {"X-PagerDuty-Signature": f"v1={RFC_SIGNATURE}"},
            "grafana": {"X-Grafana-Alerting-Signature": RFC_SIGNATURE},
        }
        bearer = {"Authorization": f"Bearer {RFC_KEY}"}
        assert SOURCES[name].sign(RFC_DATA, RFC_KEY) == expected.get(name, bearer)


@pytest.mark.parametrize("name", ["pagerduty", "grafana"])
@given(body=st.binary(max_size=200), other=st.binary(max_size=200))
def test_a_signature_is_of_one_body_only(name, body, other):
    assume(body != other)
    source = SOURCES[name]
    assert not source.verify(source.sign(body, SECRET), other, SECRET)


@pytest.mark.parametrize(
    "written",
    [
        RFC_SIGNATURE,
        RFC_SIGNATURE.upper(),
        f"sha256={RFC_SIGNATURE}",
        f"v1={RFC_SIGNATURE}",
        f"HMAC-SHA256: {RFC_SIGNATURE}",
        f"sha256={'0' * 64}, sha256={RFC_SIGNATURE}",
        base64.b64encode(bytes.fromhex(RFC_SIGNATURE)).decode(),
        f"sha256={base64.b64encode(bytes.fromhex(RFC_SIGNATURE)).decode()}",
    ],
)
def test_a_signature_in_any_usual_form_fits(written):
    headers = {"x-signature": written}
    assert signing.signature(headers, "X-Signature", RFC_DATA, RFC_KEY)
    assert not signing.signature(headers, "X-Signature", RFC_DATA + b"!", RFC_KEY)
    assert not signing.signature(headers, "X-Signature", RFC_DATA, "")
    assert not signing.signature(headers, "X-Other", RFC_DATA, RFC_KEY)


@pytest.mark.parametrize("written", ["", "sha256=", RFC_SIGNATURE[:-1], f"sha1={RFC_SIGNATURE}", ",,,"])
def test_other_signatures_do_not_fit(written):
    assert not signing.signature({"X-Signature": written}, "X-Signature", RFC_DATA, RFC_KEY)
