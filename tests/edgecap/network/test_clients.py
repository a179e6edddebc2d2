"""The API, S3 and Google's storage through a proxy that opens TLS, by the same variables for all of them."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deployments.local.processes import LOOPBACK, free_port
from edgecap.cloudflare.client import Client
from edgecap.errors import EdgecapError, NetworkFailure, SetupError, StoreUnreachable
from edgecap.network.certificates import ADDITIONAL, REPLACING
from edgecap.network.errors import chain
from edgecap.network.over_botocore import Session
from edgecap.network.over_requests import PermanentFailure
from edgecap.redact import redact
from edgecap.settings import Account, StoreLocation
from edgecap.simulator.options import SimulatorOptions, make_edge
from edgecap.simulator.serve import SimulatorServer
from edgecap.stores import open_store
from tasks.runtime.rest import PrefectApi
from tasks.runtime.restart_policy import is_to_end
from tasks.runtime.run_history import RunHistory
from tests.intercepting_proxy import InterceptingProxy
from tests.mounting import run_with_file_over
from tests.stand_ins import JsonHandler, serving

ACCOUNT, TOKEN = "c" * 32, "token-of-the-tests-of-proxies"
BUCKET = "through-a-proxy"
KINDS = ["api", "s3", "gcs"]
PACKETS = bytes(range(256)) * 20_000
AT = r"://127\.0\.0\.1:\d+"
# What can be wrong between here and the server, what is said of it, and what to do.
TROUBLES = {
    "away": (rf"the proxy http{AT} \(HTTPS_PROXY\) cannot be used: Connection refused", "check HTTPS_PROXY"),
    "socks": (rf"the proxy socks5h{AT} \(ALL_PROXY\) cannot be used: Connection refused", "check ALL_PROXY"),
    "login": (
        rf"the proxy http{AT} \(HTTPS_PROXY\) wants a user and password: HTTP 407",
        "into HTTPS_PROXY, before the host",
    ),
    "password": (
        r"\(HTTPS_PROXY\) does not accept the user and password: HTTP 407",
        "into HTTPS_PROXY, before the host",
    ),
    "ca": (
        rf"the certificate of [a-z0-9.-]+, through the proxy http{AT} .*, is not trusted",
        "set SSL_CERT_FILE",
    ),
}
# Asks for a page with each library, and prints the statuses.
ASK = """
import sys, httpx, requests
from botocore.awsrequest import AWSRequest
from edgecap.network.over_botocore import Session
from edgecap.network.over_httpx import Network
from edgecap.network.over_requests import mount
url = "https://s3.edgecap.test/"
with httpx.Client(transport=Network()) as client:
    print(client.get(url).status_code)
session = requests.Session()
mount(session)
print(session.get(url).status_code)
client = Session().create_client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
print(client._endpoint.http_session.send(AWSRequest("GET", url).prepare()).status_code)
"""


class TokenHandler(JsonHandler):
    """Google's sign-in."""

    def do_POST(self):
        self.body()
        self.say({"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"})


@pytest.fixture(scope="module")
def servers(object_store, fake_gcs):
    """The hosts that only a proxy knows, and where they are."""
    object_store.make_bucket(BUCKET)
    fake_gcs.make_bucket(BUCKET)
    edge = SimulatorServer(make_edge(SimulatorOptions(account_id=ACCOUNT, api_token=TOKEN)))
    with edge, serving(TokenHandler) as sign_in:
        yield {
            "api.edgecap.test": urlsplit(edge.base_url).port,
            "s3.edgecap.test": urlsplit(object_store.endpoint_url).port,
            "sts.edgecap.test": urlsplit(object_store.endpoint_url).port,
            "gcs.edgecap.test": fake_gcs.port,
            "sign-in.edgecap.test": sign_in.server_port,
        }


