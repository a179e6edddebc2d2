"""When a fork would not be as good as a new process, or cannot be had, the client starts a new process."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from deployments.fork.protocol import FORK_SERVER
from tests.deployments.conftest import until
from tests.deployments.fork.conftest import SMALL
from tests.deployments.fork.test_ends import SAY, begun

HELLO, FRESH = "print('forked')", "a new process"


def test_without_a_server(setup):
    assert setup.run(HELLO) == FRESH
    assert setup.run(HELLO, env={FORK_SERVER: ""}) == FRESH
    assert setup.start().run(HELLO) == "forked"


def test_with_the_socket_of_a_server_that_was_killed(setup):
    setup.start().stop()
    assert setup.socket.exists()
    assert setup.run(HELLO) == FRESH


def test_no_socket_stays_of_servers_that_ended_or_were_killed(setup):
    setup.start().stop()
    left = setup.socket
    setup.place(left.with_name("other.socket"))
    setup.start()
    assert not left.exists()
    setup.server.terminate()
    setup.server.wait()
    assert list(setup.socket.parent.iterdir()) == []


def test_with_a_server_that_hangs(setup):
    setup.start().server.send_signal(signal.SIGSTOP)
    assert setup.run(HELLO) == FRESH
    setup.server.send_signal(signal.SIGCONT)
    until(lambda: not setup.children())
    assert setup.run(HELLO) == "forked"


@pytest.mark.parametrize(
    ("trouble", "said"),
    [("no-fork", "no fork: Resource temporarily unavailable"), ("thread", "2 threads run here")],
)
def test_with_a_server_that_cannot_fork(setup, trouble, said):
    assert setup.start(trouble).run(HELLO) == FRESH
    assert said in setup.said


@pytest.mark.parametrize("name", ["PYTHONUTF8", "OMP_NUM_THREADS", "LC_ALL", "PREFECT_PLUGINS_ENABLED"])
def test_with_variables_that_only_a_new_process_heeds(served, name):
    assert served.run(HELLO, env={name: "1"}) == FRESH
    assert served.run(HELLO, env={"OTHER": "1"}) == "forked"


def test_a_path_longer_than_a_socket_s_address(setup):
    folder = setup.socket.parent / ("long" * 30)
    folder.mkdir(mode=0o700)
    setup.place(folder / "s.socket")
    assert len(str(setup.socket)) > 107
    assert setup.start().run(HELLO) == "forked"


def test_no_other_user_may_come_near(setup):
    assert stat.S_IMODE(setup.socket.parent.stat().st_mode) == 0o700
    setup.socket.parent.chmod(0o755)
    argv = [sys.executable, "-m", SMALL, str(setup.code)]
    refused = subprocess.run(argv, env=setup.env, capture_output=True, text=True, check=False)
    assert "is not private" in refused.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_s_client_is_not_served(served):
    code = """
import os, sys
from deployments.fork.protocol import connect
os.setuid(65534)
connection = connect(sys.argv[1], timeout=60)
print(connection.recv(1))
"""
    argv = [sys.executable, "-c", code, str(served.socket)]
    try:
        served.socket.parent.chmod(0o711)
        served.socket.chmod(0o777)
        said = subprocess.run(argv, env=served.env, capture_output=True, text=True, check=False)
    finally:
        served.socket.parent.chmod(0o700)
    assert said.stdout.strip() == "b''", said.stderr


def test_changed_code_reaches_the_next_process_and_earlier_ones_go_on(setup):
    setup.start()
    earlier = setup.client(f"{SAY}sys.stdin.read(); os.kill(os.getpid(), 11)", stdin=-1)
    begun(earlier)
    assert setup.run("print(of_the_server.VERSION)") == "1"
    (setup.code / "of_the_server.py").write_text("VERSION = 2222")
    assert setup.run("print(of_the_server.VERSION)") == FRESH
    until(setup.socket.exists)
    assert setup.run("print(of_the_server.VERSION)") == "2222"
    earlier.stdin.close()
    assert earlier.wait(60) == -11
    assert setup.server.poll() is None


def test_many_at_once(served):
    clients = [served.client(f"import time; time.sleep(0.2); print({number})") for number in range(20)]
    assert [client.communicate(timeout=60)[0].strip() for client in clients] == [str(n) for n in range(20)]
    until(lambda: not served.children())


def test_a_client_that_says_nothing_delays_no_other(served):
    code = (
        "import sys, time\nfrom deployments.fork.protocol import connect\nc = connect(sys.argv[1], timeout=9)"
    )
    silent = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nprint(1, flush=True); time.sleep(600)", str(served.socket)],
        env=served.env,
        stdout=subprocess.PIPE,
    )
    silent.stdout.readline()
    began = time.monotonic()
    assert served.run(HELLO) == "forked"
    silent.kill()
    silent.wait()
    assert time.monotonic() - began < 60
