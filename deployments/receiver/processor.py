"""Processing alerts that are on disk: read them, decide by the policy, and write the outcome to the inbox."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from deployments.receiver.loop import Loop
from deployments.receiver.metrics import Metrics
from deployments.receiver.missed import MissedLog
from edgecap.alerts.policy.decision import Plan, Policy
from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.understanding import understand
from edgecap.alerts.words import briefly
from edgecap.errors import AlertNotUnderstood, StoreError
from edgecap.incidents.budget import LEFT_OUT
from edgecap.incidents.cooldown import HELD_BACK
from edgecap.incidents.inbox.alert_inbox import AlertInbox, Entered, Outcome, StoredAlert
from edgecap.incidents.inbox.missed import Missed
from edgecap.requests import Bounds
from edgecap.units import plural

IDLE = 5.0  # seconds; each commit wakes it anyway
AT_ONCE = 100  # arrivals read from the inbox at a time
PRUNE_EVERY = timedelta(hours=1)

_log = logging.getLogger("edgecap.receiver")


def _now() -> datetime:
    return datetime.now(UTC)


class AlertProcessor:
    """Processes the alerts that the inbox has pending, one after the other.

    Args:
        inbox: where alerts wait, and where their outcomes go.
        sources: all of them, by name; a source that is off now may have sent what still waits.
        policy: the rules.
        bounds: the API's limits.
        keep: for how long processed alerts stay in the inbox.
        metrics: what it counts.
        on_processed: called after each alert: there may be orders.
        missed: notes alerts that led to nothing.
        clock: the time, aware.
    """

    def __init__(
        self,
        inbox: AlertInbox,
        sources: Mapping[str, AlertSource],
        policy: Policy,
        *,
        bounds: Bounds,
        keep: timedelta,
        metrics: Metrics,
        on_processed: Callable[[], None],
        missed: MissedLog,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._inbox = inbox
        self._sources = sources
        self._policy = policy
        self._bounds = bounds
        self._keep = keep
        self._metrics = metrics
        self._on_processed = on_processed
        self._missed = missed
        self._clock = clock
        self._prune_at = clock()
        self.loop = Loop("processing alerts", self._step)

    def __repr__(self) -> str:
        return f"<AlertProcessor {self._inbox!r} {self.loop!r}>"

    def _step(self) -> float:
        pending = self._inbox.pending(AT_ONCE)
        for kept in pending:
            if self.loop.ending:
                return 0
            self._process(kept)
            self._on_processed()
        if pending:
            return 0
        if self._clock() >= self._prune_at:
            self._inbox.prune(self._clock() - self._keep)
            self._prune_at = self._clock() + PRUNE_EVERY
        return IDLE

    def _process(self, kept: StoredAlert) -> None:
        if kept.source not in self._sources:
            self._aside(kept, f"the source {kept.source} is no longer in the settings (alerts.custom)")
            return
        try:
            taken = understand(
                self._sources[kept.source],
                kept.body,
                self._policy,
                received=kept.received,
                now=self._clock(),
                bounds=self._bounds,
                known=self._inbox,
            )
            missed: list[Missed] = []

            def find_missed(entered: Sequence[Entered]) -> list[Missed]:
                missed[:] = self._missed_of(kept, entered)
                return missed

            outcomes = self._inbox.settle(kept.id, taken, find_missed)
        except AlertNotUnderstood as error:
            self._aside(kept, str(error))
            return
        except StoreError:
            raise  # the disk's trouble and not this alert's: it waits
        except Exception as error:  # noqa: BLE001 - one alert that breaks us must not hold up the others
            self._aside(kept, f"a bug in edgecap: {type(error).__name__}")
            return
        for note in dict.fromkeys(note for alert, _ in taken for note in alert.notes):
            _log.warning("alert %d from %s: %s", kept.id, kept.source, note)
        for (alert, plan), outcome in zip(taken, outcomes, strict=True):
            self._count(kept.source, plan, outcome)
            _log.info("alert %d: %s: %s", kept.id, alert, outcome)
        self._missed.written(missed)

    def _count(self, source: str, plan: Plan, outcome: Outcome) -> None:
        """Count what an alert came to."""
        self._metrics.outcomes.labels(source, outcome).inc()
        if outcome in (Outcome.OPENED, Outcome.OVER_BUDGET):
            limited = outcome == Outcome.OVER_BUDGET
            captures = "limited" if limited else "all" if plan.captures else "none"
            self._metrics.incidents_opened.labels(captures).inc()

    def _missed_of(self, kept: StoredAlert, entered: Sequence[Entered]) -> list[Missed]:
        """The alerts of a notification that lead to nothing, though their rule would capture."""
        found = []
        for alert, outcome, plan in entered:
            wanted = alert.event == "start" and self._policy.match(alert).rule.capture
            if outcome == Outcome.NOTHING and wanted:
                reason = f"{briefly(alert)}: {plan.reason}"
                found.append(self._missed.make("not captured", kept.source, reason))
            # An alert that joined has no captures, since no budget was left, or since the incident was over.
            lost = [remark for remark in plan.remarks if remark.startswith((LEFT_OUT, HELD_BACK))]
            if outcome == Outcome.JOINED and alert.event == "start" and lost:
                reason = f"{briefly(alert)}: {lost[0]}"
                found.append(self._missed.make("not captured", kept.source, reason))
        if left_out := max((alert.left_out for alert, *_ in entered), default=0):
            reason = f"the sender left {plural(left_out, 'alert')} out of a notification (truncatedAlerts)"
            found.append(self._missed.make("cut off", kept.source, reason, size=len(kept.body)))
        return found

    def _aside(self, kept: StoredAlert, reason: str) -> None:
        missed = self._missed.make("put aside", kept.source, reason, size=len(kept.body))
        self._inbox.put_aside(kept.id, reason, missed)
        self._metrics.outcomes.labels(kept.source, "aside").inc()
        self._missed.written([missed])
        _log.warning("alert %d from %s was put aside: %s", kept.id, kept.source, reason)
