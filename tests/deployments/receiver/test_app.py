"""What the receiver answers, and when: a real server at a real port, and a real inbox."""

import asyncio
import hashlib
import hmac
import io
import json
import logging
import socket
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from deployments.receiver.app import PING, Health, Receiver
from deployments.receiver.bodies import MOST_BODY, MOST_SURPLUS
from deployments.receiver.http_server import listen
from deployments.receiver.inbox_writer import GroupCommit
from deployments.receiver.log import MOST, log_quietly
from deployments.receiver.metrics import Metrics
from edgecap.errors import StoreFull
from tests.deployments.conftest import SECRET, attack, http, served, until

DATA = Path(__file__).parents[2] / "data" / "alerts"
KNOWN = {"cf-webhook-auth": SECRET}


def well():
    return Health("", 0, 0, "answers")


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def make(enabled, metrics):
    """Makes receivers."""

    def receiver(keep, **options):
        return Receiver(enabled, keep, **{"health": well, "metrics": metrics, **options}).application()

    return receiver


@pytest.fixture
def address(make, inbox, missed):
    """A receiver that writes into the inbox."""
    with (
        GroupCommit(inbox.keep, lambda _: None) as writer,
        served(make(writer.keep, missed=missed)) as address,
    ):
        yield address


@pytest.fixture
def log():
    """What the process logs, as the command has it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    log_quietly(stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def test_an_alert_is_answered_202_once_it_is_in_the_inbox(address, inbox):
    answer = http.post(f"{address}/alerts/cloudflare", json=attack(1), headers=KNOWN)
    assert answer.status_code == 202
    (kept,) = inbox.pending()
    assert answer.json() == {"id": kept.id}
    assert (kept.source, json.loads(kept.body)["alert_correlation_id"]) == ("cloudflare", "attack-1")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_answers_do_not_wait_for_the_acknowledgement_of_their_first_piece(host):
    """asyncio switches Nagle's delay off for connections of a listener that names TCP, and for no other."""
    listener = listen(host, 0)
    seen = asyncio.get_running_loop().create_future()

    async def connected(_, writer):
        accepted = writer.get_extra_info("socket")
        seen.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(connected, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        assert await seen
        writer.close()


def test_a_signed_alert_is_taken_and_one_with_another_body_is_not(address, inbox):
    body = (DATA / "pagerduty/incident-triggered.json").read_bytes()
    signed = {"X-PagerDuty-Signature": f"v1={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}"}
    assert http.post(f"{address}/alerts/pagerduty", content=body + b" ", headers=signed).status_code == 401
    assert http.post(f"{address}/alerts/pagerduty", content=body, headers=signed).status_code == 202
    assert [kept.body for kept in inbox.pending()] == [body]


def test_a_source_that_is_open_takes_anybodys(address, inbox):
    assert http.post(f"{address}/alerts/generic", json={"id": "1"}).status_code == 202
    assert inbox.counts().pending == 1


@pytest.mark.parametrize("headers", [{}, {"cf-webhook-auth": ""}, {"cf-webhook-auth": SECRET + "x"}])
def test_a_request_without_the_secret_gets_only_401(address, inbox, headers):
    answer = http.post(f"{address}/alerts/cloudflare", json=attack(1), headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})
    assert inbox.counts().pending == 0


def test_requests_without_the_secret_fill_neither_log_nor_disk(address, inbox, log, tmp_path):
    def size():
        return sum(path.stat().st_size for path in (tmp_path / "alerts").iterdir())

    before = size()
    for number in range(100):
        headers = {"cf-webhook-auth": f"guess-{number}"}
        http.post(f"{address}/alerts/cloudflare", json=attack(number), headers=headers)
        http.post(f"{address}/alerts/cloudflare", content=b"guess-" * 900, headers=headers)
    page = http.get(f"{address}/metrics").text
    lines = log.getvalue().splitlines()
    assert len(lines) == MOST
    told = "refused as unauthorized: the secret in cf-webhook-auth is not that of the settings (sent from 1"
    assert all(told in line for line in lines)
    assert 'edgecap_alert_requests_total{source="cloudflare",status="401"} 200.0' in page
    assert "guess" not in log.getvalue() + page
    assert size() == before


