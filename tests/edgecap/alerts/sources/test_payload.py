"""The way in: what is no JSON is refused in a line, and secrets do not get past it."""

import json

import pytest

from edgecap.alerts.sources.payload import MOST_NESTED, as_object, decode
from edgecap.errors import AlertNotUnderstood


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"hello", "not JSON"),
        (b'{"a": NaN}', "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5000, "JSON that cannot be read"),
    ],
)
def test_a_body_that_is_not_json_is_refused_with_a_reason(body, what):
    with pytest.raises(AlertNotUnderstood, match=what) as caught:
        decode(body, "grafana")
    assert "alert from grafana" in str(caught.value)
    assert "docs/alerts/grafana.md" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_byte_order_mark_is_ignored():
    assert decode(b"\xef\xbb\xbf" + b'{"a": 1}', "generic") == {"a": 1}


@pytest.mark.parametrize("payload", [None, [], "text", 1, 1.5, True, [{"alerts": []}]])
def test_only_an_object_can_be_an_alert(payload):
    with pytest.raises(AlertNotUnderstood, match="not a JSON object"):
        as_object(payload, "cloudflare")


def nested(levels):
    innermost = deepest = {}
    for number in range(levels - 1):
        inner = {} if number % 2 else []
        deepest.append(inner) if isinstance(deepest, list) else deepest.update(x=inner)
        deepest = inner
    return innermost


def test_nesting_is_bounded():
    assert as_object(nested(MOST_NESTED), "generic")
    with pytest.raises(AlertNotUnderstood, match="more than 64 levels"):
        as_object(nested(MOST_NESTED + 1), "generic")
    with pytest.raises(AlertNotUnderstood, match="more than 64 levels"):
        as_object(nested(50_000), "generic")


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "payload",
    [
        {"secret": SECRET},
        {"data": {"api_token": SECRET}},
        {"data": [{"Password": SECRET}]},
        {"cf-webhook-auth": SECRET},
        {"integration_key": SECRET, "x": 1},
        {"routingKey": SECRET},
        {"credentials": [SECRET, {"password": SECRET}]},
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
        {"text": f"curl -H 'Authorization: Bearer {SECRET}'"},
        {"generatorURL": f"https://admin:{SECRET}@grafana.example.net/alerting"},
        {"destination_conf": f"r2://bucket?account-id=1&access-key-id=a&secret-access-key={SECRET}"},
    ],
)
def test_secrets_are_removed_from_payloads(payload):
    safe = as_object(payload, "generic")
    assert SECRET not in json.dumps(safe)
    assert "***" in json.dumps(safe)


def test_keys_that_join_alerts_are_kept():
    names = [
        "alert_cycle_key",
        "aggreg_key",
        "incident_key",
        "alert_key",
        "groupKey",
        "dedup_key",
        "fingerprint",
    ]
    payload = dict.fromkeys(names, "abc")
    assert as_object(payload, "generic") == payload


def test_the_payload_itself_is_not_changed():
    payload = {"token": "t", "inner": {"list": [1, 2]}}
    safe = as_object(payload, "generic")
    safe["inner"]["list"].append(3)
    assert payload == {"token": "t", "inner": {"list": [1, 2]}}


def test_half_a_character_can_be_stored_afterwards():
    safe = as_object({"a": "\ud800", "\ud800b": 1, "c": 1e999}, "generic")
    assert json.loads(json.dumps(safe, allow_nan=False).encode().decode()) == {"a": "?", "?b": 1, "c": "inf"}


def test_long_texts_are_cut_long_words_dropped_and_identities_stay_different():
    one, two = (as_object({"x": "a" * 100 + " b" * 6000 + end}, "generic")["x"] for end in "12")
    assert len(one) < 10_100
    assert one != two
    token = "eyJ" + "A" * 200
    safe = as_object({"text": f"call with {token} now", "id": "f" * 128}, "generic")
    assert token not in safe["text"]
    assert safe["text"].startswith("call with (203 characters, SHA-256 ")
    assert safe["text"].endswith(") now")
    assert safe["id"] == "f" * 128
    other = as_object({"text": f"call with {token}B now"}, "generic")
    assert other["text"] != safe["text"]


@pytest.mark.parametrize(
    "pair",
    [
        {"name": "api_key", "value": "hush"},
        {"key": "Authorization", "value": "hush"},
        {"tag": "token", "Value": "hush"},
    ],
)
def test_a_secret_in_a_list_of_names_and_values_is_hidden(pair):
    safe = as_object({"fields": [pair, {"name": "victim", "value": "203.0.113.7"}]}, "generic")
    assert "hush" not in str(safe)
    assert safe["fields"][1]["value"] == "203.0.113.7"
