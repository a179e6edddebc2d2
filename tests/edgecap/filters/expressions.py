"""Filter expressions of any kind, and such that a given packet matches."""

from ipaddress import ip_address

from hypothesis import assume
from hypothesis import strategies as st

from edgecap.errors import InvalidRequest
from edgecap.filters.bpf import Program
from edgecap.requests import Bounds

WIDE = Bounds(cidr_filters=True, ipv6_filters=True)

addresses = st.sampled_from(["203.0.113.7", "198.51.100.9", "10.0.0.1", "2001:db8::1", "2001:db8::2"])
ports = st.sampled_from(["53", "54", "80", "443", "0", "http", "domain"])
directions = st.sampled_from(["", "src ", "dst ", "src or dst ", "src and dst ", "dst or src "])


@st.composite
def lists(draw, head, words):
    """One identifier, or several that share their qualifiers."""
    first, more = draw(words), draw(st.lists(words, max_size=2))
    join = draw(st.sampled_from([" or ", " and ", " || "]))
    if more and draw(st.booleans()):
        return f"{head}({join.join([first, *more])})"
    return head + join.join([first, *more])


plain = """
tcp; udp; icmp; icmp6; sctp; esp; ah; ip; ip6; arp; multicast; greater 40; less 60; vlan; vlan 5; 203.0.113.7;
ip proto 17; ip6 proto 6; proto 50; proto 47; ip proto \\tcp; proto (6 or 17); ip proto 51;
ether proto 0x86dd; net 203.0.113.0/24; src net 203.0.113.0/29; dst net 10.0.0.1/32; src net 2001:db8::/32;
net 203.0.113.0 mask 255.255.255.0; src 203.0.113.7; ip src 198.51.100.9; portrange 50-60;
tcp src portrange 50-60; tcp[tcpflags] & tcp-syn != 0; (ip[0] & 0xf) * 4 > 20; ip[6:2] & 0x1fff != 0;
ip[8] < 5; icmp[0] = 8
"""
primitives = st.one_of(
    st.sampled_from([one.strip() for one in plain.split(";")]),
    st.builds(lambda way, word: (f"{way}host ", word), directions, addresses).flatmap(
        lambda pair: lists(pair[0], addresses)
    ),
    st.tuples(st.sampled_from(["", "udp ", "tcp ", "sctp "]), directions).flatmap(
        lambda pair: lists(f"{pair[0]}{pair[1]}port ", ports)
    ),
)
expressions = st.recursive(
    primitives,
    lambda inner: st.one_of(
        inner.map(lambda one: f"({one})"),
        inner.map(lambda one: f"not {one}"),
        inner.map(lambda one: f"!({one})"),
        st.builds(
            lambda left, word, right: f"{left}{word}{right}",
            inner,
            st.sampled_from([" and ", " or ", "&&", " || ", " and not "]),
            inner,
        ),
    ),
    max_leaves=5,
)


@st.composite
def true_of(draw, layer):
    """An expression that this IP header and what follows it matches, in one of the ways to say it."""
    version = 4 if layer["version"] == 4 else 6
    source, destination = (
        str(ip_address(layer[end][12:] if version == 4 else layer[end])) for end in ("source", "destination")
    )
    true = [f"src host {source}", f"dst host {destination}", f"host {source}", f"host ({source} or 10.0.0.9)"]
    true += [f"src or dst {destination}", "ip" if version == 4 else "ip6"]
    if layer.get("ports") and not layer["options"]:
        ends = layer["source_port"], layer["destination_port"]
        named = {6: "tcp ", 17: "udp ", 132: "sctp "}[layer["protocol"]]
        for one in (named, ""):
            true += [
                f"{one}src port {ends[0]}",
                f"{one}dst port {ends[1]}",
                f"{one}port {ends[0]} or {ends[1]}",
            ]
    if version == 4:
        true += [f"proto {layer['protocol']}", f"ip proto {layer['protocol']}"]
    parts = draw(st.lists(st.sampled_from(true), min_size=1, max_size=4))
    return draw(st.sampled_from([" and ", " && "])).join(
        f"({one})" if " or " in one else one for one in parts
    )


def compiled(expression, link_type):
    try:
        return Program(expression, link_type)
    except InvalidRequest:  # a contradiction, or not for this link type
        assume(False)
