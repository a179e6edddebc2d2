"""Words of a filter expression that libpcap would look up on the network: host and network names.

Port and protocol names come from local files, and do not change.

The grammar is that of libpcap 1.10's scanner. Any word that is not certainly known counts as a name.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

# After one of these, a name is local to the machine or to libpcap.
_LOCAL_WORDS = """
port portrange proto protochain type subtype direction dir on ifname rset ruleset reason action llc
"""
_OTHER_WORDS = """
dst src link ether ppp slip fddi tr wlan arp rarp ip sctp tcp udp icmp igmp igrp pim vrrp carp radio ip6
icmp6 ah esp atalk aarp decnet lat sca moprc mopdl iso esis es-is isis is-is l1 l2 iih lsp snp csnp psnp
clnp stp ipx netbeui host net mask gateway address1 addr1 address2 addr2 address3 addr3 address4 addr4 ra ta
less greater byte broadcast multicast len length inbound outbound ifindex vlan mpls pppoed pppoes geneve
lane metac bcc oam oamf4 oamf4ec oamf4sc sc ilmic vpi vci connectmsg metaconnect rnr rulenum srnr subrulenum
fisu lssu lsu msu hfisu hlssu hmsu sio opc dpc sls hsio hopc hdpc hsls icmptype icmpcode icmp-echoreply
icmp-unreach icmp-sourcequench icmp-redirect icmp-echo icmp-routeradvert icmp-routersolicit icmp-timxceed
icmp-paramprob icmp-tstamp icmp-tstampreply icmp-ireq icmp-ireqreply icmp-maskreq icmp-maskreply icmp6type
icmp6code icmp6-destinationunreach icmp6-packettoobig icmp6-timeexceeded icmp6-parameterproblem icmp6-echo
icmp6-echoreply icmp6-multicastlistenerquery icmp6-multicastlistenerreportv1 icmp6-multicastlistenerdone
icmp6-routersolicit icmp6-routeradvert icmp6-neighborsolicit icmp6-neighboradvert icmp6-redirect
icmp6-routerrenum icmp6-nodeinformationquery icmp6-nodeinformationresponse icmp6-ineighbordiscoverysolicit
icmp6-ineighbordiscoveryadvert icmp6-multicastlistenerreportv2 icmp6-homeagentdiscoveryrequest
icmp6-homeagentdiscoveryreply icmp6-mobileprefixsolicit icmp6-mobileprefixadvert icmp6-certpathsolicit
icmp6-certpathadvert icmp6-multicastrouteradvert icmp6-multicastroutersolicit icmp6-multicastrouterterm
tcpflags tcp-fin tcp-syn tcp-rst tcp-push tcp-ack tcp-urg tcp-ece tcp-cwr
"""
_JOINING = {"and", "or", "not"}
_LOCAL = frozenset(_LOCAL_WORDS.split())
KEYWORDS = _LOCAL.union(_JOINING, _OTHER_WORDS.split())
"""Words of the language, which are never looked up."""

_WITH_COLONS = re.compile(r"[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*")
_WORD = re.compile(r"[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?")
_ESCAPED = re.compile(r"\\[^ !()\n\t]+")
_N = r"(?:0[xX][0-9A-Fa-f]+|[0-9]+)"
_NUMBERS = re.compile(rf"{_N}(?:\.{_N}){{0,3}}")
_B = "[0-9A-Fa-f]{1,2}"
_MAC = re.compile(rf"{_B}(?:([:.-]){_B})(?:\1{_B}){{4}}|[0-9A-Fa-f]{{4}}(?:\.?[0-9A-Fa-f]{{4}}){{2}}")


def looked_up(expression: str) -> tuple[str, ...]:
    """The names that libpcap would look up on the network, as written, each once.

    Only an expression without such names means the same everywhere and at any time.
    """
    found: list[str] = []
    local = False
    for _, text in words(expression):
        if text in KEYWORDS:
            local = local if text in _JOINING else text in _LOCAL
        elif not local and not _address(text):
            found.append(text)
    return tuple(dict.fromkeys(found))


def words(expression: str) -> list[tuple[int, str]]:
    """The words of an expression, each with its position; operators are left out."""
    found: list[tuple[int, str]] = []
    at = 0
    while at < len(expression):
        text = _longest(expression, at)
        if text:
            found.append((at, text))
        at += max(len(text), 1)
    return found


def _longest(expression: str, at: int) -> str:
    """The longest word that begins here; empty if none does."""
    found = (form.match(expression, at) for form in (_WITH_COLONS, _WORD, _ESCAPED))
    return max((match[0] for match in found if match), key=len, default="")


def _address(word: str) -> bool:
    """Whether a word is a number, an address in any notation, or an offset and length in brackets."""
    if _NUMBERS.fullmatch(word) or _MAC.fullmatch(word):
        return True
    if ":" not in word:
        return False
    if re.fullmatch(r"[0-9]*:[0-9]*", word):
        return True
    try:
        ip_address(word)
    except ValueError:
        return False
    return True
