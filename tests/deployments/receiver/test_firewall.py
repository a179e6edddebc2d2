"""The rules of docs/reverse-proxy.md for nftables, in a network of their own."""

import json
import re
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.nft import ENVIRONMENT, NFT, UNSHARE, missing

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/reverse-proxy.md"
MORE = ("2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::1")  # two of one network, one of another
TRIED = 80


def run(*argv):
    subprocess.run(argv, check=True, timeout=60)


def connections(at, *senders):
    """How many of `TRIED` connections the senders get, one after the other, and whether it is so again."""
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    with socket.create_server((at, 443), family=family, backlog=TRIED) as server:
        counts = []
        for _ in range(2):
            with ExitStack() as stack:
                counts.append(0)
                for number in range(TRIED):
                    line = stack.enter_context(socket.socket(family))
                    line.settimeout(60)
                    line.bind((senders[number % len(senders)], 0))
                    try:
                        line.connect((at, 443))
                    except OSError:
                        continue
                    stack.enter_context(server.accept()[0])
                    counts[-1] += 1
        return counts


def inside(rules):
    """In the network of its own: what the rules let through, as JSON."""
    run("ip", "link", "set", "lo", "up")
    for address in MORE:
        run("ip", "-6", "address", "add", f"{address}/128", "dev", "lo")
    run(NFT, "-f", rules)
    said = {
        "one IPv4 address": connections("127.0.0.1", "127.0.0.2"),
        "two IPv4 addresses": connections("127.0.0.1", "127.0.0.3", "127.0.0.4"),
        "one IPv6 network": connections(MORE[0], MORE[0], MORE[1]),
        "two IPv6 networks": connections(MORE[0], MORE[0], MORE[2]),
    }
    sys.stdout.write(json.dumps(said))


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_one_sender_gets_64_connections_and_others_their_own(tmp_path):
    """They count while they are open: closed ones make room."""
    [rules] = re.findall(r"```nft\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "rules").write_text(rules)
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.deployments.receiver.test_firewall", str(tmp_path / "rules")],
        env=ENVIRONMENT,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "one IPv4 address": [64, 64],
        "two IPv4 addresses": [TRIED, TRIED],
        "one IPv6 network": [64, 64],
        "two IPv6 networks": [TRIED, TRIED],
    }


if __name__ == "__main__":
    inside(sys.argv[1])
