"""Select packets for both kinds of capture: filter, sample, limit."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_network

from edgecap.errors import InvalidRequest
from edgecap.requests import Filter
from edgecap.simulator.traffic.base import Packet
from edgecap.simulator.traffic.dissect import ETHERNET, Headers, headers

_SAMPLED_BYTES = 64


def compile_filter(wanted: Filter, link_type: int = ETHERNET) -> Callable[[bytes], bool]:
    """A function that tells whether a frame has all values in `filter_v1`.

    Addresses may be IPv4, IPv6 or networks, and are compared with the outermost IP header; a port is TCP's or
    UDP's; the protocol is IPv4's, or the one after IPv6's last extension header. A packet without a named
    field (ports of ICMP, of later fragments, of ARP) does not match. An empty filter matches every frame.

    Raises:
        InvalidRequest: an address is neither an address nor a network.
    """
    tests = _tests(wanted)
    if not tests:
        return lambda _: True

    def matching(frame: bytes) -> bool:
        found = headers(frame, link_type)
        return found is not None and all(test(found) for test in tests)

    return matching


def matches(frame: bytes, wanted: Filter, link_type: int = ETHERNET) -> bool:
    """`compile_filter` for a single frame.

    Raises:
        InvalidRequest: an address is neither an address nor a network.
    """
    return compile_filter(wanted, link_type)(frame)


def sample(packets: Iterable[Packet], one_in: int, seed: int = 1) -> Iterator[Packet]:
    """About one packet in `one_in`, chosen by a hash of time, server and first bytes.

    The choice is independent of other packets, so that overlapping windows agree.
    """
    if one_in <= 1:
        yield from packets
        return
    salt = seed & 0xFFFFFFFF
    for packet in packets:
        label = b"%d %b " % (packet.time_ns, packet.server.encode())
        mark = zlib.crc32(packet.data[:_SAMPLED_BYTES], zlib.crc32(label, salt))
        if mark * 0x9E3779B1 >> 16 & 0xFFFFFFFF < 0x100000000 // one_in:
            yield packet


def take(
    packets: Iterable[Packet], packet_limit: int | None = None, byte_limit: int | None = None
) -> Iterator[Packet]:
    """Packets until a limit is reached: at most `packet_limit`, and at most `byte_limit` frame bytes.

    It stops before the packet that would exceed the bytes, and reads no packet after its last.
    """
    size = 0
    if packet_limit is not None and packet_limit < 1:
        return
    for count, packet in enumerate(packets, 1):
        size += len(packet.data)
        if byte_limit is not None and size > byte_limit:
            return
        yield packet
        if count == packet_limit:
            return


def _tests(wanted: Filter) -> list[Callable[[Headers], bool]]:
    tests: list[Callable[[Headers], bool]] = []
    protocol, source_port, destination_port = (
        wanted.protocol,
        wanted.source_port,
        wanted.destination_port,
    )
    if protocol is not None:
        tests.append(lambda found: found.protocol == protocol)
    if source_port is not None:
        tests.append(lambda found: found.source_port == source_port)
    if destination_port is not None:
        tests.append(lambda found: found.destination_port == destination_port)
    if wanted.source_address is not None:
        inside_source = _network("source_address", wanted.source_address)
        tests.append(lambda found: inside_source(found.source))
    if wanted.destination_address is not None:
        inside_destination = _network("destination_address", wanted.destination_address)
        tests.append(lambda found: inside_destination(found.destination))
    return tests


def _network(field: str, text: str) -> Callable[[bytes], bool]:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is not an IP address", field=f"filter_v1.{field}", hint="give one such as 203.0.113.7"
        ) from None
    first = network.network_address.packed
    if network.prefixlen == network.max_prefixlen:
        return lambda packed: packed == first
    size, ignored = len(first), network.max_prefixlen - network.prefixlen
    prefix = int.from_bytes(first, "big") >> ignored
    return lambda packed: len(packed) == size and int.from_bytes(packed, "big") >> ignored == prefix
