"""Google's client and its HTTP session, for Cloud Storage, emulators and private endpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import google.auth
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud import storage
from google.oauth2 import service_account
from requests import Session

from edgecap.errors import ConfigError
from edgecap.network.over_requests import mount
from edgecap.settings import StoreLocation

_GOOGLE = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_CONNECTIONS = 64


def endpoint_of(place: StoreLocation) -> str:
    """The configured endpoint, or an emulator's, or Google's; without a trailing slash.

    Raises:
        ConfigError: it is not a URL.
    """
    endpoint = (place.endpoint_url or _emulator() or _GOOGLE).rstrip("/")
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigError("endpoint_url is not a URL", where=endpoint, hint="write https://host")
    return endpoint


def connect(endpoint: str, file: Path | None) -> tuple[Any, AuthorizedSession]:
    """Return Google's client and its HTTP session.

    Args:
        endpoint: as `endpoint_of` gives it.
        file: a service account's key file. Without one, an emulator gets no credentials, and any other server
            gets those of Google's default chain.

    Raises:
        ConfigError: the key file cannot be used.
        GoogleAuthError: there are no credentials.
    """
    tokens = Session()  # for signing in
    mount(tokens)
    sign_in = Request(tokens)
    session = AuthorizedSession(  # type: ignore[no-untyped-call]
        _credentials(endpoint, file, sign_in), auth_request=sign_in
    )
    mount(session, pool_connections=4, pool_maxsize=_CONNECTIONS)
    client = storage.Client(
        project="edgecap",  # unused: we make no call that needs one
        _http=session,
        client_options={"api_endpoint": endpoint},
        use_auth_w_custom_endpoint=False,
    )
    return client, session


def _emulator() -> str:
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
    return f"http://{emulator}" if emulator and "://" not in emulator else emulator


def _credentials(endpoint: str, file: Path | None, sign_in: Request) -> Any:
    if file is None:
        if endpoint == _emulator().rstrip("/") or endpoint.startswith("http://"):
            return AnonymousCredentials()  # type: ignore[no-untyped-call]
        return google.auth.default(scopes=[_SCOPE], request=sign_in)[0]
    try:
        return service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
            str(file), scopes=[_SCOPE]
        )
    except (OSError, ValueError) as error:
        # The library's message may quote the file.
        raise ConfigError(
            f"the service account's key file cannot be used ({type(error).__name__})",
            where=str(file),
            hint="correct credentials_file",
        ) from None
