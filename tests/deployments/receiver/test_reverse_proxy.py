"""A real nginx and a real Caddy, as Debian has them, set up as docs/reverse-proxy.md says.

Only ports, paths of files and the receiver's address are replaced. Senders have addresses of their own: on
Linux each of 127.0.0.0/8 is this machine's.
"""

import asyncio
import grp
import hashlib
import hmac
import itertools
import json
import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from deployments.local.processes import LOOPBACK, Program, answers, free_port
from deployments.receiver.app import Receiver
from deployments.receiver.bodies import MOST_BODY, MOST_OF_ONE
from deployments.receiver.metrics import Metrics
from deployments.receiver.senders import TrustedProxies
from tests.deployments.conftest import SECRET, attack, served, until
from tests.deployments.receiver.test_app import well

DOCS = Path(__file__).parents[3] / "docs"
NAME = "edgecap.example.net"
UNPACKED = Path(sys.prefix) / "debian"  # `make apt` unpacks them there: installed, they would start services
PLACES = os.pathsep.join(
    [str(UNPACKED / "usr/sbin"), str(UNPACKED / "usr/bin"), os.environ.get("PATH", ""), "/usr/sbin"]
)
NGINX, CADDY = (shutil.which(name, path=PLACES) for name in ("nginx", "caddy"))
HOSTILE, HONEST = "127.0.0.2", "127.0.0.9"
CONNECTIONS = 300
# As in Debian's nginx.conf, with places of this test's own.
AROUND_NGINX = """
daemon off;
user {user};
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
    {config}
}}
"""


ELSEWHERE = [
    "/",
    "/metrics",
    "/readyz",
    "/healthz",
    "/captures/x",
    "/incidents/x",
    "/alerts",
    "/alerts/../metrics",
    "/alerts/%2e%2e/metrics",
    "/alerts/..%2fmetrics",
    "//metrics",
    "/metrics/",
    "/./metrics",
    "/alerts/cloudflare/../../metrics",
    "/alerts/..;/metrics",
    "/alerts/%2e%2e%2fmetrics?x=/alerts/",
    "/metrics#/../alerts/x",
    "/metrics%00/alerts/",
    "/alerts\\..\\metrics",
    "/METRICS",
    "http://x/metrics",
    "http://127.0.0.1:4280/metrics",
]


def block(page, language):
    """The one block of a page in a language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return found


def replaced(text, **parts):
    """A text with parts replaced, each of which must be there."""
    for old, new in parts.items():
        assert old in text
        text = text.replace(old, new)
    return text


def nginx_config(folder, port, receiver, certificate, key):
    site = replaced(
        block("reverse-proxy.md", "nginx"),
        **{
            "listen 443 ssl;": f"listen {LOOPBACK}:{port} ssl;",
            "    listen [::]:443 ssl;\n": "",
            f"/etc/letsencrypt/live/{NAME}/fullchain.pem": str(certificate),
            f"/etc/letsencrypt/live/{NAME}/privkey.pem": str(key),
            # The page on other products has a location for this server.
            "    location / { return 404; }": block("alerts/generic.md", "nginx")
            + "    location / { return 404; }",
        },
    )
    site = replaced(site, **{f"{LOOPBACK}:4280": f"{LOOPBACK}:{receiver}", "<secret>": SECRET})
    user = f"{pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name}"
    file = folder / "nginx.conf"
    file.write_text(AROUND_NGINX.format(folder=folder, user=user, config=site))
    return [NGINX, "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")]


def caddy_config(folder, port, receiver, certificate, key):
    file, ports = folder / "Caddyfile", f"\thttp_port {free_port()}\n\thttps_port {port}\n"
    file.write_text(
        replaced(
            block("reverse-proxy.md", "caddyfile"),
            **{
                "\tservers {\n": f"\tadmin off\n{ports}\tservers {{\n",
                "/etc/ssl/edgecap/fullchain.pem": str(certificate),
                "/etc/ssl/edgecap/privkey.pem": str(key),
                f"{LOOPBACK}:4280": f"{LOOPBACK}:{receiver}",
            },
        )
    )
    return [CADDY, "run", "--config", str(file), "--adapter", "caddyfile"]


CONFIGS = {"nginx": (NGINX, nginx_config), "caddy": (CADDY, caddy_config)}
only_nginx = pytest.mark.parametrize("in_front", ["nginx"], indirect=True)


@dataclass
class Proxy:
    """A proxy in front of a receiver."""

    port: int
    tls: ssl.SSLContext

    def plain(self, source):
        """A connection from an address, without TLS yet."""
        return socket.create_connection((LOOPBACK, self.port), timeout=240, source_address=(source, 0))

    def connect(self, source):
        """A connection from an address."""
        return self.tls.wrap_socket(self.plain(source), server_hostname=NAME)

    def send(self, path, body=b"", *, method="POST", source=HONEST, headers=()):
        """Send a request; returns the status and the answer's body."""
        head = f"{method} {path} HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\n"
        lines = [f"{name}: {value}\r\n" for name, value in dict(headers).items()]
        with self.connect(source) as line:
            try:
                if "transfer-encoding" not in dict(headers):
                    lines.append(f"content-length: {len(body)}\r\n")
                line.sendall(f"{head}{''.join(lines)}\r\n".encode())
                line.sendall(body)
            except OSError:  # it answered before it had read all
                pass
            return answer_on(line)


