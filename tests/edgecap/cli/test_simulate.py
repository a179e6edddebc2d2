"""`edgecap simulate`: its lines can be evaluated by a shell, and it ends when told to."""

import shlex
import signal

import httpx
import pytest

from edgecap.simulator.options import SimulatorOptions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_its_lines_point_a_client_at_it(shell, number):
    with shell.start("simulate", "--seed", "7", "--set", "list_lag=0", CLOUDFLARE_API_TOKEN="a b") as running:
        try:
            words = [shlex.split(running.stdout.readline()) for _ in range(3)]
            assert all(first == "export" for first, _ in words)
            variables = dict(assignment.split("=", 1) for _, assignment in words)
            assert set(variables) == {
                "CLOUDFLARE_BASE_URL",
                "CLOUDFLARE_ACCOUNT_ID",
                "CLOUDFLARE_API_TOKEN",
            }
            assert variables["CLOUDFLARE_API_TOKEN"] == "a b"
            account = variables["CLOUDFLARE_ACCOUNT_ID"]
            url = f"{variables['CLOUDFLARE_BASE_URL']}/accounts/{account}/pcaps"
            assert httpx.get(url).status_code >= 400
            answer = httpx.get(url, headers={"Authorization": "Bearer a b"})
            assert answer.json()["success"] is True
        finally:
            running.send_signal(number)
            out, err = running.communicate(timeout=240)
    assert running.returncode == 0
    assert out == ""
    assert "Ctrl-C stops it" in err


def test_it_brings_a_bucket_whose_settings_it_prints(shell):
    """It is registered as one at Cloudflare is: the edge and we reach it with the printed settings."""
    with shell.start("simulate", "--with-bucket", "--speed", "60") as running:
        try:
            words = [shlex.split(running.stdout.readline()) for _ in range(7)]
            variables = dict(assignment.split("=", 1) for _, assignment in words)
            shell.env.update(variables)
            done = shell.run("bucket", "register")
            assert done.returncode == 0, done.stderr
            assert done.stdout == "Bucket default is registered: s3://practice/edge?region=us-east-1\n"
            assert "this may take ten minutes" in done.stderr
            again = shell.run("bucket", "register")
            assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, "")
        finally:
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=240)
    assert running.returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(variables["EDGECAP_BUCKETS__DEFAULT__ENDPOINT_URL"])


def test_a_bucket_beside_another_s3_server_is_refused(call):
    done = call("simulate", "--with-bucket", "--s3-endpoint", "http://127.0.0.1:1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--s3-endpoint names another (--with-bucket)" in done.stderr


def test_a_missing_extra_is_named(call, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    done = call("simulate", "--with-bucket")
    assert (done.returncode, done.stderr.count("\n")) == (15, 1)
    assert "install edgecap with the extra `demo`" in done.stderr


def test_a_bucket_that_cannot_be_registered_is_refused_before_it_begins(call):
    env = {"CLOUDFLARE_ACCOUNT_ID": "a" * 32, "CLOUDFLARE_API_TOKEN": "token"}
    done = call("bucket", "register", EDGECAP_BUCKETS__DEFAULT__URI="file:/tmp", **env)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1, done.stderr


def test_every_option_of_the_simulator_is_a_flag_with_its_help(call):
    said = " ".join(call("simulate", "--help").stdout.replace("│", " ").split())
    for name, field in SimulatorOptions.model_fields.items():
        assert f"--{name.replace('_', '-')} " in said
        assert " ".join(field.description.split())[:40] in said


def test_a_port_that_is_taken(call, shell, edge):
    done = call("simulate", "--port", shell.base_url.split(":")[2].split("/")[0])
    assert done.returncode == 15
    assert "cannot listen" in done.stderr
    assert len(done.stderr.splitlines()) == 1
