"""What a verdict is: the vectors of an attack, how sure they are, and under which conditions that holds."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edgecap.packets.verdict.conditions import Conditions
from edgecap.packets.verdict.evidence import Kind
from edgecap.packets.verdict.intervals import Estimate

Strength = Literal["likely", "possible", "nothing"]
LIKELY, POSSIBLE = 3, 2
"""Weight of signs from which a vector is likely, or possible."""


class _Record(BaseModel):
    # Fields of newer versions are kept, and do not stop this version from reading.
    model_config = ConfigDict(extra="allow", frozen=True)


class Sign(_Record):
    """A number that speaks for a vector, or against it."""

    name: str = Field(description="Such as many-sources, unanswered, usual")
    weight: int = Field(description="Negative: it speaks against the vector")
    line: str = Field(description="In words, with the number")


class Match(_Record):
    """Which packets a vector is made of, for filters. What is empty does not matter."""

    kinds: tuple[Kind, ...] = ()
    protocol: int | None = Field(None, description="IP protocol number")
    source: str = Field("", description="Address; empty: any")
    destination: str = Field("", description="Address or prefix; empty: any")
    source_port: int | None = None
    destination_port: int | None = None


class Vector(_Record):
    """One way in which an attack, or a scan, sends packets."""

    kind: str = Field(description="Such as syn-flood, amplification, scan; docs/verdicts.md lists all")
    title: str = Field(description="Such as SYN flood on 203.0.113.7 port 443")
    strength: Literal["likely", "possible"]
    score: int = Field(0, description="Sum of its signs' weights: 3 and more is likely, 2 possible")
    service: str = Field("", description="Of an amplification: such as dns")
    target: str = Field("", description="Address or prefix that it goes to; empty if it goes to many")
    source: str = Field("", description="Of a scan: who scans")
    packets: int = Field(0, description="Captured")
    bytes: int = Field(0, description="On the wire, of those packets")
    share: Estimate | None = Field(None, description="Part of all packets")
    rate: Estimate | None = Field(
        None, description="Packets a second, over the whole capture; of samples if `sampling` is not known"
    )
    bits: Estimate | None = Field(None, description="Bits a second, likewise")
    sources: int = Field(0, description="Different source addresses")
    usual: Estimate | None = Field(None, description="The rate of such packets in the baseline")
    signs: tuple[Sign, ...] = Field((), description="What makes it one, and what speaks against it")
    evidence: tuple[str, ...] = Field((), description="The numbers in words, a line each, signs too")
    match: Match = Match()


class Baseline(_Record):
    """The captures that tell what is usual."""

    kind: Literal["schedule", "incident", "target", "given"] = Field(
        description="The same schedule's; the incident's own before the attack; others of the same target and"
        " filter from quiet hours; captures that a person named"
    )
    captures: tuple[str, ...] = Field(description="Their ids, or files, newest first")
    words: str = Field(description="Such as: the 3 captures of this schedule before it")


class Verdict(_Record):
    """What a capture looks like."""

    strength: Strength = Field(description="Of its strongest vector; nothing: there is none")
    line: str = Field(description="One line for a reader in a hurry")
    vectors: tuple[Vector, ...] = Field((), description="The most likely and largest first")
    caveats: tuple[str, ...] = Field((), description="What limits the verdict, a line each")
    conditions: Conditions = Conditions()
    baseline: Baseline | None = Field(None, description="Null: there is nothing to compare with")
