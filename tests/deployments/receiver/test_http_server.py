"""Connections that say nothing give way to those that bring an alert."""

import socket
from contextlib import ExitStack
from ipaddress import ip_network

import pytest

from deployments.receiver.app import Receiver
from deployments.receiver.http_server import CONNECTIONS, Connections
from deployments.receiver.metrics import Metrics
from deployments.receiver.senders import TrustedProxies
from tests.deployments.conftest import SECRET, attack, http, served
from tests.deployments.receiver.test_app import well

KNOWN = {"cf-webhook-auth": SECRET}


class Line:
    """As much of a connection as is counted."""

    def __init__(self, name, *, is_idle=True):
        self.name = name
        self.is_idle = is_idle
        self.is_closed = False
        self.transport = self

    def close(self):
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
