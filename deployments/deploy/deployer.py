"""Bringing a Prefect server's deployments to what `prefect.yaml` says, many at a time.

    python -m deployments.deploy.deployer [--reset] [FILE]     # without a file: edgecap's own prefect.yaml

`prefect deploy --all` makes all of them anew, one after the other, and undoes what people set in the UI.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from deployments.deploy.declared import Declared, read_declared
from deployments.deploy.merging import Changes, Existing, changes, digest, record_of
from deployments.deploy.messages import error_line, note
from deployments.deploy.own_file import BUILT_IN, origin_of
from deployments.project import prefect_yaml
from edgecap.cloudflare.headers import server_date
from edgecap.errors import EdgecapError, SetupError
from edgecap.units import plural
from tasks.runtime.deployment_names import FORMER
from tasks.runtime.rest import windows
from tasks.runtime.restart_policy import TOO_OLD

AT_ONCE = 4  # calls; with more, SQLite refuses some, and Prefect's client retries them seconds later
_TAG = "edgecap-deployed"
_LIVE = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING", "CRASHED"]
_PLACE = {"work_pool_name", "work_queue_name"}


class Deployer:
    """Applies what a file says to one server.

    Args:
        client: of the Prefect server.
        reset: undo what people set in the UI.
    """

    def __init__(self, client: PrefectClient, *, reset: bool = False) -> None:
        self._client = client
        self._reset = reset
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def deploy(self, wanted: Iterable[Declared], *, origin: str) -> str:
        """Bring all deployments up to date; returns a line that says what was done.

        Args:
            wanted: what there is to be.
            origin: of the file that was read; what came from there and is not wanted any more, goes.
        """
        wanted = list(wanted)
        origins = {origin, *(declared.origin for declared in wanted)}
        records = await self._records()
        of_records = {key.partition("/")[0] for key in records}
        flows = await self._flows({declared.flow for declared in wanted} | of_records)
        existing = await self._existing(flows)
        done = await asyncio.gather(
            *(
                self._one(declared, flows, existing.get(declared.key), records.get(declared.key))
                for declared in wanted
            )
        )
        keys = {declared.key for declared in wanted}
        for key in sorted((records.keys() & existing.keys()) - keys):
            await self._left(key, existing[key], records[key], keys, origins)
        own = [what for declared, what in zip(wanted, done, strict=True) if declared.origin != BUILT_IN]
        built_in = [what for declared, what in zip(wanted, done, strict=True) if declared.origin == BUILT_IN]
        if own and built_in:
            return f"{_counted(own, ' of your own')}; {_counted(built_in, ' of edgecap')}"
        return _counted(done)

    async def _left(
        self, key: str, existing: Existing, record: dict[str, Any], keys: set[str], origins: set[str]
    ) -> None:
        """Switch off a deployment that the file had and has no more, and delete it once its runs are over.

        Others are left alone: one of another file, and one that a person switched on again.
        """
        if key in {old for new, old in FORMER.items() if new in keys}:
            await self._retire(key, existing.id, record, f"{key} has another name now and")
        elif record.get("off") and not existing.paused:
            _say(note(f"{key} left the file, but was switched on again in Prefect's UI, and stays"))
            await self._forget(key)
        elif record.get("file") in origins:
            await self._retire(key, existing.id, record, f"not in the file any more: {key}")
        else:
            place = f"; it is from {file}" if (file := record.get("file")) and file != BUILT_IN else ""
            _say(note(f"{key} is not in the file{place}. Delete it in Prefect's UI if it is not wanted"))

    async def _one(
        self,
        declared: Declared,
        flows: dict[str, str],
        existing: Existing | None,
        record: dict[str, Any] | None,
    ) -> str:
        hint = changes(declared, existing, record, reset=self._reset)
        left: tuple[str, ...] = ()
        async with self._gate:
            if existing is None:
                identity = await self._create(declared, flows[declared.flow])
            else:
                identity = existing.id
                if hint or hint.retired:
                    left = await self._update(identity, declared, hint)
            if hint.create or hint.triggers:
                await self._make_automations(declared, identity, is_new=hint.create)
            # Last, so that the next deploy repeats one that was cut short.
            now = record_of(declared, retired=left)
            if now != record:
                await self._remember(declared.key, now)
        changed = bool(hint) or left != hint.retired
        what = "new" if hint.create else "changed" if changed else "unchanged"
        if changed:
            _say(f"{declared.key}: {what}")
        return what

    async def _retire(self, key: str, identity: str, record: dict[str, Any], words: str) -> None:
        """Switch off a deployment, and delete it once all of its runs are over.

        With a deployment, Prefect deletes its scheduled runs, and no worker takes up the others again.
        """
        await self._client.delete_resource_owned_automations(f"prefect.deployment.{identity}")
        # Prefect then deletes the runs to come that its schedules made.
        await self._call("PATCH", f"/deployments/{identity}", {"paused": True})
        wanted = {
            "deployments": {"id": {"any_": [identity]}},
            "flow_runs": {"state": {"type": {"any_": _LIVE}}},
        }
        found = await self._pages("/flow_runs/filter", wanted)
        if left := sum(map(_may_go_on, found)):
            runs = f"{left} of its runs {'is' if left == 1 else 'are'} not over"
            _say(note(f"{words} is switched off; a later deploy deletes it: {runs}"))
            await self._remember(key, {**record, "off": True})
            return
        await self._call("DELETE", f"/deployments/{identity}")
        await self._forget(key)
        _say(note(f"{words} is deleted"))

    async def _create(self, declared: Declared, flow_id: str) -> str:
        schedules = [
            {**schedule.body, "slug": schedule.slug, "active": schedule.active}
            for schedule in declared.schedules.values()
        ]
        body = {"name": declared.name, "flow_id": flow_id, **declared.fields, "schedules": schedules}
        made: dict[str, Any] = await self._call("POST", "/deployments/", body)
        return str(made["id"])

    async def _update(self, identity: str, declared: Declared, hint: Changes) -> tuple[str, ...]:
        """Apply the changes; returns the ids of schedules that are off and that a later deploy deletes."""
        path = f"/deployments/{identity}"
        answer = await self._answer("GET", path)
        began, is_paused = _server_time(answer), answer.json()["paused"]
        for schedule_id in hint.remove:
            await self._call("PATCH", f"{path}/schedules/{schedule_id}", {"active": False})
        for schedule_id, body in hint.update.items():
            await self._call("PATCH", f"{path}/schedules/{schedule_id}", body)
        if hint.add:
            added = [{**each.body, "slug": each.slug, "active": each.active} for each in hint.add]
            await self._call("POST", f"{path}/schedules", added)
        fields = dict(hint.fields)
        if _PLACE & fields.keys():  # a queue alone would be looked for in another pool
            fields |= {name: declared.fields[name] for name in _PLACE}
        if fields:
            await self._call("PATCH", path, fields)
        left = await self._remove(identity, declared.key, (*hint.remove, *hint.retired))
        if (hint or left != hint.retired) and not fields.get("paused", is_paused):
            # With each of these changes, Prefect deletes the deployment's future runs. Seconds later it makes
            # them again from then on, and runs that were due in those seconds would be lost.
            await self._call("POST", f"{path}/schedule", {"start_time": began.isoformat()})
        return left

    async def _remove(self, identity: str, key: str, schedules: tuple[str, ...]) -> tuple[str, ...]:
        """Delete schedules that are off, unless that would lose runs; returns those that are left.

        With a schedule, Prefect deletes all scheduled runs of the deployment that no worker has taken yet.
        Overdue runs are among them: their windows would be lost. A schedule that is off makes no new runs.
        """
        if not schedules:
            return ()
        if overdue := await self._overdue(identity):
            count = f"{overdue} overdue run{'' if overdue == 1 else 's'}"
            _say(
                note(
                    f"{key}: a schedule that left the file is off; a later deploy deletes it, since Prefect "
                    f"would delete the {count} of this deployment with it"
                )
            )
            return schedules
        for schedule_id in schedules:
            await self._call("DELETE", f"/deployments/{identity}/schedules/{schedule_id}")
        return ()

    async def _overdue(self, identity: str) -> int:
        """How many scheduled runs are due, by the server's clock, and not taken by a worker."""
        body = {
            "deployments": {"id": {"any_": [identity]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
            "sort": "NEXT_SCHEDULED_START_TIME_ASC",
        }
        runs = await self._pages("/flow_runs/filter", body)
        # Asked afterwards: runs that became due meanwhile count. The header has whole seconds.
        now = _server_time(await self._answer("GET", f"/deployments/{identity}")) + timedelta(seconds=1)
        return sum(
            run["auto_scheduled"]
            and run["run_count"] == 0
            and datetime.fromisoformat(run["next_scheduled_start_time"]) <= now
            for run in runs
        )

    async def _make_automations(self, declared: Declared, identity: str, *, is_new: bool) -> None:
        if not is_new:
            await self._client.delete_resource_owned_automations(f"prefect.deployment.{identity}")
        for trigger in declared.automations():
            trigger.set_deployment_id(identity)  # type: ignore[arg-type]
            await self._client.create_automation(trigger.as_automation())

    async def _flows(self, names: set[str]) -> dict[str, str]:
        return {name: str(await self._client.create_flow_from_name(name)) for name in sorted(names)}

    async def _existing(self, flows: dict[str, str]) -> dict[str, Existing]:
        names = {identity: name for name, identity in flows.items()}
        body = {"flows": {"id": {"any_": list(names)}}}
        found = {}
        for each in await self._pages("/deployments/filter", body):
            slugs = {s["slug"]: s["id"] for s in each["schedules"] if s.get("slug")}
            others = tuple(s["id"] for s in each["schedules"] if not s.get("slug"))
            active = frozenset(s["id"] for s in each["schedules"] if s["active"])
            key = f"{names[each['flow_id']]}/{each['name']}"
            found[key] = Existing(each["id"], slugs, others, active, each["paused"])
        return found

    async def _records(self) -> dict[str, dict[str, Any]]:
        body = {"variables": {"tags": {"all_": [_TAG]}}}
        values = [each["value"] for each in await self._pages("/variables/filter", body)]
        return {value["deployment"]: value for value in values if isinstance(value, dict)}

    async def _forget(self, key: str) -> None:
        with suppress(ObjectNotFound):
            await self._call("DELETE", f"/variables/name/{_variable(key)}")

    async def _remember(self, key: str, record: dict[str, Any]) -> None:
        name = _variable(key)
        try:
            await self._call("PATCH", f"/variables/name/{name}", {"value": record})
        except ObjectNotFound:
            await self._call("POST", "/variables/", {"name": name, "value": record, "tags": [_TAG]})

    async def _pages(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for window in windows(found):
            found += await self._call("POST", path, body | window)
        return found

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._answer(method, path, body)
        return answer.json() if answer.content else None

    async def _answer(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            answer = await self._client.request(method, path, json=body)  # type: ignore[arg-type]
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                raise ObjectNotFound(error) from error
            raise
        return answer


async def deploy(file: Path, *, reset: bool) -> str:
    """Bring the server of this environment to what the file says; returns a line that says what was done.

    Raises:
        InvalidRequest: the file is wrong; nothing was changed.
    """
    usual = prefect_yaml()
    base, origin = (None, BUILT_IN) if file == usual else (usual, origin_of(file))
    wanted = await read_declared(file, base=base)
    _say(f"{file} has {plural(len(wanted), 'deployment')}")
    async with get_client() as client:
        return await Deployer(client, reset=reset).deploy(wanted, origin=origin)


def _counted(done: Sequence[str], whose: str = "") -> str:
    count = Counter(done)
    return (
        f"{plural(len(done), 'deployment')}{whose}: {count['new']} new, {count['changed']} changed, "
        f"{count['unchanged']} unchanged"
    )


def _variable(key: str) -> str:
    """The variable of Prefect's that remembers a deployment."""
    return f"edgecap_deployed_{re.sub('[^a-z0-9]+', '_', key.lower())}_{digest(key)}"


def _may_go_on(run: dict[str, Any]) -> bool:
    """Whether a run that is not over needs its deployment: `reconcile` resumes one that crashed lately."""
    crashed = datetime.fromisoformat(run["state"]["timestamp"])
    return run["state"]["type"] != "CRASHED" or datetime.now(UTC) - crashed < TOO_OLD


def _server_time(answer: httpx.Response) -> datetime:
    """When the server answered, by its own clock, in whole seconds; ours if a proxy drops the header."""
    return server_date(answer.headers) or datetime.now(UTC).replace(microsecond=0)


def _say(line: str) -> None:
    """Write a line at once: it shows the waiting program that this one works."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Deploy, with the arguments of this program."""
    names = [argument for argument in sys.argv[1:] if argument != "--reset"]
    file = Path(names[0]) if names else prefect_yaml()
    try:
        _say(asyncio.run(deploy(file, reset="--reset" in sys.argv)))
    except EdgecapError as error:
        _say(error_line(error))
        sys.exit(error.exit_code)
    except httpx.HTTPError as error:
        said = getattr(getattr(error, "response", None), "text", "")
        failure = SetupError(" ".join(f"the Prefect server refuses a deployment: {error} {said}".split()))
        _say(error_line(failure))
        sys.exit(failure.exit_code)


if __name__ == "__main__":
    main()
