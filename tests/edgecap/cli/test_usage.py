"""A wrong command line is answered with what was meant and where to look; `Usage:` names the arguments."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("capture", "simple", "--port", "53"),
            "Unknown option: --port. Did you mean --sport or --dport? See `edgecap capture simple --help`",
        ),
        (
            ("capture", "full", "--colour=ORD"),
            "Did you mean --colo instead of --colour=ORD? See `edgecap capture full --help`",
        ),
        (("show",), 'Command "show" parameter ID requires an argument; see `edgecap show --help`'),
        (("capture", "smple"), "Available commands: simple, full; see `edgecap capture --help`"),
        (("lst",), "; see `edgecap --help`"),
    ],
)
def test_a_wrong_command_line_says_what_was_meant(call, arguments, line):
    done = call(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert line in done.stderr
    assert ", ;" not in done.stderr


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("summary", "edgecap summary [OPTIONS] [FILE...]"),
        ("get", "edgecap get [OPTIONS] ID [FILE]"),
        ("merge", "edgecap merge --output PATH [OPTIONS] [FILE...]"),
    ],
)
def test_usage_names_arguments_as_the_text_below_does(call, command, usage):
    assert call(command, "--help").stdout.splitlines()[0] == f"Usage: {usage}"
