"""Whatever the counting in C is handed: a ValueError and never a crash. Its texts are those of others."""

import ipaddress
from contextlib import suppress

import communityid
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.packets.columns import PACKET
from edgecap.packets.flow_table import BIN, COUNTS, FLOW, TALKER, FlowTable
from edgecap.packets.native import tally
from edgecap.packets.native import text as native_text

SEED = 7
LAST = (1 << 63) - 1


def tables():
    """All that `tally.tally` takes, as it should be, for three packets."""
    counts = np.zeros(1, COUNTS)
    counts["width"] = tally.BASE_WIDTH
    return {
        "data": bytes(100),
        "rows": np.array([(5, 0, 60, 60, 0), (6, 40, 60, 60, 0), (7, 0, 0, 60, 0)], PACKET),
        "begin": 0,
        "links": np.array([1], "u4"),
        "weights": np.array([1], "u4"),
        "counts": counts,
        "bins": np.zeros(16, BIN),
        "flows": np.zeros(4, FLOW),
        "index": np.zeros(8, "u8"),
        "seed": SEED,
    }


def with_counts(**values):
    counts = tables()["counts"]
    for name, value in values.items():
        counts[name] = value
    return counts


def with_row(**values):
    rows = tables()["rows"]
    for name, value in values.items():
        rows[name][1] = value
    return rows


def crooked(made):
    """The same bytes, one past an address that a number may stand at."""
    raw = np.zeros(made.nbytes + 8, "u1")
    shifted = raw[1 : 1 + made.nbytes]
    shifted[:] = np.frombuffer(made.tobytes(), "u1")
    return shifted.view(made.dtype)


BAD = {
    "a row ends outside": {"rows": with_row(start=41)},
    "a row is larger than can be": {"rows": with_row(start=0xFFFF_FFFF, captured=0xFFFF_FFFF)},
    "a row of another interface": {"rows": with_row(interface=1)},
    "no interface": {"links": np.zeros(0, "u4"), "weights": np.zeros(0, "u4")},
    "an interface without a weight": {"weights": np.zeros(0, "u4")},
    "a weight without an interface": {"weights": np.ones(2, "u4")},
    "crooked weights": {"weights": crooked(tables()["weights"])},
    "rows of another dtype": {"rows": np.zeros(5, "u4")},
    "begin below": {"begin": -1},
    "begin behind": {"begin": 4},
    "counts too small": {"counts": np.zeros(10, "u8")},
    "counts too large": {"counts": np.zeros(2, COUNTS)},
    "no counts": {"counts": np.zeros(0, "u8")},
    "width of nothing": {"counts": with_counts(width=0)},
    "negative width": {"counts": with_counts(width=-1)},
    "a width too large": {"counts": with_counts(width=LAST)},
    "more bins than there are": {"counts": with_counts(bins=17)},
    "a base that no time has": {"counts": with_counts(bins=1, base=LAST)},
    "a base below all times": {"counts": with_counts(bins=1, base=-LAST)},
    "more flows than there are": {"counts": with_counts(flows=5)},
    "few bins": {"bins": np.zeros(15, BIN)},
    "bins of another dtype": {"bins": np.zeros(16 * 40 + 1, "u1")},
    "no flows": {"flows": np.zeros(0, FLOW)},
    "flows of another dtype": {"flows": np.zeros(12, "u8")},
    "no index": {"index": np.zeros(0, "u8")},
    "an index of no power of two": {"index": np.zeros(12, "u8")},
    "an index too small": {"index": np.zeros(4, "u8")},
    "an index of another size": {"index": np.zeros(65, "u1")},
    "crooked rows": {"rows": crooked(tables()["rows"])},
    "crooked links": {"links": crooked(tables()["links"])},
    "crooked counts": {"counts": crooked(tables()["counts"])},
    "crooked bins": {"bins": crooked(tables()["bins"])},
    "crooked flows": {"flows": crooked(tables()["flows"])},
    "crooked index": {"index": crooked(tables()["index"])},
    "every second row": {"rows": np.concatenate([tables()["rows"]] * 2)[::2]},
}


def test_the_base_of_the_bad_tables_is_valid():
    made = tables()
    assert tally.tally(*made.values()) == 3
    assert made["counts"]["packets"] == 3


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_tables_that_do_not_fit_are_refused(change):
    with pytest.raises((ValueError, BufferError)):
        tally.tally(*(tables() | change).values())


@pytest.mark.parametrize("name", ["counts", "bins", "flows", "index"])
def test_a_read_only_table_is_refused(name):
    made = tables()
    made[name].flags.writeable = False
    with pytest.raises((TypeError, BufferError)):
        tally.tally(*made.values())


