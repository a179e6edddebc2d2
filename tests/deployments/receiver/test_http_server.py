"""Connections that say nothing give way to those that bring an alert."""

import socket
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest

from deployments.receiver.app import Receiver
from deployments.receiver.http_server import CONNECTIONS, LEAST, OPEN, Connections
from deployments.receiver.metrics import Metrics
from deployments.receiver.senders import TrustedProxies
from tests.deployments.conftest import SECRET, attack, http, served, until
from tests.deployments.receiver.test_app import well

KNOWN = {"cf-webhook-auth": SECRET, "connection": "close"}  # each alert has to find a connection


class Line:
    """As much of a connection as is counted."""

    def __init__(self, name, *, is_idle=True, is_slow=False):
        self.name = name
        self.is_slow = is_slow
        self.is_idle = is_idle
        self.is_closed = False
        self.transport = self

    @property
    def waits_for_sender(self):
        return self.is_idle or self.is_slow

    def abort(self):
        self.is_closed = True


@pytest.mark.parametrize("said", [b"", b"POST /alerts/cloudflare HTTP/1.1\r\nhost: "])
def test_connections_that_say_nothing_keep_no_alert_out(enabled, said):
    """More than the receiver takes at a time, all from one address, with half a head or none."""

    async def keep(*_):
        return 1

    app = Receiver(enabled, keep, health=well, metrics=Metrics()).application()
    with served(app, head_time=60) as address, ExitStack() as stack:
        port = int(address.rpartition(":")[2])
        for _ in range(CONNECTIONS + 18):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            line.sendall(said)
        for number in range(20):
            answer = http.post(f"{address}/alerts/cloudflare", json=attack(number), headers=KNOWN)
            assert answer.status_code == 202


SIGNED = b"POST /alerts/pagerduty HTTP/1.1\r\nhost: x\r\nx-pagerduty-signature: v1=00\r\n"
HALF_A_BODY = SIGNED + b"content-length: 99\r\n\r\n{"
NOT_READ = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("said", [HALF_A_BODY, NOT_READ], ids=["half a body", "an answer that is not read"])
def test_requests_that_do_not_end_keep_no_alert_out(enabled, said):
    """More than the receiver takes at a time, with as much time as they like."""

    async def keep(*_):
        return 1

    receiver = Receiver(enabled, keep, health=well, metrics=Metrics(), body_time=600).application()

    under_way = []

    async def app(scope, receive, send):
        under_way.append(scope)
        if scope["path"] == "/large":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(1000):
                await send({"type": "http.response.body", "body": bytes(LEAST), "more_body": True})
        else:
            await receiver(scope, receive, send)

    with served(app, head_time=600) as address, ExitStack() as stack:
        port = int(address.rpartition(":")[2])
        for _ in range(OPEN + 18):
            line = stack.enter_context(socket.socket())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(20)
            line.connect(("127.0.0.1", port))
            line.sendall(said)
        until(lambda: len(under_way) >= OPEN)
        for number in range(20):
            answer = http.post(f"{address}/alerts/cloudflare", json=attack(number), headers=KNOWN)
            assert answer.status_code == 202


@pytest.mark.parametrize("large", [LEAST, 100 * LEAST])
def test_a_connection_whose_answer_is_not_read_is_closed(large):
    """Without the end that closing it in order would wait for."""
    open_ones = []

    async def app(scope, _receive, send):
        open_ones.append(scope)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"%d" % (100 * large))],
            }
        )
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(large), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with served(app, head_time=0.5) as address, socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", int(address.rpartition(":")[2])))
        line.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        until(lambda: open_ones)
        until(lambda: established(line) is False)


def established(line):
    """Whether the other side still has a connection, as the system lists it."""
    mine = f"0100007F:{line.getsockname()[1]:04X}"
    lines = [each.split() for each in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(each[2] == mine and each[3] == "01" for each in lines)


def test_the_one_that_has_waited_longest_is_closed():
    connections, lines = Connections(most=3), [Line(name) for name in "abc"]
    for line in lines:
        connections.add(line, "127.0.0.1")
    connections.waits(lines[0])  # it had a request just now
    connections.add(Line("d"), "127.0.0.1")
    assert [line.name for line in lines if line.is_closed] == ["b"]
    assert repr(connections) == "<Connections [3 open]>"


def test_one_address_loses_its_own_connections():
    connections = Connections(most=100, of_one=2)
    other, *own = lines = [Line(name) for name in "abcd"]
    for line, address in zip(lines, ["192.0.2.1", *["192.0.2.2"] * 3], strict=True):
        connections.add(line, address)
    assert not other.is_closed
    assert [line.name for line in own if line.is_closed] == ["b"]


def test_idle_ones_go_before_those_with_half_a_request():
    connections = Connections(most=2)
    lines = [Line("a", is_idle=False, is_slow=True), Line("b"), Line("c"), Line("d", is_idle=False)]
    for line in lines[:3]:
        connections.add(line, "192.0.2.2")
    assert [line.name for line in lines if line.is_closed] == ["b"]
    lines[2].is_idle = False
    connections.add(lines[3], "192.0.2.2")
    assert [line.name for line in lines if line.is_closed] == ["a", "b"]


def test_connections_with_requests_stay_and_the_new_one_goes():
    connections = Connections(most=100, of_one=2)
    lines = [Line(name, is_idle=name == "c") for name in "abc"]
    for line in lines:
        connections.add(line, "192.0.2.2")
    assert [line.name for line in lines if line.is_closed] == ["c"]


@pytest.mark.parametrize(
    ("trusted", "peers", "closed"),
    [
        ([], ["127.0.0.1", "::1", "127.0.0.1", "::1", "127.0.0.1", "::1"], ""),
        (["192.0.2.0/28"], ["192.0.2.1"] * 6, ""),
        (["192.0.2.0/28"], ["127.0.0.1"] * 6, "abcd"),
    ],
    ids=["any on this machine", "a trusted one", "not others on this machine then"],
)
def test_a_proxy_has_as_many_as_it_needs(trusted, peers, closed):
    proxies = TrustedProxies([ip_network(each) for each in trusted])
    connections = Connections(most=100, of_one=2, proxies=proxies)
    lines = [Line(name) for name in "abcdef"]
    for line, peer in zip(lines, peers, strict=True):
        connections.add(line, peer)
    assert "".join(line.name for line in lines if line.is_closed) == closed