def answer_on(line):
    """The status and the body that come on a connection, up to its end."""
    received = b""
    try:
        while part := line.recv(65536):
            received += part
    except OSError:  # the end, not as TLS wants it
        pass
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of the page's name, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run(
        [*made, "-keyout", str(key), "-out", str(cert), "-days", "2", *named], check=True, capture_output=True
    )
    return cert, key


@pytest.fixture(params=CONFIGS)
def in_front(request, tmp_path, certificate):
    """Starts the proxy in front of a receiver's port."""
    binary, config = CONFIGS[request.param]
    if not binary:
        pytest.skip(f"{request.param} is not there: make apt")

    @contextmanager
    def start(receiver):
        folder, port = tmp_path / request.param, free_port()
        folder.mkdir()
        program = Program(
            request.param,
            config(folder, port, receiver, *certificate),
            log=folder / "log",
            env={"HOME": str(folder)},
        )
        program.start()
        try:
            program.wait_ready(lambda: answers(port), timeout=240)
            yield Proxy(port, ssl.create_default_context(cafile=certificate[0]))
        finally:
            program.stop()

    return start


@pytest.fixture
def proxy(command, in_front):
    """The proxy in front of the real command, which trusts it."""
    command.env = {
        "EDGECAP_RECEIVER__TRUSTED_PROXIES": json.dumps([LOOPBACK]),
        "EDGECAP_ALERTS__PAGERDUTY__SECRET": SECRET,
    }
    (command.folder / "edgecap.toml").write_text(f'[alerts.custom.scrubber]\nsecret = "{SECRET}"\n')
    command.start()
    with in_front(port_of(command.address)) as proxy:
        yield proxy


def port_of(address):
    return int(address.rpartition(":")[2])


def alert_of(proxy, number, source=HONEST):
    return proxy.send(
        "/alerts/cloudflare",
        json.dumps(attack(number)).encode(),
        source=source,
        headers={"cf-webhook-auth": SECRET},
    )


def signature(body):
    return {"x-pagerduty-signature": f"v1={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}"}


def test_alerts_with_secret_or_signature_go_through_whole(proxy, command):
    assert alert_of(proxy, 1)[0] == 202
    body = (DOCS.parent / "tests/data/alerts/pagerduty/incident-triggered.json").read_bytes()
    assert proxy.send("/alerts/pagerduty", body, headers=signature(body))[0] == 202
    assert proxy.send("/alerts/pagerduty", body + b" ", headers=signature(body))[0] == 401
    large = json.dumps({"alerts": [], "more": "x" * (MOST_BODY - 100)}).encode()
    assert proxy.send("/alerts/pagerduty", large, headers=signature(large))[0] == 202
    with command.inbox as inbox:
        until(lambda: len(inbox.alerts(10)) + len(inbox.asides(10)) >= 2)


@pytest.mark.parametrize("is_announced", [True, False], ids=["with its length", "without its length"])
def test_a_body_above_the_limit_is_refused(proxy, command, request, is_announced):
    """Also if what is below the limit would make an alert."""
    body = json.dumps(attack(1)).encode()
    body += b" " * (MOST_BODY + 1 - len(body))
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    for path, headers in (
        ("/alerts/cloudflare", {"cf-webhook-auth": SECRET}),
        ("/alerts/pagerduty", signature(body)),
        ("/alerts/pagerduty", signature(body[:MOST_BODY])),
    ):
        if is_announced:
            status, _ = proxy.send(path, body, headers=headers)
        else:
            status, _ = proxy.send(path, framed, headers={**headers, "transfer-encoding": "chunked"})
        # Caddy leaves it to the receiver, and gives up if the answer comes before it has sent all.
        assert status in ((413, 502) if "caddy" in request.node.name else (413,))
    with command.inbox as inbox:
        assert inbox.counts().pending == 0
        assert not inbox.alerts(1)


