"""What a worker for a Prefect server of one's own is called, and what its environment says."""

import os
from pathlib import Path

import pytest

from deployments.local.worker import environment, name_of
from edgecap.settings import CONFIG, FOLDER, load_settings


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, which is the current one; nothing in the environment names the settings."""
    for name in [name for name in os.environ if name.startswith("EDGECAP_")]:
        monkeypatch.delenv(name)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_two_workers_of_a_folder_with_other_queues_have_other_names(here):
    """Prefect would take the second for a restart of the first, and `reconcile` its runs for dead."""
    names = {name_of(queues) for queues in ((), ("alerts",), ("manual",), ("alerts", "manual"))}
    assert len(names) == 4
    assert all(f"-{here.name}" in name for name in names)
    assert name_of(("manual", "alerts", "manual")) == name_of(("alerts", "manual"))


@pytest.mark.parametrize("given", ["relative", "absolute"])
def test_the_folder_from_which_paths_count_stays_the_given_one(here, monkeypatch, given):
    """A run works in a checkout of its own, and must find the settings all the same."""
    folder = here / "settings"
    folder.mkdir()
    (folder / CONFIG).touch()
    monkeypatch.setenv(FOLDER, "settings" if given == "relative" else str(folder))
    env = environment(load_settings(), os.environ)
    assert Path(env[FOLDER]) == folder
    assert Path(env["EDGECAP_CONFIG"]) == folder / CONFIG


def test_without_a_given_folder_it_is_the_current_one(here):
    assert Path(environment(load_settings(), os.environ)[FOLDER]) == here
