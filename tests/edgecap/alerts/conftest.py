"""Payloads as the products send them, and a time at which they arrive."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data" / "alerts"
FIXTURES = sorted(path for path in DATA.glob("*/*.json"))
RECEIVED = datetime(2026, 11, 23, 6, 31, 30, tzinfo=UTC)


@pytest.fixture
def received():
    """Half a minute after the Cloudflare attack of the fixtures began."""
    return RECEIVED


@pytest.fixture(scope="session")
def _payloads():
    return {(path.parent.name, path.stem): json.loads(path.read_text()) for path in FIXTURES}


@pytest.fixture
def payload(_payloads):
    """Loads a fixture by source and name; each call gives a copy of its own."""

    def load(source, name):
        return copy.deepcopy(_payloads[source, name])

    return load
