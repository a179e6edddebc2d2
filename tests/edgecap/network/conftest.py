"""An environment without proxies and CAs of the machine that runs the tests, and one proxy of each kind."""

import os

import pytest

from edgecap.network.certificates import ADDITIONAL, REPLACING

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in (*PROXIES, *map(str.lower, PROXIES), *REPLACING, *ADDITIONAL, "PREFECT_API_SSL_CERT_FILE"):
        if name in os.environ:
            monkeypatch.delenv(name)