def test_garbage_for_http_does_not_fill_the_log(address, log):
    port = int(address.rpartition(":")[2])
    for _ in range(MOST + 10):
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(b"guess-what \x00\xff\r\n\r\n")
            assert b" 400 " in line.recv(1000)
    assert len(log.getvalue().splitlines()) == MOST
    assert "guess" not in log.getvalue()


def test_no_secret_and_no_body_is_in_the_log_or_the_metrics(address, log, metrics):
    bodies = [json.dumps(attack(1)), '{"api_token": "hush-hush", ', '["hush-hush"]']
    answers = [http.post(f"{address}/alerts/cloudflare", content=body, headers=KNOWN) for body in bodies]
    assert [answer.status_code for answer in answers] == [202, 400, 202]
    said = log.getvalue() + metrics.page().decode() + "".join(answer.text for answer in answers)
    assert SECRET not in said
    assert "hush" not in said


def test_a_body_that_is_not_json_is_refused_with_the_position(address, inbox):
    answer = http.post(f"{address}/alerts/cloudflare", content=b'{"a": 1,\n "b": }', headers=KNOWN)
    assert answer.status_code == 400
    assert "line 2 column 7" in answer.json()["error"]
    assert inbox.counts().pending == 0


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b"\xff\xfe", b"", b"NaN", b'{"n": ' + b"9" * 100_000 + b"}"]
)
def test_hostile_json_is_refused_as_such(address, inbox, body):
    assert http.post(f"{address}/alerts/cloudflare", content=body, headers=KNOWN).status_code == 400
    assert inbox.counts().pending == 0


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("POST", "/alerts/datadog", 404, "source datadog is not configured"),
        ("POST", "/alerts/nagios", 404, "there is no such source"),
        ("POST", "/alerts/cloudflare/", 404, "not found"),
        ("POST", "/alerts", 404, "not found"),
        ("GET", "/alerts/cloudflare", 405, "method not allowed"),
        ("GET", "/", 404, "not found"),
    ],
)
def test_other_ways_lead_nowhere(address, method, path, status, error):
    answer = http.request(method, address + path, headers=KNOWN)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def test_a_body_over_the_limit_is_refused_and_logged(address, inbox, caplog):
    filled = json.dumps({"text": "", "data": {}})
    most = filled.replace('""', f'"{"x" * (MOST_BODY - len(filled))}"').encode()
    assert http.post(f"{address}/alerts/cloudflare", content=most, headers=KNOWN).status_code == 202
    answer = http.post(f"{address}/alerts/cloudflare", content=most + b" ", headers=KNOWN)
    assert (answer.status_code, answer.json()["error"]) == (413, "the body is larger than 4 MiB")
    answer = http.post(f"{address}/alerts/cloudflare", content=iter([most, b" "]), headers=KNOWN)
    assert answer.status_code == 413
    assert inbox.counts().pending == 1
    told = "an alert from cloudflare was refused: the body is larger than 4 MiB (sent from 127.0.0.1)"
    assert caplog.messages.count(told) == 2


