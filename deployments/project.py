"""Where edgecap's own files are: in a checkout, or in the environment that it is installed in."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
"""The folder with `flows`, `tasks`, `deployments` and `edgecap`, from which entrypoints count."""


def prefect_yaml() -> Path:
    """The `prefect.yaml` of the checkout; in an installation, the copy that the wheel has (setup.py)."""
    installed = PROJECT / "deployments" / "prefect.yaml"
    return installed if installed.is_file() else PROJECT / "prefect.yaml"
