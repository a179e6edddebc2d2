"""What libpcap would ask the network about is found; nothing else is taken for it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.errors import InvalidRequest
from edgecap.filters.bpf import Program
from edgecap.filters.names import KEYWORDS, looked_up
from tests.edgecap.filters.expressions import expressions


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("", ()),
        ("host example.net", ("example.net",)),
        ("src example.net and tcp dst port https", ("example.net",)),
        ("host 10.0.0.1 or example.net or a-b.example", ("example.net", "a-b.example")),
        ("host (10.0.0.1 or example.net)", ("example.net",)),
        ("net loopback", ("loopback",)),
        ("gateway router", ("router",)),
        ("ether host printer", ("printer",)),
        ("port http and host http", ("http",)),
        ("port (http or domain) and not tcp port 8080 or https", ()),
        ("ip proto \\udp and src \\tcp", ("\\tcp",)),
        ("host 10.0.0.0.1", ("10.0.0.0.1",)),  # not an address, so a name it is
        ("host 10.0.0.1.", ("10.0.0.1.",)),
        ("UDP", ("UDP",)),
        ("udp annd tcp", ("annd",)),
        ("not\nhost\texample.net", ("example.net",)),
        ("tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and ip[6:2] & 0x1fff != 0", ()),
        ("icmp[icmptype] == icmp-unreach && icmp6[icmp6type]=icmp6-echo", ()),
        ("ether host 00:11:22:aa:bb:cc or ether host aa-bb-cc-dd-ee-ff or ether host abcd.abcd.abcd", ()),
        ("host 2001:db8::1 or net ::ffff:203.0.113.0/120 or net 10/8 or net 192.168", ()),
        ("net 203.0.113.0 mask 255.255.255.0 and portrange 50-60 and ip proto (6 or 17)", ()),
        ("type mgt subtype beacon", ()),
        ("ip host 203.0.113.7&&greater 40||len>=0x40", ()),
    ],
)
def test_names_are_found(expression, names):
    assert looked_up(expression) == names


@given(expression=expressions)
def test_ordinary_expressions_have_none(expression):
    assert looked_up(expression) == ()


@pytest.mark.parametrize("word", sorted(KEYWORDS))
def test_every_word_of_the_language_is_one_to_libpcap(word):
    """Were it none, `host` before it would make it the name of a host; some are numbers."""
    assert looked_up(f"host {word}") == ()
    with suppress(InvalidRequest):
        Program(f"ip[0] = {word}")
        return
    with pytest.raises(InvalidRequest) as error:
        Program(f"host {word}")
    assert "unknown host" not in error.value.what


pieces = "( ) [ ] and or ! && src dst host net port proto udp ip ether 53 10.0.0.1 https : / . - no.invalid"
texts = st.lists(st.sampled_from(pieces.split()), max_size=10).flatmap(
    lambda words: st.sampled_from([" ", ""]).map(lambda between: between.join(words))
)


@given(text=texts)
def test_an_expression_without_names_looks_nothing_up(text):
    if looked_up(text):
        return
    with suppress(InvalidRequest):
        Program(text)
        return
    with pytest.raises(InvalidRequest) as error:
        Program(text)
    assert "unknown host" not in error.value.what
    assert "unknown network" not in error.value.what
