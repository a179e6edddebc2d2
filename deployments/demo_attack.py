"""The demonstration's attack: what Cloudflare says when one begins and ends, and the policy that meets it."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx

from edgecap.errors import SetupError

AGO = timedelta(seconds=10)
TARGET, PORT = "203.0.113.7", 443
POLICY = """\
# Written by `edgecap demo`, anew each time. Shorter than you would have it, so that nobody has to wait.
[[rules]]
name = "demonstration"
source = "cloudflare"
before = 25
after = 5
cooldown = 60
[rules.during]
seconds = 5
colos = ["ORD"]
"""


class Attack:
    """One SYN flood: what the simulated edge sees of it, and what Cloudflare's notifications tell.

    Args:
        lasts: seconds from now until it ends. It began a moment ago.
    """

    def __init__(self, lasts: float) -> None:
        self._started = (datetime.now(UTC) - AGO).replace(microsecond=0)
        self._ends = datetime.now(UTC) + timedelta(seconds=lasts)
        self._id = secrets.token_hex(16)

    def __repr__(self) -> str:
        return f"<Attack {self._id}>"

    @property
    def traffic(self) -> str:
        """The simulated edge's traffic with this attack in it."""
        seconds = (self._ends - self._started).total_seconds()
        return f"synthetic:syn_flood,{self._started:%Y-%m-%dT%H:%M:%SZ},{seconds:.0f}"

    @property
    def is_over(self) -> bool:
        """Whether its last packet has been sent."""
        return datetime.now(UTC) > self._ends

    def payload(self, event: Literal["START", "END"]) -> dict[str, Any]:
        """The body of an `advanced_ddos_attack_l4_alert` notification."""
        return {
            "account_id": "9035f53656c247e895c5a6939ae8a0e0",
            "alert_correlation_id": self._id,
            "alert_event": f"ALERT_STATE_EVENT_{event}",
            "alert_type": "advanced_ddos_attack_l4_alert",
            "data": {
                "account_name": "demonstration",
                "action": "block",
                "attack_id": self._id,
                "attack_vector": "SYN Flood",
                "max_rate": "812.40 kpps",
                "megabits_per_second": 416,
                "mitigation": "block",
                "packets_per_second": 812400,
                "protocol": "TCP",
                "rule_id": "fdfdac75430c4c47a959592f0aa5e68a",
                "rule_name": "SYN flood",
                "start_time": f"{self._started:%Y-%m-%dT%H:%M:%SZ}",
                "target_ip": TARGET,
                "target_port": PORT,
            },
            "name": "L4 attacks",
            "policy_id": "749b911ea5d04344a58e45edd099b328",
            "policy_name": "L4 attacks",
            "text": "DDoS attack detected",
            "ts": int(time.time()),
        }

    def tell(self, address: str, secret: str, event: Literal["START", "END"]) -> None:
        """Send it to the receiver, as Cloudflare does.

        Raises:
            SetupError: the receiver does not take it.
        """
        try:
            answer = httpx.post(
                f"{address}/alerts/cloudflare",
                json=self.payload(event),
                headers={"cf-webhook-auth": secret},
                timeout=10,
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise SetupError(f"the receiver does not take the alert: {error}", where=address) from None
