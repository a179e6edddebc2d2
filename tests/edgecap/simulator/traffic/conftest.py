"""Independent judges of packets, and traffic to judge."""

import shutil
import subprocess
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgecap.simulator.traffic import Packet, PcapWriter, SyntheticTraffic
from tests.raw_sockets import may_capture

Run = Callable[..., list[str]]


def _program(name: str) -> Run:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")

    def run(*arguments: object) -> list[str]:
        done = subprocess.run(
            [name, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
        )
        if "expression rejects all packets" in done.stderr:
            return []  # tcpdump saw by itself that nothing can match
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.fixture(scope="session")
def tshark() -> Run:
    return _program("tshark")


@pytest.fixture(scope="session")
def tcpdump() -> Run:
    return _program("tcpdump")


@pytest.fixture(scope="session")
def capinfos() -> Run:
    return _program("capinfos")


@pytest.fixture(scope="session")
def editcap() -> Run:
    return _program("editcap")


@pytest.fixture(scope="session")
def ping() -> Run:
    return _program("ping")


@pytest.fixture(scope="session")
def raw_sockets() -> None:
    """Skips the test where this process may not capture packets, not through sudo either."""
    may_capture()


@pytest.fixture(scope="session")
def save() -> Callable[..., Path]:
    def write(path: Path, packets: Iterable[Packet], link_type: int = 1, **options: int) -> Path:
        with path.open("wb") as file:
            writer = PcapWriter(file, link_type, nanosecond=True, **options)
            for packet in packets:
                writer.write(packet)
        return path

    return write


@pytest.fixture(scope="session")
def synthetic() -> SyntheticTraffic:
    return SyntheticTraffic(7)


@pytest.fixture(scope="session")
def some_day() -> datetime:
    """The start of a quarter of an hour: the default attacks are at its minutes 1, 6 and 11."""
    return datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
