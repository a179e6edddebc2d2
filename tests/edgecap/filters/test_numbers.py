"""Names of ports and protocols where the machine has no `/etc/services` and no `/etc/protocols`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgecap.filters.bpf import Program
from edgecap.filters.numbers import numbered
from edgecap.filters.service_names import builtin_ports
from edgecap.protocols import etc_protocol
from tests.mounting import as_root, run_as_root

FILES = [Path("/etc/services"), Path("/etc/protocols")]


def never(_):
    return False


@pytest.mark.parametrize(
    ("expression", "without_names"),
    [
        ("", ""),
        ("udp and port 53", "udp and port 53"),
        ("src port domain", "src port 53"),
        ("port ntp", "udp port 123"),
        ("tcp or src port ntp", "tcp or udp src port 123"),
        ("not dst port ssh and host 10.0.0.1", "not tcp dst port 22 and host 10.0.0.1"),
        ("src or dst port ntp", "udp src or dst port 123"),
        ("!(port ntp)", "!(udp port 123)"),
        ("port ntp or port 53", "udp port 123 or port 53"),
        ("tcp dst port https", "tcp dst port 443"),
        ("udp port ntp", "udp port 123"),
        # In a list each identifier takes over what stands before the first one.
        ("port ntp or 53", "port 123 or 53"),
        ("port (ntp or domain)", "port (123 or 53)"),
        ("port 53 or ntp", "port 53 or 123"),
        ("udp port ntp or domain", "udp port 123 or 53"),
        ("portrange ftp-data-ssh", "portrange ftp-data-ssh"),
        ("portrange ftp-http", "portrange 21-80"),
        ("ip proto \\tcp and proto ospf", "ip proto 6 and proto 89"),
        ("proto (\\udp or gre)", "proto (17 or 47)"),
        ("ether proto \\ip", "ether proto \\ip"),
        ("port nobody-knows-it", "port nobody-knows-it"),
    ],
)
def test_a_name_gets_its_number(expression, without_names):
    assert numbered(expression, knows_port=never, knows_protocol=never) == without_names


def test_names_that_the_machine_knows_are_left_to_it():
    def always(_):
        return True

    expression = "port ntp or proto ospf"
    assert numbered(expression, knows_port=always, knows_protocol=always) == expression


SAME = [
    "src port domain",
    "port ntp",
    "dst port ssh",
    "not src port syslog",
    "tcp or udp port snmp",
    "proto ospf",
]
PACKETS = [
    (protocol, source, destination)
    for protocol in (6, 17, 132, 89)
    for source, destination in ((53, 9), (9, 123), (22, 9), (9, 22), (514, 9), (161, 161))
]


def frame(protocol, source, destination):
    head = bytes([0x45, 0, 0, 40, 0, 1, 0, 0, 64, protocol, 0, 0]) + bytes(8)
    return head + source.to_bytes(2, "big") + destination.to_bytes(2, "big") + bytes(16)


@pytest.mark.skipif(not all(map(Path.exists, FILES)), reason="this machine has no names of its own")
@pytest.mark.parametrize("expression", SAME)
def test_the_numbers_mean_what_the_names_of_this_machine_mean(expression):
    here = Program(expression, 101)
    there = Program(numbered(expression, knows_port=never, knows_protocol=never), 101)
    for packet in PACKETS:
        assert there.matches(frame(*packet)) == here.matches(frame(*packet)), packet


@pytest.mark.skipif(not all(map(Path.exists, FILES)), reason="this machine has no names of its own")
def test_no_name_has_another_number_than_on_this_machine():
    """Names that this machine does not have are none to compare."""
    for line in FILES[0].read_text().splitlines():
        name, _, rest = line.partition("#")[0].strip().partition("\t")
        port, _, protocol = rest.strip().split("\t")[0].strip().partition("/")
        if name and protocol in {"tcp", "udp"}:
            assert builtin_ports(name).get(protocol, int(port)) == int(port)
    for line in FILES[1].read_text().splitlines():
        words = line.partition("#")[0].split()
        if words:
            assert etc_protocol(words[0]) in {None, int(words[1])}


def test_a_filter_with_names_compiles_on_a_machine_without_them():
    """As in a small container: with those files out of sight."""
    code = (
        "import json, sys; from edgecap.filters.translate import explain\n"
        "for one in json.loads(sys.argv[1]): print(explain(one).filter)\n"
    )
    command = [
        sys.executable,
        "-B",
        "-c",
        code,
        json.dumps(["udp src port domain", "port ntp", "proto ospf"]),
    ]
    hidden = [path for path in FILES if path.exists()]
    if hidden:
        hide = " && ".join(f"mount --bind /dev/null {path}" for path in hidden)
        unshared = ("unshare", "--mount", "sh", "-c", f'{hide} && exec "$@"', "sh")
        if trouble := run_as_root(*unshared, "true"):
            pytest.skip(f"nothing can be hidden here: {trouble}")
        command = as_root(*unshared, *command)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["udp :53 > any", "everything", "everything"]
