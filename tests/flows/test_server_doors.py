"""The Prefect server of `edgecap up` obeys those who have its secret; a run does not choose a program."""

import json
import socket
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from deployments.local.setup import POOL
from deployments.local.work_pool import TEMPLATE
from edgecap.errors import SetupError
from tasks.runtime.rest import PrefectApi, status
from tests.browser import chromium, visit
from tests.deployments.conftest import until

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]


def test_only_its_health_is_told_without_the_secret(prefect_server):
    with httpx.Client(base_url=prefect_server.api_url) as anyone:
        assert anyone.get("/health").status_code == 200
        for path in ("/admin/version", "/admin/settings", "/flow_runs/filter", "/work_pools/filter"):
            method = "GET" if path.startswith("/admin") else "POST"
            assert anyone.request(method, path, json={}).status_code == 401
            wrong = anyone.request(method, path, json={}, auth=("edgecap", "wrong"))
            assert wrong.status_code == 401


def test_it_answers_under_no_other_name(prefect_server):
    for path in ("/api/health", "/ui-settings", "/"):
        answer = httpx.get(f"{prefect_server.ui_url}{path}", headers={"Host": "rebound.example.net"})
        assert (answer.status_code, answer.text) == (400, "Invalid host header")


STREAMS = (
    "/events/in",
    "/events/out",
    "/logs/out",
    "/task_runs/subscriptions/scheduled",
    "/work_pools/x/workers/connect",
)


@pytest.mark.parametrize("path", STREAMS)
def test_its_streams_take_the_secret_too(prefect_server, path):
    """Websockets, which its check of requests does not see, nor does a browser's rule on origins."""
    address = f"{prefect_server.api_url.replace('http', 'ws', 1)}{path}"
    with pytest.raises(InvalidStatus, match="403"), connect(address):
        pass
    for token in (None, "", "wrong", prefect_server.sign_in.auth_string):
        with connect(address, subprotocols=["prefect"]) as line:
            line.send(json.dumps({"type": "auth", "token": token}))
            if token == prefect_server.sign_in.auth_string:
                assert json.loads(line.recv(timeout=240)) == {"type": "auth_success"}
            else:
                with pytest.raises(ConnectionClosed):
                    line.recv(timeout=240)


@pytest.mark.parametrize("path", STREAMS)
def test_its_streams_answer_under_no_other_name(prefect_server, path):
    head = [
        f"GET /api{path} HTTP/1.1", "Host: rebound.example.net", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol: prefect", "", "",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", prefect_server.port), timeout=240) as line:
        line.sendall("\r\n".join(head).encode())
        assert line.recv(100).startswith(b"HTTP/1.1 400 ")


def test_no_other_page_may_ask_beforehand_whether_it_may_call(prefect_server):
    """The preflight of a browser, which comes without the secret."""
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for origin in ("http://evil.example.net", "null", "https://127.0.0.1", "http://127.0.0.1.example.net"):
        answer = httpx.options(f"{prefect_server.api_url}/flow_runs/", headers={**wanted, "Origin": origin})
        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers


def test_no_other_page_may_call_it(prefect_server):
    def allowed(origin):
        answer = httpx.get(
            f"{prefect_server.api_url}/admin/version",
            headers={"Origin": origin, **prefect_server.prefect.headers()},
        )
        return answer.headers.get("access-control-allow-origin")

    assert allowed("http://evil.example.net") is None
    assert allowed("null") is None
    assert allowed(prefect_server.ui_url) == prefect_server.ui_url


@pytest.mark.parametrize("path", ["/v2/dashboard", "/dashboard"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_person_signs_in_to_its_pages_with_the_secret(prefect_server, host, path):
    """Under both names, which takes an API that the pages call under the name that they have."""
    with chromium() as browser, visit(browser, f"http://{host}:{prefect_server.port}{path}") as seen:
        seen.page.locator("input").first.fill(prefect_server.sign_in.auth_string)
        seen.page.get_by_role("button", name="Login").click()
        seen.page.get_by_text("Work Pools").first.wait_for(timeout=60_000)
        asked = {url.split("/api/")[0] for url in seen.requests if "/api/" in url}
    assert asked == {f"http://{host}:{prefect_server.port}"}


@pytest.mark.parametrize(
    "asked",
    [
        {"command": "touch /tmp/owned"},
        {"command": None},
        {"env": {"LD_PRELOAD": "/tmp/owned.so"}},
        {"env.PATH": "/tmp"},
        {"working_dir": "/tmp"},
    ],
)
def test_a_run_may_not_choose_what_its_worker_starts(deployed, asked):
    with PrefectApi(deployed.prefect) as prefect:
        deployment = prefect.deployment("capture/capture-by-program")["id"]
        before = prefect.find_runs({"deployment_id": {"any_": [deployment]}})
        body = {"parameters": {"request": {"type": "simple"}}, "job_variables": asked}
        with pytest.raises(SetupError) as refused:
            prefect.call("POST", f"/deployments/{deployment}/create_flow_run", json=body)
        assert status(refused.value) == httpx.codes.UNPROCESSABLE_ENTITY
        assert prefect.find_runs({"deployment_id": {"any_": [deployment]}}) == before


def test_a_pool_of_an_earlier_release_gets_the_template(deployed):
    """Of a setup of ours always, of a user's own server only if the user wants it."""
    opened = {"job_configuration": {"command": "{{ command }}"}, "variables": {"properties": {"command": {}}}}
    with PrefectApi(deployed.prefect) as prefect:
        prefect.call("PATCH", f"/work_pools/{POOL}", json={"base_job_template": opened})
        assert prefect.make_pool(POOL, {}, TEMPLATE) == opened
        assert prefect.make_pool(POOL, {}, TEMPLATE, replace=True) == TEMPLATE
        assert prefect.call("GET", f"/work_pools/{POOL}")["base_job_template"] == TEMPLATE


def test_an_automation_still_starts_runs(deployed):
    """The server's own services call its API, in memory and under a name of Prefect's."""
    with PrefectApi(deployed.prefect) as prefect:
        reconcile = prefect.deployment("reconcile/reconcile-every-10-min")["id"]
        wanted = {"deployment_id": {"any_": [reconcile]}}
        before = len(prefect.find_runs(wanted))
        resource = {"prefect.resource.id": "prefect.worker.process.test", "prefect.resource.name": "test"}
        moment = datetime.now(UTC).isoformat()
        event = {"event": "prefect.worker.started", "resource": resource, "occurred": moment}
        prefect.emit({**event, "id": str(uuid4()), "related": [], "payload": {}})
        until(lambda: len(prefect.find_runs(wanted)) > before, timeout=60)