@pytest.fixture(scope="module")
def proxies(servers, tmp_path_factory):
    """A proxy of each kind, all with one CA: HTTP, SOCKS 5, and one that wants a password."""
    running = {}

    def get(kind: str) -> InterceptingProxy:
        if kind not in running:
            folder = tmp_path_factory.mktemp(kind)
            if running:
                for file in next(iter(running.values())).ca.parent.glob("mitmproxy-ca*"):
                    shutil.copy(file, folder)
            mode, login = ("socks5", "") if kind == "socks5" else ("regular", "")
            if kind == "login":
                login = "joe:p@ss/word"
            proxy = InterceptingProxy(folder, servers, mode=mode, login=login)
            running[kind] = proxy.__enter__()
        return running[kind]

    yield get
    for proxy in running.values():
        proxy.__exit__()


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    """A Google service account's key, whose sign-in is ours."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path_factory.mktemp("key") / "key.json"
    account = {
        "type": "service_account",
        "client_email": "edgecap@test.iam",
        "private_key": key.decode(),
        "token_uri": "https://sign-in.edgecap.test/token",
    }
    file.write_text(json.dumps(account))
    return file


@pytest.fixture
def use(object_store, key_file):
    """Asks something of a server of a kind; writes and reads, where it is a store."""

    async def ask(kind: str, scheme: str = "https") -> None:
        url = f"{scheme}://{kind}.edgecap.test"
        if kind == "api":
            account = Account(account_id=ACCOUNT, api_token=TOKEN, base_url=f"{url}/client/v4")
            async with Client(account, attempts=1) as client:
                await client.list_captures()
            return
        if kind == "s3":
            place = object_store.place(BUCKET, "x").model_copy(update={"endpoint_url": url})
        else:
            place = StoreLocation(uri=f"gs://{BUCKET}/x", endpoint_url=url, credentials_file=key_file)
        store = open_store(place)
        store.check(write=True)
        store.delete("packets")
        store.put("packets", PACKETS)
        for _ in range(2):  # the second one may take a shorter way
            with store.open("packets") as body:
                assert b"".join(body) == PACKETS

    return ask


@pytest.mark.parametrize(
    "variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"]
)
@pytest.mark.parametrize("kind", KINDS)
async def test_each_client_takes_the_proxy_and_the_ca_from_the_same_variables(
    kind, variable, proxies, use, monkeypatch
):
    proxy = proxies("http")
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv(variable, str(proxy.ca))
    before = len(proxy.requests)
    await use(kind)
    seen = {line.split()[2] for line in proxy.requests[before:]}
    assert seen == {f"{kind}.edgecap.test", *(["sign-in.edgecap.test"] if kind == "gcs" else [])}


def test_the_systems_trust_store_counts_for_each_client(proxies, tmp_path):
    """As on a machine whose administrator has added the company's CA: here, for one process."""
    proxy = proxies("http")
    store = trust_store()
    both = tmp_path / "both.pem"
    both.write_text(store.read_text() + proxy.ca.read_text())
    mine = {name: value for name, value in os.environ.items() if name not in (*REPLACING, *ADDITIONAL)}
    env = {**mine, "HTTPS_PROXY": proxy.url, "PYTHONPATH": str(Path(__file__).parents[3])}
    ask = [sys.executable, "-c", ASK]
    without = subprocess.run(ask, env=env, capture_output=True, text=True, check=False)
    assert "CERTIFICATE_VERIFY_FAILED" in without.stderr
    done = run_with_file_over(both, store, ask, env)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 3


def trust_store():
    """The file from which OpenSSL takes the system's certificates."""
    file = ssl.get_default_verify_paths().openssl_cafile
    if not Path(file).is_file():
        pytest.skip(f"this system keeps no file of certificates at {file}")
    return Path(file).resolve()


@pytest.mark.parametrize("kind", KINDS)
async def test_each_client_takes_a_socks_proxy_which_looks_up_the_names(kind, proxies, use, monkeypatch):
    proxies("http")
    proxy = proxies("socks5")
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.ca))
    await use(kind)
    assert f"{kind}.edgecap.test" in proxy.hosts()


