"""SIGKILL at any statement of the inbox's writer, then a restart: nothing is lost or doubled.

The judge compares the inbox with one whose writer was not killed.
"""

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from edgecap.incidents.inbox.alert_inbox import AlertInbox
from tests.edgecap.incidents.inbox.inbox_parts import NOON, alert, connections, plan

# Processes of their own, without the second that imports take. No fork of pytest: its threads may hold locks.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
PATIENCE = 600  # seconds for a life on a busy machine
NEVER = 10**9


def story(seed, length):
    """Bodies of arrivals: starts, repetitions, ends, and some that nobody understands."""
    dice = random.Random(seed)
    bodies = []
    for n in range(length):
        if dice.random() < 0.1:
            bodies.append(b"no JSON %d" % n)
            continue
        told = [
            {
                "event": dice.choice(["start", "start", "start", "end", "other"]),
                "key": f"k{dice.randrange(length // 4 + 2)}",
                "about": f"203.0.113.{dice.randrange(length // 3 + 2)}",
            }
            for _ in range(dice.randrange(3))
        ]
        bodies.append(json.dumps({"n": n, "told": told}).encode())
    return bodies


def received(n):
    return NOON + n * timedelta(seconds=40)  # a story of a few hours: budgets, cooldowns and midnight matter


def understand(inbox, kept):
    """What a deliverer does with one arrival."""
    try:
        told = json.loads(kept.body)["told"]
    except ValueError as error:
        return inbox.put_aside(kept.id, str(error))
    alerts = [alert(**each, at=kept.received) for each in told]
    return inbox.settle(kept.id, [(each, plan(each, budget=30)) for each in alerts])


