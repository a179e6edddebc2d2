"""Whether `flows`, `tasks` and `deployments` are edgecap's, and not another project's of the same name.

edgecap installs them beside `edgecap`, because Prefect names flows by paths (docs/architecture.md). In an
environment of its own nothing else has these names. In one that it shares, the project that was installed
last has overwritten files of the other.
"""

from __future__ import annotations

from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import edgecap
from edgecap.errors import SetupError

_NAMES = ("deployments", "flows", "tasks")
_HINT = "install edgecap into an environment of its own, with `uv tool install` or pipx"


def require_own_packages() -> None:
    """Return if the packages that Python finds are edgecap's alone.

    Raises:
        SetupError: Python finds another project's package, or another project has installed one into the same
            folder.
    """
    home = Path(edgecap.__file__).parents[1]
    for name in _NAMES:
        spec = find_spec(name)
        found = Path(spec.origin).parents[1] if spec and spec.origin else None
        if found != home:
            raise SetupError(
                f"the package `{name}` that Python finds is not edgecap's",
                where=str(found / name) if found else "",
                hint=_HINT,
            )
    installed = packages_distributions()
    for name in _NAMES:
        if others := sorted(set(installed.get(name, ())) - {"edgecap"}):
            raise SetupError(
                f"{' and '.join(others)} also installed a package `{name}`, which edgecap needs for itself",
                where=str(home / name),
                hint=_HINT,
            )
