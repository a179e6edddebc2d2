"""The receiver put together: inbox, inbox writer, alert processor, relay to Prefect, and app."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from deployments.local.running import find_server
from deployments.receiver.app import Health, Receiver
from deployments.receiver.dispatch import Dispatch
from deployments.receiver.held_back import HeldBackWriter
from deployments.receiver.http_server import listen, make_server
from deployments.receiver.inbox_writer import GroupCommit
from deployments.receiver.log import log_quietly
from deployments.receiver.metrics import Metrics
from deployments.receiver.missed import MissedLog
from deployments.receiver.pages import ReportPages
from deployments.receiver.processor import AlertProcessor
from deployments.receiver.relay import OutboxRelay
from deployments.receiver.rotation import SecretRotation
from deployments.receiver.senders import TrustedProxies
from edgecap.alerts.policy.decision import load_policy
from edgecap.alerts.sources.enabled import enabled_sources
from edgecap.alerts.sources.registry import sources
from edgecap.errors import StoreError
from edgecap.incidents.inbox.alert_inbox import INBOX, AlertInbox
from edgecap.incidents.incidents import Incidents
from edgecap.settings import Settings, load_settings
from edgecap.stores import open_store
from tasks.runtime.prefect_server import PrefectServer
from tasks.runtime.warm_runner import ADDRESS

FLOOR = 64 << 20  # bytes that alerts leave free: Prefect's database is usually on the same disk
BACKLOG = 1000  # pending alerts; with more, the receiver is not ready
_TURN = 0.0005  # seconds that a thread runs before another may; Python's default is ten times as long
_FRESH = 1.0  # seconds for which a look at the disk counts
_PATIENCE = 0.5  # seconds for a thread to end; it can be left at any point


class Receiving:
    """A receiver at work, from entering it until leaving it.

    Args:
        settings: sources, policy, and the folder of the inbox.
        prefect: the address of Prefect's API now; empty if none is known.
        warm_runner: address of the warm process; empty if there is none.

    Raises:
        ConfigError: no source is on, one lacks its secret, the policy is wrong, or another receiver has the
            inbox.
        StoreError: the inbox cannot be opened.
    """

    def __init__(
        self, settings: Settings, *, prefect: Callable[[], PrefectServer | None], warm_runner: str = ""
    ) -> None:
        self.enabled = enabled_sources(settings.alerts)
        policy = load_policy(settings.receiver.policy, settings.bounds, settings.alerts.names)
        self._folder = (settings.home / INBOX).resolve().parent
        self.inbox = AlertInbox(settings.home.resolve() / INBOX)
        self.metrics = Metrics()
        self.proxies = TrustedProxies(settings.receiver.trusted_proxies)
        dispatch = Dispatch(
            prefect,
            warm_runner=warm_runner,
            account=settings.receiver.account,
            archive=settings.receiver.archive,
        )
        # With a connection of its own: a client of Prefect's serves one thread.
        told = Dispatch(prefect, account=settings.receiver.account, archive=settings.receiver.archive)
        self.missed = MissedLog(self.inbox, told if settings.incidents.notify else None, metrics=self.metrics)
        self._relay = OutboxRelay(self.inbox, dispatch, metrics=self.metrics, missed=self.missed)
        self._processor = AlertProcessor(
            self.inbox,
            sources(settings.alerts),
            policy,
            bounds=settings.bounds,
            keep=timedelta(days=settings.receiver.keep_days),
            metrics=self.metrics,
            on_processed=self._settled,
            missed=self.missed,
        )
        archive = settings.receiver.archive
        self._counts = HeldBackWriter(self.inbox, lambda: Incidents(open_store(settings.archive(archive))))
        self._writer = GroupCommit(self.inbox.keep, self._committed)
        self._reports = _report_pages(settings, self.inbox)
        self._looked = 0.0
        self._room = True
        self._probed = 0.0
        self._trouble = ""
        self._stack = ExitStack()

    def __repr__(self) -> str:
        return f"<Receiving [{', '.join(self.enabled)}] {self._processor!r} {self._relay!r}>"

    def rotation(self) -> SecretRotation:
        """What brings the secrets up to date."""
        return SecretRotation(self.enabled, self._reports)

    def receiver(self) -> Receiver:
        """The app."""
        return Receiver(
            self.enabled,
            self._writer.keep,
            health=self.health,
            metrics=self.metrics,
            has_room=self._has_room,
            reports=self._reports,
            proxies=self.proxies,
            missed=self.missed,
        )

    def __enter__(self) -> Self:
        # Prefect may accept by now what it refused before.
        for order in self.inbox.orders(1000, refused=True):
            self.inbox.refuse(order.id, "")
        if self._reports:
            self._stack.callback(self._reports.close)
        self._stack.enter_context(self._writer)
        self._processor.loop.start()
        self._relay.loop.start()
        self._counts.loop.start()
        self.missed.loop.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()  # the writer: all alerts that were accepted are on disk
        ended = [
            loop.end(patience=_PATIENCE)
            for loop in (self._processor.loop, self._relay.loop, self._counts.loop, self.missed.loop)
        ]
        if all(ended):
            with suppress(StoreError):
                self.missed.flush()
            self.inbox.close()

    def health(self) -> Health:
        """The receiver's state now; also brings the gauges up to date."""
        if time.monotonic() - self._probed > _FRESH:
            self._trouble = self._disk_trouble()
            self._probed = time.monotonic()
        try:
            counts = self.inbox.counts()
        except StoreError as error:
            return Health(error.what, 0, 0, self._relay.prefect_said)
        self.metrics.pending.set(counts.pending)
        self.metrics.orders_waiting.set(counts.orders)
        self.metrics.asides.set(counts.asides + counts.refused)
        self.metrics.open_incidents.set(counts.open_incidents)
        self.metrics.oldest_order.set(_age(counts.oldest_order))
        self.metrics.oldest_pending.set(_age(counts.oldest_pending))
        trouble = self._trouble
        if not trouble and counts.pending > BACKLOG:
            trouble = f"{counts.pending} alerts wait to be processed"
        return Health(trouble, counts.pending, counts.orders, self._relay.prefect_said)

    def _disk_trouble(self) -> str:
        try:
            self.inbox.probe()
        except StoreError as error:
            return error.what  # without the path: strangers may read it
        return "" if self._has_room() else f"less than {FLOOR >> 20} MiB are free on the disk of the alerts"

    def _has_room(self) -> bool:
        if time.monotonic() - self._looked > _FRESH:
            self._room = shutil.disk_usage(self._folder).free > FLOOR
            self._looked = time.monotonic()
        return self._room

    def _settled(self) -> None:
        self._relay.loop.wake()
        self._counts.loop.wake()

    def _committed(self, alerts: int) -> None:
        self.metrics.commit_size.observe(alerts)
        self._processor.loop.wake()


