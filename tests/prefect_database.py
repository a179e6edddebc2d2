"""A migrated Prefect database: making one takes 20 seconds, copying it almost none."""

import fcntl
import shutil
from pathlib import Path

from deployments.local.setup import LocalSetup


def make_database(home: Path, *, timeout: float = 300) -> Path:
    """Make a migrated database in the new folder `home`.

    Raises:
        SetupError: Prefect does not make it within `timeout` seconds.
    """
    setup = LocalSetup(home)
    (home / "prefect").mkdir(parents=True)
    setup.program("database", "prefect", "server", "database", "upgrade", "--yes").run(timeout=timeout)
    return home / "prefect" / "prefect.db"


def shared_database(base: Path) -> Path:
    """The database of all test processes that share the folder `base`; the first process makes it."""
    with (base / "prefect-database.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = base / "prefect-database" / "prefect" / "prefect.db"
        if not ready.exists():
            aside = base / "prefect-database.new"
            make_database(aside)
            aside.rename(base / "prefect-database")
        return ready


def place_database(database: Path, home: Path) -> None:
    """Copy the database into a setup's state folder `home`, so that the setup starts with it."""
    (home / "prefect").mkdir(parents=True, exist_ok=True)
    shutil.copy(database, home / "prefect")
