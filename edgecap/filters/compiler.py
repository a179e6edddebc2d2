"""A program that compiles one filter expression with libpcap, within limits of processor time and memory.

libpcap compiles in the caller's thread and cannot be interrupted. Its time grows with the square of the
filter's length, and with the third power where it optimizes: a list of 400 ports takes fifteen seconds.

It reads JSON from stdin. For each program that it made it writes a line: first a plain one, then an optimized
one, for which it has a second or two. Both match the same packets, the optimized one faster. It imports as
little as possible: each long expression starts it anew, by its path.
"""

import json
import math
import resource
import sys
import time

import cypcap

MEMORY = 1 << 30  # bytes


def main() -> None:
    """Compile what stdin says: `expression`, `link_type`, `snaplen` and `seconds` of processor time."""
    asked = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for optimize, seconds in ((False, asked["seconds"]), (True, 1)):
        # At the limit the kernel ends this process: what it has written counts.
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + seconds, -1))
        try:
            program = cypcap.compile(
                asked["link_type"],
                asked["snaplen"],
                asked["expression"],
                optimize=optimize,
                netmask=cypcap.NETMASK_UNKNOWN,
            )
        except cypcap.Error as error:
            say({"error": str(error.args[-1]) if error.args else str(error)})
            return
        say({"program": program.dumps()})


def say(line: dict[str, str]) -> None:
    """Write a line, and have it out before the next step."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
