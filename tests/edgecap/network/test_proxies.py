"""HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY mean the same to every client."""

import os
from ipaddress import ip_network

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgecap.errors import ConfigError
from edgecap.network.bypass import ALWAYS_DIRECT, Bypass
from edgecap.network.environment import network_environment
from edgecap.network.prefect_url import prefect_api_url
from edgecap.network.proxies import Proxies, Proxy

API = "https://api.cloudflare.com/client/v4"


def chosen(url: str, **environment: str) -> str:
    """The URL of the proxy for `url`, or nothing."""
    proxy = Proxies.read(environment).choose(url)
    return proxy.url if proxy else ""


@pytest.mark.parametrize(
    ("environment", "https", "http"),
    [
        ({}, "", ""),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://p:3128", ""),
        ({"https_proxy": "http://p:3128"}, "http://p:3128", ""),
        ({"HTTP_PROXY": "http://p:3128"}, "", "http://p:3128"),
        ({"ALL_PROXY": "socks5://p"}, "socks5h://p:1080", "socks5h://p:1080"),
        ({"all_proxy": "socks5h://p:9"}, "socks5h://p:9", "socks5h://p:9"),
        ({"ALL_PROXY": "socks5://p", "HTTPS_PROXY": "https://q"}, "https://q:443", "socks5h://p:1080"),
        ({"HTTPS_PROXY": "p:3128"}, "http://p:3128", ""),
        ({"HTTPS_PROXY": "http://[fd00::7]:3128/"}, "http://[fd00::7]:3128", ""),
        ({"HTTPS_PROXY": "http://upper", "https_proxy": "http://lower"}, "http://lower:80", ""),
        ({"HTTPS_PROXY": "http://upper", "https_proxy": ""}, "", ""),
        ({"HTTPS_PROXY": " "}, "", ""),
    ],
)
def test_the_variable_of_the_scheme_counts_before_all_proxy(environment, https, http):
    assert chosen(API, **environment) == https
    assert chosen("http://store.example.net/x", **environment) == http


def test_user_and_password_are_decoded_and_never_shown():
    proxy = Proxy.parse("http://joe:p%40ss@proxy.example.net:3128", "HTTPS_PROXY")
    assert (proxy.user, proxy.password) == ("joe", "p@ss")
    assert "joe" not in repr(proxy) + str(proxy)
    assert str(proxy) == "http://proxy.example.net:3128 (HTTPS_PROXY)"


@pytest.mark.parametrize(
    "value",
    [
        "ftp://p:21",
        "socks4://p",
        "http://",
        "http://p:port",
        "http://p:99999",
        "http://[fd00::7:3128",
        "http://p:3128/path",
        "http://joe:se/cret@p:3128",
        "http://a b:3128",
        "http://:cret@p:3128",
    ],
)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_value_that_is_no_proxy_is_refused_and_its_variable_named(variable, value):
    with pytest.raises(ConfigError) as refused:
        Proxies.read({variable: value})
    assert str(refused.value).startswith(variable)
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    ["10.0.0.0/33", "http://host", "host/path", "fd00::/129", "10.*", "host:0", "host:99999", "a b!c"],
)
def test_an_entry_of_no_proxy_that_means_nothing_is_refused(value):
    with pytest.raises(ConfigError, match="NO_PROXY"):
        Proxies.read({"NO_PROXY": f"example.com,{value}", "HTTPS_PROXY": "http://p"})


@pytest.mark.parametrize(
    ("no_proxy", "direct", "proxied"),
    [
        ("*", ["https://any.example"], []),
        ("a.example, *", ["https://any.example"], []),
        ("example.com", ["https://example.com", "https://a.b.example.com."], ["https://notexample.com"]),
        (".example.com", ["https://example.com", "https://EXAMPLE.com", "https://a.example.com"], [API]),
        ("*.example.com", ["https://a.example.com"], ["https://example.net"]),
        ("a.example b.example", ["https://a.example", "https://b.example"], [API]),
        ("example.com:8443", ["https://example.com:8443"], ["https://example.com"]),
        ("192.0.2.7", ["https://192.0.2.7:9000", "https://[::ffff:192.0.2.7]"], ["https://192.0.2.70"]),
        ("10.0.0.0/8", ["https://10.1.2.3"], ["https://11.0.0.1", "https://name.example"]),
        ("10.1.2.3/8", ["https://10.200.0.1"], []),
        ("fd00::/8", ["https://[fd12::1]:9000"], ["https://[fe00::1]"]),
        ("[fd00::1]", ["https://[fd00::1]", "https://[FD00:0::1]:9000"], ["https://[fd00::2]"]),
        ("[fd00::1]:9000", ["https://[fd00::1]:9000"], ["https://[fd00::1]"]),
        ("192.0.2.7:443", ["https://192.0.2.7"], ["https://192.0.2.7:9000"]),
    ],
)
def test_no_proxy_names_hosts_suffixes_ports_addresses_and_networks(no_proxy, direct, proxied):
    environment = {"ALL_PROXY": "http://p:3128", "NO_PROXY": no_proxy}
    assert [url for url in direct if chosen(url, **environment)] == []
    assert [url for url in proxied if not chosen(url, **environment)] == []


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "Localhost.",
        "edge.localhost",
        "127.0.0.1",
        "127.1.2.3",
        "[::1]",
        "0.0.0.0",
        "[::]",
        "0",
        "127.1",
        "2130706433",
        "0x7f000001",
        "ip6-localhost",
        "localhost.localdomain",
        "localhost6",
    ],
)
@pytest.mark.parametrize("no_proxy", ["", "example.com"])
def test_this_machine_is_never_reached_through_a_proxy(host, no_proxy):
    environment = {"ALL_PROXY": "http://p:3128", "NO_PROXY": no_proxy}
    assert chosen(f"http://{host}:4200/api", **environment) == ""


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "metadata.google.internal",
        "[fe80::1]",
        "2852039166",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
    ],
)
def test_the_clouds_metadata_service_is_never_reached_through_a_proxy(host):
    assert chosen(f"http://{host}/latest", ALL_PROXY="http://p:3128") == ""


