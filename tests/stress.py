"""Run a command several times on a busy machine: `python -m tests.stress pytest ...`.

A test that is right only on an idle machine fails here. The load is processes that use the processor, and one
that writes to the disk and syncs it, as a database does.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

_COUNT = "while True: sum(range(100_000))"
_WRITE = """
import os, sys
with open(sys.argv[1], "wb") as file:
    while True:
        file.seek(0)
        file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
"""


@contextmanager
def load(processes):
    """Keep the machine busy."""
    with tempfile.NamedTemporaryFile() as file:
        running = [subprocess.Popen([sys.executable, "-c", _COUNT]) for _ in range(processes)]
        running.append(subprocess.Popen([sys.executable, "-c", _WRITE, file.name]))
        try:
            yield
        finally:
            for process in running:
                process.kill()
                process.wait()


def main():
    """Run the command `--times` times; the exit code is the first one that is not 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="how often (3)")
    busy = 3 * (os.cpu_count() or 1)
    parser.add_argument("--load", type=int, default=busy, help=f"processes that count besides ({busy})")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    for number in range(1, given.times + 1):
        began = time.monotonic()
        with load(given.load):
            code = subprocess.run(given.command, check=False).returncode
        took = time.monotonic() - began
        sys.stderr.write(f"stress: run {number} of {given.times}: exit {code} after {took:.0f} s\n")
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
