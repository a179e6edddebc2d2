"""The part of Cloudflare's Rules language that expressions here use, as its documentation has it.

Written from the documentation alone: fields of the Network Firewall, operators, inline lists, `bit_slice`.
It parses an expression by this grammar, and evaluates it on a packet's facts::

    expression = term *( ("and") term )
    term       = ["not"] primary
    primary    = boolean-field | operand operator value | operand "in" list
    operand    = field | "bit_slice(" raw-field "," start "," end ")"
    operator   = "eq" | "ne" | "lt" | "le" | "gt" | "ge"
    list       = "{" value *( " " value ) "}"        value, range `1..5`, or network `192.0.2.0/24`
"""

import operator
import re
from ipaddress import ip_address, ip_network

NUMBERS = {
    "ip.len",
    "ip.ttl",
    "icmp.type",
    "icmp.code",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
}
FLAGS = {
    f"tcp.flags.{name}": 1 << bit
    for bit, name in enumerate(["fin", "syn", "reset", "push", "ack", "urg", "ecn", "cwr"])
}
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50}
OPERATORS = {name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
TOKEN = re.compile(r'\s*("[^"]*"|bit_slice\((?:ip|tcp|udp), \d+, \d+\)|\{[^}]*\}|[\w.:/]+)')
LONGEST_SLICE, FURTHEST = 32, 2040


class NotInLanguage(Exception):
    pass


def matches(expression: str, facts) -> bool:
    """Whether an expression matches a packet; raises `NotInLanguage` if it is none."""
    if len(expression) > 4096:
        raise NotInLanguage("too long")
    tokens, at = [], 0
    while at < len(expression):
        found = TOKEN.match(expression, at)
        if not found:
            raise NotInLanguage(expression[at:])
        tokens.append(found[1])
        at = found.end()
    results = []
    while True:
        wanted = True
        if tokens[:1] == ["not"]:
            wanted = False
            tokens.pop(0)
        results.append(primary(tokens, facts) is wanted)
        if not tokens:
            return all(results)
        if tokens.pop(0) != "and":
            raise NotInLanguage("and")


def primary(tokens, facts) -> bool:
    name = tokens.pop(0)
    if name in FLAGS:
        return facts.flags is not None and bool(facts.flags & FLAGS[name])
    value = operand(name, facts)
    verb = tokens.pop(0)
    given = tokens.pop(0)
    if verb == "in":
        if not given.startswith("{"):
            raise NotInLanguage(given)
        return any(contains(name, each, value) for each in given[1:-1].split())
    if name == "ip.proto":
        if verb != "eq" or given.strip('"') not in PROTOCOLS:
            raise NotInLanguage(given)
        return value == PROTOCOLS[given.strip('"')]
    if verb not in OPERATORS or not given.isdecimal():
        raise NotInLanguage(f"{name} {verb} {given}")
    return value is not None and OPERATORS[verb](value, int(given))


def contains(name: str, item: str, value) -> bool:
    if name in ("ip.src", "ip.dst"):
        network = ip_network(item) if "/" in item else ip_network(ip_address(item))
        return value.version == network.version and value in network
    first, dots, last = item.partition("..")
    return value is not None and int(first) <= value <= int(last if dots else first)


def operand(name: str, facts):
    if name.startswith("bit_slice("):
        return bit_slice(*re.fullmatch(r"bit_slice\((\w+), (\d+), (\d+)\)", name).groups(), facts)
    if name == "ip.proto":
        return facts.protocol if facts.version == 4 else None
    if name in ("ip.src", "ip.dst"):
        return facts.source if name == "ip.src" else facts.destination
    if name not in NUMBERS:
        raise NotInLanguage(name)
    if facts.version != 4:
        return None  # of IPv6, only addresses
    layer = {"tcp": 6, "udp": 17}.get(name.partition(".")[0])
    if layer is not None and facts.protocol != layer:
        return None
    return {
        "ip.len": facts.length,
        "ip.ttl": facts.ttl,
        "icmp.type": facts.icmp_type,
        "icmp.code": facts.icmp_code,
    }.get(name, facts.source_port if name.endswith("srcport") else facts.destination_port)


def bit_slice(layer: str, start: str, end: str, facts) -> int | None:
    """The bits from `start` to before `end` of a header and what follows it."""
    first, last = int(start), int(end)
    if last - first > LONGEST_SLICE or first > FURTHEST:
        raise NotInLanguage(f"bits {first} to {last}")
    if facts.version != 4:
        return None
    data = facts.ip
    if layer != "ip":
        if facts.protocol != {"tcp": 6, "udp": 17}[layer] or facts.fragment == 2:
            return None
        data = data[facts.header :]
    if last > 8 * len(data):
        return None
    number = int.from_bytes(data, "big")
    return number >> 8 * len(data) - last & (1 << last - first) - 1
