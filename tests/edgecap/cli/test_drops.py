"""`edgecap drops`, run as a person runs it: of an address, and of an incident."""

import json
from datetime import timedelta

import pytest

from edgecap.stores.folder import FolderStore
from tests.drops_graphql import attack, dropping, now
from tests.edgecap.analytics.logpush_rows import put, row
from tests.graphql import ACCOUNT

MINUTE = timedelta(minutes=1)


@pytest.fixture
def drops(shell, store):
    """Runs `edgecap drops` with a server's address and an archive."""

    def run(server, *arguments, **more):
        env = {
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
            "CLOUDFLARE_API_TOKEN": "t" * 20,
            "CLOUDFLARE_BASE_URL": server.url,
        }
        return shell.run("drops", *arguments, **env, **more)

    return run


def test_a_table_of_passed_beside_dropped(drops):
    with dropping(attack(now() - 5 * MINUTE, minutes=3)) as server:
        done = drops(server, "203.0.113.7")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert any("The edge dropped 90.0% of about 30 M packets to 203.0.113.7" in line for line in lines)
    assert any(line.startswith("mitigation system\tdosd\t-\t27 M\t") for line in lines)
    assert any(line.startswith("data centre\tAMS\t0\t27 M\t") for line in lines)
    assert "from      From Network Analytics, asked" in done.stdout


def test_json_has_both_sources(drops, tmp_path, store):
    (tmp_path / "logs").mkdir()
    at = now() - 5 * MINUTE
    put(FolderStore(tmp_path / "logs"), row(at=at), at=at.replace(microsecond=0))
    with dropping(attack(at)) as server:
        more = {"EDGECAP_ACCOUNTS__DEFAULT__ANALYTICS__LOGPUSH": f"file:{tmp_path / 'logs'}"}
        done = drops(server, "203.0.113.7", "--since", "30m", "--json", **more)
    told = json.loads(done.stdout)
    assert told["analytics"]["dropped"]["value"] >= 9_000_000
    assert told["logpush"]["dropped"]["value"] == 1000
    assert told["problems"] == []


def test_a_token_without_the_permission_ends_with_4(drops):
    with dropping(refuses=True) as server:
        done = drops(server, "203.0.113.7")
    assert done.returncode == 4
    assert "add the permission 'Account Analytics: Read'" in done.stderr


def test_no_answer_ends_with_7(drops):
    with dropping() as server:
        pass
    assert drops(server, "203.0.113.7").returncode == 7


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["203.0.113.300"], "203.0.113.300"),
        (["203.0.113.7", "--since", "9d"], "give 1m to 7d"),
        (["ab12", "--since", "10m"], "an incident has its own time"),
    ],
)
def test_bad_input_is_one_clear_line(drops, arguments, told):
    with dropping() as server:
        done = drops(server, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_incident_is_said(drops):
    with dropping() as server:
        done = drops(server, "abcdef")
    assert done.returncode == 13
    assert "unknown incident" in done.stderr
