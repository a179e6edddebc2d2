"""The demonstration's attack: Cloudflare's notifications of its beginning and end, and the policy for it."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx
import stamina

from edgecap.errors import SetupError

AGO = timedelta(seconds=10)
LONGEST = timedelta(days=1)
QUIET = 2.5  # seconds
_PATIENCE = 300.0  # seconds
TARGET, PORT = "203.0.113.7", 443
POLICY = """\
# Written by `edgecap demo`, anew each time. Its times are short, so that the demonstration is quick.
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
    """One SYN flood, as the simulated edge and Cloudflare's notifications show it.

    It began a moment ago, and goes on until `end`.
    """

    def __init__(self) -> None:
        self._started = (datetime.now(UTC) - AGO).replace(microsecond=0)
        self._id = secrets.token_hex(16)

    def __repr__(self) -> str:
        return f"<Attack {self._id}>"

    @property
    def traffic(self) -> str:
        """The simulated edge's traffic with this attack in it, for as long as the demonstration can last."""
        return f"synthetic:syn_flood,{self._started:%Y-%m-%dT%H:%M:%SZ},{LONGEST.total_seconds():.0f}"

    def end(self, edge: str) -> None:
        """End it at the simulated edge; returns a moment after its last packet.

        Args:
            edge: the root URL of the simulated edge.

        Raises:
            SetupError: the edge does not answer.
        """
        try:
            answer = httpx.post(f"{edge}/_edge/attacks/end", timeout=60, trust_env=False)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise SetupError(f"the simulated edge does not end its attack: {error}", where=edge) from None
        # Cloudflare gives times in whole seconds: no packet of the attack may follow the stated end.
        time.sleep(QUIET)

    def contradicted(self, phase: str, verdict: str) -> str:
        """Why a capture's verdict is wrong; empty if it shows what happened.

        Args:
            phase: `before`, `during` or `after`. Before the alert, any verdict passes.
            verdict: what its packets look like.
        """
        if phase == "during" and not ("SYN flood" in verdict and TARGET in verdict):
            return "the capture during the attack does not show it"
        if phase == "after" and "flood" in verdict:
            return "the attack is over, and the capture after it shows one"
        return ""

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
        """Send a notification to the receiver, again and again until it answers, as Cloudflare does.

        Raises:
            SetupError: the receiver refuses it, or has not answered for minutes.
        """
        retrying = stamina.RetryingCaller(
            attempts=None, timeout=_PATIENCE, wait_initial=1, wait_max=1, wait_jitter=0
        )
        try:
            retrying(_may_pass, self._post, f"{address}/alerts/cloudflare", secret, event)
        except httpx.HTTPError as error:
            raise SetupError(f"the receiver does not take the alert: {error}", where=address) from None

    def _post(self, url: str, secret: str, event: Literal["START", "END"]) -> None:
        headers = {"cf-webhook-auth": secret}
        answer = httpx.post(url, json=self.payload(event), headers=headers, timeout=60, trust_env=False)
        answer.raise_for_status()


def _may_pass(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return not error.response.is_client_error
    return isinstance(error, httpx.HTTPError)
