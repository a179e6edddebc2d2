"""The nodes of the GraphQL schema and their dimensions, with the names that not every schema has.

From Cloudflare's node reference
(https://developers.cloudflare.com/analytics/graphql-api/migration-guides/network-analytics-v2/node-reference/)
and from queries in public repositories, which differ in a few names. An answer that does not know a name
leads to the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

ALL_TRAFFIC = "magicTransitNetworkAnalyticsAdaptiveGroups"
"""All packets of Magic Transit, passed and dropped; sampled, one in 10,000."""
DDOS = "dosdNetworkAnalyticsAdaptiveGroups"
"""Packets that DDoS protection dropped; sampled, one in 10,000."""
ATTACKS = "dosdAttackAnalyticsGroups"
"""One row an attack that DDoS protection found."""
TCP = "advancedTcpProtectionNetworkAnalyticsAdaptiveGroups"
"""Packets out of TCP's state that were dropped; sampled, one in 1,000."""
DNS = "advancedDnsProtectionNetworkAnalyticsAdaptiveGroups"
"""Packets of DNS that were dropped; sampled, one in 1,000."""
FIREWALL = "magicFirewallNetworkAnalyticsAdaptiveGroups"
"""Packets that matched the customer's own rules."""

DESTINATION, COLO, OUTCOME, MINUTE = "destination", "colo", "outcome", "minute"

INTERVAL = "sampleInterval"
"""Packets for which a sampled one stands: `avg { sampleInterval }`. A schema may lack it."""

_NODES = {TCP: (TCP, "flowtrackdNetworkAnalyticsAdaptiveGroups")}
_DIMENSIONS = {
    DESTINATION: ("ipDestinationAddress", "destinationAddress"),
    COLO: ("coloCode",),
    OUTCOME: ("outcome", "verdict"),
    MINUTE: ("datetimeMinute", "datetimeFiveMinutes"),
}
_UNKNOWN = re.compile(
    r"unknown (?:field|arg)|cannot query field|not (?:defined|known|found)|no such|invalid (?:field|arg)"
    r"|does not exist|error parsing args",
    re.IGNORECASE,
)


class Names:
    """The names that one schema knows, as far as its answers have told."""

    def __init__(self) -> None:
        self._refused: set[tuple[str, str]] = set()  # a node (empty for a node's own name) and a name

    def __repr__(self) -> str:
        return f"<Names [{len(self._refused)} unknown to the schema]>"

    def node(self, node: str) -> str:
        """The name of a node; the last one that is known of, if all were refused."""
        return self._choose("", _NODES.get(node, (node,)))

    def dimension(self, node: str, dimension: str) -> str:
        """The name of a dimension in a node.

        Args:
            node: one of this module's nodes.
            dimension: one of this module's dimensions, or a name of the schema's.
        """
        return self._choose(node, _DIMENSIONS.get(dimension, (dimension,)))

    def knows(self, node: str, name: str) -> bool:
        """Whether no answer has called this name of the schema unknown."""
        return (node, name) not in self._refused

    def learn(self, errors: Iterable[str], node: str) -> bool:
        """Note the names that an answer's errors call unknown.

        Args:
            errors: messages.
            node: the node that was asked.

        Returns:
            Whether asking again with other names may help.
        """
        words = {
            word.partition("_")[0]
            for message in errors
            if _UNKNOWN.search(message)
            for word in re.findall(r"[A-Za-z][A-Za-z0-9_]*", message)
        }
        learned = False
        for place, choices in (("", _NODES.get(node, ())), *((node, each) for each in _DIMENSIONS.values())):
            current = self._choose(place, choices) if choices else ""
            if current in words and current != choices[-1]:
                self._refused.add((place, current))
                learned = True
        if words & {INTERVAL, "avg"} and self.knows(node, INTERVAL):
            self._refused.add((node, INTERVAL))
            learned = True
        return learned

    def _choose(self, place: str, choices: tuple[str, ...]) -> str:
        return next((each for each in choices if (place, each) not in self._refused), choices[-1])
