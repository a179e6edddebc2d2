"""A few seconds of what `make fuzz` does for as long as it is told: no crash, no hang, no growth."""

import re
import subprocess
import sys

import pytest

from tests.edgecap.packets.files import DATA

ROOT = DATA.parents[2]


def test_a_short_search_finds_nothing():
    """It fails by itself if its process grows beyond a limit, or if one input takes ten seconds."""
    pytest.importorskip("atheris", reason="there is no atheris for this Python")
    command = [sys.executable, "-m", "tests.fuzz.packets", "--seconds", "8", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    (runs,) = re.findall(r"stat::number_of_executed_units: (\d+)", done.stderr)
    assert int(runs) > 50  # at least all of the seeds


def test_the_fuzzer_detects_planted_faults(tmp_path):
    """The same judge, told that readers should have found something else."""
    pytest.importorskip("atheris", reason="there is no atheris for this Python")
    (tmp_path / "input").write_bytes(b"\x06" + (DATA / "cooked.pcap").read_bytes())
    code = (
        "import sys; from tests.fuzz import packets; from pathlib import Path\n"
        "packets.Inspector.finish = lambda self: None\n"
        "packets.judge(Path(sys.argv[1]).read_bytes())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "input"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "AssertionError: other pieces, other findings" in done.stderr
