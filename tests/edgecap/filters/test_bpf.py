"""A filter is compiled in bounded time, and then matches what libpcap itself says."""

import random
from contextlib import suppress

import cypcap
import pytest

from edgecap.errors import InvalidRequest
from edgecap.filters import bpf
from edgecap.filters.bpf import Program
from edgecap.filters.translate import explain

HOSTS = [f"203.0.{number // 250}.{number % 250 + 1}" for number in range(2_000)]
PORTS = "udp port " + " or ".join(map(str, range(1, 401)))


def packet(host="203.0.0.1", port=53):
    """A UDP packet of IPv4 in Ethernet."""
    source = bytes(map(int, host.split(".")))
    ip = bytes([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]) + source + bytes([192, 0, 2, 1])
    return bytes(12) + b"\x08\x00" + ip + port.to_bytes(2, "big") + bytes([0x30, 0x39, 0, 8, 0, 0])


def test_a_list_of_ports_that_is_slow_to_optimize_is_compiled():
    """The optimizer takes fifteen seconds for it; the program is used without it."""
    program = Program(PORTS)
    assert program.matches(packet(port=400))
    assert not program.matches(packet(port=401))


def test_a_filter_that_takes_too_long_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(bpf, "SECONDS", 1)
    expression = " or ".join(f"host {host}" for host in HOSTS)
    with pytest.raises(InvalidRequest, match="takes too long to compile") as refused:
        explain(expression)
    assert len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)


def test_a_compiler_that_hangs_is_ended(monkeypatch):
    """As for a name server that does not answer, for which no processor time is used."""
    monkeypatch.setattr(bpf, "_WAIT", 0.01)
    with pytest.raises(InvalidRequest, match="takes too long"):
        Program("host hanging.invalid")


def test_a_long_filter_matches_as_a_short_one():
    chosen = random.Random(7).sample(HOSTS, 40)
    expression = " or ".join(f"src host {host}" for host in chosen)
    plain = cypcap.compile(bpf.ETHERNET, 262_144, expression, True, cypcap.NETMASK_UNKNOWN)
    program = Program(expression)
    for host in HOSTS[:500]:
        data = packet(host)
        header = cypcap.Pkthdr(ts=0, caplen=len(data), len=len(data))
        assert program.matches(data) is plain.offline_filter(header, data) is (host in chosen)


@pytest.mark.parametrize("filler", ["", " " * 300])
def test_libpcap_s_own_words_reach_the_error(filler):
    with pytest.raises(InvalidRequest, match="syntax error"):
        Program(f"udp and and tcp{filler}")


@pytest.mark.parametrize("depth", [100, 900, 3_000, 50_000])
@pytest.mark.parametrize("around", [("(", ")"), ("not ", "")])
def test_a_deeply_nested_filter_is_explained_or_refused(depth, around):
    before, after = around
    with suppress(InvalidRequest):
        explain(f"{before * depth}udp{after * depth}")
