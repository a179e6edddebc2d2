"""`edgecap where`, run as a person runs it, against Network Analytics on loopback."""

import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from tests.edgecap.analytics.past import keep
from tests.graphql import ACCOUNT, Row, network_analytics, refusal

ROWS = [Row("ZRH", 8_000_000), Row("AMS", 1_500_000), Row("ORD", 500_000), Row("ORD", 90_000_000, "drop")]


@pytest.fixture
def where(shell, store):
    """Runs `edgecap where` with a server's address and an archive."""

    def run(server, *arguments) -> subprocess.CompletedProcess:
        env = {
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
            "CLOUDFLARE_API_TOKEN": "t" * 20,
            "CLOUDFLARE_BASE_URL": server.url,
        }
        return shell.run("where", *arguments, **env)

    return run


def test_a_table_with_shares_and_what_would_be_chosen(where):
    with network_analytics(*ROWS) as server:
        done = where(server, "203.0.113.7")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "ZRH\t8 M\t80.0%\t0\t0.0%\tthe first" in lines
    assert "ORD\t500 k\t5.0%\t90 M\t100.0%\t" in lines
    assert "chosen    ZRH, AMS" in lines
    assert any(line.startswith("why       ZRH and AMS carry 95.0% of the packets") for line in lines)


def test_json_has_the_choice_with_its_evidence(where):
    with network_analytics(*ROWS) as server:
        done = where(server, "203.0.113.0/24", "2001:db8::/32", "--json")
    told = json.loads(done.stdout)
    assert told["places"] == ["ZRH", "AMS"]
    assert told["evidence"]["targets"] == ["203.0.113.0/24", "2001:db8::/32"]
    assert told["evidence"]["shares"][2] == {"colo": "ORD", "passed": 500_000, "dropped": 90_000_000}


def test_since_counts_all_of_the_window(where):
    rows = [Row("SIN", 90_000_000, minute=datetime.now(UTC) - timedelta(minutes=50)), *ROWS]
    with network_analytics(*rows) as server:
        newest, hour = where(server, "203.0.113.7"), where(server, "203.0.113.7", "--since", "1h")
    assert "SIN" not in newest.stdout
    assert "chosen    SIN" in hour.stdout


def test_a_refusal_says_where_a_capture_would_go_all_the_same(where, store):
    keep(store, "FRA", 9_000)
    with network_analytics(body=json.dumps(refusal("not authorized")).encode(), status=403) as server:
        done = where(server, "203.0.113.7")
    assert done.returncode == 4
    assert "chosen    FRA" in done.stdout
    assert done.stderr.startswith(
        "edgecap: Network Analytics refuses the credentials (HTTP 403: not authorized)"
    )
    assert "'Account Analytics: Read'" in done.stderr


def test_no_answer_exits_with_seven(where):
    with network_analytics(status=503, body=b"away") as server:
        done = where(server, "203.0.113.7", "--json")
    assert done.returncode == 7
    assert json.loads(done.stdout)["by"] == "none"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["203.0.113"], "'203.0.113' is not an address"), (["203.0.113.7", "--since", "7d"], "give 1m to 6h")],
)
def test_bad_input_is_one_line(where, arguments, said):
    with network_analytics() as server:
        done = where(server, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
