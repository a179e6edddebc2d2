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