@dataclass
class Life:
    """One life of a receiver: keeps what it has not kept yet, and delivers until all is done."""

    path: Path
    bodies: list[bytes]
    prefect: Path  # a line for each request that arrived there
    answers: Path  # a line for each id that a sender was told
    begin: int
    dies_at: int = NEVER  # the writer's statement before which it kills itself
    seconds: float | None = None  # after which the kernel kills it
    threads: bool = True

    def __call__(self) -> None:
        if self.seconds is not None:
            die_in(self.seconds)
        with connections() as opened:
            inbox = AlertInbox(self.path)
        self._arm(opened[0])
        if self.threads:
            keeping = threading.Thread(target=self._keep, args=(inbox,))
            keeping.start()
            # Whether the other still keeps is looked at first, lest its last group come just between.
            while keeping.is_alive() or inbox.pending(1) or inbox.orders(1):
                self._deliver(inbox)
        else:
            self._keep(inbox)
            self._deliver(inbox)
        os._exit(0)

    def _arm(self, writer) -> None:
        left = [self.dies_at]

        def before_statement(_sql) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        if self.dies_at < NEVER:
            writer.set_trace_callback(before_statement)

    def _keep(self, inbox) -> None:
        told = os.open(self.answers, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        dice = random.Random(self.begin)
        n = self.begin
        while n < len(self.bodies):
            group = range(n, min(len(self.bodies), n + dice.randrange(1, 5)))
            ids = inbox.keep([("generic", self.bodies[each], received(each)) for each in group])
            os.write(told, b"".join(b"%d %d\n" % pair for pair in zip(ids, group, strict=True)))
            n = group.stop

    def _deliver(self, inbox) -> None:
        prefect = os.open(self.prefect, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        while waiting := inbox.pending(limit=5):
            for kept in waiting:
                understand(inbox, kept)
        for order in inbox.orders():
            os.write(prefect, f"{order.key}\n".encode())
            inbox.sent(order.id, f"run of {order.key}")
        os.close(prefect)


def die_in(seconds):
    """As by SIGKILL: Python has no part in it. A kill from outside may come late, and hit another process."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def open_and_die(path, seconds):
    """Open an inbox, and be killed meanwhile, or soon after."""
    die_in(seconds)
    AlertInbox(path)
    os._exit(0)


def seen(inbox):
    """All that an outsider can see, in full."""
    return {
        "incidents": inbox.incidents(10_000),
        "alerts": inbox.alerts(10_000),
        "asides": inbox.asides(10_000),
        "pending": inbox.pending(10_000),
        "orders": inbox.orders(10_000),
    }


class Lives:
    """A inbox's folder, what its senders and Prefect know, and lives one after the other."""

    def __init__(self, folder, bodies):
        folder.mkdir()
        self.path, self.bodies = folder / "book.db", bodies
        self.prefect, self.answers = folder / "prefect", folder / "answers"

    def live(self, *, seconds=None, dies_at=NEVER, threads=True):
        """One life; killed after `seconds`, or at a statement. Its exit code."""
        life = Life(
            self.path,
            self.bodies,
            self.prefect,
            self.answers,
            self.kept(),
            dies_at=dies_at,
            seconds=seconds,
            threads=threads,
        )
        process = CONTEXT.Process(target=life)
        process.start()
        process.join(PATIENCE)
        return process.exitcode

    def kept(self):
        """How many arrivals are in the inbox. Senders send again what is not; what they were told must be."""
        if not self.path.exists() or not self.path.stat().st_size:
            assert not self.told()
            return 0
        with AlertInbox(self.path):
            rows = [(id_, body) for id_, _, body in self.arrivals()]
            # Each is there once, in order, and nothing of another group is between.
            assert [row[1] for row in rows] == self.bodies[: len(rows)]
            numbers = {id_: n for n, (id_, _) in enumerate(rows)}
            for id_, n in self.told():
                assert numbers[id_] == n
            return len(rows)

    def told(self):
        if not self.answers.exists():
            return []
        return [tuple(map(int, line.split())) for line in self.answers.read_text().splitlines()]

    def runs(self):
        """The runs that Prefect made: one for a key, however often it was asked."""
        return list(dict.fromkeys(self.prefect.read_text().split())) if self.prefect.exists() else []

    def judge(self, undisturbed):
        with AlertInbox(self.path) as inbox, AlertInbox(undisturbed.path) as calm:
            assert self.arrivals() == undisturbed.arrivals()
            assert seen(inbox) == seen(calm)
            assert seen(inbox)["pending"] == seen(inbox)["orders"] == []
        assert self.runs() == undisturbed.runs()

    def arrivals(self):
        """The id, the state and the body of each, as they are in the file."""
        with closing(sqlite3.connect(self.path)) as file:
            return file.execute("SELECT id, state, body FROM arrivals ORDER BY id").fetchall()


def test_kills_at_random_moments_do_not_change_the_outcome(tmp_path):
    bodies = story(seed=7, length=500)
    calm, wild = Lives(tmp_path / "calm", bodies), Lives(tmp_path / "wild", bodies)
    began = time.monotonic()
    assert calm.live() == 0
    whole = time.monotonic() - began  # a life's time is a part of it, however fast the machine is
    assert len(calm.runs()) > 100
    dice = random.Random(20261123)
    killed = 0
    for _ in range(60):
        code = wild.live(seconds=dice.uniform(0.1, 1) * whole / dice.choice((10, 40)))
        assert code in (0, -signal.SIGALRM)
        killed += code != 0
        if code == 0:
            break
    assert killed >= 8
    assert wild.live() == 0
    wild.judge(calm)


def test_killed_before_each_statement_of_each_transaction(tmp_path):
    bodies = [
        *(json.dumps({"told": [{"event": "start", "key": key}]}).encode() for key in "ab"),
        json.dumps(
            {"told": [{"event": "end", "key": "a"}, {"event": "start", "key": "c", "about": "x"}]}
        ).encode(),
        b"no JSON",
    ]
    calm = Lives(tmp_path / "calm", bodies)
    assert calm.live(threads=False) == 0
    statements = 0
    while True:
        world = Lives(tmp_path / f"dies at {statements}", bodies)
        code = world.live(dies_at=statements, threads=False)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert world.live(threads=False) == 0
        world.judge(calm)
        statements += 1
    assert statements > 50


def test_an_inbox_half_made_by_a_killed_process_is_completed(tmp_path):
    """It is not there, empty, without tables, or whole."""
    path = tmp_path / "book.db"
    dice = random.Random(1)
    for _ in range(40):
        for beside in path.parent.glob("book.db*"):
            beside.unlink()
        process = CONTEXT.Process(target=open_and_die, args=(path, dice.uniform(0.0001, 0.012)))
        process.start()
        process.join(PATIENCE)
        assert process.exitcode in (0, -signal.SIGALRM)
        with AlertInbox(path) as inbox:
            assert inbox.keep([("generic", b"{}", NOON)]) == [1]
