"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", help="Print one JSON document.", show_default=False)]
Archive = Annotated[str, Parameter(name="--archive", help="Name of the archive in the settings.")]
Account = Annotated[str, Parameter(name="--account", help="Name of the account in the settings.")]
