"""Paths, credentials, envelopes and heads, as Cloudflare's API has them."""

from email.utils import parsedate_to_datetime

import pytest

ID = "66802ca5668e47a2b82c2e6746e45037"
OPERATIONS = [
    ("GET", ""),
    ("POST", ""),
    ("GET", f"/{ID}"),
    ("GET", f"/{ID}/download"),
    ("PUT", f"/{ID}/stop"),
    ("GET", "/ownership"),
    ("POST", "/ownership"),
    ("POST", "/ownership/validate"),
    ("DELETE", f"/ownership/{ID}"),
]
WRITES = [operation for operation in OPERATIONS if operation[0] != "GET"]


def codes(answer):
    """The envelope's codes, after checking that it is one of a failure."""
    body = answer.json()
    assert answer.headers["content-type"].startswith("application/json")
    assert (body["success"], body["result"], body["messages"]) == (False, None, [])
    return [error["code"] for error in body["errors"]]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_wants_credentials(world, method, path):
    answer = world.call(method, path, headers={"authorization": ""})
    assert (answer.status_code, codes(answer)) == (400, [6003])
    assert answer.json()["errors"][0]["error_chain"][0]["code"] == 6111
    answer = world.call(method, path, headers={"authorization": f"Bearer {'x' * 40}"})
    assert (answer.status_code, codes(answer)) == (401, [10000])


def test_no_credentials_at_all(world):
    world.headers.clear()
    answer = world.call("GET", "")
    assert (answer.status_code, codes(answer)) == (400, [9106])


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x-auth-email": "a@example.com", "x-auth-key": "0" * 37}, 200, None),
        ({"x-auth-email": "b@example.com", "x-auth-key": "0" * 37}, 401, 10000),
        ({"x-auth-email": "a@example.com", "x-auth-key": "1" * 37}, 401, 10000),
        ({"x-auth-email": "a@example.com", "x-auth-key": "short"}, 400, 6103),
        ({"x-auth-email": "a@example.com"}, 400, 6103),
        ({"x-auth-key": "0" * 37}, 400, 6102),
    ],
)
def test_email_and_key(world, headers, status, code):
    world.headers.clear()
    answer = world.call("GET", "", headers=headers)
    assert answer.status_code == status
    if status == 400:
        error = answer.json()["errors"][0]
        assert (error["code"], error["error_chain"][0]["code"]) == (6003, code)
    elif code:
        assert codes(answer) == [code]


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer short", "Basic " + "x" * 40, "Bearer  " + "x" * 40, "x" * 40]
)
def test_malformed_tokens(world, value):
    answer = world.call("GET", "", headers={"authorization": value})
    assert (answer.status_code, codes(answer)) == (400, [6003])


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_token_reaches_only_its_account(world, method, path):
    answer = world.call(method, path, headers={"authorization": f"Bearer {'s' * 40}"})
    assert (answer.status_code, codes(answer)) == (403, [10000])


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_reading_token_cannot_write(world, method, path):
    answer = world.call(method, path, headers={"authorization": f"Bearer {'r' * 40}"})
    assert (answer.status_code == 403) == ((method, path) in WRITES)


def test_the_variant_says_how_permission_is_refused(make_world):
    world = make_world("conflict")
    answer = world.call("POST", "", {}, headers={"authorization": f"Bearer {'r' * 40}"})
    assert (answer.status_code, codes(answer)) == (403, [9109])


@pytest.mark.parametrize("account", ["abc", "G" * 32, "0" * 31, "0" * 33, "%20", "A" * 32])
def test_malformed_account(world, account):
    answer = world.call("GET", "", account=account)
    assert (answer.status_code, codes(answer)) == (400, [7003, 7000])


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/x"), ("GET", "/x/download"), ("PUT", "/x/stop"), ("DELETE", "/ownership/x")],
)
def test_malformed_id(world, method, path):
    answer = world.call(method, path)
    assert (answer.status_code, codes(answer)) == (400, [7003, 7000])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/{ID}"),
        ("GET", f"/{ID}/download"),
        ("PUT", f"/{ID}/stop"),
        ("DELETE", f"/ownership/{ID}"),
    ],
)
def test_unknown_id(world, method, path):
    answer = world.call(method, path)
    assert (answer.status_code, codes(answer)) == (404, [1003])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", ""),
        ("DELETE", f"/{ID}"),
        ("POST", f"/{ID}/download"),
        ("GET", f"/{ID}/stop"),
        ("PATCH", "/ownership"),
        ("GET", f"/ownership/{ID}"),
    ],
)
def test_wrong_method(world, method, path):
    answer = world.call(method, path)
    assert (answer.status_code, codes(answer)) == (405, [7001])
    assert method not in answer.headers["allow"].split(", ")


def test_allow_names_every_method_of_the_path(world):
    assert world.call("PUT", "").headers["allow"] == "GET, HEAD, POST"
    assert world.call("PUT", "/ownership/validate").headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/", f"/{ID}/start", "/ownership/validate/x", f"/{ID}/"])
def test_no_route(world, path):
    answer = world.call("GET", path)
    assert (answer.status_code, codes(answer)) == (404, [7003, 7000])


@pytest.mark.parametrize("path", ["", "/ownership", "/ownership/validate"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_bodies_that_are_no_json(world, path, body):
    answer = world.call("POST", path, content=body)
    assert (answer.status_code, codes(answer)) == (400, [6007])


@pytest.mark.parametrize("path", ["", "/ownership", "/ownership/validate"])
@pytest.mark.parametrize("body", [None, [], "x", 3, [{"type": "simple"}]])
def test_bodies_that_are_no_object(world, path, body):
    answer = (
        world.call("POST", path, json=body) if body is not None else world.call("POST", path, content="null")
    )
    assert (answer.status_code, codes(answer)) == (400, [1002])


def test_a_body_of_more_than_a_mebibyte_is_refused(world):
    answer = world.call("POST", "", content=b" " * (1 << 20) + b"{}")
    assert answer.status_code == 413
    assert codes(answer)


def test_the_head_follows_the_simulated_clock(make_world):
    world = make_world(speed=60.0)
    first = world.call("GET", "")
    world.seconds += 10  # ten minutes, so that no call counts any more
    second = world.call("GET", "")
    dates = [parsedate_to_datetime(answer.headers["date"]) for answer in (first, second)]
    assert (dates[1] - dates[0]).total_seconds() == 600
    assert dates[0] == world.edge.started.replace(microsecond=0)
    assert first.headers["cf-ray"] != second.headers["cf-ray"]
    assert first.headers["ratelimit"] == '"default";r=1199;t=300'
    refused = world.call("GET", f"/{ID}")
    assert (refused.status_code, refused.headers["ratelimit"]) == (404, '"default";r=1198;t=300')
    assert first.headers["ratelimit-policy"] == '"default";q=1200;w=300'


def test_nothing_listed_is_an_empty_array_or_null(make_world):
    assert make_world().call("GET", "").json()["result"] == []
    talkative = make_world("talkative")
    assert talkative.call("GET", "").json()["result"] is None
    assert talkative.call("GET", "/ownership").json()["result"] is None


def test_a_bug_of_the_edge_is_a_500_in_an_envelope(world):
    del world.edge.ownerships
    answer = world.call("GET", "/ownership")
    assert (answer.status_code, codes(answer)) == (500, [1101])
    assert "AttributeError" in world.edge.log.events("trouble")[0]["what"]