def test_a_body_without_end_is_not_read_to_its_end(address):
    """The sender is stopped soon after the limit, whatever it still wants to send."""
    sent = 0
    port = int(address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        head = f"POST /alerts/cloudflare HTTP/1.1\r\nhost: x\r\ncf-webhook-auth: {SECRET}\r\n"
        line.sendall(head.encode() + b"transfer-encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while sent < 200 * MOST_BODY:
                line.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                sent += 0x10000
    assert sent < MOST_BODY + MOST_SURPLUS + (16 << 20)  # what the kernel holds for both ends


def test_a_length_that_is_too_large_is_refused_before_the_body(address):
    port = int(address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        head = f"POST /alerts/cloudflare HTTP/1.1\r\nhost: x\r\ncf-webhook-auth: {SECRET}\r\n"
        line.sendall(head.encode() + b"content-length: 9000000\r\nexpect: 100-continue\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_arrive_is_not_waited_for(make):
    async def keep(*_):
        raise AssertionError("nothing is to be kept")

    with served(make(keep, body_time=0.2)) as address:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            line.sendall(b"POST /alerts/generic HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\n{")
            assert line.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_head_that_does_not_arrive_is_not_waited_for(make):
    async def keep(*_):
        return 1

    with served(make(keep), head_time=0.3) as address:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            line.sendall(b"POST /alerts/generic HTTP/1.1\r\nhost: ")
            assert line.recv(100) == b""
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            line.sendall(b'POST /alerts/generic HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{"id":"1"}')
            with line.makefile("rb") as answer:
                assert answer.readline() == b"HTTP/1.1 202 Accepted\r\n"
                line.sendall(b"POST /al")  # half a second one, on the same connection
                assert answer.read().endswith(b'{"id":1}')  # and then its end


@pytest.mark.parametrize(
    ("source", "name"),
    [("cloudflare", "save-and-test"), ("grafana", "test-button"), ("pagerduty", "ping")],
)
def test_trying_a_webhook_is_answered_200_and_nothing_comes_of_it(address, inbox, source, name):
    body = (DATA / source / f"{name}.json").read_bytes()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {**KNOWN, "authorization": f"Bearer {SECRET}", "x-pagerduty-signature": f"v1={signature}"}
    assert http.post(f"{address}/alerts/{source}", content=body, headers=headers).status_code == 200
    assert http.post(f"{address}/alerts/{source}", content=body).status_code == 401
    assert inbox.counts().pending == 0


def test_a_large_body_is_never_a_ping(address, inbox):
    answer = http.post(f"{address}/alerts/cloudflare", json={"text": "x" * PING}, headers=KNOWN)
    assert answer.status_code == 202
    assert inbox.counts().pending == 1


def test_nothing_is_answered_before_it_is_on_disk(make):
    """While `keep` has not returned there is no answer; then there is."""
    asked, on_disk = threading.Event(), threading.Event()

    def keep(arrivals):
        asked.set()
        assert on_disk.wait(240)
        return range(7, 7 + len(arrivals))

    with GroupCommit(keep, lambda _: None) as writer, served(make(writer.keep)) as address:
        with pytest.raises(httpx.ReadTimeout):
            http.post(f"{address}/alerts/generic", json={"id": "1"}, timeout=0.5)
        assert asked.is_set()
        assert http.get(f"{address}/healthz").json() == {"alive": True}  # the loop is free meanwhile
        on_disk.set()
        assert http.post(f"{address}/alerts/generic", json={"id": "2"}).json() == {"id": 7}


@pytest.mark.parametrize("error", [StoreFull("no space is left"), RuntimeError("hush-hush"), KeyError("x")])
def test_an_alert_that_could_not_be_kept_is_never_answered_2xx(make, log, error):
    """And as soon as it can be kept again, it is."""
    broken = True

    def keep(arrivals):
        if broken:
            raise error
        return [1] * len(arrivals)

    with GroupCommit(keep, lambda _: None) as writer, served(make(writer.keep)) as address:
        answer = http.post(f"{address}/alerts/generic", json={"id": "1"})
        assert (answer.status_code, answer.json()) == (503, {"error": "it could not be kept"})
        assert answer.headers["retry-after"] == "5"
        broken = False
        assert http.post(f"{address}/alerts/generic", json={"id": "1"}).status_code == 202
    assert "could not be kept" in log.getvalue()
    assert "hush" not in log.getvalue()


def test_a_disk_that_is_nearly_full_takes_no_more(make, inbox):
    full = {"has_room": lambda: False}
    with GroupCommit(inbox.keep, lambda _: None) as writer, served(make(writer.keep, **full)) as address:
        assert http.post(f"{address}/alerts/generic", json={"id": "1"}).status_code == 503
    assert inbox.counts().pending == 0


def test_alerts_that_arrive_during_a_commit_share_the_next_one(make, inbox):
    """Forty at once make few commits, and each gets the id under which it is in the inbox."""
    sizes = []
    first = threading.Event()

    def keep(arrivals):
        if not sizes:
            assert first.wait(240)
        return inbox.keep(arrivals)

    arrived = []

    async def post_all(address):
        async with httpx.AsyncClient(verify=False, timeout=240) as client:
            posts = [client.post(f"{address}/alerts/generic", json={"id": str(n)}) for n in range(40)]
            answers = asyncio.gather(*posts)
            await asyncio.to_thread(until, lambda: len(arrived) == 40)
            first.set()
            return await answers

    with GroupCommit(keep, sizes.append) as writer:

        async def noted(*arrival):
            arrived.append(arrival)
            return await writer.keep(*arrival)

        with served(make(noted)) as address:
            answers = asyncio.run(post_all(address))
    assert [answer.status_code for answer in answers] == [202] * 40
    assert sum(sizes) == 40
    assert len(sizes) < 10
    kept = {each.id: json.loads(each.body)["id"] for each in inbox.pending()}
    assert kept == {answer.json()["id"]: str(n) for n, answer in enumerate(answers)}


def test_ready_says_how_it_is(make):
    health = Health("", 3, 4, "no answer")

    async def keep(*_):
        return 1

    with served(make(keep, health=lambda: health)) as address:
        answer = http.get(f"{address}/readyz")
        assert answer.status_code == 200  # Prefect may be away: alerts wait for it
        assert answer.json() == {"ready": True, "pending": 3, "orders": 4, "prefect": "no answer"}
        health = Health("the disk is full", 3, 4, "answers")
        answer = http.get(f"{address}/readyz")
        assert (answer.status_code, answer.json()["trouble"]) == (503, "the disk is full")


def test_a_client_that_disconnects_harms_no_other(address, inbox):
    port = int(address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(b"POST /alerts/generic HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
    assert http.post(f"{address}/alerts/generic", json={"id": "1"}).status_code == 202
    until(lambda: inbox.counts().pending == 1)


def test_what_is_refused_is_noted_with_sender_size_and_reason(address, inbox, missed):
    too_large = json.dumps({"pad": "x" * (MOST_BODY + 10)}).encode()
    http.post(f"{address}/alerts/cloudflare", content=too_large, headers=KNOWN)
    http.post(f"{address}/alerts/cloudflare", content=b"{", headers=KNOWN)
    http.post(f"{address}/alerts/cloudflare", json=attack(1), headers={"cf-webhook-auth": "guess"})
    http.post(f"{address}/alerts/datadog", json={}, headers=KNOWN)
    http.post(f"{address}/alerts/nobody", json={}, headers=KNOWN)
    assert http.post(f"{address}/alerts/cloudfare", json={}).json() == {"error": "there is no such source"}
    http.post(f"{address}/alerts/pagerduty", json={}, headers={"authorization": f"Bearer {SECRET}"})
    http.post(f"{address}/alerts/pagerduty", content=too_large, headers={"X-PagerDuty-Signature": "v1=00"})
    missed.flush()
    noted = {(each.source, each.reason[:3]): each for each in inbox.missed.newest(["refused"], 10)}
    assert set(noted) == {("cloudflare", "413"), ("cloudflare", "400"), ("pagerduty", "413")}
    large = noted["cloudflare", "413"]
    assert (large.sender, large.size, large.count) == ("127.0.0.1", len(too_large), 1)
    assert large.reason == "413: the body is larger than 4 MiB"
    assert "not JSON" in noted["cloudflare", "400"].reason
    others = {(each.source, each.reason) for each in inbox.missed.newest(["unauthorized"], 10)}
    assert others == {
        ("cloudflare", "401: the secret in cf-webhook-auth is not that of the settings"),
        (
            "pagerduty",
            "401: Authorization (Bearer) came, and the source wants a signature in X-PagerDuty-Signature",
        ),
        ("datadog", "404: source datadog is off: it has no secret"),
        ("none", "404: the URL names no source"),
        ("none", "404: the URL names no source; it may mean /alerts/cloudflare"),
    }
    told = {(each.source, each.reason[:3]) for each in inbox.missed.untold(large.first, 10)}
    assert told == {("cloudflare", "413"), ("cloudflare", "400")}, "a stranger can have nobody told"


def test_what_could_not_be_kept_is_noted(make, inbox, missed, metrics):
    async def full(*_):
        raise StoreFull("no space is left")

    with served(make(full, missed=missed)) as address:
        assert http.post(f"{address}/alerts/cloudflare", json=attack(1), headers=KNOWN).status_code == 503
    missed.flush()
    [note] = inbox.missed.newest(["refused"], 5)
    assert note.reason == "503: it could not be kept: no space is left"


def test_an_alert_may_come_by_put(address, inbox):
    assert http.put(f"{address}/alerts/cloudflare", json=attack(1), headers=KNOWN).status_code == 202
    assert http.get(f"{address}/alerts/cloudflare", headers=KNOWN).status_code == 405
    assert inbox.counts().pending == 1


def test_a_notification_that_is_kept_is_not_noted(address, inbox, missed):
    http.post(f"{address}/alerts/cloudflare", json=attack(1), headers=KNOWN)
    missed.flush()
    assert inbox.missed.newest(["refused", "unauthorized"], 5) == []
