"""The nodes of the account's GraphQL schema: which packets each has, which dimensions, how it is sampled."""

from __future__ import annotations

from dataclasses import dataclass

from edgecap.simulator.analytics.fields import DIMENSIONS, OF_ATTACKS, OF_DNS

_ATTACK_IDS = frozenset({"attackId", "attackVector"})
_RULE_IDS = frozenset({"ruleId", "ruleName", "rulesetId"})
_NO_IDS = _ATTACK_IDS | _RULE_IDS


@dataclass(frozen=True, slots=True)
class Node:
    """A node.

    Attributes:
        name: in the schema.
        system: only packets that this system dropped; empty: all packets.
        without: dimensions that it lacks.
        having: dimensions that only it has.
        tenth: whether it is sampled ten times as densely, as its documented 1 in 1,000 is to 1 in 10,000.
    """

    name: str
    system: str = ""
    without: frozenset[str] = frozenset()
    having: frozenset[str] = frozenset()
    tenth: bool = False

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of its dimensions."""
        lacking = (self.without | OF_ATTACKS | OF_DNS) - self.having
        return tuple(name for name in DIMENSIONS if name not in lacking)


_ALL = (
    Node("magicTransitNetworkAnalyticsAdaptiveGroups"),
    Node("dosdNetworkAnalyticsAdaptiveGroups", "dosd"),
    Node("dosdAttackAnalyticsGroups", "dosd", having=OF_ATTACKS),
    Node("advancedTcpProtectionNetworkAnalyticsAdaptiveGroups", "flowtrackd", _NO_IDS, tenth=True),
    Node("flowtrackdNetworkAnalyticsAdaptiveGroups", "flowtrackd", _NO_IDS, tenth=True),
    # This edge has no DNS protection, so the node is empty.
    Node("advancedDnsProtectionNetworkAnalyticsAdaptiveGroups", "dns", _NO_IDS, OF_DNS, tenth=True),
    Node("magicFirewallNetworkAnalyticsAdaptiveGroups", "magic-firewall", _ATTACK_IDS, tenth=True),
)
NODES = {node.name: node for node in _ALL}
