"""Prefect's settings are read once for many forks, and anew whenever a new process would read others."""

import json
import os
import subprocess
import sys

import pytest

# In a process of its own: it changes all of Prefect in its process.
CODE = """
import json, os, sys
from pathlib import Path
import prefect.main
import deployments.fork.prefect_settings as module
from prefect.settings import get_current_settings

reads = []
read = module.read_environment_again
module.read_environment_again = lambda: (reads.append(os.getpid()), read())
folder, home = Path("empty"), Path("home")
folder.mkdir()
settings = module.PrefectSettings(folder)

def fork(environment, there="."):
    settings.prepare(environment)
    before = len(reads)
    there = Path(there).resolve()
    os.environ.clear()
    os.environ.update(environment)  # as a fork does
    with module.chdir(there):
        settings.ensure()
    return [get_current_settings().api.url, before, len(reads) - before]

base = {**os.environ, "PREFECT_HOME": str(home.resolve()), "PREFECT_API_URL": "http://a/api"}
print(json.dumps(eval(sys.argv[1])))
"""


@pytest.fixture
def play(tmp_path):
    def run(expression):
        env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        argv = [sys.executable, "-c", CODE, expression]
        done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_equal_environments_share_one_reading_whatever_the_run(play):
    runs = "[fork({**base, 'PREFECT__FLOW_RUN_ID': n, 'EDGECAP_STARTED_BY': n}) for n in '123']"
    assert play(runs) == [["http://a/api", 1, 0]] * 3


def test_another_environment_is_read_anew(play):
    assert play("[fork(base), fork({**base, 'PREFECT_API_URL': 'http://b/api'}), fork(base)]") == [
        ["http://a/api", 1, 0],
        ["http://b/api", 2, 0],
        ["http://a/api", 3, 0],
    ]


def test_a_changed_profile_is_read_anew(play):
    profile = "active = 'b'\\n[profiles.b]\\nPREFECT_API_URL = 'http://b/api'\\n"
    other = "{name: value for name, value in base.items() if name != 'PREFECT_API_URL'}"
    write = f"(home / 'profiles.toml').write_text({profile!r})".replace("\\\\n", "\\n")
    assert play(f"[fork({other})[1:], {write} > 0, fork({other})]") == [[1, 0], True, ["http://b/api", 2, 0]]


def test_settings_in_the_run_s_folder_are_read_by_the_run_alone(play):
    write = "(Path('run').mkdir(), Path('run/prefect.toml').write_text('[api]\\nurl = \"http://c/api\"'))"
    other = "{name: value for name, value in base.items() if name != 'PREFECT_API_URL'}"
    assert play(f"[{write}[0], fork({other}, 'run')]")[1] == ["http://c/api", 1, 1]


def test_a_wrong_value_is_the_run_s_own_failure(play):
    code = "[settings.prepare({**base, 'PREFECT_LOGGING_LEVEL': 'no level'}), fork(base)]"
    assert play(code) == [None, ["http://a/api", 2, 0]]
