"""Commands that start programs refuse an environment in which edgecap's packages are another project's."""

import pytest


@pytest.mark.parametrize("command", ["up", "worker", "deploy", "demo"])
def test_another_package_found_first_is_refused_by_name(shell, tmp_path, command):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("")
    done = shell.run(command, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (15, "")
    assert done.stderr == (
        f"edgecap: the package `tasks` that Python finds is not edgecap's ({tmp_path}/tasks); "
        "install edgecap into an environment of its own, with `uv tool install` or pipx\n"
    )


def test_a_package_that_another_project_also_installed_is_refused(shell, tmp_path):
    """pip lets the project that comes last overwrite the files of the first."""
    record = tmp_path / "night_jobs-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: night-jobs\nVersion: 1.0\n")
    (record / "top_level.txt").write_text("flows\n")
    done = shell.run("up", PYTHONPATH=str(tmp_path))
    assert done.returncode == 15
    assert done.stderr.startswith(
        "edgecap: night-jobs also installed a package `flows`, which edgecap needs for itself ("
    )


def test_reading_commands_work_all_the_same(shell, tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("")
    assert shell.run("explain", "udp", PYTHONPATH=str(tmp_path)).returncode == 0
