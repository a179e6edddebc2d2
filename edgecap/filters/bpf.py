"""libpcap's own compiler and interpreter of filter expressions, through the binding that includes it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import cypcap

from edgecap.errors import InvalidRequest
from edgecap.filters.compiler import savefile
from edgecap.filters.names import looked_up
from edgecap.filters.numbers import numbered

ETHERNET = 1
_SHORT = 250  # characters; the slowest known expression of this length takes 30 ms
SECONDS = 10  # of processor time for a longer one; a thousand hosts take two
_WAIT = 60.0  # seconds in all, for a machine that is busy, and for name servers that do not answer
_SHOWN = 60  # characters of an expression in an error
RAW = 101
_COMPILED_AS = {14: RAW}  # as OpenBSD numbers raw IP


class Program:
    """A filter expression, compiled as tcpdump compiles it for a file.

    Args:
        expression: in pcap-filter syntax. Empty: every packet.
        link_type: the `LINKTYPE_` number of the packets.
        big_endian: the byte order of their file.

    Raises:
        InvalidRequest: libpcap rejects the expression; the error has its message. Or it takes too long.
    """

    def __init__(self, expression: str, link_type: int = ETHERNET, *, big_endian: bool = False) -> None:
        if "\0" in expression:
            raise _refused("it holds a zero byte", expression)  # libpcap would stop reading there
        compiled_as = _COMPILED_AS.get(link_type, link_type)
        if len(expression) > _SHORT or looked_up(expression):
            self._program = cypcap.BpfProgram.loads(_compiled_aside(expression, compiled_as, big_endian))
        else:
            self._program = _compiled_here(expression, compiled_as, big_endian)
        self._header = cypcap.Pkthdr(ts=0, caplen=0, len=0)

    def matches(self, packet: bytes, wire: int | None = None) -> bool:
        """Whether a packet matches the expression.

        Args:
            packet: its captured bytes.
            wire: its original length; by default all bytes were captured.
        """
        self._header.caplen = len(packet)
        self._header.len = len(packet) if wire is None else wire
        found: bool = self._program.offline_filter(self._header, packet)
        return found


def _compiled_here(expression: str, link_type: int, big_endian: bool) -> cypcap.BpfProgram:
    try:
        with closing(savefile(link_type, big_endian=big_endian)) as file:
            return file.compile(numbered(expression), True, cypcap.NETMASK_UNKNOWN)
    except cypcap.Error as error:
        raise _refused(str(error.args[-1]) if error.args else str(error), expression) from None


@lru_cache(maxsize=16)
def _compiled_aside(expression: str, link_type: int, big_endian: bool) -> str:
    """The program of an expression, compiled by a process that ends if it takes too long.

    Raises:
        InvalidRequest: libpcap rejects the expression, or takes too long.
    """
    asked = {
        "expression": numbered(expression),
        "link_type": link_type,
        "big_endian": big_endian,
        "seconds": SECONDS,
    }
    argv = [sys.executable, "-I", str(Path(__file__).with_name("compiler.py"))]
    given = json.dumps(asked).encode()
    code: int | None = None
    try:
        done = subprocess.run(argv, input=given, capture_output=True, timeout=_WAIT, check=False)  # noqa: S603 - ours
        told, said, code = done.stdout, done.stderr.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as error:
        told, said = error.stdout or b"", ""
    answers = [json.loads(line) for line in told.splitlines() if line.endswith(b"}")]
    for answer in answers:
        if "error" in answer:
            raise _refused(answer["error"], expression)
    if answers:
        program: str = answers[-1]["program"]
        return program
    if code in (None, -signal.SIGXCPU, -signal.SIGKILL):
        raise InvalidRequest(
            f"the filter has {len(expression):,} characters and takes too long to compile "
            f"(more than {SECONDS} s of processor time)",
            field=_shown(expression),
            hint="give a network in place of many hosts, a portrange in place of many ports, or a part of it",
        )
    raise _refused(f"the compiler ended with {code}: {said.strip()[-200:]}", expression)


def _refused(said: str, expression: str) -> InvalidRequest:
    return InvalidRequest(
        f"the filter is not valid: {said}",
        field=_shown(expression),
        hint="write it as for tcpdump (man pcap-filter)",
    )


def _shown(expression: str) -> str:
    return repr(expression if len(expression) <= _SHOWN else f"{expression[:_SHOWN]}...")
