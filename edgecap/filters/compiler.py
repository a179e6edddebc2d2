"""A program that compiles one filter expression with libpcap, within limits of processor time and memory.

libpcap compiles in the caller's thread and cannot be interrupted. Its time grows with the square of the
filter's length, and with the third power where it optimizes: a list of 400 ports takes fifteen seconds.

It reads JSON from stdin. For each program that it made it writes a line: first a plain one, then an optimized
one, for which it has a second or two. Both match the same packets, the optimized one faster. It imports as
little as possible: each long expression starts it anew, by its path.
"""

import json
import math
import os
import resource
import struct
import sys
import time
from contextlib import closing

import cypcap

MEMORY = 1 << 30  # bytes
_SNAPLEN = 262_144


def savefile(link_type: int, *, big_endian: bool) -> cypcap.Pcap:
    """A capture file without packets: libpcap compiles an expression for a file as tcpdump does.

    Without a file it assumes a live interface: it takes `inbound`, which no file of Ethernet can tell, and
    reads BSD loopback's address families as those of this machine.

    Args:
        link_type: the `LINKTYPE_` number of the file.
        big_endian: the file's byte order.

    Raises:
        cypcap.Error: libpcap does not know the link type.
    """
    ours, theirs = os.pipe()
    try:
        head = (0xA1B2C3D4, 2, 4, 0, 0, _SNAPLEN, link_type)
        os.write(theirs, struct.pack(">IHHiIII" if big_endian else "<IHHiIII", *head))
        os.close(theirs)
        return cypcap.open_offline(f"/dev/fd/{ours}")
    finally:
        os.close(ours)


def main() -> None:
    """Compile what stdin says: `expression`, `link_type`, `big_endian` and `seconds` of processor time."""
    asked = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for optimize, seconds in ((False, asked["seconds"]), (True, 1)):
        # At the limit the kernel ends this process: what it has written counts.
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + seconds, -1))
        try:
            with closing(savefile(asked["link_type"], big_endian=asked["big_endian"])) as file:
                program = file.compile(asked["expression"], optimize, cypcap.NETMASK_UNKNOWN)
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
