"""Whom alerts are taken from: what the settings say, and nobody by mistake."""

import os

import pytest

from edgecap.alerts.policy.rules import read_policy
from edgecap.alerts.sources.enabled import enabled_sources
from edgecap.alerts.sources.registry import SOURCES, source_called
from edgecap.errors import ConfigError
from edgecap.settings import load_settings
from edgecap.settings.alerts import PRODUCTS, AlertSettings


@pytest.fixture
def alerts_from(tmp_path, monkeypatch):
    """Reads the settings of alerts from a file's text and from variables."""
    for name in os.environ:
        if name.startswith("EDGECAP_"):
            monkeypatch.delenv(name)

    def read(text: str = "", **variables: str) -> AlertSettings:
        (tmp_path / "edgecap.toml").write_text(text)
        monkeypatch.setenv("EDGECAP_CONFIG", str(tmp_path / "edgecap.toml"))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load_settings().alerts

    return read


def test_every_source_has_its_table():
    assert list(PRODUCTS) == list(SOURCES)
    assert set(PRODUCTS) < set(AlertSettings.model_fields)


def test_only_sources_with_a_table_are_on(alerts_from):
    found = enabled_sources(
        alerts_from('[alerts.grafana]\nsecret = "s3"\n', EDGECAP_ALERTS__PAGERDUTY__SECRET="s4")
    )
    assert {name: source.secret for name, source in found.items()} == {"grafana": "s3", "pagerduty": "s4"}
    assert not any(source.open for source in found.values())


def test_no_enabled_source_is_an_error(alerts_from):
    with pytest.raises(ConfigError, match="no source of alerts is set"):
        enabled_sources(alerts_from())


@pytest.mark.parametrize("table", ["", 'secret = ""', 'secret = "  "', "open = false"])
def test_a_forgotten_secret_is_refused(alerts_from, table):
    with pytest.raises(ConfigError, match=r"alerts from cloudflare have no secret .*open = true"):
        enabled_sources(alerts_from(f"[alerts.cloudflare]\n{table}\n"))


def test_an_open_source_accepts_any_request(alerts_from):
    source = enabled_sources(alerts_from("[alerts.fastnetmon]\nopen = true\n"))["fastnetmon"]
    assert source.open
    assert source.accepts({}, b"{}")


def test_a_secret_that_would_be_ignored_is_refused(alerts_from):
    with pytest.raises(ConfigError, match="remove one of them"):
        alerts_from('[alerts.cloudflare]\nsecret = "s3"\nopen = true\n')


def test_only_the_right_secret_is_accepted(alerts_from):
    source = enabled_sources(alerts_from('[alerts.cloudflare]\nsecret = "s3"\n'))["cloudflare"]
    assert source.accepts({"CF-Webhook-Auth": "s3"}, b"{}")
    assert not source.accepts({"CF-Webhook-Auth": "s4"}, b"{}")
    assert not source.accepts({}, b"{}")


def test_the_pointers_of_generic_stand_beside_its_secret(alerts_from, received):
    text = '[alerts.generic]\nsecret = "s3"\nkind = "/rule/name"\nstart_words = ["OPEN"]\n'
    (alert,) = enabled_sources(alerts_from(text))["generic"].source.parse(
        {"rule": {"name": "flood"}, "event": "open"}, received=received
    )
    assert (alert.kind, alert.event) == ("flood", "start")


def test_no_printed_form_contains_a_secret(alerts_from):
    alerts = alerts_from(
        '[alerts.generic]\nsecret = "hush-hush"\n', EDGECAP_ALERTS__CLOUDFLARE__SECRET="hush-hush"
    )
    assert "hush" not in f"{alerts!r} {enabled_sources(alerts)!r}"


