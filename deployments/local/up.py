"""What `edgecap up` runs: server, workers and deployments on one machine, until it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from deployments.local.processes import Stoppable, answers, check_port, check_room
from deployments.local.running import running_setup
from deployments.local.schedules import NONE_ON, schedules_on
from deployments.local.setup import FORKED, PORT, LocalSetup, check_own_file
from deployments.local.watching import Watch
from deployments.local.worker import check_settings
from edgecap.alerts.policy.rules import load_policy
from edgecap.alerts.sources.enabled import enabled_sources
from edgecap.errors import ConfigError, SetupError
from edgecap.settings import FOLDER, Settings, base_folder, config_file
from edgecap.settings.permissions import open_to_others
from tasks.runtime.prefect_server import HOSTS
from tasks.runtime.rest import PrefectApi

_RECEIVER_GRACE = 6.0  # seconds


class Up(Stoppable):
    """A Prefect server, workers and the deployments of `prefect.yaml`, watched and restarted.

    ::

        with Up(settings, print) as up:
            up.start()
            up.watch()

    Args:
        settings: whose accounts, archives and home are used.
        say: called with one line for each step and each event.
        port: of the Prefect server.
        workers: how many worker processes.
        limit: flow runs at a time in each.
        reset: set the deployments as `prefect.yaml` says, and undo what people set in the UI.
    """

    def __init__(
        self,
        settings: Settings,
        say: Callable[[str], None],
        *,
        port: int = PORT,
        workers: int = 1,
        limit: int = 8,
        reset: bool = False,
    ) -> None:
        self._settings = settings
        self._reset = reset
        self._say = say
        self.home = settings.home.resolve()
        self.alerts = bool(settings.alerts.tables)
        self.setup = LocalSetup(
            self.home,
            env=_environment(self.home, settings.ui_hosts),
            port=port,
            workers=workers,
            limit=limit,
            warm=self.alerts,
        )
        self.receiver = self.setup.program("receiver", *FORKED, "deployments.receiver.serve")

    def __repr__(self) -> str:
        return f"<Up {self.setup!r}>"

    def check(self) -> None:
        """Refuse to start a setup that could not work.

        Raises:
            ConfigError: no account or no archive is set, one of them is wrong, or a source of alerts is.
            StoreError: an archive cannot be written.
            SetupError: edgecap is already running, a port is taken, or the disk is full.
        """
        receiver = self._settings.receiver
        if receiver.report_token and not self.alerts:
            self._say("receiver.report_token is set, but no source of alerts is: nothing serves reports.")
        if receiver.report_url and not receiver.report_token:
            self._say("receiver.report_url is set without receiver.report_token: its links do not work.")
        check_settings(self._settings)
        for line in open_to_others(self._settings):
            self._say(line)
        if self.alerts:
            enabled_sources(self._settings.alerts)
            policy = load_policy(
                self._settings.receiver.policy, self._settings.bounds, self._settings.alerts.names
            )
            for name in sorted(policy.buckets() - set(self._settings.buckets)):
                self._say(
                    f"No bucket is called {name!r} (buckets.{name}): full captures of alerts will fail, "
                    "and only samples will be kept."
                )
            if not self._settings.receiver.port:
                raise ConfigError(
                    "the receiver's port is 0: it would change at each start, and no sender would know it",
                    where="receiver.port",
                    hint="choose one",
                )
        running = running_setup(self.home)
        if running and answers(urlsplit(running.api_url).port or 0):
            raise SetupError(
                "edgecap is already running",
                where=f"{running.ui_url}, process {running.pid}",
                hint="stop that one first, or set another home",
            )
        check_own_file(self._settings.prefect_yaml)
        check_room(self.home)
        check_port(self.setup.port, hint="stop what listens there, or give another --port")
        if self.alerts:
            check_port(receiver.port, receiver.host, hint="stop what listens there, or set receiver.port")

    def start(self) -> None:
        """Start everything and register the deployments.

        Raises:
            SetupError: a program did not start.
        """
        self.setup.start_server()
        self.setup.start_fork_server()
        self.setup.wait_for_server(tell=self._say)
        self._say(f"Prefect server    {self.setup.ui_url}  (sign in with {self.setup.sign_in.how})")
        self.setup.start_workers()
        done = self.setup.deploy(self._settings.prefect_yaml, reset=self._reset, tell=self._say)
        self._say(f"prefect.yaml      {done}")
        with PrefectApi(self.setup.prefect) as prefect:
            for line in schedules_on(prefect) or [NONE_ON]:
                self._say(f"Schedule          {line}")
        self.setup.wait_for_workers(tell=self._say)
        self._say(
            f"Workers           {len(self.setup.workers)} online, {self.setup.limit} runs at a time each"
        )
        self.setup.announce()
        if self.alerts:
            self._start_receiver()

    def watch(self) -> None:
        """Restart programs that end, until an exception such as KeyboardInterrupt."""
        Watch([*self.setup.programs, *([self.receiver] if self.alerts else [])], self._say).forever()

    def stop(self) -> None:
        """Stop everything; no process is left behind."""
        self.receiver.stop(grace=_RECEIVER_GRACE)
        self.setup.stop()

    @property
    def longest_stop(self) -> float:
        """Seconds that `stop` may wait for the programs to end."""
        return _RECEIVER_GRACE + self.setup.longest_stop

    def _start_receiver(self) -> None:
        given = self._settings.receiver
        self.receiver.start()
        self.receiver.wait_ready(lambda: answers(given.port, given.host), tell=self._say)
        for name in enabled_sources(self._settings.alerts):
            self._say(f"Alerts            http://{given.host}:{given.port}/alerts/{name}")


def _environment(home: Path, hosts: list[str]) -> dict[str, str]:
    """Where the settings and the state are, for programs that run in another folder."""
    env = {"EDGECAP_HOME": str(home), FOLDER: str(base_folder().resolve()), HOSTS: ",".join(hosts)}
    if config_file().is_file():
        env["EDGECAP_CONFIG"] = str(config_file().resolve())
    return env
