"""`make mutants`: make one small mistake after the other, and see whether a test fails.

python -m tests.mutants [--only lanes] [--most 100] [--seed 1]
"""

import argparse
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

# Imported before the fork, so that no child has to. Nothing of edgecap, since that is what differs.
import httpx  # noqa: F401
import pydantic_settings  # noqa: F401
import pytest
import starlette.applications  # noqa: F401
import uvicorn  # noqa: F401
from hypothesis import settings

from tests.mutants.making import Mutant, mutants

TIMEOUT = 120.0  # seconds; an endless loop counts as noticed, too
_OF = "tests/"
_SUBMISSION = "edgecap/captures/test_submission.py"
TESTS = {  # the quick ones first, since one failure is enough
    "edgecap.captures.polling": [
        "edgecap/captures/test_polling.py",
        f"{_SUBMISSION}::test_a_capture_the_api_does_not_know_yet_counts_as_accepted",
    ],
    "tasks.runtime.restart_policy": ["tasks/runtime/test_restart_policy.py"],
    "edgecap.captures.queue": ["edgecap/captures/test_queue.py", "edgecap/captures/test_ours.py"],
    "edgecap.captures.lanes": ["edgecap/captures/test_lanes.py", "edgecap/captures/test_ours.py"],
    "edgecap.captures.adoption": ["edgecap/captures/test_adoption.py", "edgecap/captures/test_ours.py"],
    "edgecap.captures.posting": [
        "edgecap/captures/test_posting.py",
        "edgecap/captures/test_ours.py",
        "edgecap/captures/test_exactly_once.py",
    ],
    "edgecap.captures.admission": [
        "edgecap/captures/test_ours.py",
        _SUBMISSION,
        "edgecap/captures/test_exactly_once.py",
    ],
    "edgecap.captures.submission": [
        "edgecap/captures/test_ours.py",
        _SUBMISSION,
        "edgecap/captures/test_exactly_once.py",
    ],
    "edgecap.captures.resolving": ["edgecap/captures/test_resolving.py"],
    "edgecap.archive.journal": ["edgecap/archive/test_journal.py"],
    "edgecap.archive.journal_records": ["edgecap/archive/test_journal.py"],
    "edgecap.captures.outages": ["edgecap/captures/test_outages.py"],
}
NEEDS_STORES = {"edgecap.archive.journal": ["-k", "folder or not store"]}  # the others need no shared fixture


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from the source of a mutant."""

    def __init__(self, name: str, source: str):
        self.name, self.source = name, source

    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(self.source, f"<mutant of {self.name}>", "exec"), module.__dict__)


def survives(name: str, mutant: Mutant) -> bool:
    """Whether all tests pass, in a process of its own."""
    tests = [_OF + test for test in TESTS[name]]
    options = ["-x", "-q", "-n0", "-p", "no:cacheprovider", *NEEDS_STORES.get(name, ["--noconftest"])]
    child = os.fork()
    if child == 0:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        code = 1
        with suppress(BaseException):
            sys.meta_path.insert(0, Changed(name, mutant.source))
            code = pytest.main([*options, *tests])
        os._exit(0 if code == 0 else 1)
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--only", default="", help="modules, with commas between")
    parser.add_argument("--most", type=int, default=0, help="of each module; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    settings.register_profile("mutants", deadline=None, derandomize=True, max_examples=50, database=None)
    settings.load_profile("mutants")
    total: Counter[str] = Counter()
    wanted = given.only.split(",") if given.only else TESTS
    for name in [each for each in TESTS if each in wanted or each.rpartition(".")[2] in wanted]:
        source = Path(f"{name.replace('.', '/')}.py").read_text()
        if not survives(name, Mutant(0, "", source)):
            sys.exit(f"{name}: its tests fail without any change: {' '.join(TESTS[name])}")
        made = list(mutants(source))
        if given.most and len(made) > given.most:
            made = random.Random(given.seed).sample(made, given.most)
        lived = 0
        for mutant in sorted(made, key=lambda each: each.line):
            if survives(name, mutant):
                lived += 1
                sys.stdout.write(f"  survived {name}:{mutant.line} {mutant.what}\n")
                sys.stdout.flush()
        total.update(made=len(made), lived=lived)
        sys.stdout.write(f"{name}: {len(made) - lived} of {len(made)} mutants were noticed\n")
        sys.stdout.flush()
    noticed = total["made"] - total["lived"]
    sys.stdout.write(f"in all: {noticed} of {total['made']}, {100 * noticed / max(1, total['made']):.0f} %\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