@settings(max_examples=60)
@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=8, max_size=8), st.data())
def test_an_index_full_of_anything_ends(entries, data):
    """It may point to rows that do not exist, and may have no free entry: no loop, no look outside."""
    frame = bytes(12) + b"\x08\x00\x45" + bytes(19)
    made = tables() | {
        "data": frame,
        "rows": np.array([(0, 0, len(frame), 60, 0)], PACKET),
        "index": np.array(entries, "u8"),
        "counts": with_counts(flows=data.draw(st.integers(0, 4))),
    }
    with suppress(ValueError):
        assert tally.tally(*made.values()) in (0, 1)


def gathering():
    """All that `tally.gather` takes."""
    flows = np.zeros(3, FLOW)
    flows["source"][:, 0] = [1, 2, 1]
    return {
        "flows": flows,
        "begin": 0,
        "destination": False,
        "talkers": np.zeros(4, TALKER),
        "used": 0,
        "index": np.zeros(8, "u8"),
        "registers": np.zeros(tally.REGISTERS, "u1"),
        "seed": SEED,
    }


BAD_GATHERING = {
    "flows of another dtype": {"flows": np.zeros(12, "u8")},
    "begin below": {"begin": -1},
    "begin behind": {"begin": 4},
    "no talkers": {"talkers": np.zeros(0, TALKER)},
    "talkers of another dtype": {"talkers": np.zeros(6, "u8")},
    "more used than there are": {"used": 5},
    "fewer than none used": {"used": -1},
    "no index": {"index": np.zeros(0, "u8")},
    "an index too small": {"index": np.zeros(4, "u8")},
    "an index that is full": {"index": np.full(8, 1, "u8")},
    "other registers": {"registers": np.zeros(tally.REGISTERS - 1, "u1")},
    "crooked flows": {"flows": crooked(gathering()["flows"])},
    "crooked talkers": {"talkers": crooked(gathering()["talkers"])},
    "crooked index": {"index": crooked(gathering()["index"])},
}


def test_the_base_of_the_bad_gatherings_is_valid():
    assert tally.gather(*gathering().values()) == (3, 2)


@pytest.mark.parametrize("change", BAD_GATHERING.values(), ids=BAD_GATHERING)
def test_gatherings_that_do_not_fit_are_refused(change):
    with pytest.raises(ValueError, match=r"fit|index"):
        tally.gather(*(gathering() | change).values())


@pytest.mark.parametrize(
    ("talkers", "used", "index"),
    [
        (np.zeros(4, TALKER), 5, np.zeros(8, "u8")),
        (np.zeros(4, TALKER), -1, np.zeros(8, "u8")),
        (np.zeros(4, TALKER), 4, np.zeros(4, "u8")),
        (np.zeros(4, TALKER), 4, np.zeros(7, "u8")),
        (crooked(np.zeros(4, TALKER)), 4, np.zeros(8, "u8")),
        (np.zeros(4, TALKER), 4, crooked(np.zeros(8, "u8"))),
    ],
)
def test_an_index_is_not_made_anew_of_what_does_not_fit(talkers, used, index):
    with pytest.raises(ValueError, match="fit"):
        tally.reindex(talkers, used, index, SEED)


HUGE = 1 << 62


@pytest.mark.parametrize(
    ("offset", "stride", "count"),
    [
        (0, 16, 4),
        (1, 16, 3),
        (-1, 16, 1),
        (0, 15, 1),
        (0, 16, -1),
        (48, 16, 1),
        (0, HUGE, 5),  # whose product is nothing, in 64 bits
        (HUGE, 16, 1),
        (0, 16, HUGE),
    ],
)
def test_addresses_outside_of_a_buffer_are_refused(offset, stride, count):
    with pytest.raises(ValueError, match="fewer addresses"):
        native_text.addresses(np.zeros(48, "u1"), offset, stride, count)


@pytest.mark.parametrize("count", [-1, 4, HUGE])
def test_more_community_ids_than_flows_are_refused(count):
    with pytest.raises(ValueError, match="fewer flows"):
        native_text.community_ids(np.zeros(3, FLOW), count)


parts = st.sampled_from([b"\0\0", b"\0\0", b"\0\1", b"\xff\xff", b"\x12\x34", b"\x0a\xbc"])
packed = st.one_of(
    st.binary(min_size=16, max_size=16),
    st.lists(parts, min_size=8, max_size=8).map(b"".join),
    st.binary(min_size=4, max_size=4).map(lambda four: bytes(10) + b"\xff\xff" + four),
    st.binary(min_size=4, max_size=4).map(lambda four: bytes(12) + four),
)


