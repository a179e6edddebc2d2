"""The kinds of packets that rules tell apart: for counting, which must not wait for the models."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What the packets of a stream are.

    A TCP flow counts as a whole, by the union of its packets' flags; CWR and ECE do not count.
    """

    SYN = "syn"  # nothing but SYN
    SYN_ACK = "syn-ack"  # nothing but SYN+ACK
    ACK = "ack"  # ACK, or PSH+ACK, without payload
    DATA = "data"  # the same with payload, FIN too; the start was not seen
    FIN = "fin"  # nothing but FIN+ACK
    RST = "rst"  # nothing but RST, or RST+ACK
    ODD = "odd"  # flags that no connection has: none, FIN alone, SYN+FIN, Xmas, ...
    CONNECTION = "connection"  # more than its SYN
    UDP = "udp"
    REPLY = "reply"  # from a UDP port that reflection abuses; `port` says which
    FRAGMENT = "fragment"  # later fragments
    ECHO = "echo"  # echo requests
    ECHO_REPLY = "echo-reply"
    ICMP = "icmp"  # any other ICMP: errors, mostly
    PROTOCOL = "protocol"  # any other IP protocol; `port` says which


TCP_KINDS = frozenset(
    {Kind.SYN, Kind.SYN_ACK, Kind.ACK, Kind.DATA, Kind.FIN, Kind.RST, Kind.ODD, Kind.CONNECTION}
)
