"""Single values: however a product writes them, they are read, or they are None. Nothing raises."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.alerts.sources import values


@pytest.mark.parametrize(
    ("written", "size", "unit"),
    [
        (800, 800, ""),
        ("800", 800, ""),
        (812400.5, 812400.5, ""),
        ("800.00 pps", 800, "pps"),
        ("812.40 kpps", 812_400, "pps"),
        ("500K pps", 500_000, "pps"),
        ("20,000 pps", 20_000, "pps"),
        ("1.5 Mpps", 1_500_000, "pps"),
        ("3 packets/s", 3, "pps"),
        ("3 packets per second", 3, "pps"),
        ("1.2 Gbps", 1.2e9, "bps"),
        ("7 mbps", 7e6, "bps"),
        ("12 bits/sec", 12, "bps"),
        ("150 MB/s", 1.2e9, "bps"),
        ("9 MBps", 72e6, "bps"),
        ("5M", 5e6, ""),
        ("6000 rps", 6000, "rps"),
        ("0", 0, ""),
        ("1e3", 1000, ""),
    ],
)
def test_a_rate_with_its_unit(written, size, unit):
    found = values.rate(written)
    assert found is not None
    assert found[0] == pytest.approx(size)
    assert found[1] == unit


@pytest.mark.parametrize(
    "written",
    [
        "",
        "fast",
        "pps",
        "-3 pps",
        "5m 2s",
        "1 furlong",
        None,
        True,
        [],
        {},
        1e30,
        "1e400",
        10**400,
        float("nan"),
    ],
)
def test_other_values_are_not_rates(written):
    assert values.rate(written) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("203.0.113.7", ("203.0.113.7", None)),
        (" 203.0.113.7/32 ", ("203.0.113.7", None)),
        ("203.0.113.7:443", ("203.0.113.7", 443)),
        ("203.0.113.7:0", ("203.0.113.7", None)),
        ("198.51.100.9/24", ("198.51.100.0/24", None)),
        ("2001:db8::7", ("2001:db8::7", None)),
        ("2001:db8::7/128", ("2001:db8::7", None)),
        ("[2001:db8::7]:443", ("2001:db8::7", 443)),
        ("[2001:db8::7]", ("2001:db8::7", None)),
        ("::ffff:203.0.113.7", ("203.0.113.7", None)),
        ("0.0.0.0", None),
        ("0.0.0.0/0", None),
        ("::", None),
        ("fe80::1%eth0", ("fe80::1", None)),
        ("[2001:db8::7%eth0]:443", ("2001:db8::7", 443)),
        ("2001:db8::%3/64", ("2001:db8::/64", None)),
        ("https://203.0.113.7:443/health?x=1", ("203.0.113.7", 443)),
        ("udp://[2001:db8::7]:53", ("2001:db8::7", 53)),
        ("http://user@203.0.113.7/", ("203.0.113.7", None)),
        ("https://web-1.example.net/", None),
        ("203.0.113.7:53/udp", ("203.0.113.7", 53)),
        ("203.0.113.0/255.255.255.0", ("203.0.113.0/24", None)),
        ("203.0.113.007", None),
        ("203.0.113.7%eth0", None),
        ("203.0.113.999", None),
        ("web-1", None),
        ("7", None),
        (7, None),
        (None, None),
        (["203.0.113.7"], None),
    ],
)
def test_an_address_and_the_port_beside_it(written, read):
    assert values.address(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (443, 443),
        ("443", 443),
        (443.0, 443),
        ("0443", 443),
        (0, None),
        ("0", None),
        (65536, None),
        (-1, None),
        (443.5, None),
        ("https", None),
        ([443], 443),
        ([80, 443], None),
        (True, None),
        (None, None),
        ({}, None),
    ],
)
def test_a_port_is_1_to_65535(written, read):
    assert values.port(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("TCP", 6),
        ("udp", 17),
        (17, 17),
        ("17", 17),
        ("GRE", 47),
        ("ICMPv6", 58),
        (["udp"], 17),
        (["udp", "tcp"], None),
        (0, 0),
        ("PIM", 103),
        ("IPv6", None),
        ("HTTP", None),
        (256, None),
        ("", None),
        (None, None),
        (True, None),
    ],
)
def test_a_protocol_by_name_or_number(written, read):
    assert values.protocol(written) == read


NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-23T12:00:00Z",
        "2026-11-23T13:00:00+01:00",
        "2026-11-23T12:00:00.000000000Z",
        "2026-11-23 12:00:00 UTC",
        "2026-11-23T12:00:00",
        "2026-11-23 12:00:00.000000000 +0000 UTC",
        "2026-11-23 13:00:00.5 +0100 CET m=+0.1".replace(".5", ""),
        "Mon, 23 Nov 2026 12:00:00 GMT",
        "23 Nov 2026 13:00:00 +0100",
        "2026/11/23 12:00:00",
        "2026.11.23 12:00:00",
        int(NOON.timestamp()),
        str(int(NOON.timestamp())),
        int(NOON.timestamp()) * 1000,
        f"{int(NOON.timestamp())}000000",
        int(NOON.timestamp()) * 10**9,
    ],
)
def test_a_time_is_read_in_each_form_and_is_utc(written):
    assert values.moment(written) == NOON
    assert values.moment(written).tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-23:00",
        "1970-01-01T00:00:00Z",
        0,
        "0",
        -1,
        10**30,
        "soon",
        "2026-11-23 12:00:00 CET",
        "Nov 23, 2026 12:00:00 PM",
        "",
        None,
        True,
        [],
        1e308,
    ],
)
def test_zero_times_and_nonsense_are_not_times(written):
    assert values.moment(written) is None


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (("P1",), "critical"),
        (("page",), "critical"),
        (("HIGH",), "high"),
        (("middle",), "medium"),
        (("Warning",), "medium"),
        (("major2",), "high"),
        (("Minor2",), "low"),
        (("P5",), "info"),
        (("banana", "low"), "low"),
        ((None, "", 3), "unknown"),
        ((), "unknown"),
    ],
)
def test_severities_of_all_products_are_on_one_scale(words, read):
    assert values.severity(*words) == read


@pytest.mark.parametrize(
    ("sentence", "read"),
    [
        ("DDoS towards 203.0.113.50 (edge)", "203.0.113.50"),
        ("203.0.113.50: loss, again 203.0.113.50.", "203.0.113.50"),
        ("[Triggered on {ip:203.0.113.50}]", "203.0.113.50"),
        ("between 203.0.113.50 and 203.0.113.51", None),
        ("version 1.2.3.4.5", None),
        ("203.0.113.0/24 is down", "203.0.113.0/24"),
        ("DDoS on 203.0.113.7/32", "203.0.113.7"),
        ("203.0.113.0/24 and 198.51.100.7", None),
        ("DDoS on 203.0.113.7 from 198.51.100.7", "203.0.113.7"),
        ("DDoS on 203.0.113.0/24, source: 198.51.100.7", "203.0.113.0/24"),
        ("many packets from 198.51.100.7", None),
        ("2001:db8::7/64 is loud", "2001:db8::/64"),
        ("path 203.0.113.7/24/x", None),
        ("999.1.1.1", None),
        ("nothing", None),
    ],
)
def test_a_sentence_names_a_target_only_if_it_names_one(sentence, read):
    assert values.address_in(sentence) == read


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3),
) | st.from_regex(r"[0-9.,:/\[\]kKMGTpbs eE+-]{0,20}", fullmatch=True)


@given(value=anything)
def test_no_value_raises(value):
    for read in (values.text, values.line, values.number, values.port, values.protocol, values.severity):
        read(value)
    for read in (values.address, values.several, values.colo, values.moment, values.rate):
        read(value)
    values.address_in(values.text(value))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("203.0.113.7, 203.0.113.8;203.0.113.9|203.0.113.10", [f"203.0.113.{n}" for n in (7, 8, 9, 10)]),
        ([["203.0.113.7"], ["203.0.113.8", ["2001:db8::7"]]], ["203.0.113.7", "203.0.113.8", "2001:db8::7"]),
        ("203.0.113.0 - 203.0.113.255", ["203.0.113.0/24"]),
        (["203.0.113.4-203.0.113.6"], ["203.0.113.4/31", "203.0.113.6/32"]),
        ("2001:db8::..2001:db8::ff", ["2001:db8::/120"]),
        ("203.0.113.9-203.0.113.1", ["203.0.113.9-203.0.113.1"]),
        ("web-1 edge-2", ["web-1", "edge-2"]),
    ],
)
def test_several_values_in_a_text_a_list_or_a_range(written, read):
    assert values.several(written) == read


def test_the_networks_around_many_addresses_leave_none_out():
    many = [f"203.0.113.{number}" for number in range(0, 256, 2)] + ["2001:db8::7", "2001:db8::8"]
    assert values.networks_around(many, 1000) == (
        *(f"{each}/32" for each in many[:128]),
        "2001:db8::7/128",
        "2001:db8::8/128",
    )
    assert values.networks_around(many, 2) == ("203.0.113.0/24", "2001:db8::7/128", "2001:db8::8/128")
    assert values.networks_around(["203.0.113.0/25", "203.0.113.128/25"], 1) == ("203.0.113.0/24",)


@pytest.mark.parametrize("letter", [".", "-", ":", " ", "a", "1", "1.", "a-", "a ", "[", "/"])
def test_no_text_takes_long_to_read(letter):
    """A pattern that tries every way to read a long text would not come back at all."""
    written = letter * (10_000 // len(letter))
    values.several(written)
    values.address_in(written)
    values.address(written)
    values.moment(written)


def test_a_long_list_in_a_text_is_cut():
    assert len(values.several("203.0.113.7," * 100_000)) <= values.MOST_ITEMS
    assert len(values.several(["x"] * 100_000)) == values.MOST_ITEMS
