"""A Prefect server as its clients see it: where its API answers, and how they sign in."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass, field

AUTH_STRING = "PREFECT_API_AUTH_STRING"  # what clients sign in with, `user:password`
SERVER_AUTH_STRING = "PREFECT_SERVER_API_AUTH_STRING"  # what the server asks for
HOSTS = "EDGECAP_PREFECT_HOSTS"  # further names of the setup's own server, with commas between them
SIGN_IN = f"set {AUTH_STRING}, or PREFECT_API_KEY, to what the server asks for"


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """Where a server's API answers, and how to sign in there.

    Args:
        api_url: such as `http://127.0.0.1:4200/api`.
        auth_string: `user:password`; None for what Prefect's own client takes from the environment.
    """

    api_url: str
    auth_string: str | None = field(default=None, repr=False)

    def environment(self) -> dict[str, str]:
        """The variables by which a program of Prefect's finds the server, and signs in."""
        secret = {AUTH_STRING: self.auth_string} if self.auth_string else {}
        return {"PREFECT_API_URL": self.api_url, **secret}

    def headers(self) -> dict[str, str]:
        """The headers that sign a request in; none if no credentials are known."""
        if given := self.auth_string or os.environ.get(AUTH_STRING):
            return {"Authorization": f"Basic {b64encode(given.encode()).decode()}"}
        if key := os.environ.get("PREFECT_API_KEY"):
            return {"Authorization": f"Bearer {key}"}
        return {}