@pytest.mark.parametrize("kind", KINDS)
async def test_each_client_signs_in_to_the_proxy(kind, proxies, use, monkeypatch):
    proxies("http")
    proxy = proxies("login")
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", "://joe:p%40ss%2Fword@"))
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.ca))
    await use(kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_in_no_proxy_is_reached_straight(kind, servers, proxies, use, monkeypatch):
    """Nobody but the proxy knows the made-up hosts, so a direct connection finds no server."""
    proxy = proxies("http")
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.ca))
    monkeypatch.setenv("NO_PROXY", "[::1],10.0.0.0/8,edgecap.test")
    before = len(proxy.requests)
    with pytest.raises((NetworkFailure, StoreUnreachable), match=r"known|resolution|does not answer"):
        await use(kind)
    assert proxy.requests[before:] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_proxy_s_error_is_one_line(trouble, kind, proxies, use, monkeypatch):
    what, hint = TROUBLES[trouble]
    ca = proxies("http").ca
    if trouble != "ca":
        monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    url = {
        "away": f"http://{LOOPBACK}:{free_port()}",
        "socks": f"socks5://{LOOPBACK}:{free_port()}",
        "ca": proxies("http").url,
    }.get(trouble) or proxies("login").url
    if trouble == "password":
        url = url.replace("://", "://joe:opensesame@")
    monkeypatch.setenv("ALL_PROXY" if trouble == "socks" else "HTTPS_PROXY", url)
    with pytest.raises((NetworkFailure, StoreUnreachable), match=what) as raised:
        await use(kind)
    assert hint in str(raised.value)
    assert "opensesame" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.permanent is (trouble in ("login", "password", "ca"))
    assert redact(str(raised.value)) == str(raised.value)  # as the line is shown


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("login", ["", "joe:opensesame@"])
async def test_a_missing_proxy_password_is_reported_for_plain_http_too(
    kind, login, proxies, use, monkeypatch
):
    monkeypatch.setenv("HTTPS_PROXY", proxies("http").url)
    monkeypatch.setenv("SSL_CERT_FILE", str(proxies("http").ca))
    monkeypatch.setenv("HTTP_PROXY", proxies("login").url.replace("://", f"://{login}"))
    said = "does not accept the" if login else "wants a"
    with pytest.raises((NetworkFailure, StoreUnreachable)) as raised:
        await use(kind, "http")
    assert re.match(
        rf"the proxy http{AT} \(HTTP_PROXY\) {said} user and password: HTTP 407", str(raised.value)
    )
    assert "into HTTP_PROXY, before the host" in str(raised.value)
    assert raised.value.permanent


def test_a_missing_proxy_password_is_reported_on_the_way_to_prefect(proxies, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxies("login").url)
    with (
        PrefectApi("http://api.edgecap.test/api", retry=False) as prefect,
        pytest.raises(SetupError, match=r"the proxy .* \(HTTP_PROXY\) wants a user and password"),
    ):
        prefect.check()


async def test_a_password_that_a_proxy_wants_is_not_waited_for(proxies, monkeypatch, use):
    async def wait(_seconds):
        pytest.fail("it waits")

    monkeypatch.setenv("HTTPS_PROXY", proxies("login").url)
    account = Account(account_id=ACCOUNT, api_token=TOKEN, base_url="https://api.edgecap.test/client/v4")
    async with Client(account, sleep=wait) as client:
        with pytest.raises(NetworkFailure):
            await client.list_captures()
    with pytest.raises(StoreUnreachable) as raised:
        await use("gcs")
    assert any(isinstance(each, PermanentFailure) for each in chain(raised.value))


async def test_a_request_that_a_proxy_kept_was_not_sent(proxies, monkeypatch):
    """So it may be sent again: no capture can have begun."""
    monkeypatch.setenv("HTTPS_PROXY", proxies("login").url)
    account = Account(account_id=ACCOUNT, api_token=TOKEN, base_url="https://api.edgecap.test/client/v4")
    async with Client(account) as client:
        with pytest.raises(NetworkFailure) as raised:
            await client.create_capture({"type": "simple"})
    assert not raised.value.sent


