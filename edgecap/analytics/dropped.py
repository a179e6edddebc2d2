"""What the edge passed and dropped of the packets to some targets: one model for GraphQL and Logpush.

All numbers are estimates, because both sources have samples. Times are aware, UTC.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from edgecap.packets.verdict.intervals import Estimate

FORMAT = "edgecap-dropped/1"
MOST_GROUPS = 20  # that are kept of a dimension
NONE = Estimate(value=0, low=0, high=0)

Dimension = Literal["system", "reason", "rule", "vector", "network", "country", "colo"]
DIMENSIONS: dict[Dimension, str] = {
    "system": "mitigation system",
    "reason": "reason",
    "rule": "rule",
    "vector": "attack vector",
    "network": "source network",
    "country": "source country",
    "colo": "data centre",
}
"""The dimensions in the order in which they are told, with their names for people."""
OF_DROPPED = frozenset({"system", "reason", "rule", "vector"})
"""Dimensions that only packets have which a rule matched."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Group(_Record):
    """The packets with one value of a dimension."""

    name: str = Field(description="The value, such as dosd, an id of a rule, AS64500, NL or ORD; empty: none")
    title: str = Field("", description="What it is called: a rule's or a network's name")
    passed: Estimate = NONE
    dropped: Estimate = NONE

    @property
    def words(self) -> str:
        """Its name for people."""
        if self.title and self.title != self.name:
            return f"{self.title} ({self.name})" if self.name else self.title
        return self.name or "not named"


class Grouping(_Record):
    """The packets by one dimension, the most dropped ones first."""

    by: Dimension
    groups: tuple[Group, ...] = ()
    more: int = Field(0, description="Further values")


class Series(_Record):
    """Packets over time, in equal steps without a gap. Both lists are equally long."""

    start: AwareDatetime
    seconds: float = Field(description="Length of a step")
    passed: tuple[float, ...] = ()
    dropped: tuple[float, ...] = ()


class PacketFile(_Record):
    """The file with the headers of dropped packets."""

    key: str = Field(description="In the archive")
    size: int
    sha256: str
    packets: int = Field(description="Rows that became a packet")
    lacking: dict[str, int] = Field(
        default_factory=dict, description="How many of them lack what, because their rows do not tell it"
    )
    not_a_packet: int = Field(0, description="Rows without a source address or a protocol")
    verdict: str = Field("", description="The verdict of the packets' summary")


class Dropped(_Record):
    """What the edge passed and dropped of the packets to some targets in a window of time."""

    format: str = Field(FORMAT, pattern=r"^edgecap-dropped/\d+$")
    source: Literal["analytics", "logpush"] = Field(
        description="analytics: Cloudflare's GraphQL API; logpush: rows in a bucket"
    )
    asked: AwareDatetime
    targets: tuple[str, ...] = Field(description="Addresses and prefixes of destinations")
    since: AwareDatetime
    until: AwareDatetime
    sampling: str = Field("", description="How much the samples stand for, in words")
    samples: int | None = Field(None, description="How many samples there are; null: not known")
    passed: Estimate = NONE
    dropped: Estimate = NONE
    other: Estimate = Field(NONE, description="Packets of which the outcome is not known")
    passed_bits: float = 0
    dropped_bits: float = 0
    groupings: tuple[Grouping, ...] = ()
    series: Series | None = None
    packets: PacketFile | None = Field(None, description="Null: no dropped packet was in the rows")
    notes: tuple[str, ...] = Field((), description="What was not usable, a line each")

    @property
    def seconds(self) -> float:
        """The length of the window."""
        return (self.until - self.since).total_seconds()

    @property
    def share(self) -> float | None:
        """Which part was dropped, 0 to 1; None if there were no packets."""
        everything = self.passed.value + self.dropped.value
        return self.dropped.value / everything if everything else None

    def by(self, dimension: Dimension) -> tuple[Group, ...]:
        """The groups of a dimension; empty if it is not known."""
        return next((each.groups for each in self.groupings if each.by == dimension), ())
