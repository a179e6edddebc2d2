"""Headers of any layers are taken apart as they were put together, and as tshark takes real ones apart."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.packets.columns import LAYER, TAGGED, Batch, Interface
from edgecap.packets.headers import address, dissect
from edgecap.packets.reader import PacketReader, open_packets
from tests.edgecap.packets.files import REAL, Dripping, pcap, tshark
from tests.edgecap.packets.frames import frames


def headers_of(link_type: int, *packets: bytes):
    reader = PacketReader(
        Dripping(pcap([(0, each, len(each)) for each in packets], link_type=link_type), 1 << 30)
    )
    (batch,) = reader
    return dissect(batch, reader.interfaces)


def as_dict(layer) -> dict:
    return {
        name: bytes(layer[name]) if name in ("source", "destination") else int(layer[name])
        for name in LAYER.names
    }


LINKS = [
    0,
    1,
    9,
    10,
    12,
    14,
    50,
    51,
    100,
    101,
    104,
    107,
    108,
    109,
    113,
    117,
    204,
    228,
    229,
    239,
    276,
    147,
    65_535,
]
NOTHING = {name: bytes(16) if name in ("source", "destination") else 0 for name in LAYER.names}


@given(frames())
def test_every_layer_is_found_as_it_was_put_there(frame):
    link, data, expected = frame
    (found,) = headers_of(link, data)
    assert as_dict(found["outer"]) == NOTHING | expected.layers[0]
    assert as_dict(found["inner"]) == NOTHING | (expected.layers[-1] if len(expected.layers) > 1 else {})
    assert data[found["inside"]] >> 4 == expected.layers[-1]["version"]
    tags = [*(tag | TAGGED for tag in expected.vlans), 0, 0]
    assert (found["vlan"], found["inner_vlan"]) == (tags[0], tags[1])
    assert (found["tunnel"], found["spi"], found["cut"]) == (expected.tunnel, expected.spi, 0)


@given(frames(), st.data())
def test_a_frame_cut_anywhere_says_what_is_left_and_invents_nothing(frame, data):
    link, whole, _ = frame
    cut = data.draw(st.integers(0, len(whole)))
    found, full = headers_of(link, whole[:cut])[0], headers_of(link, whole)[0]
    for layer in ("outer", "inner"):
        for name in LAYER.names:
            ours, right = found[layer][name], full[layer][name]
            if name == "protocol":
                continue  # of IPv6, the first extension header that was cut off
            assert not ours.any() or (ours == right).all() or layer == "inner"
    assert found["cut"] or found["outer"] == full["outer"] or not full["outer"]["version"]


@given(st.sampled_from(LINKS), st.binary(max_size=120))
def test_no_bytes_make_it_fail(link, data):
    (found,) = headers_of(link, data)
    assert found["outer"]["version"] in (0, 4, 6)


def test_tunnels_without_end_end():
    endless = b"\x45\0\0\x14\0\0\0\0\x40\x04\0\0\x01\x02\x03\x04\x05\x06\x07\x08" * 2_000
    (found,) = headers_of(101, endless)
    assert found["tunnel"] == 4
    assert found["inner"]["protocol"] == 4


def test_a_row_that_points_outside_is_refused():
    reader = PacketReader(Dripping(pcap([(0, b"x" * 40, 40)]), 1 << 30))
    (batch,) = reader
    with pytest.raises(ValueError, match="outside"):
        dissect(Batch(batch.data[:50], batch.rows, 0), [Interface(1, 0)])
    with pytest.raises(ValueError, match="outside"):
        dissect(batch, [])


def first(text: str) -> str:
    return text.partition(";")[0]


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_captures_are_taken_apart_as_tshark_does(path):
    names = ["ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "ip.ttl", "ipv6.hlim", "tcp.srcport", "udp.srcport"]
    names += [
        "tcp.dstport",
        "udp.dstport",
        "tcp.flags",
        "icmp.type",
        "icmpv6.type",
        "esp.spi",
        "ip.len",
        "eth.type",
    ]
    theirs = [dict(zip(names, line, strict=True)) for line in tshark(path, *names)]
    with open_packets(path) as reader:
        ours = [row for batch in reader for row in dissect(batch, reader.interfaces)]
    kinds = Counter()
    assert len(ours) == len(theirs) == 81
    for found, said in zip(ours, theirs, strict=True):
        outer, inner = found["outer"], found["inner"]
        kinds[int(found["tunnel"])] += 1
        if not outer["version"]:
            assert not said["ip.src"]
            assert not said["ipv6.src"]
            continue
        own, _ = ("ip", "ipv6") if outer["version"] == 4 else ("ipv6", "ip")
        assert str(address(outer["source"])) == first(said[f"{own}.src"])
        assert str(address(outer["destination"])) == first(said[f"{own}.dst"])
        assert outer["ttl"] == int(first(said["ip.ttl" if own == "ip" else "ipv6.hlim"]))
        if own == "ip":
            assert outer["length"] == int(first(said["ip.len"]))
        if found["tunnel"]:
            seen = said["ip.src"].split(";") + said["ipv6.src"].split(";")
            assert str(address(inner["source"])) in seen
        last = inner if found["tunnel"] else outer
        icmp = said["icmp.type"] or said["icmpv6.type"]
        assert last["icmp_type"] == int(first(icmp) or 0)
        if icmp:
            continue  # what tshark finds behind it belongs to the packet that an error quotes
        for ours_name, kind in (("source_port", "srcport"), ("destination_port", "dstport")):
            port = said[f"tcp.{kind}"] or said[f"udp.{kind}"]
            assert int(last["ports"]) == bool(port)
            assert last[ours_name] == int(port or 0)
        if said["tcp.flags"]:
            assert last["tcp_flags"] == int(said["tcp.flags"], 16) & 0xFF
        assert found["spi"] == int(said["esp.spi"] or "0", 0)
    assert kinds == {0: kinds[0], 4: 2, 41: 1, 47: 6}
