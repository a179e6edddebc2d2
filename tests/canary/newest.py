"""What edgecap and its tests require, for pip, without upper bounds on Prefect and what its server needs."""

import re
import sys
import tomllib
from pathlib import Path

FREED = ("prefect", "fastapi", "sqlalchemy[asyncio]")
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def requirements() -> list[str]:
    """One a line; of the freed ones only the lower bound is left."""
    said = tomllib.loads(PYPROJECT.read_text())
    wanted = [*said["project"]["dependencies"], *said["project"]["optional-dependencies"]["demo"]]
    wanted += [each for each in said["dependency-groups"]["test"] if isinstance(each, str)]
    return [_without_upper_bound(each) if each.startswith(FREED) else each for each in wanted]


def _without_upper_bound(requirement: str) -> str:
    return re.sub(r",?<[^,;]*", "", requirement)


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements()) + "\n")