@pytest.mark.parametrize(
    "url", ["http://[::1/api", "http://127.0.0.1:99999/api", "http://h:port", "http://[x]/"]
)
def test_a_url_that_cannot_be_read_takes_no_proxy(url):
    assert chosen(url, ALL_PROXY="http://p:3128") == ""


@pytest.mark.parametrize(
    "value",
    [
        "http://[::1/api",
        "http://127.0.0.1:99999/api",
        "http://h:port",
        "127.0.0.1:4200",
        "http:///api",
        "ftp://h",
    ],
)
def test_an_address_of_prefect_that_is_not_valid_is_refused(value):
    with pytest.raises(ConfigError, match="PREFECT_API_URL is not a valid URL"):
        prefect_api_url({"PREFECT_API_URL": value})
    with pytest.raises(ConfigError, match="PREFECT_API_URL"):
        network_environment({"PREFECT_API_URL": value})


@pytest.mark.parametrize(
    ("no_proxy", "host", "told"),
    [
        ("10.0.0.0/8", "10.1.2.3", "10.1.2.3"),
        ("fd00::/8", "[fd12::1]", "fd12::1"),
        ("", "127.1", "127.1"),
        ("10.0.0.0/8", "11.1.2.3", ""),
        ("10.1.2.3:4200", "10.1.2.3", "10.1.2.3:4200"),
        ("[fd12::1]:4200", "[fd12::1]", "all://[fd12::1]:4200"),
    ],
)
def test_prefects_own_client_follows_networks_of_no_proxy(no_proxy, host, told, monkeypatch):
    url = f"http://{host}:4200/api"
    given = {"HTTP_PROXY": "http://p:3128", "NO_PROXY": no_proxy, "PREFECT_API_URL": url}
    for name, value in (given | network_environment(given)).items():
        monkeypatch.setenv(name, value)
    last = os.environ["NO_PROXY"].split(",")[-1]
    assert last == (told or ALWAYS_DIRECT[-1])
    assert Bypass.parse(os.environ["NO_PROXY"]).covers("10.1.2.3", 9000) == (no_proxy == "10.0.0.0/8")
    with httpx.Client(verify=False) as client:
        used = client._transport_for_url(httpx.URL(url))  # noqa: SLF001 - httpx says nowhere else which proxy it takes
        assert (used is client._transport) == bool(told)  # noqa: SLF001 - the same


LABEL = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
NAME = st.lists(LABEL, min_size=2, max_size=4).map(".".join)
PORT = st.none() | st.integers(1, 65_535)
ADDRESS = st.ip_addresses().map(str)
NETWORK = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), st.tuples(st.ip_addresses(v=6), st.integers(0, 128))
).map(lambda made: str(ip_network(made, strict=False)))


def with_port(host: str, port: int | None) -> str:
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


ENTRY = st.builds(with_port, NAME | ADDRESS, PORT) | NETWORK
ENTRIES = st.lists(ENTRY, max_size=5)


@given(ENTRIES, st.sampled_from([",", ", ", " "]), NAME | ADDRESS, PORT)
@example(["[::1]:80", "fd00::/8", "::ffff:0:0/96"], ",", "example.com", None)
def test_the_no_proxy_given_to_programs_means_the_same_to_all(entries, comma, host, port):
    """The rewritten NO_PROXY is read as the given one; httpx, which is particular about it, takes it."""
    before = Bypass.parse(comma.join(entries))
    after = Bypass.parse(str(before))
    assert after.covers(host, port) == before.covers(host, port)
    assert str(after) == str(before)
    environment = {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": comma.join(entries)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment | network_environment(environment)).items():
            patch.setenv(name, value)
        httpx.Client(verify=False).close()


@given(ENTRIES)
def test_every_entry_covers_what_it_names(entries):
    bypass = Bypass.parse(",".join(entries))
    for entry in entries:
        host, _, length = entry.partition("/")
        url = httpx.URL(f"http://[{host}]" if host.count(":") > 1 and "]" not in host else f"http://{host}")
        assert bypass.covers(url.host, url.port), length


def test_programs_get_no_proxy_for_this_machine_only_with_a_proxy():
    assert "NO_PROXY" not in network_environment({"NO_PROXY": "example.com"})
    told = network_environment({"HTTPS_PROXY": "http://p", "NO_PROXY": "[fd00::1] 10.0.0.0/8,*.example.com"})
    assert told["NO_PROXY"] == told["no_proxy"]
    assert told["NO_PROXY"].split(",") == ["fd00::1", "10.0.0.0/8", "example.com", *ALWAYS_DIRECT]
    assert network_environment({"HTTPS_PROXY": "http://p", "no_proxy": "*"})["NO_PROXY"] == "*"
