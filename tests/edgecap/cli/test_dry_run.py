"""`--dry-run` says exactly what would be posted, and when, and posts nothing."""

import json

import httpx

from tests.edgecap.cli.conftest import ACCOUNT
from tests.world import TOKEN


def posts(edge):
    return [event for event in edge.log.events("request") if event["method"] != "GET"]


def plan(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_simple_request(call, edge):
    arguments = ["--dst", "203.0.113.7", "--dport", "443", "--proto", "tcp", "--at", "10m"]
    said = plan(call("capture", "simple", *arguments, "--dry-run", "--json"))
    assert said["method"] == "POST"
    assert said["url"].endswith(f"/accounts/{ACCOUNT}/pcaps")
    assert said["headers"]["Authorization"] == "Bearer ***"
    body = said["body"]
    assert body.pop("offset_time").endswith("Z")
    assert body == {
        "type": "simple",
        "system": "magic-transit",
        "time_limit": 60,
        "packet_limit": 10_000,
        "filter_v1": {"destination_address": "203.0.113.7", "destination_port": 443, "protocol": 6},
    }
    assert said["waits_for"] is None
    assert said["wait_seconds"] == 0
    assert posts(edge) == []


def test_for_people_it_prints_the_request_sent_without_the_token(call, shell, edge):
    done = call("capture", "simple", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("POST http://127.0.0.1:")
    assert "earliest start" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    assert not (shell.folder / "archive" / "intents").exists()


def test_the_lane_s_next_turn_is_printed(call, shell, edge):
    body = {"type": "simple", "system": "magic-transit", "time_limit": 1, "packet_limit": 1}
    url = f"{shell.base_url}/accounts/{ACCOUNT}/pcaps"
    answer = httpx.post(url, json=body, headers={"Authorization": f"Bearer {TOKEN}"})
    other = answer.json()["result"]["id"]
    said = plan(call("capture", "simple", "--dry-run", "--json"))
    assert other in said["waits_for"]
    assert 0 < said["wait_seconds"] <= 2.1  # a minute on a clock that runs thirty times as fast


def test_a_bucket_that_is_not_registered_is_said_beside_the_request(call, edge):
    done = call("capture", "full", "--colo", "ORD", "--dry-run")
    assert done.returncode == 8
    assert done.stderr.startswith("edgecap: the bucket is not registered")
    assert "/pcaps" in done.stdout.splitlines()[0]
    assert '"colo_name": "ORD"' in done.stdout
    assert "would be refused  the bucket is not registered" in done.stdout
    done = call("capture", "full", "--colo", "ORD", "--dry-run", "--json")
    assert (done.returncode, json.loads(done.stdout)["body"]["colo_name"]) == (8, "ORD")
    assert "edgecap bucket register" in json.loads(done.stdout)["bucket_problem"]
    assert posts(edge) == []


def test_a_full_capture_into_a_registered_bucket(call, edge):
    assert call("bucket", "register", "--json").returncode == 0
    said = plan(call("capture", "full", "--colo", "ORD", "--bytes", "100MB", "--dry-run", "--json"))
    assert said["body"]["byte_limit"] == 100_000_000
    assert said["body"]["destination_conf"].startswith("s3://")
    assert said["bucket_problem"] is None
    again = call("bucket", "register", "--json")
    assert json.loads(again.stdout)["status"] == "success"


def test_a_wrong_token(call, edge):
    done = call("capture", "simple", "--dry-run", CLOUDFLARE_API_TOKEN="wrong" * 8)
    assert (done.returncode, done.stdout) == (4, "")
    assert "wrong" * 8 not in done.stderr


def test_an_api_out_of_reach(call, edge):
    # Four tries, some seconds: GETs are asked again.
    done = call("capture", "simple", "--dry-run", CLOUDFLARE_BASE_URL="http://127.0.0.1:1/client/v4")
    assert done.returncode == 7
    assert "127.0.0.1:1" in done.stderr
