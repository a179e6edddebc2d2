"""Sending orders for runs to Prefect, oldest first, however long Prefect is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from deployments.receiver.dispatch import RunRefused
from deployments.receiver.loop import Loop, next_pause
from deployments.receiver.metrics import Metrics
from deployments.receiver.missed import MissedLog
from edgecap.alerts.words import briefly
from edgecap.errors import SetupError
from edgecap.incidents.inbox.alert_inbox import AlertInbox, RunRequest
from tasks.runtime.rest import status

IDLE = 10.0  # seconds between two checks that Prefect answers, while there is nothing to send
AT_ONCE = 100  # orders read from the inbox at a time
STUBBORN = 3  # failures of an order after which the next one is tried before it
PASSED_BY = 30.0  # seconds until an order that was passed by is tried again

# Strangers may read these on /readyz: the log alone says where Prefect is, and why it does not answer.
ANSWERS, AWAY = "takes orders", "takes no orders now; the log says why"

# No answer, or one that is not about the order: too many requests, or a server or proxy that is down.
_BUSY = (None, 429, 502, 503, 504)

_log = logging.getLogger("edgecap.receiver")


class Prefect(Protocol):
    """Takes orders: `deployments.receiver.dispatch.Dispatch`."""

    def check(self) -> None:
        """Raise SetupError unless it answers."""

    def send(self, order: RunRequest) -> str:
        """The id of the order's run; raises RunRefused or SetupError."""


class OutboxRelay:
    """Sends orders until Prefect has them.

    While Prefect is away, the first order is retried, at growing intervals of up to a second. An order
    that Prefect refuses is put aside. If one order keeps failing and the next one goes through, the first is
    passed by and retried later; other orders of its incident wait for it.

    Args:
        inbox: where orders are.
        prefect: takes them.
        metrics: what it counts.
        missed: notes orders that Prefect refused.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        inbox: AlertInbox,
        prefect: Prefect,
        *,
        metrics: Metrics,
        missed: MissedLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._prefect = prefect
        self._metrics = metrics
        self._missed = missed
        self._clock = clock
        self._pause = 0.0
        self._not_before = self._check_at = clock()
        self._failures: dict[int, int] = {}
        self._passed_by: dict[int, float] = {}
        self.prefect_said = "not asked yet"
        self.loop = Loop("delivering orders", self.step)

    def __repr__(self) -> str:
        return f"<OutboxRelay [{self.prefect_said}] {self.loop!r}>"

    def step(self) -> float:
        """Send all waiting orders; returns the seconds until the next step."""
        wait = self._not_before - self._clock()
        if wait > 0:
            return wait
        orders = self._inbox.orders(AT_ONCE + 2 * len(self._passed_by))
        away: SetupError | None = None
        if orders:
            away = self._send_all(orders)
        elif self._clock() >= self._check_at:
            self._check_at = self._clock() + IDLE
            try:
                self._prefect.check()
                self._answers()
            except SetupError as error:
                away = error
        if away is not None:
            return self._is_away(away)
        if len(orders) >= AT_ONCE:
            return 0
        return min([IDLE, *(at - self._clock() for at in self._passed_by.values())])

    def _send_all(self, orders: list[RunRequest]) -> SetupError | None:
        """Send orders; returns why Prefect takes none now, or None if it does."""
        waits: set[str] = set()  # incidents with an earlier order that has not been sent
        doubtful: tuple[RunRequest, SetupError] | None = None
        for order in orders:
            if self.loop.ending:
                return None
            if order.incident in waits:
                continue
            if self._passed_by.get(order.id, 0) > self._clock():
                waits.add(order.incident)
                continue
            try:
                run_id = self._prefect.send(order)
            except RunRefused as refused:
                self._refused(order, str(refused))
                continue
            except SetupError as error:
                failures = self._failures[order.id] = self._failures.get(order.id, 0) + 1
                if doubtful or status(error) in _BUSY or failures < STUBBORN:
                    return doubtful[1] if doubtful else error
                # Does Prefect fail, or this order? The next order tells.
                doubtful = (order, error)
                waits.add(order.incident)
                continue
            self._sent(order, run_id)
            if doubtful:
                self._pass_by(*doubtful)
                doubtful = None
        if doubtful and doubtful[0].id in self._passed_by:
            self._pass_by(*doubtful)
            doubtful = None
        return doubtful[1] if doubtful else None

    def _sent(self, order: RunRequest, run_id: str) -> None:
        self._inbox.sent(order.id, run_id)
        self._forget(order)
        self._answers()
        self._metrics.orders_sent.labels(order.event).inc()
        _log.info("incident %s %s: run %s", order.incident, order.event, run_id)

    def _refused(self, order: RunRequest, reason: str) -> None:
        why = f"{briefly(order.alert)}: Prefect refused the run for its {order.event}: {reason}"
        missed = self._missed.make("not captured", order.alert.source, why)
        self._inbox.refuse(order.id, reason, missed)
        self._forget(order)
        self._answers()
        _log.error("incident %s %s was put aside: %s", order.incident, order.event, reason)
        self._missed.written([missed])

    def _pass_by(self, order: RunRequest, error: SetupError) -> None:
        self._passed_by[order.id] = self._clock() + PASSED_BY
        _log.error("incident %s %s waits, and others go before it: %s", order.incident, order.event, error)

    def _forget(self, order: RunRequest) -> None:
        self._failures.pop(order.id, None)
        self._passed_by.pop(order.id, None)

    def _answers(self) -> None:
        if self.prefect_said != ANSWERS:
            _log.info("Prefect takes orders")
        self.prefect_said = ANSWERS
        self._metrics.prefect.set(1)
        self._pause, self._not_before = 0.0, self._clock()

    def _is_away(self, error: SetupError) -> float:
        if self._pause == 0.0:
            _log.warning("Prefect takes no orders, they wait: %s", error)
        self.prefect_said = AWAY
        self._metrics.prefect.set(0)
        self._pause = next_pause(self._pause)
        self._not_before = self._clock() + self._pause
        return self._pause
