"""Whether full captures go where attacks are: `make bench-analytics`.

The simulated edge spreads a hundred attacks over its 30 cities, each over one to all of them, with shares
that change; it drops a part of each. In the middle of each attack, edgecap chooses the places of its
captures, over HTTP, as for an alert. The judge is the edge's own count of every packet: how many of the
packets that pass in the next minutes pass at the chosen places, beside those at the best places of the same
number as may be chosen. The attacks are a tenth as large as small real ones, so that all their packets can be
counted, and ten times as many of them are sampled.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from pydantic import SecretStr

from benches.world import ACCOUNT, TOKEN
from edgecap.analytics.choice import Choice
from edgecap.analytics.choosing import Wanted, choose_places
from edgecap.settings import Account
from edgecap.settings.analytics import MOST_PLACES
from edgecap.simulator.analytics.service import Analytics
from edgecap.simulator.analytics.truth import tally
from edgecap.simulator.clock import Clock
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import Edge
from edgecap.simulator.serve import SimulatorServer
from edgecap.simulator.traffic.attacks import Attack
from edgecap.simulator.traffic.counted import CountedTraffic
from edgecap.simulator.traffic.times import nanoseconds
from edgecap.stores.folder import FolderStore

ATTACKS, APART, LASTS = 100, timedelta(minutes=30), timedelta(minutes=10)
CHOSEN_AFTER = timedelta(minutes=3)  # after an attack's start; an alert takes about so long
CAPTURED = timedelta(minutes=3)  # three captures of a minute, one after the other
ONE_IN = 1_000  # of the packets is sampled
DELAY = 60.0  # seconds until a packet can be in an answer
WANTED_SHARE, WANTED_ATTACKS, WANTED_SECONDS = 0.9, 0.95, 1.0
KINDS = ("syn_flood", "dns_amplification", "ntp_amplification")


@dataclass(frozen=True)
class Result:
    """One attack.

    Attributes:
        cities: the cities that it reaches.
        choice: what was chosen.
        held: packets that pass at the chosen places in the minutes of the captures.
        best: the same at the best places, as many as may be chosen.
        passed: the same everywhere.
        took: seconds of the choice on top of the answer of Network Analytics.
    """

    cities: int
    choice: Choice
    held: int
    best: int
    passed: int
    took: float

    @property
    def share(self) -> float:
        """What the chosen places hold of what could be captured."""
        return self.held / self.best if self.best else 1.0


class _Moment(Clock):
    """A clock that shows what it is set to."""

    at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at


class _Timed(Analytics):
    """Network Analytics that notes how long it takes to answer."""

    took = 0.0

    def answer(self, caller: Credential, body: Any) -> tuple[int, dict[str, Any]]:
        began = time.perf_counter()
        try:
            return super().answer(caller, body)
        finally:
            self.took += time.perf_counter() - began


def attacks(count: int, start: datetime) -> list[Attack]:
    """Attacks of different kinds, rates and spread, one after the other."""
    rng = Random("bench-analytics")
    return [
        Attack(
            KINDS[number % len(KINDS)],
            start + number * APART,
            LASTS,
            target=f"203.0.113.{100 + number % 100}",
            rate=rng.uniform(60, 400),
        )
        for number in range(count)
    ]


def judge(traffic: CountedTraffic, attack: Attack, choice: Choice, took: float, now: datetime) -> Result:
    """What was chosen, beside the truth."""
    rows = tally(
        traffic,
        nanoseconds(now),
        nanoseconds(now + CAPTURED),
        by=("colo", "outcome"),
        targets=frozenset({attack.target}),
    )
    passed = {row["colo"]: row["packets"] for row in rows if row["outcome"] == "pass"}
    best = sum(sorted(passed.values(), reverse=True)[:MOST_PLACES])
    cities = len({row["colo"] for row in rows})
    held = sum(passed.get(place, 0) for place in choice.places)
    return Result(cities, choice, held, best, sum(passed.values()), took)


def play(count: int, folder: Path) -> list[Result]:
    """Choose places for each attack, and judge each choice."""
    start = datetime(2026, 11, 1, tzinfo=UTC)
    wanted = attacks(count, start)
    traffic = CountedTraffic(7, rate=25.0, attacks=wanted, spread=True, mitigate=True)
    clock = _Moment()
    edge = Edge(
        traffic=traffic,
        buckets=lambda _: FolderStore(folder),
        credentials=[Credential("token", frozenset({ACCOUNT}), token=TOKEN)],
        clock=clock,
        analytics_delay=DELAY,
        analytics_one_in=ONE_IN,
    )
    edge.analytics.__class__ = _Timed
    timed: Any = edge.analytics
    results = []
    with SimulatorServer(edge) as server:
        # The answer counts its packets, which the real one has done before: it is not waited for here.
        account = Account(account_id=ACCOUNT, api_token=SecretStr(TOKEN), base_url=server.base_url)
        for number, attack in enumerate(wanted):
            clock.at = attack.start + CHOSEN_AFTER
            timed.took = 0.0
            asked = Wanted("default", (attack.target,), most=MOST_PLACES)
            began = time.perf_counter()
            chosen = asyncio.run(choose_places(asked, account, FolderStore(folder), within=120))
            took = time.perf_counter() - began - timed.took
            results.append(judge(traffic, attack, chosen.choice, took, clock.at))
            sys.stderr.write(f"\r{number + 1} of {count} attacks")
    sys.stderr.write("\n")
    return results


def report(results: Sequence[Result]) -> bool:
    """Print what was found; whether it is what is wanted."""
    good = sum(each.share >= WANTED_SHARE for each in results)
    times = sorted(each.took for each in results)
    late = times[min(len(times) - 1, int(0.95 * len(times)))]
    shares = sorted(each.share for each in results)
    some = sum(each.held > 0 for each in results)
    told = sum("dropped all" in each.choice.words for each in results if not each.held)
    lines = [
        ("attacks", str(len(results))),
        ("cities that an attack reaches", _range([each.cities for each in results])),
        ("places chosen", _range([len(each.choice.places) for each in results])),
        (f"hold {WANTED_SHARE:.0%} of what could be captured", f"{good} of {len(results)}"),
        ("share that they hold", f"least {shares[0]:.1%}, median {shares[len(shares) // 2]:.1%}"),
        ("packets at the chosen places", f"{some} of {len(results)}, {told} more say that all were dropped"),
        ("decided, on top of the answer", f"median {times[len(times) // 2]:.3f} s, p95 {late:.3f} s"),
    ]
    for name, found in lines:
        print(f"{name:44}{found}")
    return good >= WANTED_ATTACKS * len(results) and late < WANTED_SECONDS and some + told == len(results)


def _range(counts: Sequence[int]) -> str:
    return f"{min(counts)} to {max(counts)}"


def main() -> None:
    """Play and report; exit code 1 if it is not what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attacks", type=int, default=ATTACKS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = play(asked.attacks, Path(folder))
    sys.exit(0 if report(results) else 1)


if __name__ == "__main__":
    main()
