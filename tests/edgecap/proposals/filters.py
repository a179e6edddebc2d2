"""Filters of any kind, out of the values that the packets of these tests have."""

from ipaddress import ip_network

from hypothesis import strategies as st

from edgecap.proposals.traffic_filter import (
    LARGEST,
    Field,
    Flags,
    Fragments,
    Networks,
    TrafficFilter,
    Values,
)
from tests.edgecap.proposals.packets import (
    ADDRESSES,
    ESP,
    GRE,
    ICMP,
    ICMP6,
    PAYLOADS,
    PORTS,
    TCP,
    TTLS,
    UDP,
    WINDOWS,
)

POOLS = {
    Field.SOURCE_PORT: PORTS,
    Field.DESTINATION_PORT: PORTS,
    Field.LENGTH: [28, 29, 36, 40, 44, 48, 60, 64, 88],
    Field.TTL: TTLS,
    Field.ICMP_TYPE: [0, 3, 8, 128],
    Field.ICMP_CODE: [0, 1, 13],
    Field.WINDOW: WINDOWS,
    Field.PAYLOAD: [int.from_bytes(each[:4], "big") for each in PAYLOADS if len(each) >= 4],
}


@st.composite
def networks(draw, version: int):
    """Some networks, without one inside another."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        prefix = draw(st.sampled_from({4: [32, 24, 16, 23], 6: [128, 64, 32, 33]}[version]))
        network = ip_network(f"{draw(st.sampled_from(ADDRESSES[version]))}/{prefix}", strict=False)
        if not any(network.overlaps(other) for other in found):
            found.append(network)
    return tuple(found)


@st.composite
def values(draw, field: Field):
    """Some values of a field, or a range."""
    pool = st.sampled_from(POOLS[field])
    kind = draw(st.sampled_from(["set", "set", "range", "from", "to"]))
    if kind == "set":
        return Values.of(field, draw(st.sets(pool, min_size=1, max_size=4)))
    first, last = sorted([draw(pool), draw(pool)])
    return Values(field, ((0 if kind == "to" else first, LARGEST[field] if kind == "from" else last),))


@st.composite
def traffic_filters(draw, versions=(4, 6)):
    """A filter with up to four tests."""
    version = draw(st.sampled_from(versions))
    protocol = draw(st.sampled_from([TCP, UDP, TCP, UDP, ICMP if version == 4 else ICMP6, GRE, ESP, None]))
    possible = [
        *(
            networks(version).map(lambda found, side=side: Networks(side, found))
            for side in ("source", "destination")
        )
    ]
    possible += [values(Field.LENGTH), values(Field.TTL)]
    if protocol in (TCP, UDP):
        possible += [values(Field.SOURCE_PORT), values(Field.DESTINATION_PORT)]
    if protocol == TCP:
        masks = st.sampled_from([0x02, 0x12, 0x17, 0x3F, 0xFF])
        possible += [
            st.tuples(masks, st.integers(0, 255)).map(lambda both: Flags(both[0], both[0] & both[1]))
        ]
        possible += [values(Field.WINDOW)]
    if protocol == UDP:
        possible += [values(Field.PAYLOAD)]
    if protocol in (ICMP, ICMP6):
        possible += [values(Field.ICMP_TYPE), values(Field.ICMP_CODE)]
    if version == 4:
        possible += [st.builds(Fragments, st.booleans())]
    chosen = draw(st.lists(st.sampled_from(range(len(possible))), unique=True, max_size=4))
    return TrafficFilter(version, protocol, tuple(draw(possible[place]) for place in chosen))
