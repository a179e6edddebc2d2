"""The environment of Prefect's client in this process: set before Prefect is imported."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from deployments.local.processes import LOOPBACK
from deployments.local.running import running_setup
from deployments.local.setup import CORS, PORT, prefect_settings
from deployments.local.sign_in import new_auth_string
from edgecap.cli.exits import debugging
from edgecap.errors import SetupError
from edgecap.network import prefect_api_url
from edgecap.network.environment import network_environment
from edgecap.network.errors import diagnose
from edgecap.network.over_httpx import Network
from tasks.runtime.prefect_server import AUTH_STRING, SERVER_AUTH_STRING

_ALSO_WITHOUT_SETUP = (
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE",
    "PREFECT_SERVER_ANALYTICS_ENABLED",
    "DO_NOT_TRACK",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT",
    "PREFECT_CLIENT_RETRY_EXTRA_CODES",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW",
)


def point_at_prefect(home: Path) -> str:
    """Choose the server: `PREFECT_API_URL`, else the setup that runs in `home`, else Prefect's default.

    Args:
        home: state folder of the setup on this machine.

    Returns:
        The address of that server's UI; empty if unknown.

    Raises:
        SetupError: the named server does not answer.
        ConfigError: a variable about proxies, certificates or Prefect's address is invalid.
        StoreError: the file of certificates for Prefect's client cannot be written below TMPDIR.
    """
    home = home.resolve()
    # Prefect's console lines would break the progress bar; they still go to its UI. Errors in Prefect's own
    # threads, such as a slot that is taken, have no flow's logger; the flow sees them and retries.
    quiet = ("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "PREFECT_INTERNAL_LOGGING_LEVEL")
    wanted = {} if debugging() else dict.fromkeys(quiet, "CRITICAL")
    api_url, pages = prefect_api_url(), ""
    if not api_url and (setup := running_setup(home)):
        api_url, pages = setup.api_url, setup.ui_url
        os.environ[AUTH_STRING] = setup.auth_string  # one for another server is of no use here
        ours = prefect_settings(home, urlsplit(api_url).port or 0)
        wanted |= {name: value for name, value in ours.items() if name.startswith(("PREFECT_", "DO_NOT"))}
    else:
        ours = prefect_settings(home, 0)
        wanted |= {name: ours[name] for name in _ALSO_WITHOUT_SETUP}
        # Its first start migrates a database; on a busy machine that exceeds Prefect's timeout.
        wanted["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "180"
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    os.environ.update(network_environment(os.environ))
    if api_url:
        _require(api_url)
    return pages or api_url.removesuffix("/api")


def chosen_server(home: Path) -> str:
    """The server that `point_at_prefect` chooses, and who named it; empty if the choice is Prefect's.

    Args:
        home: state folder of the setup on this machine.

    Raises:
        ConfigError: `PREFECT_API_URL` is not a valid URL.
    """
    if api_url := prefect_api_url():
        return f"Prefect server: {api_url} (PREFECT_API_URL)"
    if setup := running_setup(home.resolve()):
        return f"Prefect server: {setup.ui_url} (`edgecap up` in {home.resolve().parent})"
    return ""


def protect_temporary_server() -> None:
    """Give the server that Prefect's client will start a secret, unless a profile or a file names a server.

    The server listens on loopback until this process ends; without a secret, every user of this machine could
    give it orders.
    """
    from prefect.settings import get_current_settings  # noqa: PLC0415 - after the environment is set

    from tasks.runtime.compat import read_environment_again  # noqa: PLC0415 - the same

    if get_current_settings().api.url is None:
        secret = os.environ.get(SERVER_AUTH_STRING) or new_auth_string()
        os.environ.update({SERVER_AUTH_STRING: secret, AUTH_STRING: secret, CORS: f"http://{LOOPBACK}"})
        read_environment_again()


def other_server(port: int = PORT) -> str:
    """How to use a Prefect server that answers on this machine and that nothing names; empty if none does.

    It may belong to another user, so it is not used by itself.

    Args:
        port: where `edgecap up` and Prefect listen unless told otherwise.
    """
    address = f"http://{LOOPBACK}:{port}/api"
    with suppress(httpx.HTTPError):
        if httpx.get(f"{address}/health", timeout=1, trust_env=False).text.strip() == "true":
            return f"To use the Prefect server that answers at this machine: export PREFECT_API_URL={address}"
    return ""


def _require(api_url: str) -> None:
    try:
        with httpx.Client(transport=Network(), timeout=60) as client:
            answer = client.get(f"{api_url.rstrip('/')}/health")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        diagnosis = diagnose(error, api_url)
        raise SetupError(
            f"the Prefect server does not answer: {diagnosis.what if diagnosis else error}",
            where=api_url,
            hint=diagnosis.hint if diagnosis else "start it with `edgecap up`, or correct PREFECT_API_URL",
        ) from None
    if answer.is_server_error:
        raise SetupError(
            f"the Prefect server answers {answer.status_code}", where=api_url, hint="check its log"
        )
