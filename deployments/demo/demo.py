"""The demonstration: the main job on this machine, with a simulated edge in Cloudflare's place.

The object storage, the Prefect server, the schedule, the worker, the archive and all handling of packets are
real.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
import stamina
from pydantic import SecretStr

from deployments.demo.attack import POLICY, Attack
from deployments.demo.object_store import ObjectStore
from deployments.demo.runs import SIMPLE, ShownRun, first_on, is_over, schedule, start_full, starts
from deployments.local.processes import LOOPBACK, Program, Stoppable, answers, free_port
from deployments.local.setup import LocalSetup
from deployments.project import PROJECT
from edgecap.captures.ownership import register
from edgecap.cloudflare.client import Client
from edgecap.errors import SetupError
from edgecap.settings import Account, StoreLocation
from edgecap.stores import open_store
from tasks.runtime.rest import PrefectApi, status

BUCKET = "packet-captures"
SPACING = 8  # seconds between two simple captures instead of sixty, so that the demonstration is quick
# The edge's steps also take less time than Cloudflare's. Its clock is the real one.
QUICK = {
    "validation_takes": "3",
    "full_steps": json.dumps(
        [
            ("pending", 1),
            ("running", 0),
            ("conversion_pending", 1),
            ("conversion_running", 2),
            ("success", 0),
        ]
    ),
}
INCIDENT = "incident, by an alert"
STEPS = ("S3 server", "Simulated edge", "Bucket", "Prefect server", "Worker", "Alert receiver")
"""What `Demo.start` says, one line each, though not always in this order."""
HEAD_START = 10  # seconds before the first run: Prefect's scheduler looks at new schedules every five
_RETRYING = stamina.RetryingCaller(attempts=None, timeout=None, wait_initial=1, wait_max=1, wait_jitter=0)
STANDS_STILL = 300.0  # seconds without activity, after which a program that starts is given up


class Demo(Stoppable):
    """Object store, simulated edge, Prefect server, workers and alert receiver, stopped for sure.

    Args:
        home: a folder that is emptied first; it holds the archive, the settings, the logs.
        say: called with one line for each of `STEPS`, and with `is_step=False` for a line in between.
    """

    def __init__(self, home: Path, say: Callable[..., None]) -> None:
        self.home = home
        self.config = home / "edgecap.toml"
        self._say = say
        self._template = home.parent / f"{home.name}-prefect.db"
        if home.exists():
            shutil.rmtree(home)
        home.mkdir(parents=True)
        self.objects = ObjectStore(home / "logs")
        self.account = Account(
            account_id=secrets.token_hex(16),
            api_token=SecretStr(secrets.token_urlsafe(24)),
            base_url="",
        )
        self.setup = LocalSetup(home, env={"EDGECAP_CONFIG": str(self.config)}, warm=True)
        self.edge: Program | None = None
        self.receiver_port = free_port()
        self.receiver = self.setup.program("receiver", "deployments.receiver.serve")
        self._secret = secrets.token_urlsafe(24)  # of the receiver's one source
        self.attack = Attack()

    def start(self) -> None:
        """Start everything, register the bucket, deploy.

        Raises:
            SetupError: a program did not start.
        """
        if self._template.exists():  # a migrated database: migrations take half of a first start
            (self.home / "prefect").mkdir()
            shutil.copy(self._template, self.home / "prefect" / "prefect.db")
        self.setup.start_server()
        self.setup.start_fork_server()
        self.objects.start()
        self.objects.make_bucket(BUCKET)
        self._say(f"S3 server         {self.objects.endpoint_url}  (MiniStack, bucket {BUCKET})")
        self._start_edge()
        self._say(f"Simulated edge    {self.account.base_url}  (one simple capture every {SPACING} s)")
        (self.home / "archive").mkdir()
        self._write_settings()
        with ThreadPoolExecutor(1) as beside:
            registered = beside.submit(asyncio.run, self._register_bucket())
            self._start_prefect()
            registered.result()
        self.setup.announce()

    def _note(self, line: str) -> None:
        self._say(line, is_step=False)

    def _start_prefect(self) -> None:
        self.setup.wait_for_server(timeout=STANDS_STILL, tell=self._note)
        if not self._template.exists():
            shutil.copy(self.home / "prefect" / "prefect.db", self._template)
        self._say(f"Prefect server    {self.setup.ui_url}  (sign in with {self.setup.sign_in.how})")
        self.setup.start_workers()
        self.receiver.start()
        self.setup.deploy()
        self.setup.wait_for_workers(timeout=STANDS_STILL, tell=self._note)
        self._say("Worker            online, deployments of prefect.yaml registered")
        self.receiver.wait_ready(lambda: answers(self.receiver_port), timeout=STANDS_STILL, tell=self._note)
        self._say(f"Alert receiver    http://{LOOPBACK}:{self.receiver_port}/alerts/cloudflare")

    def run(self, show: Callable[[list[ShownRun]], None]) -> list[ShownRun]:
        """A simple capture by a schedule, a full one at ORD, and an attack; returns when all are over.

        The attack lasts until its full capture has recorded it.

        Args:
            show: called about once a second with all of them.

        Raises:
            SetupError: one of the programs ended, or the receiver refuses the alert.
        """
        simple, full = ShownRun("simple, by a schedule"), ShownRun("full at ORD, by hand")
        incident = ShownRun(INCIDENT)
        every = [simple, full, incident]
        with PrefectApi(self.setup.prefect) as prefect:
            since = datetime.now(UTC)
            self._tell("START")
            retried = _RETRYING.on(self._is_busy)
            deployment = str(retried(prefect.deployment, SIMPLE)["id"])
            anchor = since + timedelta(seconds=HEAD_START)
            retried(schedule, prefect, deployment, anchor)
            goes_on = True
            while not all(watched.ended for watched in every):
                try:
                    if not simple.run_id:
                        simple.run_id = first_on(prefect.scheduled_runs(deployment, since=anchor), anchor)
                    alerted = prefect.tagged("alert") if goes_on or not incident.run_id else []
                    for run in starts(alerted):
                        incident.run_id = run["id"]
                    during = [run for run in alerted if "during" in run["tags"]]
                    recorded = any(is_over(run["state"] or {}) for run in during)
                    # After the alert's, which it waits for: the attack's end depends on that one.
                    if during and not full.run_id:
                        full.run_id = start_full(prefect)
                    for watched in every:
                        if watched.run_id and not watched.ended:
                            self._look(prefect, watched)
                except SetupError as error:
                    if not self._is_busy(error):
                        raise
                    incident.message, recorded = str(error), False
                if recorded and goes_on:
                    self.attack.end(self._edge_url)
                    self._tell("END")
                    goes_on = False
                show(every)
                self.check()
                time.sleep(0.5)
        return every

    def _is_busy(self, error: Exception) -> bool:
        """Whether the Prefect server may answer later.

        Raises:
            SetupError: one of the programs ended.
        """
        self.check()
        refused = isinstance(error, SetupError) and httpx.codes.is_client_error(status(error) or 0)
        return isinstance(error, SetupError) and not refused

    def _tell(self, event: Literal["START", "END"]) -> None:
        self.attack.tell(f"http://{LOOPBACK}:{self.receiver_port}", self._secret, event)

    def check(self) -> None:
        """Raise what is wrong if one of the programs is no longer running.

        Raises:
            SetupError: it names the program and its log.
        """
        for program in (self.edge, self.objects.program, self.receiver, self.setup.failed()):
            if program and not program.running:
                cause = program.cause_of_end()
                raise SetupError(
                    f"{program.name} ended: {cause.what}", where=str(program.log), hint=cause.hint
                )

    def stop(self) -> None:
        """Stop all of it; no process is left behind."""
        self.receiver.stop(grace=3)
        self.setup.stop()
        if self.edge:
            self.edge.stop(grace=2)
        self.objects.stop()

    def _look(self, prefect: PrefectApi, watched: ShownRun) -> None:
        run = prefect.run(watched.run_id)
        state: dict[str, Any] = run.get("state") or {}
        watched.name = run["name"]
        watched.state = state.get("name") or "Scheduled"
        watched.message = state.get("message") or ""
        watched.ended = is_over(state)
        watched.good = state.get("type") == "COMPLETED"
        watched.progress = 100.0 if watched.good else prefect.progress(watched.run_id)
        watched.url = f"{self.setup.ui_url}/v2/runs/flow-run/{watched.run_id}"

    @property
    def _edge_url(self) -> str:
        return self.account.base_url.removesuffix("/client/v4")

    def _start_edge(self) -> None:
        port = free_port()
        self.account.base_url = f"http://{LOOPBACK}:{port}/client/v4"
        assert self.account.api_token is not None
        options = ["--port", str(port), "--simple-spacing", str(SPACING), "--traffic", self.attack.traffic]
        for name, value in QUICK.items():
            options += ["--set", f"{name}={value}"]
        self.edge = Program(
            "simulated edge",
            [sys.executable, "-m", "edgecap.simulator", *options],
            log=self.home / "logs" / "edge.log",
            env={
                **self.objects.env(),
                "CLOUDFLARE_ACCOUNT_ID": self.account.account_id,
                "CLOUDFLARE_API_TOKEN": self.account.api_token.get_secret_value(),
            },
            folder=PROJECT,
        )
        self.edge.start()
        self.edge.wait_ready(lambda: answers(port), timeout=STANDS_STILL, tell=self._note)

    def _place(self) -> StoreLocation:
        return self.objects.place(BUCKET, "full")

    def _write_settings(self) -> None:
        """The settings that the worker uses, and any `edgecap` command that is pointed at them."""
        assert self.account.api_token is not None
        values = {
            "home": str(self.home),
            "accounts.default": {
                "account_id": self.account.account_id,
                "api_token": self.account.api_token.get_secret_value(),
                "base_url": self.account.base_url,
            },
            "buckets.default": {
                "uri": self._place().uri,
                "endpoint_url": self.objects.endpoint_url,
                "access_key_id": self.objects.access_key_id,
                "secret_access_key": self.objects.secret_access_key,
            },
            "archives.default": {"uri": f"file:{self.home / 'archive'}"},
            "timing": {"simple_spacing": SPACING, "settle": 3},
            "receiver": {"port": self.receiver_port, "policy": str(self.home / "policy.toml")},
            "alerts.cloudflare": {"secret": self._secret},
        }
        (self.home / "policy.toml").write_text(POLICY)
        lines = ["# Written by `edgecap demo`; anew at its next start."]
        for name, value in values.items():
            if isinstance(value, dict):
                lines.append(f"\n[{name}]")
                lines += [f"{key} = {json.dumps(item)}" for key, item in value.items()]
            else:
                lines.append(f"{name} = {json.dumps(value)}")
        self.config.touch(mode=0o600)
        self.config.write_text("\n".join(lines) + "\n")

    async def _register_bucket(self) -> None:
        async with Client(self.account) as client:
            await register(client, open_store(self._place()), self._place())
        self._say("Bucket            registered through Cloudflare's ownership challenge")
