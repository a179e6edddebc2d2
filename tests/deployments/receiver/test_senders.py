"""Who sent a request, with proxies in front of the receiver and without."""

import logging
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deployments.receiver.app import Receiver
from deployments.receiver.metrics import Metrics
from deployments.receiver.senders import TrustedProxies
from edgecap.settings.alerts import ReceiverSettings
from tests.deployments.conftest import http, served
from tests.deployments.receiver.test_app import well

PROXY, SENDER = "192.0.2.1", "198.51.100.7"
TRUSTED = TrustedProxies([ip_network(PROXY), ip_network("10.0.0.0/28")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        (PROXY, [SENDER], SENDER),
        (PROXY, [f"203.0.113.9, {SENDER}"], SENDER),
        (PROXY, ["203.0.113.9", SENDER], SENDER),
        (PROXY, [f"203.0.113.9 ,\t{SENDER} , 10.0.0.3"], SENDER),
        (PROXY, [f"::ffff:{SENDER}"], SENDER),
        (f"::ffff:{PROXY}", [SENDER], SENDER),
        (PROXY, ["2001:DB8::7"], "2001:db8::7"),
        (SENDER, ["203.0.113.9"], SENDER),
        ("127.0.0.1", ["203.0.113.9"], "127.0.0.1"),
        ("10.0.0.16", ["203.0.113.9"], "10.0.0.16"),
        (PROXY, [], PROXY),
        (PROXY, [""], PROXY),
        (PROXY, [f"{SENDER}, "], PROXY),
        (PROXY, [f"{SENDER}, unknown"], PROXY),
        (PROXY, [f"{SENDER}, 198.51.100.8:443"], PROXY),
        (PROXY, ["198.51.100.007"], PROXY),
        (PROXY, ["fe80::1%any text"], PROXY),
        (PROXY, [f"{SENDER}, no address, 10.0.0.3"], "10.0.0.3"),
        (PROXY, ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("", [SENDER], "an unknown address"),
    ],
)
def test_the_sender_is_whom_the_outermost_trusted_proxy_names(peer, forwarded, address):
    assert TRUSTED.sender(peer, forwarded).address == address


def test_without_trusted_proxies_nobody_is_believed():
    assert TrustedProxies().sender("127.0.0.1", [SENDER]).address == "127.0.0.1"
    assert TrustedProxies().sender(PROXY, [SENDER]).address == PROXY


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "share"),
    [
        (TrustedProxies(), "127.0.0.1", [], ""),
        (TrustedProxies(), "::1", [], ""),
        (TrustedProxies(), "::ffff:127.0.0.1", [], ""),
        (TrustedProxies(), SENDER, [], SENDER),
        (TRUSTED, "127.0.0.1", [], "127.0.0.1"),
        (TRUSTED, PROXY, [SENDER], SENDER),
        (TRUSTED, PROXY, ["127.0.0.1"], "127.0.0.1"),
        (TRUSTED, PROXY, ["2001:db8:1:2:3::7"], "2001:db8:1:2::/64"),
        (TRUSTED, PROXY, [], PROXY),
    ],
)
def test_a_limit_counts_by_sender(proxies, peer, forwarded, share):
    """A trusted proxy that names nobody is one sender; one that edgecap does not know of may be many."""
    assert proxies.sender(peer, forwarded).share == share


def test_connections_of_a_trusted_proxy_have_no_limit_of_one_sender():
    assert TRUSTED.share(PROXY) == ""
    assert TRUSTED.share(SENDER) == SENDER
    assert repr(TRUSTED) == "<TrustedProxies [192.0.2.1/32, 10.0.0.0/28]>"


@given(st.lists(st.text()), st.sampled_from([PROXY, SENDER, "127.0.0.1"]))
def test_what_a_sender_writes_itself_changes_nothing(written, peer):
    """The proxy adds the sender's address to the right of whatever came."""
    forwarded = [*written, SENDER] if peer == PROXY else written
    assert TRUSTED.sender(peer, forwarded) == TRUSTED.sender(peer, [SENDER] if peer == PROXY else [])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("proxy.example.net", "is neither an address nor a network"),
        ("10.0.0.1/8", "is neither an address nor a network"),
        (7, "is neither an address nor a network"),
        ("0.0.0.0/0", "holds every address"),
        ("::/0", "holds every address"),
    ],
)
def test_what_is_no_proxy_is_refused_in_the_settings(wrong, said):
    with pytest.raises(ValidationError, match=said):
        ReceiverSettings(trusted_proxies=[wrong])


@pytest.mark.parametrize(
    ("trusted", "named"), [([], "127.0.0.1"), (["127.0.0.1"], SENDER), ([PROXY], "127.0.0.1")]
)
def test_a_refused_alert_is_logged_with_its_sender(enabled, caplog, trusted, named):
    """From loopback, too: uvicorn by itself would believe that."""
    proxies = TrustedProxies([ip_network(each) for each in trusted])

    async def keep(*_):
        return 1

    app = Receiver(enabled, keep, health=well, metrics=Metrics(), proxies=proxies).application()
    with served(app, proxies=proxies) as address, caplog.at_level(logging.WARNING):
        headers = {"cf-webhook-auth": "wrong", "x-forwarded-for": f"203.0.113.9, {SENDER}"}
        assert http.post(f"{address}/alerts/cloudflare", json={}, headers=headers).status_code == 401
    assert f"(sent from {named})" in caplog.text
