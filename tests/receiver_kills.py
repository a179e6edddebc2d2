"""Kill the receiver again and again while alerts arrive: `make kill-test`.

The receiver is the real command, at its real HTTP door. Each attack is told twenty times on one connection,
first its start and then its end. A sender repeats an alert until it is answered 202, as products do. After
each restart, every alert that was answered must be on disk under the number that its sender was told. At the
end, Prefect must have one run for the start and one for the end of each attack.
"""

import argparse
import itertools
import json
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from deployments.local.setup import POOL, QUEUES, LocalSetup
from deployments.local.work_pool import TEMPLATE
from tasks.runtime.prefect_server import AUTH_STRING
from tasks.runtime.rest import PrefectApi
from tests.deployments.conftest import SECRET, Command, attack, http, until

TOLD = ("START",) * 16 + ("END",) * 4
LANES = 8  # connections
LONGEST = 2.5  # seconds of a life under load
EARLY = 0.2  # of the lives end before the receiver is ready


@dataclass
class Senders:
    """Connections that tell of attacks at a steady rate, whether the receiver is there or not.

    Args:
        rate: alerts a second, of all together.

    Attributes:
        address: of the receiver; empty while it is down.
        taken: the alerts that were answered 202, by the number that the sender was told.
        again: how many alerts were sent again, since no answer came.
        refused: other answers, by status.
    """

    rate: float
    address: str = ""
    taken: dict[int, tuple[str, str]] = field(default_factory=dict)
    again: int = 0
    refused: Counter = field(default_factory=Counter)
    _ending: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self):
        self._threads = [
            threading.Thread(target=self._lane, args=(lane,), daemon=True) for lane in range(LANES)
        ]
        for thread in self._threads:
            thread.start()

    def end(self):
        """Tell the attacks that have begun to their ends, and return when all of that is answered."""
        self._ending.set()
        for thread in self._threads:
            thread.join(600)
            assert not thread.is_alive()

    def _lane(self, lane):
        due, connection = time.monotonic(), None
        for number in itertools.count(lane, LANES):
            if self._ending.is_set():
                return
            told = {event: json.dumps(attack(number, event=event)).encode() for event in set(TOLD)}
            for event in TOLD:
                due = max(due + LANES / self.rate, time.monotonic() - 1)  # a pause is not made up for
                time.sleep(max(0.0, due - time.monotonic()))
                while (kept := self._post(connection, told[event])) is None:
                    connection = self._connected(connection)
                with self._lock:
                    assert kept not in self.taken, "one number for two alerts"
                    self.taken[kept] = (f"attack-{number}", event)

    def _connected(self, before):
        """A new connection, once the receiver is there."""
        if before:
            before.close()
            with self._lock:
                self.again += 1
        while not (address := self.address):
            time.sleep(0.01)
        time.sleep(0.02)
        return HTTPConnection(address.removeprefix("http://"), timeout=60)

    def _post(self, connection, body):
        """The alert's number; None if no 202 came."""
        if connection is None:
            return None
        try:
            connection.request("POST", "/alerts/cloudflare", body, {"cf-webhook-auth": SECRET})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException):
            return None
        if answer.status != HTTPStatus.ACCEPTED:
            with self._lock:
                self.refused[answer.status] += 1
            return None
        return json.loads(text)["id"]


@dataclass
class Kills:
    """Lives of a receiver under load, each of which ends by SIGKILL.

    Args:
        command: the receiver, not started.
        rate: alerts a second.
        seed: of the moments of the kills.
        tell: called with a line now and then.
    """

    command: Command
    rate: float
    seed: int
    tell: Callable[[str], None] = lambda _line: None

    def run(self, kills):
        """Kill it so many times; then let it finish. Returns what the senders know."""
        dice, senders = random.Random(self.seed), Senders(self.rate)
        for number in range(kills):
            if dice.random() < EARLY:
                process = self.command.spawn()
                time.sleep(dice.uniform(0, LONGEST))
            else:
                self.command.start()
                process, senders.address = self.command.process, self.command.address
                time.sleep(dice.uniform(0.05, LONGEST))
            process.kill()
            process.wait()
            senders.address = ""
            self.check(senders)
            self.tell(f"kill {number + 1}: {len(senders.taken)} alerts were answered, all of them are there")
        self.command.start()
        senders.address = self.command.address
        senders.end()
        self.tell("waiting until Prefect has all runs")
        until(lambda: self._waiting() == (0, 0), timeout=600)
        self.check(senders)
        return senders

    def check(self, senders):
        """All that was answered is on disk, under the number that was told."""
        taken, file = dict(senders.taken), self.command.folder / ".edgecap/alerts/book.db"
        if not taken:
            return
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as inbox:
            kept = dict(inbox.execute("SELECT id, body FROM arrivals"))
        lost = {number: told for number, told in taken.items() if _told(kept.get(number)) != told}
        assert not lost, f"{len(lost)} of {len(taken)} alerts were lost: {lost}"

    def _waiting(self):
        said = http.get(f"{self.command.address}/readyz").json()
        return said["pending"], said["orders"]


def _told(body):
    if body is None:
        return None
    read = json.loads(body)
    return read["alert_correlation_id"], read["alert_event"].removeprefix("ALERT_STATE_EVENT_")


def each_once(senders, runs):
    """Prefect has one run for the start and one for the end of each attack; the number of attacks.

    Args:
        senders: what was told.
        runs: the parameters of all runs of `respond`.
    """
    expected = {(name, event.lower()) for name, event in senders.taken.values()}
    made = Counter((run["alert"]["labels"]["attack_id"], run["event"]) for run in runs)
    assert set(made) == expected, f"{len(expected - set(made))} were not acted on"
    twice = [what for what, times in made.items() if times > 1]
    assert not twice, f"acted on twice: {twice}"
    assert len({run["incident"] for run in runs}) == len(expected) // 2
    return len(expected) // 2


def tell(line):
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main():
    """Kill the receiver beside a real Prefect server, and print what became of the alerts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecap-kills-") as name:
        folder = Path(name)
        with LocalSetup(folder / "prefect") as setup, PrefectApi(setup.prefect) as prefect:
            setup.start_server()
            setup.wait_for_server()
            prefect.make_pool(POOL, QUEUES, TEMPLATE)
            setup.deploy()
            env = {"PREFECT_API_URL": setup.api_url, AUTH_STRING: setup.sign_in.auth_string}
            command = Command(folder, env)
            began = time.monotonic()
            try:
                senders = Kills(command, options.rate, options.seed, tell).run(options.kills)
                took = time.monotonic() - began
                attacks = each_once(senders, [run["parameters"] for run in prefect.tagged("alert")])
            finally:
                if command.process:
                    command.process.kill()
                    command.process.wait()
    tell(
        f"{options.kills} kills in {took:.0f} s at {options.rate:g} alerts a second: "
        f"{len(senders.taken)} alerts were answered 202, {senders.again} were sent again, "
        f"refused {dict(senders.refused)}; 0 were lost.\n"
        f"{attacks} attacks, each with one run for its start and one for its end: 0 were acted on twice."
    )


if __name__ == "__main__":
    main()
