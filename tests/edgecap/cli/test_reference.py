"""The pages that are written from the command itself are in step with it."""

import subprocess
import sys
from pathlib import Path

from edgecap.cli.app import COMMANDS, HELP_WIDTH
from edgecap.cli.exits import exits_page
from edgecap.cli.reference import CLI_PAGE, EXITS_PAGE, cli_page, commands

ROOT = Path(__file__).parents[3]


def test_the_reference_of_commands_is_in_step():
    """`python -m edgecap.cli.reference` was run after the last change of a command."""
    assert (ROOT / CLI_PAGE).read_text() == cli_page()


def test_the_page_of_exit_codes_is_in_step():
    """`python -m edgecap.cli.reference` was run after the last change of an error."""
    assert (ROOT / EXITS_PAGE).read_text() == exits_page()


def test_exit_codes_survive_python_without_docstrings():
    """`python -OO` strips docstrings; the codes and their meanings are attributes of the errors."""
    page = "from edgecap.cli.exits import exits_page; print(exits_page(), end='')"
    done = subprocess.run([sys.executable, "-OO", "-c", page], capture_output=True, text=True, check=True)
    assert done.stdout == (ROOT / EXITS_PAGE).read_text()


def test_every_command_is_in_the_reference():
    assert {("capture", "simple"), ("capture", "full"), ("bucket", "register"), ("demo",)} <= set(commands())
    assert len(commands()) == len(set(commands()))


def test_the_list_of_commands_has_a_sentence_for_each_that_ends():
    """A terminal of 110 columns shows each in one line."""
    for _, _, text in COMMANDS:
        first = " ".join(text.partition("\n\n")[0].split())
        assert first.endswith(".")
        assert len(first) <= HELP_WIDTH - 26