def _age(moment: datetime | None) -> float:
    return max(0.0, (datetime.now(UTC) - moment).total_seconds()) if moment else 0.0


def _report_pages(settings: Settings, inbox: AlertInbox) -> ReportPages | None:
    token = settings.receiver.report_token
    known = token.get_secret_value().strip() if token else ""
    if not known:
        return None
    # Without the archive in the settings, alerts are still taken; a report then says what is missing.
    return ReportPages(known, lambda: open_store(settings.archive(settings.receiver.archive)), inbox)


def serve(
    settings: Settings, *, host: str = "", port: int | None = None, on_ready: Callable[[str, Receiving], None]
) -> None:
    """Receive alerts until SIGINT or SIGTERM; then answer the requests under way, and end.

    Args:
        settings: as they are.
        host: the address to listen at, if not that of the settings.
        port: the same for the port; a free one if 0.
        on_ready: called with the address when requests are taken.

    Raises:
        SetupError: the port is taken.
        ConfigError: the settings do not say enough, or another receiver has the inbox.
        StoreError: the inbox cannot be opened.
    """
    home = settings.home.resolve()
    receiving = Receiving(
        settings, prefect=lambda: find_server(home), warm_runner=os.environ.get(ADDRESS, "")
    )
    given = settings.receiver
    host = host or given.host
    # Python runs one thread at a time: answering and writing must not wait for the thread that parses alerts.
    sys.setswitchinterval(_TURN)
    with listen(host, given.port if port is None else port) as listener, receiving:
        bound = listener.getsockname()[1]
        address = f"http://{f'[{host}]' if ':' in host else host}:{bound}"
        server = make_server(receiving.receiver().application(), proxies=receiving.proxies)

        async def until_told() -> None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, setattr, server, "should_exit", True)
            # The socket already listens: from now on, every sender gets an answer.
            on_ready(address, receiving)
            rotating = asyncio.create_task(receiving.rotation().forever())
            try:
                await server.serve(sockets=[listener])
            finally:
                rotating.cancel()

        asyncio.run(until_told())


def main() -> None:
    """Receive alerts as the settings say. `edgecap up` runs this."""
    log_quietly()
    serve(load_settings(), on_ready=lambda _address, _receiving: None)


if __name__ == "__main__":
    main()
