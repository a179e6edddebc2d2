"""Credentials that are given for a short time: a renewal that fails once is trouble that passes."""

import json
import sys
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deployments.local.processes import free_port
from edgecap.errors import StoreDenied, StoreUnreachable
from edgecap.stores import open_store
from tests.edgecap.stores.one_object import fetch_one
from tests.stand_ins import JsonHandler, one_answer, serving

FROM_CHAIN = {"access_key_id": None, "secret_access_key": None}


@pytest.fixture
def short_lived(place_of):
    """Makes credentials of MiniStack's STS, as AWS's endpoints give them; they are to be renewed at once."""
    place = place_of("s3")
    sts = boto3.client(
        "sts",
        endpoint_url=place.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=place.access_key_id.get_secret_value(),
        aws_secret_access_key=place.secret_access_key.get_secret_value(),
    )

    def make(lasts=timedelta(minutes=5)):
        given = sts.get_session_token(DurationSeconds=900)["Credentials"]
        return {
            "AccessKeyId": given["AccessKeyId"],
            "SecretAccessKey": given["SecretAccessKey"],
            "Token": given["SessionToken"],
            "Expiration": (datetime.now(UTC) + lasts).isoformat(),
        }

    return make


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """No credentials of the machine that runs the tests."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return monkeypatch


class Endpoint(JsonHandler):
    """Gives a container its credentials; `trouble` has statuses of the next answers, `odd` replaces one."""

    def do_GET(self):
        server = self.server
        server.asked += 1
        if server.trouble:
            self.say({"message": "busy"}, server.trouble.pop(0))
        else:
            self.say(server.odd if server.odd is not None else server.give())


@pytest.fixture
def endpoint(short_lived, alone):
    """A real server at AWS_CONTAINER_CREDENTIALS_FULL_URI."""
    with serving(Endpoint, asked=0, trouble=[], odd=None, give=short_lived) as server:
        alone.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/credentials")
        yield server


@pytest.fixture
def store(place_of):
    """A store whose credentials are those of the chain."""
    return open_store(place_of("s3").model_copy(update=FROM_CHAIN))


def test_a_renewal_that_fails_once_is_trouble_that_passes(endpoint, store):
    """botocore asks three times within seconds; what fails as often is StoreUnreachable, and passes."""
    store.put("x", b"1")
    before = endpoint.asked
    assert before >= 2, "they are renewed"
    endpoint.trouble = [503] * 3
    with pytest.raises(StoreUnreachable, match=r"the credentials cannot be fetched: .*503.*; try again"):
        store.stat("x")
    assert endpoint.asked == before + 3
    assert store.stat("x").size == 1
    endpoint.trouble = [429] * 3
    with pytest.raises(StoreUnreachable, match="cannot be fetched"):
        list(store.list())
    assert [info.key for info in store.list()] == ["x"]


def test_a_fetch_whose_credentials_were_not_renewed_passes(endpoint, store, tmp_path):
    """botocore asks for them three times; the next try of the task gets them."""
    info = store.put("x", b"packets")
    endpoint.trouble = [503] * 3
    with pytest.raises(StoreUnreachable, match="the credentials cannot be fetched"):
        fetch_one(store, info, tmp_path / "x")
    fetched = fetch_one(store, info, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"packets"
    assert fetched.verified_by == "md5"


@pytest.mark.parametrize(
    "odd", [{"Code": "AssumeRoleUnauthorizedAccess"}, [], "text", {"Expiration": "never"}]
)
def test_an_odd_answer_of_the_credential_endpoint_is_transient_too(odd, endpoint, store):
    """A KeyError or a TypeError of botocore's is no fault of edgecap's own."""
    store.put("x", b"1")
    endpoint.odd = odd
    with pytest.raises(StoreUnreachable, match="the credentials cannot be fetched"):
        store.stat("x")
    endpoint.odd = None
    assert store.stat("x").size == 1


def test_renewed_credentials_that_have_ended_already_pass_too(endpoint, store, short_lived):
    store.put("x", b"1")
    endpoint.odd = short_lived(timedelta(hours=-1))
    with pytest.raises(StoreUnreachable, match="refreshed credentials are still expired"):
        store.stat("x")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_renewal_that_is_refused_is_denied(status, endpoint, store):
    store.put("x", b"1")
    endpoint.trouble = [status] * 3
    with pytest.raises(StoreDenied, match=f"no usable credentials: .*{status}"):
        store.stat("x")


def test_an_endpoint_that_does_not_answer_at_first_passes(alone, store, endpoint):
    """A worker that starts before the endpoint does: nothing tells that its credentials are wrong."""
    alone.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{free_port()}/credentials")
    with pytest.raises(StoreUnreachable, match="the credentials cannot be fetched"):
        store.check()
    alone.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.url)
    endpoint.trouble = [500] * 3
    with pytest.raises(StoreUnreachable, match="the credentials cannot be fetched"):
        store.check()
    store.check()


def test_credentials_that_never_worked_are_denied(alone, store, endpoint, tmp_path):
    """An odd answer, a program that is not there or fails, a profile that is not there, nothing at all."""
    endpoint.odd = {"message": "no role"}
    with pytest.raises(StoreDenied, match=r"no usable credentials: .*has no 'AccessKeyId'"):
        store.check()
    alone.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    for program, said in (("/no/such/program", "No such file"), (f"{sys.executable} -c 1/0", "ZeroDivision")):
        (tmp_path / "config").write_text(f"[default]\ncredential_process = {program}\n")
        with pytest.raises(StoreDenied, match=f"no usable credentials: .*{said}"):
            store.check()
    alone.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(StoreDenied, match=r"no usable credentials: .*no-such-profile"):
        store.check()
    alone.delenv("AWS_PROFILE")
    (tmp_path / "config").unlink()
    with pytest.raises(StoreDenied, match="no usable credentials: Unable to locate"):
        store.check()


def test_a_program_that_fails_once_passes(alone, store, short_lived, tmp_path):
    """`credential_process`: it was good before, so that nothing tells that it will not be again."""
    given, broken = tmp_path / "given.json", tmp_path / "broken"
    program = (
        f"import pathlib, sys; sys.exit('the vault is sealed') if pathlib.Path({str(broken)!r}).exists()"
        f" else print(pathlib.Path({str(given)!r}).read_text())"
    )
    script = tmp_path / "program.py"
    script.write_text(program)

    def give():
        found = short_lived()
        found["SessionToken"] = found.pop("Token")
        given.write_text(json.dumps({"Version": 1, **found}))

    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")
    give()
    store.put("x", b"1")
    broken.touch()
    with pytest.raises(StoreUnreachable, match=r"the credentials cannot be fetched: .*the vault is sealed"):
        store.stat("x")
    broken.unlink()
    assert store.stat("x").size == 1
    given.write_text("no JSON")
    with pytest.raises(StoreUnreachable, match="the credentials cannot be fetched"):
        store.stat("x")
    give()
    assert store.stat("x").size == 1


@pytest.fixture
def google_key(tmp_path):
    """Makes a service account's key file whose tokens a server at `url` gives."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def make(url):
        path = tmp_path / "key.json"
        text = {
            "type": "service_account",
            "client_email": "e@example.net",
            "private_key": pem,
            "token_uri": url,
        }
        path.write_text(json.dumps(text))
        return path

    return make


def test_google_tokens_that_are_not_given_just_now_pass(place_of, google_key):
    """And those that are refused do not."""
    place = place_of("gcs")
    with one_answer(503, b'{"error": "internal_failure"}', **{"content-type": "application/json"}) as server:
        store = open_store(place.model_copy(update={"credentials_file": google_key(server.url)}))
        with pytest.raises(StoreUnreachable, match=r"the credentials cannot be fetched: .*internal_failure"):
            store.check()
        server.status, server.body = 400, b'{"error": "invalid_grant"}'
        with pytest.raises(StoreDenied, match=r"no usable credentials: .*invalid_grant"):
            store.check()
        token = {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}
        server.status, server.body = 200, json.dumps(token).encode()
        store.check()


def test_each_read_has_the_credentials_of_its_moment(endpoint, store):
    """The first GET goes through boto3's client, the next ones do not; all renew what is about to end."""
    store.put("x", b"packets")
    for _ in range(3):
        before = endpoint.asked
        with store.open("x") as reader:
            assert b"".join(reader) == b"packets"
        assert endpoint.asked > before