def test_aws_role_credentials_are_requested_through_the_same_proxy(
    object_store, proxies, monkeypatch, tmp_path
):
    proxy = proxies("http")
    config = tmp_path / "config"
    config.write_text(
        "[profile edgecap]\nrole_arn = arn:aws:iam::000000000000:role/edgecap\nsource_profile = base\n"
        f"region = us-east-1\n[profile base]\naws_access_key_id = {object_store.access_key_id}\n"
        f"aws_secret_access_key = {object_store.secret_access_key}\n"
    )
    for name, value in {
        "AWS_CONFIG_FILE": str(config),
        "AWS_PROFILE": "edgecap",
        "AWS_ENDPOINT_URL_STS": "https://sts.edgecap.test",
        "HTTPS_PROXY": proxy.url,
        "SSL_CERT_FILE": str(proxy.ca),
    }.items():
        monkeypatch.setenv(name, value)
    before = len(proxy.requests)
    place = StoreLocation(uri=f"s3://{BUCKET}/x", endpoint_url="https://s3.edgecap.test")
    with pytest.raises(EdgecapError):  # MiniStack knows no such role; here it counts that it was asked
        open_store(place).check()
    assert "https POST sts.edgecap.test /" in proxy.requests[before:]


class MetadataHandler(JsonHandler):
    """The metadata service of an instance of EC2 that has a role."""

    def do_PUT(self):
        self.say(b"a-token")

    def do_GET(self):
        made = "2026-01-01T00:00:00Z"
        keys = {
            "AccessKeyId": "AKIAROLE",
            "SecretAccessKey": "s",
            "Token": "t",
            "Expiration": "2100-01-01T00:00:00Z",
        }
        given = {"Code": "Success", "LastUpdated": made, "Type": "AWS-HMAC", **keys}
        self.say(b"role" if self.path.endswith("security-credentials/") else given)


def test_an_instances_metadata_service_is_asked_straight(proxies, monkeypatch, tmp_path):
    proxy = proxies("http")
    with ThreadingHTTPServer((LOOPBACK, 0), MetadataHandler) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        for name, value in {
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://localhost:{service.server_address[1]}/",
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "HTTP_PROXY": proxy.url,
        }.items():
            monkeypatch.setenv(name, value)
        before = len(proxy.requests)
        credentials = Session().get_credentials()
        service.shutdown()
    assert credentials.access_key == "AKIAROLE"
    # The proxy is shared, and may only now note what an earlier test has asked.
    assert not [line for line in proxy.requests[before:] if "localhost" in line]


def test_a_prefect_server_elsewhere_is_reached_through_the_proxy(proxies, monkeypatch):
    proxy = proxies("http")
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.ca))
    before = len(proxy.requests)
    with PrefectApi("https://api.edgecap.test/api", retry=False) as prefect, pytest.raises(SetupError):
        prefect.check()  # the server is not Prefect
    assert proxy.requests[before:] == ["https GET api.edgecap.test /api/admin/version"]
    monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{free_port()}")
    with (
        PrefectApi("https://api.edgecap.test/api", retry=False) as prefect,
        pytest.raises(SetupError, match=r"the proxy .* \(HTTPS_PROXY\) cannot be used"),
    ):
        prefect.check()


def test_the_authorities_of_prefects_own_client_count_for_ours(proxies, monkeypatch):
    proxy = proxies("http")
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("PREFECT_API_SSL_CERT_FILE", str(proxy.ca))
    before = len(proxy.requests)
    with PrefectApi("https://api.edgecap.test/api", retry=False) as prefect, pytest.raises(SetupError):
        prefect.check()  # the server is not Prefect
    assert len(proxy.requests) == before + 1


class StatesHandler(JsonHandler):
    """Prefect's answer about a run that somebody cancels."""

    def do_GET(self):
        self.say([{"type": "CANCELLING", "name": "Cancelling", "timestamp": "2026-01-01T00:00:00Z"}])


async def test_a_cancel_at_a_local_server_is_seen_despite_the_proxy(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://{LOOPBACK}:{free_port()}")
    with ThreadingHTTPServer((LOOPBACK, 0), StatesHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        async with RunHistory("a-run", f"http://{LOOPBACK}:{server.server_address[1]}/api") as history:
            assert is_to_end(await history.states())
        server.shutdown()
