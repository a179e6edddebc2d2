"""The simulator as a program of its own."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import ValidationError

from edgecap.simulator.__main__ import main
from edgecap.simulator.options import SimulatorOptions

ENV = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CLOUDFLARE_"))}
ACCOUNT, TOKEN = "0123456789abcdef" * 2, "u" * 40
SIGNS_IN = {"CLOUDFLARE_ACCOUNT_ID": ACCOUNT, "CLOUDFLARE_API_TOKEN": TOKEN}


@pytest.fixture
def start():
    """Start the program with these arguments; returns it and the variables that it prints."""
    started = []

    def start(*arguments, **env):
        program = subprocess.Popen(
            [sys.executable, "-m", "edgecap.simulator", *arguments],
            env={**ENV, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(program)
        return program, dict(program.stdout.readline().rstrip().split("=", 1) for _ in range(3))

    yield start
    for program in started:
        program.kill()
        program.communicate()


def pcaps(variables):
    return httpx.Client(
        base_url=f"{variables['CLOUDFLARE_BASE_URL']}/accounts/{variables['CLOUDFLARE_ACCOUNT_ID']}",
        headers={"authorization": f"Bearer {variables['CLOUDFLARE_API_TOKEN']}"},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_where_it_is_and_ends_cleanly(start, tmp_path, number):
    log = tmp_path / "logs" / "edge.log"
    program, variables = start("--speed", "60", "--log", str(log), **SIGNS_IN)
    assert list(variables) == ["CLOUDFLARE_BASE_URL", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN"]
    assert variables.items() >= SIGNS_IN.items()
    with pcaps(variables) as client:
        body = {"type": "simple", "system": "magic-transit", "time_limit": 1, "packet_limit": 5}
        assert client.post("/pcaps", json=body).status_code == 200
        # The line is written before the answer is sent, so killing the program now loses nothing.
        events = [json.loads(line) for line in log.read_text().splitlines()]
        assert [e["event"] for e in events if e["event"] in ("request", "start")] == ["start", "request"]
        program.send_signal(number)  # with a connection still open
        assert program.wait(240) == 0
    assert program.stderr.read() == ""
    assert json.loads(log.read_text().splitlines()[-1])["event"] == "end"
    assert TOKEN not in log.read_text()


def test_a_token_is_made_up_if_none_is_given(start):
    _, first = start()
    with pcaps(first) as client:
        assert client.get("/pcaps").status_code == 200
        other = {"authorization": f"Bearer {'0' * 40}"}
        assert client.get("/pcaps", headers=other).status_code == 401


def test_options_reach_the_edge(start):
    _, variables = start(
        "--variant", "conflict", "--set", 'too_soon={"status":418,"code":1234,"message":"no"}',
        "--fault", "error,method=GET,value=555", "--email", "a@example.com", "--api-key", "0" * 37,
        "--read-token", "r" * 40, "--account-id", ACCOUNT,
    )  # fmt: skip
    with pcaps(variables) as client:
        assert client.get("/pcaps").status_code == 555
        body = {"type": "simple", "system": "magic-transit", "time_limit": 1, "packet_limit": 5}
        assert client.post("/pcaps", json=body).status_code == 200
        answer = client.post("/pcaps", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["message"]) == (418, "no")
        client.headers = {"x-auth-email": "a@example.com", "x-auth-key": "0" * 37}
        assert len(client.get("/pcaps").json()["result"]) == 1
        client.headers = {"authorization": f"Bearer {'r' * 40}"}
        assert client.get("/pcaps").status_code == 200
        assert client.post("/pcaps", json=body).status_code == 403


def test_spread_and_mitigated_traffic_has_analytics_and_logpush(start, tmp_path):
    (tmp_path / "logs").mkdir()
    _, variables = start(
        "--spread", "--mitigate", "--speed", "60", "--rate", "5", "--analytics-delay", "0",
        "--analytics-one-in", "10", "--analytics-token", "a" * 40, "--logpush", f"file:{tmp_path}/logs",
        **SIGNS_IN,
    )  # fmt: skip
    base = variables["CLOUDFLARE_BASE_URL"]
    since = f"{datetime.now(UTC) - timedelta(minutes=5):%FT%TZ}"
    text = (
        f'{{ viewer {{ accounts(filter: {{accountTag: "{ACCOUNT}"}}) {{ '
        f'magicTransitNetworkAnalyticsAdaptiveGroups(limit: 100, filter: {{datetime_geq: "{since}"}}) '
        "{ dimensions { coloCode outcome } sum { packets } } } } }"
    )
    only_analytics = {"authorization": f"Bearer {'a' * 40}"}
    answer = httpx.post(f"{base}/graphql", json={"query": text}, headers=only_analytics, timeout=60).json()
    assert answer["errors"] is None
    [account] = answer["data"]["viewer"]["accounts"]
    outcomes = {row["dimensions"]["outcome"] for row in account["magicTransitNetworkAnalyticsAdaptiveGroups"]}
    assert outcomes == {"pass", "drop"}
    with pcaps(variables) as client:
        assert client.get("/pcaps", headers=only_analytics).status_code == 403
    until_it_is_there = time.monotonic() + 120
    while not (files := list(tmp_path.glob("logs/*/*.log.gz"))):
        assert time.monotonic() < until_it_is_there
        time.sleep(0.1)
    assert gzip.decompress(files[0].read_bytes()).count(b"\n") > 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--speed", "0"], 3, "speed"),
        (["--speed", "fast"], 3, "speed"),
        (["--variant", "real"], 3, "unknown variant 'real'"),
        (["--set", "lag=3"], 3, "unknown choice 'lag'"),
        (["--set", "list_lag=much"], 3, "list_lag"),
        (["--set", 'full_steps=[["pending",1],["success",0]]'], 3, "full_steps"),
        (["--fault", "flood"], 3, "flood"),
        (["--traffic", "imagined"], 3, "unknown traffic"),
        (["--traffic", "replay:/nowhere.pcap"], 3, "/nowhere.pcap"),
        (["--log", "/proc/nowhere/edge.log"], 3, "log cannot be written"),
        (["--account-id", "mine"], 3, "account_id"),
        (["--spread", "--traffic", "replay:/nowhere.pcap"], 3, "only synthetic traffic can be spread"),
        (["--logpush", "s3://bucket/logs?region=us-east-1"], 3, "only spread or mitigated traffic"),
        (["--spread", "--logpush", "ftp://bucket"], 3, "ftp"),
    ],
)
def test_wrong_options_end_in_one_line(capsys, arguments, code, words):
    assert main(arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert len(said.err.splitlines()) == 1


def test_a_taken_port_is_one_clear_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "edgecap.simulator", "--port", port],
            env=ENV, capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
    assert done.returncode == 15
    assert f"127.0.0.1:{port}" in done.stderr


def test_every_option_explains_itself():
    assert all(field.description for field in SimulatorOptions.model_fields.values())
    assert "hush" not in repr(SimulatorOptions(api_token="hush", api_key="hush", read_token="hush"))
    with pytest.raises(ValidationError):
        SimulatorOptions(port=70_000)
