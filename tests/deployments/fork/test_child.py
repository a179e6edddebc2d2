"""A forked process is the one that its client would have started, as far as its program can tell."""

import json
import os
import resource
import subprocess
import sys

from deployments.fork.protocol import COMMAND_NAME, STARTED_BY
from deployments.run import OF_RUN

LOOK = """
import json, os, resource, signal, sys
umask = os.umask(0o77)
print(json.dumps({
    "folder": os.getcwd(),
    "first on the path": sys.path[0],
    "umask": umask,
    "variables": {**os.environ, "EDGECAP_STARTED_BY": "", "LC_CTYPE": ""},
    "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "signals": {int(n): str(signal.getsignal(n)).partition(" at ")[0] for n in signal.valid_signals()},
    "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "input": sys.stdin.read(),
    "terminal": [os.isatty(number) for number in range(3)],
    "threads": len(os.listdir("/proc/self/task")),
}))
"""


def limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (222, 333))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o27)


def test_it_has_what_a_new_process_has(served, tmp_path):
    here = {"cwd": tmp_path, "env": {**served.env, "OF_THE_CLIENT": "x\udcff"}, "preexec_fn": limit}
    file = tmp_path / "input"
    file.write_text("some input")
    with file.open() as given:
        forked = json.loads(served.run(LOOK, stdin=given, **here))
    with file.open() as given:
        code = f"import sys\nsys.path[:0] = [{str(tmp_path)!r}]\n{LOOK}"
        here |= {"env": {**OF_RUN, **here["env"]}, "preexec_fn": lambda: (limit(), os.umask(0o77))}
        new = subprocess.run(
            [sys.executable, "-c", code], stdin=given, capture_output=True, check=True, **here
        )
    assert forked == json.loads(new.stdout)
    assert forked["variables"]["OF_THE_CLIENT"] == "x\udcff"
    assert forked["umask"] == 0o77  # whatever the worker's is


def test_its_descriptors_are_its_own(served):
    served.client("import time; time.sleep(600)").kill()
    # The standard ones, the one that lists, its client's, and the pipe that tells the client's end.
    assert len(json.loads(served.run("import json, os; print(json.dumps(os.listdir('/proc/self/fd')))"))) == 6
    code = "import subprocess; subprocess.run(['ls', '/proc/self/fd'], close_fds=False)"
    assert served.run(code).split() == ["0", "1", "2", "3"]


def test_its_streams_know_that_a_pipe_cannot_seek(served):
    """The server's stderr is a log file, where it can; Python asks when a stream is set to take any text."""
    code = "import sys; sys.stderr.reconfigure(errors='backslashreplace'); print(sys.stderr.seekable())"
    assert served.run(code) == "False"


def test_it_knows_who_started_its_client_and_is_called_by_a_name(served):
    code = f"import os; print(os.environ['{STARTED_BY}'], open('/proc/self/comm').read())"
    assert served.run(code).split() == [str(os.getpid()), COMMAND_NAME]


def test_two_have_different_random_numbers(served):
    code = "import random; print(random.random())"
    assert served.run(code) != served.run(code)


def test_exit_codes_reach_the_client(served):
    def code(program):
        client = served.client(program)
        return client.wait(60), client.stderr.read()

    assert code("pass") == (0, "")
    assert code("raise SystemExit") == (0, "")
    assert code("raise SystemExit(7)") == (7, "")
    assert code("import os; os._exit(9)") == (9, "")
    assert code("raise SystemExit('why')") == (1, "why\n")
    number, said = code("1 / 0")
    assert (number, said.splitlines()[-1]) == (1, "ZeroDivisionError: division by zero")


def test_a_deadly_signal_is_the_client_s_too(served):
    for number in (6, 9, 11, 15):
        assert served.client(f"import os; os.kill(os.getpid(), {number})").wait(60) == -number
    assert served.client("raise KeyboardInterrupt").wait(60) == -2


def test_it_ends_as_python_ends(served):
    code = "import atexit, threading, time; atexit.register(print, 'last')\n"
    code += "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()"
    assert served.run(code).split() == ["thread", "last"]


def test_what_imports_registered_for_the_end_is_called(setup):
    (setup.code / "of_the_server.py").write_text("import atexit; atexit.register(print, 'imported')")
    setup.start()
    assert setup.run("import atexit; atexit.register(print, 'of the run')").split("\n") == [
        "of the run",
        "imported",
    ]


def test_it_does_not_free_its_objects(served):
    code = "import os, sys, threading\nclass Left:\n def __del__(self, say=os.write): say(1, b'freed')\n"
    assert served.run(code + "threading.left = Left()\nprint('done')") == "done"


def test_an_output_that_cannot_be_written_is_an_error_as_in_python(served):
    reader, writer = os.pipe()
    os.close(reader)
    client = served.client("print('lost')", stdout=writer)
    os.close(writer)
    said = client.communicate(timeout=60)[1]
    assert client.returncode == 120
    assert "BrokenPipeError" in said


def test_a_process_that_it_forks_ends_with_its_own_code(served):
    code = "import os, sys\nchild = os.fork()\nif not child: sys.exit(7)\n"
    code += "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    assert served.run(code) == "7"


def test_none_is_left_when_they_have_ended(served):
    for _ in range(3):
        served.run("pass")
    assert "Z" not in served.children().values()
