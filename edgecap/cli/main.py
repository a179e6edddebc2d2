"""Entry point of the `edgecap` command: runs the command line, and turns each error into an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import edgecap
from edgecap.cli.any_name import print_any_name
from edgecap.cli.exits import INTERRUPTED, USAGE, complain, quiet_ending, report

_VERSION = (["version"], ["--version"])
_STARTING = ("demo", "deploy", "up", "worker")  # they start programs, which import all of edgecap's packages


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        with quiet_ending():
            if list(arguments) in _VERSION:  # the libraries of the command line take most of its time
                sys.stdout.write(f"{edgecap.__version__}\n")
            else:
                _command(arguments)
    except KeyboardInterrupt as stopped:
        complain(str(stopped) or "interrupted")
        return INTERRUPTED
    except _WrongUsage as error:
        complain(str(error))
        return USAGE
    except Exception as error:  # noqa: BLE001 - every error becomes one line and a code
        return report(error)
    return 0


class _WrongUsage(Exception):
    """The command line is wrong; the text says how, and where to look."""


def _command(arguments: Sequence[str]) -> None:
    from cyclopts import CycloptsError  # noqa: PLC0415 - only if a command runs

    from edgecap.cli.app import HELP_WIDTH, app  # noqa: PLC0415 - the same
    from edgecap.cli.output import console  # noqa: PLC0415 - the same

    if arguments and arguments[0] in _STARTING:
        from edgecap.cli.own_packages import require_own_packages  # noqa: PLC0415 - slow to import

        require_own_packages()
    else:
        # Pydantic would look for plugins in all installed packages, which takes longer than a small command.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        app(
            arguments,
            console=console(width=HELP_WIDTH),
            error_console=console(sys.stderr),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        from edgecap.cli.usage import wrong_usage  # noqa: PLC0415 - the same

        raise _WrongUsage(wrong_usage(error)) from None


def main() -> None:
    """Run the command line."""
    os.umask(0o077)  # what it writes holds packets or secrets
    print_any_name()
    sys.exit(run(sys.argv[1:]))
