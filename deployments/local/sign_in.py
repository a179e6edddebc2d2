"""The secret of a setup's Prefect server: without one, every user of the machine could give it orders.

Prefect has one kind of secret, a string `user:password`, which opens the whole API.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgecap.errors import SetupError
from edgecap.files.paths import near_path
from edgecap.files.private import FILE_MODE, write_private
from tasks.runtime.prefect_server import SERVER_AUTH_STRING

FILE = "prefect-auth"  # in the state folder
_USER = "edgecap"  # Prefect wants one, and knows no users
_BYTES = 24  # of randomness


@dataclass(frozen=True, slots=True)
class SignIn:
    """How programs and people sign in to a server.

    Args:
        auth_string: the secret.
        file: where it is kept; None if the environment has it.
    """

    auth_string: str = field(repr=False)
    file: Path | None

    @property
    def how(self) -> str:
        """What a person gives to the server's pages."""
        return f"the line in {near_path(self.file)}" if self.file else f"your {SERVER_AUTH_STRING}"

    def keep(self) -> None:
        """Write the secret to its file, readable for this user alone.

        Raises:
            StoreError: it cannot be written.
        """
        if self.file is None:
            return
        if self.file.exists():
            self.file.chmod(FILE_MODE)
        else:
            write_private(self.file, f"{self.auth_string}\n")


def sign_in_of(home: Path, environment: Mapping[str, str] = os.environ) -> SignIn:
    """The secret of the server that starts with the state folder `home`; a new one if there is none yet.

    `PREFECT_SERVER_API_AUTH_STRING` comes first, if it is set.

    Raises:
        SetupError: the file with the secret cannot be read, or is empty.
    """
    if given := environment.get(SERVER_AUTH_STRING):
        return SignIn(given, None)
    file = home / FILE
    try:
        found = file.read_text().strip()
    except FileNotFoundError:
        return SignIn(new_auth_string(), file)
    except (OSError, ValueError) as error:
        raise _unusable(file, f"it cannot be read: {error}") from None
    if not found:
        raise _unusable(file, "it is empty")
    return SignIn(found, file)


def new_auth_string() -> str:
    """A secret that nobody can guess."""
    return f"{_USER}:{secrets.token_urlsafe(_BYTES)}"


def _unusable(file: Path, why: str) -> SetupError:
    return SetupError(
        f"the secret of the Prefect server is not usable: {why}",
        where=str(file),
        hint="remove this file: the next start makes a new secret",
    )
