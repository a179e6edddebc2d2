"""The whole matrix: `python -m tests.faults --seed N --only PATTERN --sites K --report docs/faults.md`.

With `--results FILE` each case writes a line there as soon as it ends, with the commit that was played.
`--resume` skips the cases that the file has, unless their definition has changed. So a run may be done in
parts; the report covers all of them.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path

from deployments.demo.object_store import ObjectStore
from deployments.local.processes import heed_interrupts
from deployments.local.setup import LocalSetup
from tests.faults.case import Case, Result
from tests.faults.cases import matrix, short
from tests.faults.play import play
from tests.faults.points import POINTS_OF_ALL
from tests.faults.postgres import Postgres
from tests.faults.report import page, summary
from tests.faults.site import Site, deploy_once
from tests.prefect_database import make_database

NO_SITE = "no site started that could play it"
_STARTING = threading.Lock()  # starting all servers at once makes each of them late


def main() -> int:
    """Play the cases and write the report; return 1 if a rule was broken or the run ended early."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides which API variant meets which case")
    parser.add_argument("--only", action="append", help="pattern for names of cases; may be repeated")
    parser.add_argument("--skip", action="append", default=[], help="pattern for names left for another time")
    parser.add_argument("--short", action="store_true", help="the part that `make test` plays")
    parser.add_argument("--sites", type=int, default=6, help="cases at a time")
    parser.add_argument("--results", type=Path, help="append a line for each case to this file")
    parser.add_argument("--resume", action="store_true", help="do not play again what the results have")
    parser.add_argument(
        "--again",
        choices=["violations", "older", "all"],
        help="play these again, too: those with a violation, those of another commit, all that match",
    )
    parser.add_argument("--report", type=Path, help="write the page there, from all results")
    parser.add_argument("--keep", type=Path, help="folder for logs, kept")
    parser.add_argument("--list", action="store_true", help="only name the cases that would be played")
    options = parser.parse_args()
    every = short(options.seed) if options.short else matrix(options.seed)
    known = read_results(options.results, every) if options.results and options.resume else {}
    cases = [case for case in every if _wanted(case.name, options.only or ["*"], options.skip)]
    again = {name for name, result in known.items() if _is_asked_again(result, options.again)}
    cases = [case for case in cases if case.name not in known or case.name in again]
    if options.list:
        _tell("\n".join(case.name for case in cases))
        return 0
    if options.only and not cases and not known:
        _tell("no case has such a name")
        return 2
    heed_interrupts()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    ended = False
    if cases:
        with tempfile.TemporaryDirectory(prefix="edgecap-faults-", ignore_cleanup_errors=True) as temporary:
            match = Match(cases, options.keep or Path(temporary), options.results)
            ended = match.play(min(options.sites, len(cases)))
        known |= match.done
    results = [known[case.name] for case in every if case.name in known]
    if options.report:
        options.report.write_text(page(results, seed=options.seed, sites=options.sites, of=len(every)))
    _tell(f"{summary(results)}; {len(every) - len(results)} not played yet")
    return 1 if ended or any(result.violations for result in results) else 0


def read_results(path: Path, cases: list[Case]) -> dict[str, Result]:
    """The results of the cases whose definition has not changed; the last line of each counts."""
    if not path.exists():
        return {}
    by_name = {case.name: case for case in cases}
    found = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        case = by_name.get(record["name"])
        if case and record["definition"] == case.definition:
            found[case.name] = Result.read(case, record)
    return found


def _is_asked_again(result: Result, which: str | None) -> bool:
    match which:
        case "violations":
            return bool(result.violations)
        case "older":
            return result.commit != commit()
        case _:
            return which == "all"


def _wanted(name: str, only: list[str], skip: list[str]) -> bool:
    return any(fnmatchcase(name, each) for each in only) and not any(fnmatchcase(name, each) for each in skip)


