"""What the edge drops before captures see it: DDoS protection, TCP protection, the customer's own rules.

An attack is recognized some seconds after its start. Then DDoS protection drops most of it; of a SYN flood,
TCP protection drops a part of the rest a little later. The customer's firewall always drops what its rules
name. Identifiers are made up; the names of systems, outcomes and reasons are Cloudflare's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgecap.simulator.traffic.attacks import Attack, Kind
from edgecap.simulator.traffic.marks import Marks, derived, part_of_one
from edgecap.simulator.traffic.times import SECOND, UNIX_EPOCH

System = Literal["dosd", "flowtrackd", "magic-firewall"]
VECTORS: dict[Kind, str] = {
    "syn_flood": "SYN Flood",
    "dns_amplification": "DNS Reflection",
    "ntp_amplification": "NTP Reflection",
}
_DOSD_RULES: dict[Kind, str] = {
    "syn_flood": "TCP packets with the SYN flag, adaptive",
    "dns_amplification": "DNS answers without a question",
    "ntp_amplification": "NTP monlist answers",
}
_RECOGNIZED = (4.0, 12.0)  # seconds from an attack's start until DDoS protection drops it
_PART = (0.8, 0.97)  # of an attack's packets that it drops then
_TCP_LATER, _TCP_PART = 3.0, 0.4
_FIREWALL_PART = 0.5  # of NTP's answers, which only one of the customer's two rules names
_STAGES = 100  # marks for the decisions of stages are numbered from here


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that drops packets.

    Attributes:
        system: whose rule it is.
        id: 32 hexadecimal digits; empty for TCP protection, which names none.
        name: its name.
        ruleset: the id of its ruleset.
        reasons: why it drops packets, in the words of `MitigationReason`.
        vector: the attack's vector, for DDoS protection.
        attack_id: the attack's id, for DDoS protection.
        after: nanoseconds from the attack's start until it drops anything.
        part: of the packets that reach it then, the part that it drops.
    """

    system: System
    id: str
    name: str
    ruleset: str
    reasons: tuple[str, ...]
    vector: str = ""
    attack_id: str = ""
    after: int = 0
    part: float = 1.0


def _id(name: str) -> str:
    return blake2b(name.encode(), digest_size=16).hexdigest()


FIREWALL = Rule(
    "magic-firewall", _id("block-services"), "Block telnet and SMB", _id("firewall"), ("BLOCKED",)
)
"""The customer's rule that always applies: no packets to TCP ports 23 and 445."""
BLOCKED_PORTS = frozenset({23, 445})


def rules_against(attack: Attack, attack_id: str) -> tuple[Rule, ...]:
    """The rules that an attack's packets meet, in order."""
    rng = Random(f"mitigation/{attack_id}")
    after, part = rng.uniform(*_RECOGNIZED), rng.uniform(*_PART)
    if attack.dropped is not None:
        part = attack.dropped
    name = _DOSD_RULES[attack.kind]
    rules = [
        Rule(
            "dosd",
            _id(name),
            name,
            _id("ddos"),
            ("BLOCKED", "BLOCKED", "RATE_LIMITED"),
            VECTORS[attack.kind],
            attack_id,
            int(after * SECOND),
            part,
        )
    ]
    if attack.kind == "syn_flood":
        reasons = ("UNEXPECTED", "CHALLENGE_NEEDED", "OUT_OF_SEQUENCE")
        later = int((after + _TCP_LATER) * SECOND)
        rules.append(Rule("flowtrackd", "", "SYN floods", "", reasons, after=later, part=_TCP_PART))
    if attack.kind == "ntp_amplification":
        rule_id = _id("block-ntp")
        rules.append(
            Rule("magic-firewall", rule_id, "Block NTP", _id("firewall"), ("BLOCKED",), part=_FIREWALL_PART)
        )
    return tuple(rules)


def dropped_by(rules: Sequence[Rule], marks: Marks, age: NDArray[np.int64]) -> NDArray[np.uint8]:
    """For each packet the number of the rule that drops it, from 1; 0 if none does.

    Args:
        rules: in the order in which packets meet them.
        marks: of the packets.
        age: nanoseconds from the attack's start to each packet.
    """
    found = np.zeros(len(marks), np.uint8)
    for number, rule in enumerate(rules, 1):
        hit = (found == 0) & (age >= rule.after) & (part_of_one(derived(marks, _STAGES + number)) < rule.part)
        found[hit] = number
    return found


def reason(rule: Rule, mark: int) -> str:
    """Why a rule drops the packet with this mark."""
    return rule.reasons[mark % len(rule.reasons)]


def attack_id_of(attack: Attack, start: int) -> str:
    """The id of an attack's occurrence that starts at `start`, nanoseconds since 1970 UTC."""
    if attack.id:
        return attack.id
    return _id(f"{attack.kind}/{attack.target}/{attack.port}/{(attack.start - UNIX_EPOCH)}/{start}")
