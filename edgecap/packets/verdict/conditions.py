"""How packets came: sampled or not, what a filter fixed, whether the capture was cut off.

A filter makes shares. "100 % UDP" of a filter on UDP says nothing about an attack, nor does "one target" of a
filter on a target. So every dimension that a filter mentions, also in an `or` or behind a `not`, is *fixed*:
rules do not count shares of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edgecap.packets.verdict.intervals import Estimate, count
from edgecap.requests import Filter

Dimension = Literal[
    "protocol",
    "source",
    "destination",
    "source-port",
    "destination-port",
    "flags",
    "size",
    "fragments",
    "icmp",
]
_WORD = re.compile(r"[\w.:/-]+|\S")
_ENDS = frozenset({"host", "net", "gateway"})
_SIDES: dict[str, Dimension] = {"src": "source", "dst": "destination"}
_PORT_SIDES: dict[str, Dimension] = {"src": "source-port", "dst": "destination-port"}
_PROTOCOLS = (
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "igmp",
    "esp",
    "ah",
    "sctp",
    "pim",
    "vrrp",
    "proto",
    "protochain",
)
_OF_WORD: dict[str, tuple[Dimension, ...]] = {
    **dict.fromkeys(_PROTOCOLS, ("protocol",)),
    **dict.fromkeys(("less", "greater", "len"), ("size",)),
    **dict.fromkeys(
        ("tcpflags", "tcp-syn", "tcp-ack", "tcp-fin", "tcp-rst", "tcp-push", "tcp-urg"), ("flags",)
    ),
}
_OF_BYTES: dict[str, tuple[Dimension, ...]] = {
    "tcp": ("protocol", "flags"),
    "udp": ("protocol", "size"),
    "icmp": ("protocol", "icmp"),
    "icmp6": ("protocol", "icmp"),
    "ip": ("protocol", "size", "fragments"),
    "ip6": ("protocol", "size", "fragments"),
}
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+(/\d+)?|(?=.*:.*:)[0-9a-fA-F:.]+(/\d+)?")


class Conditions(BaseModel):
    """How the packets of a capture came."""

    model_config = ConfigDict(extra="allow", frozen=True)

    sampled: bool = Field(False, description="The packets are samples")
    sampling: float | None = Field(
        None, description="One packet in so many was kept; null: not known, or not sampled"
    )
    sampling_estimate: Estimate | None = Field(
        None,
        description="The sampling with its 95 % interval, if it was estimated; null: it is exact, or unknown",
    )
    sampling_from: str = Field("", description="How the sampling is known, in words")
    weighted: bool = Field(
        False,
        description="The file says how many packets each sample stands for: the summary's counts are "
        "estimates of all, those of its vectors and its evidence are of samples",
    )
    filter: str = Field("", description="All filters that were applied, in words; empty: none")
    fixed: tuple[Dimension, ...] = Field(
        (), description="What a filter decides; shares of it are no evidence"
    )
    one_way: bool = Field(
        False, description="By its filter or place, it can hold only one direction: no answer is no sign"
    )
    window: float = Field(0, description="Seconds that were asked for; 0: not known")
    cut: str = Field("", description="Why it ended early, in words: a limit, or it was stopped")
    damaged: bool = Field(False, description="A part of the packets could not be read")

    def counted(self, kept: float) -> Estimate:
        """How many packets passed, of which `kept` were captured; of samples if the sampling is not known."""
        found = count(kept, sampled=self.sampled, sampling=self.sampling)
        return found.blurred(self.sampling_estimate) if self.sampling_estimate else found

    def with_sampling(self, estimate: Estimate, where: str) -> Conditions:
        """The conditions of samples of which it was estimated which part they are.

        Args:
            estimate: one packet in so many was kept.
            where: what it was estimated from, in words.
        """
        return self.model_copy(
            update={"sampling": estimate.value, "sampling_estimate": estimate, "sampling_from": where}
        )

    def fixes(self, *dimensions: Dimension) -> bool:
        """Whether a filter decides any of these."""
        return any(each in self.fixed for each in dimensions)


def conditions_of(
    *,
    sampled: bool = False,
    sampling: float | None = None,
    sampling_from: str = "",
    fields: Filter | None = None,
    expression: str = "",
    at_edge: bool = False,
    window: float = 0,
    cut: str = "",
    damaged: bool = False,
) -> Conditions:
    """The conditions that follow from how packets were asked for.

    Args:
        sampled: the packets are samples.
        sampling: one packet in so many; None if not known.
        sampling_from: how that is known.
        fields: what the API filtered by.
        expression: what was filtered by in pcap-filter's language, by the API or afterwards.
        at_edge: captured at Cloudflare's edge, which sees packets to the network, and not its answers.
        window: seconds that were asked for.
        cut: why it ended early.
        damaged: a part could not be read.
    """
    asked = fields or Filter()
    fixed = {*_of_fields(asked), *_of_expression(expression)}
    expression = " ".join(expression.split())
    one_end = ("source" in fixed) != ("destination" in fixed) or (
        ("source-port" in fixed) != ("destination-port" in fixed)
    )
    return Conditions(
        sampled=sampled,
        sampling=sampling if sampled else None,
        sampling_from=sampling_from,
        filter=" and ".join(each for each in (asked.in_words, expression) if each),
        fixed=tuple(sorted(fixed)),
        one_way=at_edge or one_end,
        window=0 if cut else window,
        cut=cut,
        damaged=damaged,
    )


def _of_fields(fields: Filter) -> Iterator[Dimension]:
    if fields.protocol is not None:
        yield "protocol"
    if fields.source_address:
        yield "source"
    if fields.destination_address:
        yield "destination"
    if fields.source_port is not None:
        yield from ("source-port", "protocol")
    if fields.destination_port is not None:
        yield from ("destination-port", "protocol")


def _of_expression(expression: str) -> Iterator[Dimension]:
    """Dimensions that an expression mentions."""
    words = _WORD.findall(expression.replace("\\", " "))
    for at, word in enumerate(words):
        before, after = words[at - 1] if at else "", words[at + 1] if at + 1 < len(words) else ""
        if word in ("port", "portrange"):
            yield "protocol"
            yield from (
                side for name, side in _PORT_SIDES.items() if before in (name, "") or before not in _SIDES
            )
        elif word in _SIDES:
            yield from () if after in ("port", "portrange") else (_SIDES[word],)
        elif word in _ENDS or _ADDRESS.fullmatch(word):
            sided = before in _SIDES or before in _ENDS or before == "mask"
            yield from () if sided else _SIDES.values()
        elif after == "[":
            yield from _OF_BYTES.get(word, ())
        else:
            yield from _OF_WORD.get(word, ())