class Match:
    """Plays all cases, on several sites at a time.

    Args:
        cases: to play.
        home: folder for everything.
        results: the file for a line of each.
    """

    def __init__(self, cases: list[Case], home: Path, results: Path | None) -> None:
        self.done: dict[str, Result] = {}
        self._cases = cases
        self._home = home
        self._results = results
        self._commit = commit()
        self._lock = threading.Lock()
        self._ended = False
        self._sites: list[Site] = []
        self._busy: dict[str, int] = {}
        # The longest cases come first, else everything waits for them at the end.
        self._todo: dict[str, deque[Case]] = {}
        for case in sorted(cases, key=lambda case: -case.limit):
            self._todo.setdefault(case.flavour, deque()).append(case)

    def play(self, sites: int) -> bool:
        """Play them; return whether somebody ended the run early."""
        # A case that lasts an hour mostly sleeps, so it has an extra site of its own.
        long = [case for case in self._cases if case.long]
        with ExitStack() as stack:
            store = stack.enter_context(ObjectStore(self._home))
            database = None
            if set(self._todo) - {"postgres"}:
                database = make_database(self._home / "database")
                deploy_once(LocalSetup(self._home / "database"))
            postgres = None
            if "postgres" in self._todo:
                postgres = stack.enter_context(Postgres())
                postgres.prepare(self._home / "postgres", deploy_once)
            threads = [
                threading.Thread(target=self._work, args=[number, store, database, postgres], daemon=True)
                for number in range(sites + len(long))
            ]
            for thread in threads:
                thread.start()
            try:
                for thread in threads:
                    thread.join()
            except KeyboardInterrupt:
                self._ended = True  # later cases no longer count
                for site in self._sites:
                    site.abandon()
            for case in self._cases:
                if case.name not in self.done and not self._ended:
                    self.done[case.name] = Result(case, violations=[NO_SITE])
        return self._ended

    def _next_flavour(self) -> str | None:
        """The flavour with the most cases left for each of its sites."""
        with self._lock:
            left = {flavour: len(cases) for flavour, cases in self._todo.items() if cases}
            if not left:
                return None
            flavour = max(left, key=lambda each: left[each] / (1 + self._busy.get(each, 0)))
            self._busy[flavour] = self._busy.get(flavour, 0) + 1
            return flavour

    def _take(self, flavour: str) -> Case | None:
        with self._lock:
            cases = self._todo[flavour]
            return cases.popleft() if cases else None

    def _work(
        self, number: int, store: ObjectStore, database: Path | None, postgres: Postgres | None
    ) -> None:
        turn = 0
        while flavour := self._next_flavour():
            turn += 1
            site = Site(
                self._home / f"site-{number}-{turn}",
                database,
                deployed=True,
                flavour=flavour,
                postgres=postgres if flavour == "postgres" else None,
                points=POINTS_OF_ALL,
            )
            self._sites.append(site)
            try:
                self._play_on(site, store, flavour)
            except Exception:  # noqa: BLE001 - a site that does not start must not end the others
                traceback.print_exc()
            with self._lock:
                self._busy[flavour] -= 1

    def _play_on(self, site: Site, store: ObjectStore, flavour: str) -> None:
        played: list[Result] = []
        with ExitStack() as stack:
            with _STARTING:
                stack.enter_context(site)
            while (case := self._take(flavour)) and not self._ended:
                try:
                    result = play(case, site, store, site.home / f"case-{len(played)}")
                except Exception:  # noqa: BLE001 - one case's trouble must not end the others
                    traceback.print_exc()
                    result = Result(case, violations=[f"the harness failed: {sys.exc_info()[1]!r}"])
                if self._ended:
                    return
                result.commit, result.at = self._commit, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                played.append(result)
                self._note(result)
            self._completed_stays(site, played)

    def _note(self, result: Result) -> None:
        with self._lock:
            self.done[result.case.name] = result
            if self._results:
                with self._results.open("a") as file:
                    file.write(result.record() + "\n")
        _say(result, len(self.done), len(self._cases))

    def _completed_stays(self, site: Site, played: list[Result]) -> None:
        """Delayed events come minutes later: check again that no completed run ran once more."""
        for result in played:
            for run_id in result.run_ids:
                types = [state.type for state in site.history(run_id)]
                if "COMPLETED" in types[:-1]:
                    result.violations.append(f"a completed run went on later: {' '.join(types)}")
                    self._note(result)


def commit() -> str:
    """The commit that is played, marked if files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()

    changed = git(
        "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/faults.md", ":!docs/faults.jsonl"
    )
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+changes" if changed else "")


def _say(result: Result, done: int, of: int) -> None:
    verdict = "skip" if result.skipped else "FAIL" if result.violations else "ok"
    back = ", ".join(f"{seconds:.0f}" for seconds in result.back)
    _tell(
        f"{time.strftime('%H:%M:%S')} {done:3}/{of} {verdict:4} {result.seconds:4.0f} s  {result.case.name}"
        f"  -> {result.skipped or result.outcome}{f'  (on again after {back} s)' if back else ''}",
    )
    for violation in result.violations:
        _tell(f"         ! {violation}")
    if result.violations:
        for states in result.history:
            _tell(f"           {states}")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
