"""Bodies of strangers take no memory that the alerts of real senders need."""

import socket
from contextlib import AsyncExitStack, ExitStack, contextmanager, nullcontext

import pytest
from starlette.requests import Request

from deployments.receiver.app import Receiver
from deployments.receiver.bodies import (
    MOST_BODY,
    MOST_OF_ONE,
    MOST_READING,
    MOST_UNPROVEN,
    BodyReader,
    Refused,
)
from deployments.receiver.metrics import Metrics
from deployments.receiver.senders import Sender
from tests.deployments.conftest import SECRET, attack, http, served, until
from tests.deployments.receiver.test_app import well

KNOWN = {"cf-webhook-auth": SECRET}
SENDERS = MOST_READING // MOST_BODY + 8


@pytest.fixture
def receiver(enabled):
    """A receiver that keeps nothing, and its address."""

    async def keep(*_):
        return 1

    receiver = Receiver(enabled, keep, health=well, metrics=Metrics())
    with served(receiver.application()) as address:
        yield receiver, address


@contextmanager
def held(address, source, header):
    """Requests, as many as would fill the memory, that all lack their last byte."""
    port = int(address.rpartition(":")[2])
    lines = [f"POST /alerts/{source} HTTP/1.1", "host: x", header, f"content-length: {MOST_BODY}", "", ""]
    head = "\r\n".join(lines).encode()
    with ExitStack() as stack:
        for _ in range(SENDERS):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MOST_BODY)
            try:
                line.sendall(head + bytes(MOST_BODY - 1))
            except OSError:  # it was refused before it had sent all
                continue
        yield


def test_bodies_without_the_secret_hold_nothing_up(receiver):
    _, address = receiver
    with (
        held(address, "cloudflare", "cf-webhook-auth: wrong"),
        held(address, "alertmanager", "authorization: Bearer wrong"),
    ):
        for number in range(3):
            answer = http.post(f"{address}/alerts/cloudflare", json=attack(number), headers=KNOWN)
            assert answer.status_code == 202


def test_bodies_with_made_up_signatures_hold_up_no_proven_sender(receiver):
    """A signature takes the body to be judged; those that wait for theirs share half of the memory."""
    app, address = receiver
    with held(address, "pagerduty", "x-pagerduty-signature: v1=00"):
        until(lambda: app.unproven > MOST_UNPROVEN - MOST_BODY)
        answer = http.post(f"{address}/alerts/cloudflare", json=attack(1), headers=KNOWN)
        assert answer.status_code == 202
        assert app.unproven <= MOST_UNPROVEN
    until(lambda: app.unproven == 0)


def test_a_request_without_a_signature_is_refused_by_its_headers(receiver):
    """Its body, which never comes, is not waited for."""
    _, address = receiver
    port = int(address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(b"POST /alerts/pagerduty HTTP/1.1\r\nhost: x\r\n")
        line.sendall(b"content-length: 200000\r\nexpect: 100-continue\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 401 ")


def with_body(share, size=MOST_BODY):
    """A request of a sender, with a body."""

    async def receive():
        return {"type": "http.request", "body": bytes(size), "more_body": False}

    sender = Sender(address="an address", share=share)
    return Request({"type": "http", "headers": [], "edgecap.sender": sender}, receive)


@pytest.mark.parametrize(("share", "most"), [("192.0.2.1", MOST_OF_ONE), ("", MOST_UNPROVEN)])
async def test_one_sender_gets_a_part_of_the_memory(share, most):
    """A proxy that names no senders speaks for many, and gets what all of them get."""
    reader = BodyReader()
    async with AsyncExitStack() as stack:
        for _ in range(most // MOST_BODY):
            await stack.enter_async_context(reader.body(with_body(share), proven=False))
        with pytest.raises(Refused):
            async with reader.body(with_body(share), proven=False):
                pass
        if most < MOST_UNPROVEN:
            async with reader.body(with_body("192.0.2.2"), proven=False) as body:
                assert len(body) == MOST_BODY
        async with reader.body(with_body(share), proven=True) as body:
            assert len(body) == MOST_BODY
    assert repr(reader) == "<BodyReader [0 bytes, 0 unproven]>"


@pytest.mark.parametrize(
    ("proven", "most", "refused"),
    [(False, MOST_UNPROVEN, False), (True, MOST_READING, True)],
    ids=["many senders without proof", "many senders with the secret"],
)
async def test_many_senders_together_get_so_much_and_no_more(proven, most, refused):
    """Each of them a little. Those without proof leave room for others, those with the secret fill it all."""
    reader = BodyReader()
    async with AsyncExitStack() as stack:
        for number in range(most // MOST_BODY):
            request = with_body(f"192.0.2.{number}")
            await stack.enter_async_context(reader.body(request, proven=proven))
        with pytest.raises(Refused) as told:
            async with reader.body(with_body("198.51.100.1", size=1), proven=proven):
                pass
        assert told.value.answer.status_code == 503
        with pytest.raises(Refused) if refused else nullcontext():
            async with reader.body(with_body("198.51.100.1"), proven=True):
                pass
