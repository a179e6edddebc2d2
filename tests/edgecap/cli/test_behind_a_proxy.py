"""A network as companies have them: the way out is a proxy that opens TLS, and the variables say so.

The servers have made-up names that the proxy alone knows: what reached them went through it. What is on this
machine, Prefect's server above all, must not.
"""

import json
import os
import time
from urllib.parse import urlsplit

import certifi
import pytest

from tests.edgecap.cli.conftest import ACCOUNT
from tests.intercepting_proxy import InterceptingProxy
from tests.world import TOKEN, SetClock, World

HOSTS = {"api.edgecap.test", "s3.edgecap.test", "gcs.edgecap.test"}
SIGN_IN = {"CLOUDFLARE_ACCOUNT_ID": ACCOUNT, "CLOUDFLARE_API_TOKEN": TOKEN}


@pytest.fixture
def network(shell, object_store, fake_gcs, bucket, tmp_path):
    """The proxy, with Cloudflare's API, a bucket and an archive behind it; the shell's settings name them."""
    fake_gcs.make_bucket(bucket)
    folder = tmp_path / "proxy"
    folder.mkdir()
    timing = {"settle": 1.0, "poll_most": 1.0}
    clock = SetClock(30)
    with World(shell.folder, store=object_store, account_id=ACCOUNT, clock=clock, timing=timing) as world:
        ports = {
            "api.edgecap.test": world.server.port,
            "s3.edgecap.test": urlsplit(object_store.endpoint_url).port,
            "gcs.edgecap.test": fake_gcs.port,
        }
        world.tables["accounts.default"]["base_url"] = "https://api.edgecap.test/client/v4"
        world.tables["buckets.default"]["endpoint_url"] = "https://s3.edgecap.test"
        world.tables["archives.default"]["uri"] = f"gs://{bucket}/archive"
        world.write()
        with InterceptingProxy(folder, ports) as proxy:
            shell.env |= {
                "HTTP_PROXY": proxy.url,
                "HTTPS_PROXY": proxy.url,
                "NO_PROXY": "[::1]:80,10.0.0.0/8,fd00::/8",  # on the first and the last, httpx would end
                "SSL_CERT_FILE": str(proxy.ca),
                "STORAGE_EMULATOR_HOST": "https://gcs.edgecap.test",
            }
            yield proxy


@pytest.fixture
def running(shell, network, prefect_database):
    """`edgecap up` behind the proxy."""
    with shell.up(prefect_database) as (_, url):
        yield url


@pytest.mark.prefect
@pytest.mark.e2e
@pytest.mark.xdist_group("site")
def test_captures_go_through_the_proxy_and_prefect_does_not(shell, network, running):
    """Both of captures that run here and of those that a worker runs."""
    registered = shell.run("bucket", "register")
    assert registered.returncode == 0, registered.stderr
    full = shell.run("capture", "full", "--colo", "ORD", "--seconds", "5", "--json")
    assert full.returncode == 0, full.stderr
    assert json.loads(full.stdout)["packets"] > 0

    with shell.prefect() as prefect:
        wanted = {"request": {"type": "simple", "time_limit": 20, "packet_limit": 1000}}
        run = prefect.start_run(prefect.deployment("capture/capture-by-program")["id"], wanted, tags=[])
        deadline = time.monotonic() + 300
        while (state := prefect.run(run["id"])["state"])["type"] not in ("COMPLETED", "FAILED", "CRASHED"):
            assert time.monotonic() < deadline, state
            time.sleep(0.5)
    assert state["type"] == "COMPLETED", state

    entries = json.loads(shell.run("list", "--json").stdout)
    assert {"full", "simple"} <= {entry["type"] for entry in entries}
    assert shell.run("verify").returncode == 0
    assert network.hosts() == HOSTS

    # Nobody at a terminal is left waiting for what only a person can mend.
    distrusted = shell.run("capture", "simple", "--seconds", "20", SSL_CERT_FILE=certifi.where())
    assert distrusted.returncode in (7, 8)
    line = distrusted.stderr.splitlines()[-1]
    assert line.startswith("edgecap: the certificate of ")
    assert f"through the proxy {network.url} (HTTPS_PROXY), is not trusted" in line
    assert "SSL_CERT_FILE" in line


BAD_VALUES = pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "HTTPS_PROXY",
            "ftp://proxy.example.net",
            "HTTPS_PROXY has the unknown scheme ftp://",
        ),
        ("ALL_PROXY", "socks5://proxy:port", "ALL_PROXY is not the URL of a proxy"),
        ("NO_PROXY", "10.0.0.0/40", "'10.0.0.0/40' in NO_PROXY is not a valid network"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "SSL_CERT_FILE: /nowhere/ca.pem cannot be read"),
        ("AWS_CA_BUNDLE", os.devnull, "AWS_CA_BUNDLE: /dev/null holds no certificate"),
    ],
)


@BAD_VALUES
@pytest.mark.parametrize(
    "command", [("up",), ("worker",), ("receive",), ("deploy",), ("capture", "simple", "--seconds", "5")]
)
def test_a_bad_value_is_refused_before_anything_starts(call, shell, store, command, variable, value, said):
    done = call(*command, **{variable: value, "PREFECT_API_URL": "http://127.0.0.1:9/api"}, **SIGN_IN)
    assert (done.returncode, done.stdout) == (3, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"edgecap: {said}")
    assert list(shell.folder.iterdir()) == [shell.folder / "archive"]


@BAD_VALUES
@pytest.mark.parametrize("command", [("explain", "udp"), ("policy", "check"), ("list",), ("verify",)])
def test_commands_without_network_ignore_a_bad_proxy_value(call, store, command, variable, value, said):
    done = call(*command, **{variable: value, "PREFECT_API_URL": "http://[::1/api"})
    assert done.returncode == 0, done.stderr


@BAD_VALUES
@pytest.mark.parametrize("archive", ["s3://bucket/x?region=us-east-1", "gs://bucket/x"])
def test_a_store_elsewhere_is_not_opened_with_a_bad_value(shell, archive, variable, value, said):
    (shell.folder / "edgecap.toml").write_text(f"[archives.default]\nuri = {json.dumps(archive)}\n")
    done = shell.run("list", **{variable: value})
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"edgecap: {said}")


@pytest.mark.parametrize("url", ["http://[::1/api", "http://127.0.0.1:99999/api"])
@pytest.mark.parametrize(
    "command",
    [
        ("worker",),
        ("receive",),
        ("deploy",),
        ("reconcile",),
        ("capture", "simple", "--seconds", "5"),
        ("lanes",),
    ],
)
def test_an_address_of_prefect_that_is_not_valid_is_refused(call, store, command, url):
    done = call(*command, PREFECT_API_URL=url, HTTP_PROXY="http://127.0.0.1:9", **SIGN_IN)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[-1].startswith("edgecap: PREFECT_API_URL is not a valid URL")
