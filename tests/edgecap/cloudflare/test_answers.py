"""What each answer means. How the API refuses captures is not public, so tests try plausible ways."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.cloudflare.answers import READ, WRITE, Call, error_of, result_of
from edgecap.errors import (
    ApiError,
    BadCredentials,
    Busy,
    NetworkFailure,
    NoPermission,
    RateLimited,
    RequestRefused,
    ServerFailure,
    UnexpectedAnswer,
    UnknownToApi,
)
from edgecap.redact import redact

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
ID = "66802ca5668e47a2b82c2e6746e45037"
JSON = {"content-type": "application/json"}


def call(method="GET", path="/pcaps", capture_type=""):
    return Call(method, path, ACCOUNT, capture_type, redact)


LIST = call()
SIMPLE = call("POST", "/pcaps", "simple")
FULL = call("POST", "/pcaps", "full")
GET = call("GET", f"/pcaps/{ID}")
STOP = call("PUT", f"/pcaps/{ID}/stop")
OWN = call("POST", "/pcaps/ownership")


def refused(*errors):
    problems = [
        error if isinstance(error, dict) else {"code": error[0], "message": error[1]} for error in errors
    ]
    return json.dumps({"result": None, "success": False, "errors": problems, "messages": []}).encode()


def meaning(asked, status, body, headers=JSON):
    with pytest.raises(ApiError) as caught:
        result_of(asked, status, headers, body, NOW)
    error = caught.value
    assert error.status == status
    assert error.where == str(asked)
    assert error.hint
    assert "\n" not in str(error)
    return error


CHAIN = {
    "code": 6003,
    "message": "Invalid request headers",
    "error_chain": [{"code": 6111, "message": "Invalid format"}],
}
NO_ROUTE = (7003, "Could not route to /accounts/x/pcaps/y, perhaps your object identifier is invalid?")

TABLE = [
    # asked, status, errors, what it means
    (LIST, 400, [CHAIN], BadCredentials),
    (
        LIST,
        400,
        [{**CHAIN, "error_chain": [{"code": 6103, "message": "Invalid format for X-Auth-Key header"}]}],
        BadCredentials,
    ),
    (LIST, 400, [(6003, "Invalid request headers")], BadCredentials),
    (LIST, 400, [(9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")], BadCredentials),
    (LIST, 401, [(10000, "Authentication error")], BadCredentials),
    (LIST, 401, [(1001, "whatever")], BadCredentials),
    (LIST, 403, [(10000, "Authentication error")], BadCredentials),
    (LIST, 403, [(9109, "Invalid access token")], BadCredentials),
    (LIST, 403, [(9109, "Unauthorized to access requested resource")], NoPermission),
    (LIST, 403, [(1003, "not entitled")], NoPermission),
    (FULL, 403, [], NoPermission),
    # the general limit
    (LIST, 429, [(971, "Please wait and consider throttling your request speed")], RateLimited),
    (LIST, 429, [(10500, "")], RateLimited),
    (LIST, 429, [], RateLimited),
    (LIST, 400, [(971, "Please wait and consider throttling your request speed")], RateLimited),
    (LIST, 429, [(1001, "a capture is already running")], RateLimited),  # only POST /pcaps meets a lane
    # one simple a minute
    (
        SIMPLE,
        429,
        [(10100, "Rate limit exceeded: one simple packet capture request per minute is allowed")],
        RateLimited,
    ),
    (SIMPLE, 409, [(1100, "Another simple capture was requested within the last 60 seconds")], RateLimited),
    (SIMPLE, 400, [(1002, "simple pcaps are limited to 1 request per minute")], RateLimited),
    (SIMPLE, 400, [(1002, "Only one request every minute; another request is pending already")], RateLimited),
    (SIMPLE, 409, [(1002, "You may only submit a PCAP once a minute")], RateLimited),
    (SIMPLE, 400, [(1002, "too many requests")], RateLimited),
    # one full at a time
    (FULL, 429, [(10101, "A full packet capture is already pending or running for this account")], Busy),
    (FULL, 409, [(1101, "Account already has an active full capture")], Busy),
    (FULL, 400, [(1002, "only one full pcap request may be pending or running at a time")], Busy),
    (FULL, 409, [(1002, "capture in progress")], Busy),
    (FULL, 409, [(1002, "There is another capture running")], Busy),
    (FULL, 400, [(1002, "a pcap is still running in ORD; see colo_name")], Busy),
    (FULL, 422, [(1002, "concurrent captures are not supported")], Busy),
    (FULL, 409, [(1002, "Rate limit: only one capture may run at a time, one is already running")], Busy),
    (
        FULL,
        400,
        [{"code": 1002, "message": "a capture is already running", "source": {"pointer": "/type"}}],
        Busy,
    ),
    # what is not there
    (GET, 404, [(1003, "packet capture not found")], UnknownToApi),
    (GET, 410, [(1003, "gone")], UnknownToApi),
    (GET, 400, [NO_ROUTE, (7000, "No route for that URI")], UnknownToApi),
    (LIST, 400, [(7000, "No route for that URI")], UnknownToApi),
    (GET, 400, [(1002, "no such pcap")], UnknownToApi),
    (STOP, 400, [(1002, "Packet capture not found")], UnknownToApi),
    (FULL, 400, [(1002, "the bucket does not exist")], RequestRefused),
    (LIST, 400, [(1002, "no such page")], RequestRefused),
    # what is wrong
    (SIMPLE, 400, [(1002, "invalid")], RequestRefused),
    (SIMPLE, 409, [(1002, "conflict")], RequestRefused),
    (SIMPLE, 422, [(1002, "time_limit must be between 1 and 300")], RequestRefused),
    (STOP, 400, [(1005, "only a pending or running full packet capture can be stopped")], RequestRefused),
    (STOP, 409, [(1005, "stop is already pending")], RequestRefused),
    (OWN, 400, [(1006, "validation is already in progress")], RequestRefused),
    (FULL, 400, [(1002, "destination_conf: bucket is not validated")], RequestRefused),
    (SIMPLE, 200, [(1002, "invalid")], RequestRefused),
    (SIMPLE, 200, [], RequestRefused),
    (SIMPLE, 405, [(10405, "Method not allowed for this authentication scheme")], RequestRefused),
    (LIST, 400, [{"code": 7003, "message": "no", "source": {"pointer": "/type"}}], RequestRefused),
    # the server's own trouble
    (LIST, 500, [(1000, "internal")], ServerFailure),
    (FULL, 503, [(1000, "a capture is already running")], ServerFailure),
    (LIST, 408, [], ServerFailure),
    (LIST, 530, [], ServerFailure),
]


@pytest.mark.parametrize(("asked", "status", "errors", "kind"), TABLE)
def test_a_refusal_is_classified_by_what_it_says(asked, status, errors, kind):
    error = meaning(asked, status, refused(*errors))
    assert type(error) is kind
    for problem in errors:
        assert (problem["code"] if isinstance(problem, dict) else problem[0]) in error.codes


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, UnexpectedAnswer),
        (201, UnexpectedAnswer),
        (302, UnexpectedAnswer),
        (304, UnexpectedAnswer),
        (400, UnexpectedAnswer),
        (401, BadCredentials),
        (403, NoPermission),
        (404, UnknownToApi),
        (409, UnexpectedAnswer),
        (429, RateLimited),
        (502, ServerFailure),
    ],
)
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<html><h1>already running</h1></html>", {"content-type": "text/html"}),
        (b"<!DOCTYPE html>", {}),
        (b'{"hello": "world"}', JSON),
        (b'["hello"]', JSON),
        (b'{"result": ', JSON),
        (b"\x00\xff\x00", {}),
        (b"[" * 100_000, JSON),
    ],
)
def test_without_an_envelope_only_the_status_speaks(status, kind, body, headers):
    assert type(meaning(FULL, status, body, headers)) is kind


@pytest.mark.parametrize("asked", [LIST, FULL])
@pytest.mark.parametrize("code", [1003, 9109, 10000])
def test_a_403_names_all_that_it_may_mean(asked, code):
    """The credentials, their permission under both of its names, and the plan: no code tells which."""
    said = str(meaning(asked, 403, refused((code, "no"))))
    assert f"CLOUDFLARE_API_TOKEN is wrong, or not for account {asked.account_id}" in said
    assert '"Magic Firewall Packet Captures - Write PCAPs API" (older pages say "Edit" for "Write")' in said
    assert ("Read PCAPs API" in said) is (asked is LIST)
    assert "Enterprise plan with Advanced Network Firewall" in said
    assert "proxy" not in said
    assert "a proxy or a firewall in between" in str(meaning(asked, 403, b"<html>blocked</html>"))


@pytest.mark.parametrize("status", [403, 503])
@pytest.mark.parametrize(
    "header", [{"cf-mitigated": "challenge"}, httpx.Headers({"CF-Mitigated": "Challenge"})]
)
def test_a_challenge_page_is_recognised(status, header):
    error = meaning(FULL, status, b"<!DOCTYPE html><title>Just a moment...</title>", header)
    assert type(error) is UnexpectedAnswer
    assert "challenge page" in str(error)
    assert "this network, or through its proxy" in str(error)
    assert "TOKEN" not in str(error)
    assert not error.sent  # the API never saw it
    assert error.permanent


def test_a_407_is_the_proxys():
    error = meaning(FULL, 407, b"")
    assert type(error) is NetworkFailure
    assert "HTTP_PROXY" in str(error)
    assert not error.sent
    assert error.permanent


def test_a_refusal_in_plain_text_is_understood_all_the_same():
    body = b"a full capture is already running\n"
    assert type(meaning(FULL, 409, body, {"content-type": "text/plain"})) is Busy


@pytest.mark.parametrize(
    ("error", "field"),
    [
        ({"message": "bad", "source": {"pointer": "/time_limit"}}, "time_limit"),
        ({"message": "bad", "source": {"pointer": "#/filter_v1/source_port"}}, "filter_v1.source_port"),
        ({"message": "bad", "source": {"pointer": "/body/colo_name"}}, "colo_name"),
        ({"message": "bad", "source": {"pointer": "packet_limit"}}, "packet_limit"),
        ({"message": "bad", "source": {"pointer": "$.byte_limit"}}, "byte_limit"),
        ({"message": "bad time_limit", "source": {"pointer": "/"}}, "time_limit"),
        ({"message": "bad time_limit", "source": {"pointer": 7}}, "time_limit"),
        ({"message": "bad time_limit", "source": None}, "time_limit"),
        ({"message": "offset_time must be within the last 24h"}, "offset_time"),
        ({"message": "filter_v1.source_address is no IPv4 address"}, "filter_v1.source_address"),
        ({"message": 'the "type" is unknown'}, "type"),
        ({"message": "system must be magic-transit"}, "system"),
        ({"message": "colo: unknown"}, "colo"),
        ({"message": "this type of protocol and system is not supported"}, ""),
        ({"message": "invalid"}, ""),
    ],
)
def test_a_wrong_field_is_named(error, field):
    found = meaning(SIMPLE, 400, refused({"code": 1002, **error}))
    assert type(found) is RequestRefused
    assert found.field == field
    assert f"correct {field or 'the request'}" in str(found)


@pytest.mark.parametrize(
    ("headers", "message", "wait"),
    [
        ({"retry-after": "30"}, "", 30),
        ({"retry-after": "0"}, "", 0),
        ({"retry-after": "-3"}, "", 0),
        ({"retry-after": "Mon, 23 Nov 2026 12:01:30 GMT"}, "", 90),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, "", 0),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({}, "Please try again in 42 seconds", 42),
        ({}, "retry after 42s", 42),
        ({}, "wait 2 minutes", 120),
        ({}, "Please wait", None),
        ({"ratelimit": '"default";r=0;t=17'}, "", 17),
        ({"ratelimit": '"default";r=3;t=17'}, "", None),
        ({"ratelimit": '"default";r=0;t=17', "retry-after": "30"}, "try again in 42 s", 30),
    ],
)
def test_a_limit_says_when_again_on_the_server_s_clock(headers, message, wait):
    error = meaning(SIMPLE, 429, refused((10100, message)), {**JSON, **headers})
    assert error.retry_at == (None if wait is None else NOW + timedelta(seconds=wait))
    assert ("try again after 2026-11-23" in error.hint) == (wait is not None)


@pytest.mark.parametrize(("asked", "right"), [(LIST, READ), (FULL, WRITE), (STOP, WRITE)])
def test_a_missing_permission_is_named(asked, right):
    error = meaning(asked, 403, refused())
    assert right in error.hint
    assert ACCOUNT in error.hint


def test_what_the_api_says_is_quoted_without_the_secrets_that_it_repeats():
    said = "cannot write to r2://b?account-id=1&access-key-id=AKAK&secret-access-key=SKSK"
    line = str(meaning(OWN, 400, refused((1002, said))))
    assert "cannot write to r2://b?account-id=1" in line
    assert "AKAK" not in line
    assert "SKSK" not in line


def test_a_long_message_is_cut():
    assert len(str(meaning(OWN, 400, refused((1002, "x" * 100_000))))) < 600


@pytest.mark.parametrize("result", [{"id": 1}, [], None, {}])
@pytest.mark.parametrize("status", [200, 201, 204])
@pytest.mark.parametrize("more", [{"success": True, "errors": [], "messages": []}, {"success": True}, {}])
def test_a_success_gives_its_result(status, result, more):
    body = json.dumps({"result": result, **more}).encode()
    assert result_of(LIST, status, JSON, body, NOW) == result


@pytest.mark.parametrize("body", [b"", b" \n", b'{"success": true}', b'{"success": true, "errors": []}'])
@pytest.mark.parametrize("asked", [LIST, GET, SIMPLE, OWN])
def test_an_answer_without_a_result_is_not_taken_for_an_empty_one(asked, body):
    assert type(meaning(asked, 200, body)) is UnexpectedAnswer


@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize("body", [b"", b'{"success": true}', b'{"result": null, "success": true}'])
def test_a_change_may_be_answered_with_nothing(status, body):
    assert result_of(STOP, status, {}, body, NOW) is None


KINDS = tuple(ApiError.__subclasses__())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["result", "success", "errors", "code", "message", "source", "pointer", "error_chain"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(
    asked=st.sampled_from([LIST, SIMPLE, FULL, GET, STOP, OWN]),
    status=st.integers(200, 599),
    body=st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "ratelimit", "content-type"]), st.text(max_size=20)
    ),
)
def test_any_answer_leads_to_a_result_or_an_edgecap_error(asked, status, body, headers):
    error = error_of(asked, status, headers, body, NOW)
    assert type(error) in KINDS
    assert "\n" not in str(error)
    with suppress(*KINDS):
        result_of(asked, status, headers, body, NOW)
        assert 200 <= status < 300
