"""After a kill of client, fork or server, no process is left behind, and no client waits for a dead one."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.deployments.conftest import until
from tests.deployments.fork.conftest import lives

SAY = "import os, signal, sys, time; print(os.getpid(), flush=True)\n"
BUSY = SAY + "while True: pass"


def begun(client):
    """The id of the process that the client stands for."""
    return int(client.stdout.readline())


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"])
def test_the_client_hands_signals_on(served, name):
    number = getattr(signal, name)
    code = f"import signal, sys\nsignal.signal({int(number)}, lambda *_: sys.exit(5))\n{SAY}"
    code += "while True: time.sleep(0.05)"  # a handler is not called during a sleep that has just begun
    # A shell's background job ignores SIGINT, and so would all that it starts.
    client = served.client(code, preexec_fn=partial(signal.signal, number, signal.SIG_DFL))
    begun(client)
    client.send_signal(number)
    assert client.wait(60) == 5


def test_a_killed_client_takes_its_process_with_it(served):
    client = served.client(BUSY)
    pid = begun(client)
    client.kill()
    until(lambda: not lives(pid))


def test_that_needs_no_server(setup):
    setup.start()
    client = setup.client(BUSY)
    pid = begun(client)
    setup.stop()
    assert lives(pid)
    client.kill()
    until(lambda: not lives(pid))


def test_a_client_that_is_killed_while_it_asks_leaves_nothing(setup):
    setup.start()
    setup.server.send_signal(signal.SIGSTOP)
    client = setup.client(BUSY)
    until(lambda: "deployments.run" in Path(f"/proc/{client.pid}/cmdline").read_text())
    client.kill()
    client.wait()
    setup.server.send_signal(signal.SIGCONT)
    assert setup.run("print('next')") == "next"
    until(lambda: not setup.children())


@pytest.mark.parametrize("code", [0, 7])
def test_without_the_server_a_process_goes_on_and_its_code_is_known(setup, code):
    setup.start()
    client = setup.client(f"{SAY}sys.stdin.read(); sys.exit({code})", stdin=-1)
    begun(client)
    setup.stop()
    client.stdin.close()
    assert client.wait(60) == code


def test_without_the_server_a_killed_process_counts_as_killed(setup):
    setup.start()
    client = setup.client(BUSY)
    pid = begun(client)
    setup.stop()
    os.kill(pid, signal.SIGKILL)
    assert client.wait(60) == -signal.SIGKILL


def test_a_server_that_hangs_keeps_no_client(setup):
    setup.start()
    client = setup.client(f"{SAY}sys.stdin.read(); sys.exit(3)", stdin=-1)
    begun(client)
    setup.server.send_signal(signal.SIGSTOP)
    client.stdin.close()
    assert client.wait(60) == 3
