"""Exit codes: their meaning, from the error tree, and how an error becomes one line and a code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from edgecap import errors
from edgecap.errors import EdgecapError
from edgecap.files.names import shown
from edgecap.redact import redact

DONE = 0
FAULT = 1
USAGE = 2
INTERRUPTED = 130
_UNWRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
DEAD_PIPE = 141  # a shell's status for a program that SIGPIPE ended


_HEAD = """\
# Exit codes

A contract for scripts. Every failure prints one line on stderr: `edgecap: `, what happened, where, and what
to do. Its code is that of the error in `edgecap/errors.py`. A failed run in Prefect's UI shows the same line.
With `EDGECAP_DEBUG=1` a traceback precedes it. Written by `python -m edgecap.cli.reference`.

| code | error | meaning |
|---:|---|---|"""


@dataclass(frozen=True, slots=True)
class Exit:
    """One way to end: the code, the error's name (or empty), and its meaning."""

    code: int
    name: str
    meaning: str


def exits() -> list[Exit]:
    """All ways in which a command can end, by code."""
    named = [
        Exit(error.exit_code, name, error.meaning)
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, EdgecapError) and error.meaning
    ]
    ours = [
        Exit(DONE, "", "success"),
        Exit(FAULT, "", "a bug in edgecap; EDGECAP_DEBUG=1 shows a traceback"),
        Exit(USAGE, "", "the command line is wrong: an unknown command or option, or an unreadable value"),
        Exit(INTERRUPTED, "", "Ctrl-C, or cancelled in Prefect; the line says what goes on at Cloudflare"),
    ]
    return sorted([*ours, *named], key=lambda each: each.code)


def exit_summary() -> str:
    """The end of `edgecap --help`: one line per code."""
    names: dict[int, list[str]] = {}
    for each in exits():
        names.setdefault(each.code, []).append(each.name or each.meaning.partition(";")[0].partition(":")[0])
    lines = [f"{code:>5}  {', '.join(of)}" for code, of in names.items()]
    return "\n".join(["Exit codes (docs/exit-codes.md says more):", *lines])


def exits_page() -> str:
    """The page `docs/exit-codes.md`."""
    rows = [f"| {each.code} | {f'`{each.name}`' if each.name else ''} | {each.meaning} |" for each in exits()]
    return "\n".join([_HEAD, *rows, ""])


def debugging() -> bool:
    """Whether `EDGECAP_DEBUG` asks for tracebacks."""
    return os.environ.get("EDGECAP_DEBUG", "") not in ("", "0")


def report(error: BaseException) -> int:
    """Print an error on stderr, in one line without secrets.

    Returns:
        The exit code.
    """
    if debugging():
        import traceback  # noqa: PLC0415 - only for this

        sys.stderr.write(redact("".join(traceback.format_exception(error))))
    if isinstance(error, EdgecapError):
        complain(str(error))
        return error.exit_code
    what = str(error) or "no details"
    complain(f"a bug in edgecap: {type(error).__name__}: {what}; EDGECAP_DEBUG=1 shows a traceback")
    return FAULT


def complain(line: str) -> None:
    """Print `edgecap: <line>` on stderr, as one line, without secrets or control characters."""
    line = shown(" ".join(line.split()))
    clean = "".join(letter if letter.isprintable() else " " for letter in line)
    try:
        sys.stderr.write(f"edgecap: {redact(clean)}\n")
        sys.stderr.flush()
    except OSError:  # the exit code says the rest
        _give_up(sys.stderr)


@contextmanager
def quiet_ending() -> Iterator[None]:
    """Let a reader of stdout exit early, as `head` does, without a traceback at exit.

    Raises:
        StoreError: stdout cannot be written, because the disk behind it is full or does not answer.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _give_up(sys.stdout)
        raise SystemExit(DEAD_PIPE) from None
    except OSError as error:
        # An error of a file is explained where it happens, and names it: this one is of a standard stream.
        if error.filename is not None or error.errno not in _UNWRITTEN:
            raise
        _give_up(sys.stdout)
        from edgecap.files.durable import explain  # noqa: PLC0415 - only for this

        raise explain(error, "standard output") from None


def _give_up(stream: TextIO) -> None:
    """Let the interpreter's last flush succeed; if it fails, the exit code is 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