def text(address: bytes) -> str:
    whole = ipaddress.IPv6Address(address)
    return str(whole.ipv4_mapped or whole)


@given(st.lists(packed, max_size=6), st.integers(0, 3), st.integers(0, 40))
def test_addresses_read_as_python_writes_them(given_addresses, offset, between):
    buffer = bytes(offset) + b"".join(each + bytes(between) for each in given_addresses)
    found = native_text.addresses(np.frombuffer(buffer, "u1"), offset, 16 + between, len(given_addresses))
    assert found == [text(each) for each in given_addresses]


def flow(protocol, version, source, destination, first, second, *, ports=1):
    made = np.zeros(1, FLOW)
    mapped = bytes(10) + b"\xff\xff" if version == 4 else b""
    made["source"] = np.frombuffer(mapped + source, "u1")
    made["destination"] = np.frombuffer(mapped + destination, "u1")
    made["source_port"], made["destination_port"] = first, second
    made["protocol"], made["version"], made["ports"] = protocol, version, ports
    return made


def reference_id(protocol, source, destination, first, second):
    pair = (first, second) if protocol in (1, 6, 17, 58, 132) else ()
    return communityid.CommunityID().calc(communityid.FlowTuple(protocol, source, destination, *pair))


POOLS = {
    4: [b"\x0a\0\0\1", b"\x0a\0\0\2", b"\xcb\0\x71\7"],
    6: [bytes(15) + b"\1", b"\x20\1" + bytes(14), b"\xfe" * 16],
}


@settings(max_examples=300)
@given(
    st.sampled_from([4, 6]).flatmap(lambda v: st.tuples(st.just(v), *[st.sampled_from(POOLS[v])] * 2)),
    st.one_of(st.sampled_from([6, 17, 132, 33, 136, 47, 50]), st.integers(0, 255)),
    st.sampled_from([0, 1, 80, 443, 65_535]),
    st.sampled_from([0, 1, 80, 443, 65_535]),
)
def test_community_ids_are_those_of_the_reference(ends, protocol, first, second):
    version, source, destination = ends
    found = native_text.community_ids(flow(protocol, version, source, destination, first, second), 1)
    assert found == [reference_id(protocol, source, destination, first, second)]


@pytest.mark.parametrize("protocol", [1, 58])
@pytest.mark.parametrize("version", [4, 6])
def test_community_ids_of_every_icmp_type_are_those_of_the_reference(protocol, version):
    """Both ways, since a request and its reply share one; and ICMP in the wrong version of IP is no crash."""
    one, two, _ = POOLS[version]
    for source, destination in ((one, two), (two, one), (one, one)):
        for kind in range(256):
            for code in (0, 3):
                found = native_text.community_ids(flow(protocol, version, source, destination, kind, code), 1)
                assert found == [reference_id(protocol, source, destination, kind, code)], (kind, code)


def test_request_and_reply_share_an_id_and_unreachable_does_not():
    one, two, _ = POOLS[4]
    request, reply = flow(1, 4, one, two, 8, 0), flow(1, 4, two, one, 0, 0)
    assert native_text.community_ids(request, 1) == native_text.community_ids(reply, 1)
    assert native_text.community_ids(flow(1, 4, one, two, 3, 1), 1) != native_text.community_ids(
        flow(1, 4, two, one, 3, 1), 1
    )


@pytest.mark.parametrize("protocol", [1, 6, 17, 132])
def test_fragments_have_the_id_of_a_protocol_without_ports(protocol):
    """The definition knows no ports that cannot be read: both directions of later fragments share an id."""
    one, two, _ = POOLS[4]
    there = native_text.community_ids(flow(protocol, 4, one, two, 0, 0, ports=0), 1)
    back = native_text.community_ids(flow(protocol, 4, two, one, 0, 0, ports=0), 1)
    assert there == back != native_text.community_ids(flow(protocol, 4, one, two, 0, 0), 1)


def test_a_seed_makes_other_hashes():
    """Nobody can choose addresses that meet in one place of the index without knowing the seed."""
    indexes = set()
    for seed in range(20):
        made = gathering() | {"seed": seed}
        tally.gather(*made.values())
        indexes.add(made["index"].tobytes())
    assert len(indexes) == 20


def test_two_tallies_do_not_share_a_seed(monkeypatch):
    seeds = []

    def gather(flows, *_, seed):
        seeds.append(seed)
        return len(flows), 0

    monkeypatch.setattr(tally, "gather", lambda *given: gather(*given[:-1], seed=given[-1]))
    for table in (FlowTable(), FlowTable()):
        table.sources.gather(np.empty(1, FLOW))
    assert len(set(seeds)) == 2