def test_slow_and_idle_connections_hold_up_no_other_sender(proxy, command):
    """300 of one address: nothing said, no TLS, half a head, half a body, with and without a length."""
    started = f"POST /alerts/pagerduty HTTP/1.1\r\nhost: {NAME}\r\nx-pagerduty-signature: v1=00\r\n"
    said = [
        None,
        "",
        started,
        f"{started}content-length: {MOST_BODY}\r\n\r\n{'x' * 50_000}",
        f"{started}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ]
    with ExitStack() as stack:
        lines = []
        for number in range(CONNECTIONS):
            text = said[number % len(said)]
            line = proxy.plain(HOSTILE) if text is None else proxy.connect(HOSTILE)
            lines.append(stack.enter_context(line))
            if text:
                line.sendall(text.encode())
        for number in range(20):
            assert alert_of(proxy, number)[0] == 202
        # Whatever the slow ones have sent, they hold no connection to the receiver, which has 10 s for each.
        until(lambda: connections_to(port_of(command.address)) < 8, timeout=3)
        for line in lines:
            until_closed(line)
    assert alert_of(proxy, 21)[0] == 202


def connections_to(port):
    """How many TCP connections are open to a port of loopback."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    remote = f"0100007F:{port:04X}"
    return sum(line.split()[2] == remote and line.split()[3] == "01" for line in lines)


def until_closed(line):
    """Return when the other side has closed a connection, and not before."""
    try:
        while line.recv(65536):
            pass
    except TimeoutError:
        pytest.fail("the proxy keeps a connection that says nothing")
    except OSError:
        pass


@only_nginx
def test_requests_of_one_address_are_limited(proxy):
    """By nginx, once their heads are read. With Caddy, the page leaves it to the firewall."""
    slow = f"POST /alerts/pagerduty HTTP/1.1\r\nhost: {NAME}\r\ncontent-length: 99\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(32):
            stack.enter_context(proxy.connect(HOSTILE)).sendall(slow.encode())
        until(lambda: alert_of(proxy, 1, source=HOSTILE)[0] == 503)
        assert alert_of(proxy, 2)[0] == 202


def test_a_forged_address_is_not_believed(proxy, command):
    straight = ("127.0.0.7", 0)  # past the proxy: on this machine, and yet no trusted address
    for forged in ("198.51.100.77", "127.0.0.1", "127.0.0.1, 198.51.100.77", "no address"):
        headers = {"cf-webhook-auth": "wrong", "x-forwarded-for": forged}
        assert proxy.send("/alerts/cloudflare", b"{}", source=HOSTILE, headers=headers)[0] == 401
        with socket.create_connection((LOOPBACK, port_of(command.address)), source_address=straight) as line:
            line.sendall(b"POST /alerts/cloudflare HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n")
            line.sendall(f"x-forwarded-for: {forged}\r\nconnection: close\r\n\r\n{{}}".encode())
            assert answer_on(line)[0] == 401
    until(lambda: command.log.count("(sent from") == 8)
    assert set(re.findall(r"\(sent from (.*)\)", command.log)) == {HOSTILE, "127.0.0.7"}


@only_nginx
def test_a_location_that_adds_the_secret_names_the_sender_too(proxy, command):
    """As the page on other products has it."""
    hook, forged = "/hooks/6f1c0e5a9b7d4c32", {"x-forwarded-for": "198.51.100.77"}
    assert proxy.send(hook, json.dumps({"id": "1", "target": "203.0.113.7"}).encode())[0] == 202
    (command.folder / "edgecap.toml").write_text('[alerts.custom.scrubber]\nsecret = "another"\n')
    until(lambda: proxy.send(hook, b"{}", source=HOSTILE, headers=forged)[0] == 401)
    until(lambda: "(sent from" in command.log)
    assert set(re.findall(r"\(sent from (.*)\)", command.log)) == {HOSTILE}


def test_no_path_leads_to_anything_but_alerts(proxy):
    for path, method in itertools.product(ELSEWHERE, ("GET", "POST")):
        status, body = proxy.send(path, method=method, headers={"cf-webhook-auth": SECRET})
        # Under a name that is not its own, Caddy has nothing, and says so with 200.
        is_refused = status in (301, 308, 400, 401, 403, 404, 405, 421) or (status, body) == (200, b"")
        assert is_refused, (method, path, status)
        assert not re.search(rb"edgecap_|ready|alive", body), (method, path)


def test_the_memory_of_one_sender_is_that_of_its_own_address(enabled, in_front):
    """Bodies that only a signature proves: one sender has filled its part, another has its own."""
    go_on, kept = threading.Event(), []

    async def keep(_source, body, _received):
        kept.append(len(body))
        await asyncio.to_thread(go_on.wait, 240)
        return 1

    def send(proxy, source, statuses):
        body = json.dumps({"more": "x" * (MOST_BODY - 100)}).encode()
        status, _ = proxy.send("/alerts/pagerduty", body, source=source, headers=signature(body))
        statuses.append(status)

    proxies = TrustedProxies([ip_network(LOOPBACK)])
    app = Receiver(enabled, keep, health=well, metrics=Metrics(), disk_time=240, proxies=proxies)
    with served(app.application(), proxies=proxies) as address, in_front(port_of(address)) as proxy:
        hostile, honest, refused = [], [], []
        first = [
            threading.Thread(target=send, args=(proxy, HOSTILE, hostile))
            for _ in range(MOST_OF_ONE // MOST_BODY)
        ]
        try:
            for thread in first:
                thread.start()
            until(lambda: len(kept) == len(first))
            send(proxy, HOSTILE, refused)
            assert refused[0] in (502, 503)  # Caddy gives up if the answer comes before it has sent all
            other = threading.Thread(target=send, args=(proxy, HONEST, honest))
            other.start()
            until(lambda: len(kept) == len(first) + 1)
        finally:
            go_on.set()
            for thread in first:
                thread.join(240)
        other.join(240)
        assert (hostile, honest) == ([202] * len(first), [202])
