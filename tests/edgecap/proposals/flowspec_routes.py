"""FlowSpec routes as a router gets them: encoded by ExaBGP, applied after RFC 8955 and RFC 8956."""

from functools import cache

from exabgp.logger import log
from exabgp.reactor.api import API

LENGTHS = (1, 2, 4, 8)


@cache
def exabgp() -> API:
    log.silence()
    return API(None)


def encoded(line: str) -> tuple[bool, bytes]:
    """Whether a line of ExaBGP's API makes a route of IPv6, and that route's NLRI without its length."""
    routes = exabgp().api_flow(line)
    assert len(routes) == 1, f"{exabgp().configuration.error}: {line}"
    nlri = routes[0].nlri
    packed = nlri.pack_nlri()
    return "ipv6" in str(nlri.afi), packed[2 if packed[0] >= 0xF0 else 1 :]


def matches(line: str, facts) -> bool:
    """Whether a route matches a packet."""
    six, data = encoded(line)
    if six != (facts.version == 6):
        return False
    while data:
        kind, data = data[0], data[1:]
        if kind in (1, 2):
            hit, data = prefix(data, facts.destination if kind == 1 else facts.source, six=six)
        else:
            hit, data = operators(data, kind, facts)
        if not hit:
            return False
    return True


def prefix(data: bytes, address, *, six: bool) -> tuple[bool, bytes]:
    bits, data = data[0], data[1:]
    if six:
        assert data[0] == 0, "an offset"
        data = data[1:]
    size = -(-bits // 8)
    wanted, data = data[:size], data[size:]
    width = len(address.packed) * 8
    number = int.from_bytes(wanted + bytes(len(address.packed) - size), "big")
    return number >> width - bits == int(address) >> width - bits, data


def value_of(kind: int, facts) -> int | None:
    if kind == 12:
        return {0: 0, 1: 0x04, 2: 0x02}[facts.fragment]  # first fragment, is a fragment other than the first
    return {
        3: facts.protocol,
        5: facts.destination_port,
        6: facts.source_port,
        7: facts.icmp_type,
        8: facts.icmp_code,
        9: facts.flags,
        10: facts.length,
    }[kind]


def operators(data: bytes, kind: int, facts) -> tuple[bool, bytes]:
    """A list of operators and values: `and` binds closer than `or` (RFC 8955, 4.2.1)."""
    value, result, group, last = value_of(kind, facts), False, None, False
    while not last:
        op, data = data[0], data[1:]
        last, both, size = bool(op & 0x80), bool(op & 0x40), LENGTHS[op >> 4 & 3]
        given, data = int.from_bytes(data[:size], "big"), data[size:]
        hit = value is not None and (bits if kind in (9, 12) else number)(op, value, given)
        if group is not None and not both:
            result |= group
            group = hit
        else:
            group = hit if group is None else group and hit
    return result or bool(group), data


def number(op: int, value: int, given: int) -> bool:
    return bool((op & 4 and value < given) or (op & 2 and value > given) or (op & 1 and value == given))


def bits(op: int, value: int, given: int) -> bool:
    hit = value & given == given if op & 1 else value & given != 0
    return not hit if op & 2 else hit
