"""Raw sockets for tests, opened directly or through sudo if sudo asks for no password."""

import shutil
import socket
import subprocess
import sys

import pytest

from edgecap.errors import ConfigError
from edgecap.simulator.traffic import LiveTraffic
from edgecap.simulator.traffic.live import open_interface

_HAND_OVER = """
import socket, sys
from edgecap.simulator.traffic.live import open_interface
raw = open_interface(sys.argv[1])
socket.send_fds(socket.socket(fileno=0), [b"raw"], [raw.fileno()])
"""
_RIGHT = "no right to capture packets here (CAP_NET_RAW), and sudo gives none without a password"


def live_traffic(interface, **options):
    """Live traffic of an interface; skips the test where capturing is not permitted."""
    try:
        return LiveTraffic(interface, opened=open_interface(interface), **options)
    except ConfigError as error:
        if "CAP_NET_RAW" not in error.what:
            raise
    return LiveTraffic(interface, opened=_through_sudo(interface), **options)


def may_capture():
    """Skips the test where capturing is not permitted."""
    live_traffic("lo").close()


def _through_sudo(interface):
    if not shutil.which("sudo"):
        pytest.skip(_RIGHT)
    mine, theirs = socket.socketpair()
    with mine, theirs:
        # Sudo closes every file but the first three, so the socket comes back over standard input.
        done = subprocess.run(
            ["sudo", "-n", sys.executable, "-B", "-c", _HAND_OVER, interface],
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"{_RIGHT}: {done.stderr.strip()[-200:]}")
        _, [raw], _, _ = socket.recv_fds(mine, 16, 1)
    return socket.socket(fileno=raw)
