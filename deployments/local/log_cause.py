"""Find in a program's log why it ended: a known cause, or the lines that tell most."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TAIL = 300  # lines of a log; what stands before them has passed
_LINES = 3  # of a log without a known cause or an exception
_LONGEST = 300  # characters of such lines together
_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Exit|Interrupt|Failure)(?:: .+)$")
# Frames of a traceback, the boxes that rich draws, and lines that say only that something happened.
_NOISE = re.compile(
    r"^\s*(?:File \"|\^+|~|[│╭╰─━┃┏┗]|\(Background on this error|Traceback|During handling of"
    r"|The above exception|ERROR:\s+Application startup failed|An exception occurred"
    r"|Server stopped!|Worker '.*' stopped!"
    r"|\$ |raise |return |await |async |with |yield )"
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a program ended, and what to do; the hint is empty if that is not known."""

    what: str
    hint: str = ""


_ROOM = "make room, or set another home"
_DATABASE = (
    "move prefect/prefect.db in the state folder away: the archive is not touched, the history of runs "
    "starts anew"
)
_KNOWN: tuple[tuple[str, Cause], ...] = (
    (
        r"No space left on device|database or disk is full|Disk quota exceeded",
        Cause("the disk is full", _ROOM),
    ),
    (
        r"[Pp]ort \d+ is already in use|[Aa]ddress already in use",
        Cause("another program uses its port", "stop that one, or give another port"),
    ),
    (
        r"Permission denied(?:: '[^']*')?|Operation not permitted(?:: '[^']*')?",
        Cause("it may not do this", "give this user the right, or set another home"),
    ),
    (
        r"Read-only file system(?:: '[^']*')?|attempt to write a readonly database",
        Cause("its state cannot be written", "give this user the right, or set another home"),
    ),
    (
        r"unable to open database file",
        Cause("its database cannot be opened", "check who owns the state folder, and whether it has room"),
    ),
    (r"file is not a database|database disk image is malformed", Cause("its database is damaged", _DATABASE)),
    (
        r"Can't locate revision identified by '\w+'",
        Cause("its database is of another version of Prefect", f"use that version, or {_DATABASE}"),
    ),
    (
        r"database is locked",
        Cause("its database is locked", "end the other program that uses this state folder"),
    ),
    (r"No module named '[\w.]+'", Cause("it is not installed as a whole", "run `make setup`")),
    (r"MemoryError|Cannot allocate memory", Cause("there is too little memory")),
    (
        r"All connection attempts failed|Connection refused",
        Cause("the Prefect server does not answer", "its own log says more"),
    ),
)


def find_cause(log: str) -> Cause:
    """Why the program ended that wrote this log, as far as the log tells.

    Of several known causes, the one named last counts: earlier ones have passed. Without one it is the last
    exception, or the last lines that say something. Empty if the log is.
    """
    tail = log.splitlines()[-_TAIL:]
    flat = " ".join(line.strip() for line in tail)  # Prefect breaks its lines at 80 columns
    found = [
        (match.start(), match[0], cause) for known, cause in _KNOWN for match in re.finditer(known, flat)
    ]
    if found:
        _, words, cause = max(found, key=lambda each: each[0])
        return Cause(f"{cause.what} ({words})", cause.hint)
    lines = [line.strip() for line in tail if line.strip() and not _NOISE.match(line)]
    exceptions = [line for line in lines if _EXCEPTION.match(line)]
    telling = " / ".join(exceptions[-1:] or lines[-_LINES:])
    return Cause(telling if len(telling) <= _LONGEST else f"...{telling[-_LONGEST:]}")
