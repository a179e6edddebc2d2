"""The whole matrix: `python -m tests.faults --seed N --only PATTERN --sites K --report docs/faults.md`."""

from __future__ import annotations

import argparse
import logging
import os
import queue
import sys
import tempfile
import threading
import time
import traceback
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path

from deployments.object_store import ObjectStore
from deployments.processes import heed_interrupts
from tests.faults.cases import matrix, short
from tests.faults.play import Case, Result, play
from tests.faults.report import page, summary
from tests.faults.site import Site
from tests.prefect_database import make_database

NO_SITE = "no site started that could play it"
ENDED = "the run was ended before"
_STARTING = threading.Lock()  # starting all servers at once makes each of them late


def main() -> int:
    """Play, print a line for each case, write the report; 1 if a rule was broken or it was ended early."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides which API variant meets which case")
    parser.add_argument("--only", action="append", help="pattern for names of cases; may be repeated")
    parser.add_argument("--short", action="store_true", help="the part that `make test` plays")
    parser.add_argument("--sites", type=int, default=4, help="cases at a time")
    parser.add_argument("--report", type=Path, help="write the page there")
    parser.add_argument("--keep", type=Path, help="folder for logs, kept")
    parser.add_argument("--list", action="store_true", help="only name the cases")
    options = parser.parse_args()
    cases = short(options.seed) if options.short else matrix(options.seed)
    if options.only:
        cases = [case for case in cases if any(fnmatchcase(case.name, each) for each in options.only)]
    if options.list or not cases:
        _tell("\n".join(case.name for case in cases) or "no case has such a name")
        return 0 if cases else 2
    heed_interrupts()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edgecap-faults-", ignore_cleanup_errors=True) as temporary:
        results = play_all(cases, options.keep or Path(temporary), min(options.sites, len(cases)))
    seconds = time.monotonic() - began
    if options.report:
        options.report.write_text(page(results, seed=options.seed, sites=options.sites, seconds=seconds))
    _tell(f"{summary(results)}; in {seconds:.0f} s")
    return 1 if any(result.violations or result.skipped == ENDED for result in results) else 0


def play_all(cases: list[Case], home: Path, sites: int) -> list[Result]:
    """Play all cases, some at a time; their results in the order of the cases.

    Ctrl-C ends it early; the results so far are kept.
    """
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    # What takes longest comes first, or it would be waited for at the end.
    for number in sorted(range(len(cases)), key=lambda n: -cases[n].limit):
        todo.put(number)
    done: dict[int, Result] = {}
    database = make_database(home / "database") if sites > 1 else None
    places = [Site(home / f"site-{number}", database) for number in range(sites)]
    with ObjectStore(home) as store:
        threads = [
            threading.Thread(target=_work, args=[site, store, cases, todo, done], daemon=True)
            for site in places
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            results = dict(done)  # what is played from now on counts no more
            for site in places:
                site.setup.stop()
            return [results.get(n) or Result(case, skipped=ENDED) for n, case in enumerate(cases)]
    return [done.get(n) or Result(case, violations=[NO_SITE]) for n, case in enumerate(cases)]


def _work(
    site: Site,
    store: ObjectStore,
    cases: list[Case],
    todo: queue.SimpleQueue[int],
    done: dict[int, Result],
) -> None:
    played: list[Result] = []
    with ExitStack() as stack:
        with _STARTING:
            stack.enter_context(site)
        while True:
            try:
                number = todo.get_nowait()
            except queue.Empty:
                break
            case = cases[number]
            try:
                result = play(case, site, store, site.home / f"case-{number}")
            except Exception:  # noqa: BLE001 - one case's trouble must not end the others
                traceback.print_exc()
                result = Result(case, violations=[f"the harness failed: {sys.exc_info()[1]!r}"])
            done[number] = result
            played.append(result)
            _say(result, len(done), len(cases))
        _completed_stays(site, played)


def _completed_stays(site: Site, played: list[Result]) -> None:
    """Held-back events come minutes later: look at the end again whether a completed run ran once more."""
    for result in played:
        for run_id in result.run_ids:
            types = [state.type for state in site.history(run_id)]
            if "COMPLETED" in types[:-1]:
                result.violations.append(f"a completed run went on later: {' '.join(types)}")


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