class TestSourcesOfOnesOwn:
    TABLES = """
[alerts.custom.scrubber]
secret = "s1"
event = "/state"
[alerts.custom.flow_tool]
secret = "s2"
signature_header = "X-Signature"
[alerts.generic]
secret = "s3"
"""

    def test_each_has_its_own_secret_and_mapping(self, alerts_from, received):
        found = enabled_sources(alerts_from(self.TABLES, EDGECAP_ALERTS__CUSTOM__THIRD__SECRET="s4"))
        assert {name: source.secret for name, source in found.items()} == {
            "generic": "s3",
            "scrubber": "s1",
            "flow_tool": "s2",
            "third": "s4",
        }
        scrubber, generic = found["scrubber"].source, found["generic"].source
        body = {"id": 1, "state": "closed", "event": "open"}
        (mine,), (other,) = (each.parse(body, received=received) for each in (scrubber, generic))
        assert (mine.source, mine.event, other.source, other.event) == ("scrubber", "end", "generic", "start")
        assert mine.incident != other.incident

    def test_a_signature_in_the_named_header_lets_in(self, alerts_from):
        source = enabled_sources(alerts_from(self.TABLES))["flow_tool"]
        signed = source.signed_headers(b"{}")
        assert list(signed) == ["X-Signature"]
        assert source.accepts(signed, b"{}")
        assert not source.accepts(signed, b"{ }")
        assert not source.accepts({"Authorization": "Bearer s2"}, b"{}")
        assert enabled_sources(alerts_from(self.TABLES))["scrubber"].accepts(
            {"Authorization": "Bearer s1"}, b"{}"
        )

    @pytest.mark.parametrize("name", ["cloudflare", "Mine", "a/b", ""])
    def test_a_name_that_cannot_be_a_source_s_is_refused(self, alerts_from, name):
        with pytest.raises(ConfigError, match="custom"):
            alerts_from(f'[alerts.custom."{name}"]\nsecret = "s"\n')

    def test_a_forgotten_secret_is_refused(self, alerts_from):
        with pytest.raises(ConfigError, match=r"EDGECAP_ALERTS__CUSTOM__SCRUBBER__SECRET"):
            enabled_sources(alerts_from("[alerts.custom.scrubber]\n"))

    def test_a_policy_may_name_them(self, alerts_from):
        rule = '[[rules]]\nname = "x"\nsource = "scrubber"\n'
        assert read_policy(rule, sources=alerts_from(self.TABLES).names).rules[0].source == ["scrubber"]
        with pytest.raises(ConfigError, match="unknown source 'scrubber'"):
            read_policy(rule)

    def test_an_unknown_name_is_one_clear_error(self, alerts_from):
        alerts = alerts_from(self.TABLES)
        assert source_called("scrubber", alerts).name == "scrubber"
        with pytest.raises(ConfigError, match=r"no source 'scruber': known are cloudflare, .*scrubber"):
            source_called("scruber", alerts)


@pytest.mark.parametrize(
    ("written", "pointers"), [("/rule", ("/rule",)), ('["/rule", "/name"]', ("/rule", "/name"))]
)
def test_a_variable_has_one_pointer_or_a_list(alerts_from, written, pointers):
    alerts = alerts_from(
        EDGECAP_ALERTS__GENERIC__KIND=written,
        EDGECAP_ALERTS__CUSTOM__MINE__TARGET=written,
        EDGECAP_ALERTS__TARGET_LABELS='["attacked_host"]',
    )
    assert alerts.generic.pointers("kind") == alerts.custom["mine"].pointers("target") == pointers
    assert alerts.target_labels == ["attacked_host"]


OTHER = "another-secret"
SIGNED = {"signature_header": "X-Signature"}


@pytest.mark.parametrize(
    ("name", "headers", "why"),
    [
        ("mine", {}, "no header X-Signature"),
        ("mine", {"x-signature": "00"}, "the signature in X-Signature does not match the body: another "),
        (
            "mine",
            {"authorization": f"Bearer {OTHER}"},
            "Authorization (Bearer) came, and the source wants a signature in X-Signature",
        ),
        ("cloudflare", {}, "no header cf-webhook-auth"),
        ("cloudflare", {"cf-webhook-auth": OTHER}, "the secret in cf-webhook-auth is not that of the "),
        (
            "cloudflare",
            {"authorization": f"Basic {OTHER}"},
            "Authorization (Basic) came, and the source wants the secret in cf-webhook-auth",
        ),
        ("generic", {}, "no header Authorization"),
        ("generic", {"authorization": f"Bearer {OTHER}"}, "the secret in Authorization (Bearer) is not "),
        ("generic", {"authorization": OTHER}, "the header Authorization has neither a Bearer nor a Basic"),
        ("grafana", {}, "no header X-Grafana-Alerting-Signature (nor Authorization)"),
        ("grafana", {"authorization": f"Bearer {OTHER}"}, "the secret in Authorization (Bearer) is not "),
        ("pagerduty", {"x-pagerduty-signature": "v1=00"}, "the signature in X-PagerDuty-Signature does not"),
        ("alertmanager", {"authorization": f"Basic {OTHER}"}, "the secret in Authorization (Basic) is not "),
    ],
)
def test_a_refusal_says_what_was_missing_and_no_secret(name, headers, why):
    """It was only "unauthorized", whatever the sender did wrong."""
    products = ("cloudflare", "generic", "grafana", "pagerduty", "alertmanager")
    tables = {each: {"secret": "right-secret"} for each in products}
    custom = {"mine": {"secret": "right-secret", **SIGNED}}
    enabled = enabled_sources(AlertSettings.model_validate({**tables, "custom": custom}))[name]
    assert not enabled.accepts(headers, b"{}")
    said = enabled.why_refused(headers, b"{}")
    assert said.startswith(why)
    assert OTHER not in said
    assert "right-secret" not in said
