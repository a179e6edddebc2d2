"""Columns of addresses against the standard library's `ipaddress`, one at a time."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgecap.packets.verdict.addresses import Addresses

FOUR = st.one_of(
    st.ip_addresses(v=4), st.sampled_from(["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"])
).map(IPv4Address)
SIX = st.one_of(
    st.ip_addresses(v=6), st.sampled_from(["::", "ff02::1", "fe80::1", "2001:db8::1", "3fff::1", "4000::1"])
).map(IPv6Address)
COLUMN = st.lists(st.one_of(FOUR, SIX), min_size=1, max_size=20)


def packed(address):
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def column(addresses):
    return Addresses.of(np.frombuffer(b"".join(map(packed, addresses)), "u1").reshape(-1, 16))


@given(COLUMN)
def test_what_holds_for_each_address(addresses):
    found = column(addresses)
    assert [found.packed(at) for at in range(len(addresses))] == list(map(packed, addresses))
    four = [each.version == 4 or each.ipv4_mapped is not None for each in addresses]
    assert found.are_ipv4.tolist() == four
    groups = [
        (each.is_multicast or int(each) >= 0xE000_0000) if each.version == 4 else each.is_multicast
        for each in addresses
        if each.version == 4 or each.ipv4_mapped is None
    ]
    plain = [at for at, each in enumerate(addresses) if each.version == 4 or each.ipv4_mapped is None]
    assert found.are_groups[plain].tolist() == groups


@given(COLUMN)
def test_networks_are_those_of_ipaddress(addresses):
    def network(address):
        bits = 24 if address.version == 4 else 48
        return packed(ip_network((address, bits), strict=False).network_address)

    plain = [each for each in addresses if each.version == 4 or each.ipv4_mapped is None]
    if plain:
        found = column(plain).masked(24, 48)
        assert [found.packed(at) for at in range(len(plain))] == list(map(network, plain))


@given(COLUMN)
def test_no_host_has_an_impossible_address(addresses):
    def impossible(each):
        if int(each) & 0xFFFF_FFFF == 0:
            return False
        if each.version == 4:
            return int(each) >> 24 in (0, 127) or int(each) >> 24 >= 224
        return int(each) >> 125 != 1 and 0 < int(each) >> 120 < 0xFC

    plain = [each for each in addresses if each.version == 4 or each.ipv4_mapped is None]
    if plain:
        assert column(plain).are_impossible.tolist() == list(map(impossible, plain))
