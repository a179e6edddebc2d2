"""Receivers on free ports: their app in a thread of this process, or the real command as a process."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from deployments.receiver.http_server import listen, make_server
from deployments.receiver.metrics import Metrics
from deployments.receiver.missed import MissedLog
from edgecap.alerts.policy.decision import Policy
from edgecap.alerts.sources.enabled import enabled_sources
from edgecap.alerts.sources.registry import SOURCES
from edgecap.alerts.understanding import understand
from edgecap.incidents.inbox.alert_inbox import AlertInbox
from edgecap.requests import Bounds
from edgecap.settings.alerts import AlertSettings
from tests.deployments.prefect_stand_in import PrefectStandIn

# One for all: each client of its own would read the machine's certificates first.
http = httpx.Client(verify=False, timeout=240)
SECRET = "a-secret-that-nobody-may-see"
ATTACK = json.loads(
    (Path(__file__).parents[1] / "data/alerts/cloudflare/advanced-ddos-l4-start.json").read_text()
)


def attack(number, *, event="START", **more):
    """A Cloudflare alert of the attack `number`, at an address of its own, from now."""
    address = f"203.{number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
    data = {**ATTACK["data"], "attack_id": f"attack-{number}", "target_ip": address}
    return {
        **ATTACK,
        "alert_correlation_id": f"attack-{number}",
        "alert_event": f"ALERT_STATE_EVENT_{event}",
        "data": {**data, "start_time": datetime.now(UTC).isoformat()},
        "ts": int(time.time()),
        **more,
    }


def until(true, *, timeout=240.0):
    """Return when `true()` is."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@contextmanager
def served(app, **options):
    """The address of an app that a real server serves in a thread."""
    listener = listen("127.0.0.1", 0)
    server = make_server(app, **options)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


class Clock:
    """A monotonic clock in seconds that a test sets."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def enabled():
    """Cloudflare, Grafana and PagerDuty with a secret, anything else without."""
    tables = {name: {"secret": SECRET} for name in ("cloudflare", "grafana", "pagerduty")}
    return enabled_sources(AlertSettings.model_validate({**tables, "generic": {"open": True}}))


@pytest.fixture
def inbox(tmp_path):
    """an empty inbox."""
    with closing(AlertInbox(tmp_path / "alerts" / "book.db")) as inbox:
        yield inbox


@pytest.fixture
def missed(inbox):
    """Notes what led to nothing; not running by itself, and without channels."""
    return MissedLog(inbox, None, metrics=Metrics())


@pytest.fixture
def enter(inbox):
    """Takes payloads of Cloudflare into the inbox, up to the orders that follow."""

    def settle(*payloads):
        now = datetime.now(UTC)
        for payload in payloads:
            body = json.dumps(payload).encode()
            (number,) = inbox.keep([("cloudflare", body, now)])
            taken = understand(SOURCES["cloudflare"], body, Policy(), received=now, now=now, bounds=Bounds())
            inbox.settle(number, taken)

    return settle


@pytest.fixture
def prefect():
    """A stand-in for Prefect, not started yet."""
    with closing_stand_in(PrefectStandIn()) as stand_in:
        yield stand_in


@contextmanager
def closing_stand_in(stand_in):
    try:
        yield stand_in
    finally:
        stand_in.stop()


@dataclass
class Command:
    """`edgecap receive`, as a process of its own in a folder of its own."""

    folder: Path
    env: dict = field(default_factory=dict)
    process: subprocess.Popen | None = None
    address: str = ""
    port: int = 0

    def start(self):
        """Start it and wait until it takes alerts."""
        self.process = self.spawn()
        for line in self.process.stderr:
            with (self.folder / "log").open("a") as log:
                log.write(line)
            if line.startswith("http://"):
                self.address = line.split("/alerts/")[0]
            if line.startswith("Ready for alerts"):
                # What else it says must not fill the pipe.
                threading.Thread(target=self._follow, args=(self.process,), daemon=True).start()
                return
        pytest.fail("it did not start")

    def spawn(self):
        """Start it."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("EDGECAP_", "PREFECT_"))
        }
        return subprocess.Popen(
            [Path(sys.executable).with_name("edgecap"), "receive", "--port", str(self.port)],
            cwd=self.folder,
            env={**kept, "EDGECAP_ALERTS__CLOUDFLARE__SECRET": SECRET, **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def same_port(self):
        """Have each start take the same port. Nobody else gets it: it is bound all the time."""
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
            self.port = held.getsockname()[1]
            yield

    def stop(self):
        """Stop it as the system does, and wait until it is gone."""
        self.process.terminate()
        self.process.wait(240)

    @property
    def log(self):
        """All that it said."""
        return (self.folder / "log").read_text() if (self.folder / "log").exists() else ""

    def _follow(self, process):
        with (self.folder / "log").open("a") as log:
            for line in process.stderr:
                log.write(line)
                log.flush()

    def post(self, payload, **options):
        """Send an alert of Cloudflare's."""
        return http.post(
            f"{self.address}/alerts/cloudflare", json=payload, headers={"cf-webhook-auth": SECRET}, **options
        )

    @property
    def inbox(self):
        """The inbox that it writes, to look at."""
        return AlertInbox(self.folder / ".edgecap/alerts/book.db", read_only=True)


@pytest.fixture
def command(tmp_path):
    """The real command, not started yet."""
    command = Command(tmp_path)
    yield command
    if command.process and command.process.poll() is None:
        command.process.kill()
        command.process.wait()
