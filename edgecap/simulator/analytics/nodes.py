"""The nodes of the account's GraphQL schema: which packets each has, which dimensions, how it is sampled."""

from __future__ import annotations

from dataclasses import dataclass

from edgecap.simulator.analytics.fields import DIMENSIONS
from edgecap.simulator.traffic.mitigation import System

_IDS_OF_ATTACKS = frozenset({"attackId", "attackVector"})
_IDS_OF_RULES = frozenset({"ruleId", "ruleName", "rulesetId"})


@dataclass(frozen=True, slots=True)
class Node:
    """A node.

    Attributes:
        name: in the schema.
        system: only packets that met this system's rules; empty: all packets.
        without: dimensions that it lacks.
        tenth: whether it is sampled ten times as densely, as its documented 1 in 1,000 is to 1 in 10,000.
    """

    name: str
    system: System | None = None
    without: frozenset[str] = frozenset()
    tenth: bool = False

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of its dimensions."""
        return tuple(name for name in DIMENSIONS if name not in self.without)


NODES = {
    node.name: node
    for node in (
        Node("magicTransitNetworkAnalyticsAdaptiveGroups"),
        Node("dosdNetworkAnalyticsAdaptiveGroups", "dosd"),
        Node(
            "advancedTcpProtectionNetworkAnalyticsAdaptiveGroups",
            "flowtrackd",
            _IDS_OF_ATTACKS | _IDS_OF_RULES,
            tenth=True,
        ),
        Node(
            "flowtrackdNetworkAnalyticsAdaptiveGroups",
            "flowtrackd",
            _IDS_OF_ATTACKS | _IDS_OF_RULES,
            tenth=True,
        ),
        Node("magicFirewallNetworkAnalyticsAdaptiveGroups", "magic-firewall", _IDS_OF_ATTACKS, tenth=True),
    )
}
