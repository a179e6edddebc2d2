"""A log that no stranger can fill, and that no secret gets into."""

import io
import logging

import pytest

from deployments.receiver.log import KINDS, LONGEST, MOST, WINDOW, log_quietly


@pytest.fixture
def lines(clock):
    """What was written so far, line by line."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    log_quietly(stream, clock=clock)
    yield lambda: stream.getvalue().splitlines()
    root.handlers[:] = before
    root.setLevel(level)


log = logging.getLogger("edgecap.test")


def test_so_many_lines_of_a_kind_are_written_and_then_their_number(lines, clock):
    for number in range(MOST + 7):
        log.warning("refused %d", number)
    log.warning("something else")
    assert len(lines()) == MOST + 1
    clock.now += WINDOW
    log.warning("refused %d", 99)
    log.warning("refused %d", 100)
    assert lines()[-2].endswith("warning refused 99 (7 more of this kind were left out before)")
    assert lines()[-1].endswith("warning refused 100")


def test_kinds_without_end_fill_it_neither(lines):
    for number in range(KINDS + 500):
        log.warning(f"refused {number}")  # noqa: G004 - as some libraries do
    assert len(lines()) == KINDS + MOST


def test_a_record_is_one_line_of_bounded_length(lines):
    log.warning("first\n2026-11-23T00:00:00Z info forged\x1b[2J %s", "x" * 5000)
    (line,) = lines()
    assert "\x1b" not in line
    assert "first 2026-11-23T00:00:00Z info forged" in line
    assert len(line) < LONGEST + 50


def test_secrets_are_hidden_and_exceptions_say_their_kind_alone(lines):
    log.warning("cf-webhook-auth: hush-hush")
    try:
        int("hush-hush")
    except ValueError:
        log.exception("it broke")
    assert lines()[0].endswith("warning cf-webhook-auth: ***")
    assert lines()[1].endswith("error it broke: ValueError")


def test_requests_of_our_own_are_not_logged(lines):
    logging.getLogger("httpx").info("HTTP Request: POST http://user:hush@127.0.0.1")
    assert lines() == []
