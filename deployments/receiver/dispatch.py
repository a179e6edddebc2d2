"""Starting the run of `respond` for an order, telling the warm process, and marking Prefect's timeline."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx

from edgecap.alerts.words import words_of_run
from edgecap.errors import SetupError
from edgecap.incidents.inbox.alert_inbox import RunRequest
from tasks.runtime.alert_runs import ALERT, NOTIFY, plain, respond_run
from tasks.runtime.deployment_names import RESPOND, TELL
from tasks.runtime.prefect_server import PrefectServer
from tasks.runtime.rest import PrefectApi, status
from tasks.runtime.warm_runner import HEAD_START

EVENT = "edgecap.alert"
TIMEOUT = 10.0  # seconds for a call of Prefect
WORD_TIMEOUT = 1.0  # seconds for the warm process, which answers at once or not at all

_REFUSALS = (
    httpx.codes.BAD_REQUEST,
    httpx.codes.CONFLICT,
    httpx.codes.REQUEST_ENTITY_TOO_LARGE,
    httpx.codes.UNPROCESSABLE_ENTITY,
)
_NAMESPACE = uuid.UUID("b2d0c2a5-6f0e-4f5b-9a53-0f7f3d1f6a11")

_log = logging.getLogger("edgecap.receiver")


class RunRefused(Exception):
    """Prefect refuses the run of this order, and would refuse it again."""


class Dispatch:
    """Where orders are sent.

    Args:
        where: the Prefect server of now; None if none is known.
        warm_runner: the warm process's address, such as `http://127.0.0.1:4281`; empty if there is none.
        account: name of the account that captures are taken with.
        archive: name of the archive that they are kept in.
    """

    def __init__(
        self, where: Callable[[], PrefectServer | None], *, warm_runner: str = "", account: str, archive: str
    ) -> None:
        self._where = where
        self._warm_runner = warm_runner.rstrip("/")
        self._account = account
        self._archive = archive
        self._word = httpx.Client(timeout=WORD_TIMEOUT, trust_env=False)
        self._prefect: PrefectApi | None = None
        self._server: PrefectServer | None = None
        self._deployment = ""

    def __repr__(self) -> str:
        return f"<Dispatch {self._server.api_url if self._server else 'nowhere yet'}>"

    def check(self) -> None:
        """Return if Prefect answers.

        Raises:
            SetupError: it does not.
        """
        self._api().check()

    def send(self, order: RunRequest) -> str:
        """Have Prefect make the run of an order. The same order gives the same run.

        Returns:
            The flow run's id.

        Raises:
            RunRefused: Prefect refuses it.
            SetupError: Prefect cannot take orders now.
        """
        prefect = self._api()
        deployment = self._deployment or _id(prefect.deployment(RESPOND))
        self._deployment = ""  # look it up again unless this works: the deployment may have been made anew
        at = datetime.now(UTC) + HEAD_START if self._warm_runner else None
        try:
            run = prefect.start_run(deployment, **self._run(order), at=at)
        except SetupError as error:
            if status(error) in _REFUSALS:
                raise RunRefused(str(error)) from error
            raise
        run_id = _id(run)
        self._deployment = deployment
        if self._warm_runner and not self._tell(run_id):
            prefect.hurry(run_id)  # a worker takes it up
        self._mark(prefect, order, run_id)
        return run_id

    def tell(self, key: str, subject: str, page: str) -> str:
        """Have every channel told of something that is no incident. The same key gives the same run.

        Returns:
            The flow run's id.

        Raises:
            SetupError: Prefect does not take it, or has no such deployment.
        """
        prefect = self._api()
        run = prefect.start_run(
            _id(prefect.deployment(TELL)),
            plain({"subject": subject, "page": page}),
            tags=[ALERT],
            name=str(plain(subject)),
            idempotency_key=key,
        )
        return _id(run)

    def failed_notifications(self, since: datetime) -> int:
        """How many notifications no channel took since then.

        Raises:
            SetupError: Prefect does not answer.
        """
        return self._api().failed_tasks(NOTIFY, since=since)

    def _api(self) -> PrefectApi:
        server = self._where()
        if not server:
            raise SetupError(
                "no Prefect server is known", hint="start one with `edgecap up`, or set PREFECT_API_URL"
            )
        if self._prefect is None or server != self._server:
            if self._prefect is not None:
                self._prefect.close()
            self._deployment = ""
            try:
                self._prefect = PrefectApi(server, timeout=TIMEOUT, retry=False)
            except httpx.InvalidURL as error:
                raise SetupError(f"this is not a valid address: {error}", where="PREFECT_API_URL") from None
            self._server = server
        return self._prefect

    def _run(self, order: RunRequest) -> dict[str, Any]:
        return respond_run(
            incident=order.incident,
            event=order.event,
            alert=order.alert.model_dump(mode="json", exclude={"raw"}),
            words=words_of_run(order.alert, order.event),
            plan=order.plan,
            account=self._account,
            archive=self._archive,
            key=order.key,
        )

    def _tell(self, run_id: str) -> bool:
        """Have the warm process take the run up at once; False if it does not."""
        with suppress(httpx.HTTPError, httpx.InvalidURL):
            return self._word.post(f"{self._warm_runner}/runs/{run_id}").is_success
        return False

    def _mark(self, prefect: PrefectApi, order: RunRequest, run_id: str) -> None:
        plan = order.plan
        event = {
            "id": str(uuid.uuid5(_NAMESPACE, order.key)),
            "occurred": order.created.isoformat(),
            "event": EVENT,
            "resource": {
                "prefect.resource.id": f"edgecap.incident.{order.incident}",
                "prefect.resource.name": plain(plan.alert),
            },
            "related": [
                {"prefect.resource.id": f"prefect.flow-run.{run_id}", "prefect.resource.role": "flow-run"}
            ],
            "payload": plain(
                {
                    "event": order.event,
                    "alert": plan.alert,
                    "rule": plan.rule,
                    "reason": plan.reason,
                    "captures": len(plan.captures),
                }
            ),
        }
        try:
            prefect.emit(event)
        except SetupError as error:
            _log.warning("an alert is missing on Prefect's timeline, and nowhere else: %s", error)


def _id(answer: Any) -> str:
    try:
        return str(uuid.UUID(answer["id"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SetupError("the Prefect server's answer makes no sense", where="PREFECT_API_URL") from None
