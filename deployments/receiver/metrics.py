"""The receiver's metrics, for Prometheus. Labels hold our own names, never text that was sent."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
NO_SOURCE = "none"  # the label of requests for an unknown source
_TIMES = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)  # seconds
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # alerts


class Metrics:
    """The counters of one receiver."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "edgecap_alert_requests",
            "Requests to /alerts by the answer's status",
            ("source", "status"),
            registry=registry,
        )
        self.taken_seconds = Histogram(
            "edgecap_alert_taken_seconds",
            "From a request's head to its 202, when the alert is on disk",
            registry=registry,
            buckets=_TIMES,
        )
        self.commit_size = Histogram(
            "edgecap_alert_commit_size", "Alerts in one commit", registry=registry, buckets=_SIZES
        )
        self.missed = Counter(
            "edgecap_alerts_missed",
            "Alerts and notifications that led to nothing: refused, unauthorized, cut off, put aside or not "
            "captured",
            ("source", "kind"),
            registry=registry,
        )
        self.incidents_opened = Counter(
            "edgecap_incidents_opened",
            "Incidents that alerts opened, with all captures, with those that a budget left, or with none",
            ("captures",),
            registry=registry,
        )
        self.outcomes = Counter(
            "edgecap_alert_outcomes",
            "Alerts by outcome",
            ("source", "outcome"),
            registry=registry,
        )
        self.orders_sent = Counter(
            "edgecap_orders_sent", "Runs of respond that Prefect knows of", ("event",), registry=registry
        )
        self.pending = Gauge(
            "edgecap_alerts_pending", "Alerts on disk that are not processed yet", registry=registry
        )
        self.orders_waiting = Gauge(
            "edgecap_orders_waiting", "Runs of respond that Prefect does not know of yet", registry=registry
        )
        self.oldest_order = Gauge(
            "edgecap_oldest_order_seconds", "How long the oldest of them has waited", registry=registry
        )
        self.asides = Gauge(
            "edgecap_alerts_set_aside",
            "Alerts that were not understood and runs that Prefect refused, for a person to look at",
            registry=registry,
        )
        self.open_incidents = Gauge(
            "edgecap_incidents_open", "Incidents whose attacks have not all ended", registry=registry
        )
        self.oldest_pending = Gauge(
            "edgecap_oldest_alert_seconds",
            "How long the oldest alert has waited that is not processed yet",
            registry=registry,
        )
        self.notifications_failed = Gauge(
            "edgecap_notifications_failed",
            "Notifications of the last day that a channel did not take, says Prefect",
            registry=registry,
        )
        self.prefect = Gauge(
            "edgecap_prefect_reachable", "Whether the last call of Prefect was answered", registry=registry
        )

    def families(self) -> Iterable[Metric]:
        """The metrics, with their names and types."""
        return self._registry.collect()

    def page(self) -> bytes:
        """The page `/metrics`."""
        return generate_latest(self._registry)
