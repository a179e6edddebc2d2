"""The deployments that `prefect.yaml` declares, as Prefect's API takes them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import yaml  # type: ignore[import-untyped]
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.events import DeploymentTriggerTypes
from prefect.flows import Flow, load_flow_from_entrypoint
from pydantic import TypeAdapter, ValidationError

from deployments.deploy.own_file import BUILT_IN, completed, is_whole, origin_of, replaces
from edgecap.captures.parameters import within_bounds
from edgecap.errors import EdgecapError, InvalidRequest
from edgecap.filters.check import check_request
from edgecap.requests import Filter, FullRequest, SimpleRequest
from edgecap.settings import load_settings
from tasks.runtime.compat import (
    apply_values,
    parameter_schema,
    resolve_block_document_references,
    resolve_variables,
)

_KNOWN = {
    "name", "version", "tags", "description", "paused", "concurrency_limit", "flow_name", "entrypoint",
    "parameters", "enforce_parameter_schema", "pull", "work_pool", "schedule", "schedules", "triggers",
}  # fmt: skip
_BY_PREFECT = {"build", "push", "sla", "version_type"}
_TABLES = ("parameters", "work_pool", "schedule")
_LISTS = ("schedules", "triggers")
_MEANT = {
    "cron": ("a cron expression", '"*/5 * * * *"'),
    "interval": ("a number of seconds above 0", "300"),
    "rrule": ("a recurrence rule", '"FREQ=DAILY;BYHOUR=4"'),
    "timezone": ("a known time zone", "UTC or America/Chicago"),
    "anchor_date": ("a time", '"2026-01-01T00:05:00+00:00"'),
}
_TRIGGER: TypeAdapter[DeploymentTriggerTypes] = TypeAdapter(DeploymentTriggerTypes)
_SECONDS: TypeAdapter[timedelta] = TypeAdapter(timedelta)


@dataclass(frozen=True)
class Schedule:
    """One schedule of a deployment.

    Attributes:
        slug: its name.
        said: its entry in the file, without `active`.
        active: whether the file switches it on.
        body: the schedule as the API takes it.
    """

    slug: str
    said: Mapping[str, Any]
    active: bool
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Declared:
    """One deployment of the file.

    Attributes:
        flow: the flow's name.
        name: the deployment's.
        fields: as the API takes them. `paused` is among them only if the file says it.
        schedules: by their slugs.
        triggers: as they are in the file.
        origin: what it comes from: `BUILT_IN`, or a name for a person's own file.
    """

    flow: str
    name: str
    fields: Mapping[str, Any]
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    triggers: tuple[Mapping[str, Any], ...] = ()
    origin: str = BUILT_IN

    @property
    def key(self) -> str:
        """Such as `capture/now`."""
        return f"{self.flow}/{self.name}"

    def automations(self) -> list[DeploymentTriggerTypes]:
        """The automations that its triggers call for, without the deployment's id."""
        return [
            _TRIGGER.validate_python({"name": f"{self.name}__automation_{number}", **trigger})
            for number, trigger in enumerate(self.triggers, 1)
        ]


async def read_declared(file: Path, *, base: Path | None = None) -> list[Declared]:
    """All deployments of a `prefect.yaml`; entrypoints count from the current folder.

    Args:
        file: the file.
        base: edgecap's own file, to which a file that is not a whole one is added.

    Raises:
        InvalidRequest: something in the file is wrong, or edgecap does not support it.
    """
    said = _load(file)
    if base is None:
        return await _read(file, said, said["deployments"], BUILT_IN)
    if is_whole(said):
        return await _read(file, said, said["deployments"], origin_of(file))
    usual = _load(base)
    own = [completed(config, usual["deployments"]) for config in said["deployments"]]
    read = await _read(file, {**usual, **said}, own, origin_of(file))
    left = [each for each in usual["deployments"] if not any(replaces(config, each) for config in own)]
    return [*read, *await _read(base, usual, left, BUILT_IN)]


def _load(file: Path) -> dict[str, Any]:
    try:
        said = yaml.safe_load(file.read_text())
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        what = f"it cannot be read: {' '.join(str(error).split())}"
        raise InvalidRequest(what, where=str(file)) from None
    if not isinstance(said, dict) or not isinstance(said.get("deployments"), list):
        raise InvalidRequest("it has no list of deployments", where=str(file))
    return said


async def _read(file: Path, said: Mapping[str, Any], configs: Sequence[Any], origin: str) -> list[Declared]:
    flows: dict[str, Flow[..., Any]] = {}
    found: dict[str, Declared] = {}
    for number, config in enumerate(configs, 1):
        name = str(config.get("name", "")) if isinstance(config, dict) else ""
        where = f"{file}: deployment {name or number}"
        _check(config, said, where)
        try:
            declared = replace(await _declared(config, said, flows), origin=origin)
        except InvalidRequest as error:
            raise InvalidRequest(error.what, where=error.where or where, hint=error.hint) from None
        except EdgecapError:  # of the settings
            raise
        except ValidationError as error:
            raise InvalidRequest(problem_of(error), where=where) from None
        except Exception as error:  # the file's own errors, and those of a flow's module
            raise InvalidRequest(" ".join(f"{type(error).__name__}: {error}".split()), where=where) from error
        if declared.key in found:
            raise InvalidRequest(f"two deployments are called {declared.key}", where=str(file))
        found[declared.key] = declared
    return list(found.values())


def problem_of(error: ValidationError) -> str:
    """The first thing that is wrong, with its place. pydantic's own text is long, and links to its pages."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    what = first["msg"].removeprefix("Value error, ")
    return f"{place}: {what}" if place else what


def _check(config: Any, said: Mapping[str, Any], where: str) -> None:
    if not isinstance(config, dict):
        raise InvalidRequest("it is not a table", where=where)
    for key in sorted(_BY_PREFECT & {*config, *(name for name in said if said[name])}):
        hint = "run `prefect deploy --all`"
        raise InvalidRequest(f"edgecap does not support {key!r}", where=where, hint=hint)
    for key in sorted(set(config) - _KNOWN):
        hint = f"known are {', '.join(sorted(_KNOWN))}"
        raise InvalidRequest(f"unknown field {key!r}", where=where, hint=hint)
    for key in ("name", "entrypoint", "work_pool"):
        if not config.get(key):
            raise InvalidRequest(f"it has no {key}", where=where)
    for key in _TABLES:
        if not isinstance(config.get(key) or {}, dict):
            raise InvalidRequest(f"{key} is not a table", where=where)
    for key in _LISTS:
        if not isinstance(found := config.get(key) or [], list) or not all(
            isinstance(e, dict) for e in found
        ):
            raise InvalidRequest(f"{key} is not a list of tables", where=where)


async def _declared(
    config: dict[str, Any], said: Mapping[str, Any], flows: dict[str, Flow[..., Any]]
) -> Declared:
    config = {**config}
    triggers = config.pop("triggers", None) or []  # their templates are filled in when they fire
    if "{{" in json.dumps(config, default=str):  # only then does it take a server
        config = cast("dict[str, Any]", await resolve_block_document_references(config))
        config = cast("dict[str, Any]", await resolve_variables(config))
    config = cast("dict[str, Any]", apply_values(config, dict(os.environ), remove_notset=False))
    config = _plain(apply_values(config, {}, warn_on_notset=True, skip_prefixes=["ctx."]))
    entrypoint = config["entrypoint"]
    if entrypoint not in flows:
        flows[entrypoint] = load_flow_from_entrypoint(entrypoint)
    flow = flows[entrypoint]
    check_captures(flow.name, config)
    limit = config.get("concurrency_limit")
    options = None
    if isinstance(limit, dict):
        options = {key: limit[key] for key in ("collision_strategy", "grace_period_seconds") if key in limit}
        limit = limit.get("limit")
    pool = config["work_pool"]
    pull = config.get("pull", said.get("pull"))
    fields = {
        "entrypoint": entrypoint,
        "path": None,
        "version": config.get("version") or flow.version,
        # A flow's description goes on with its parameters, in the words of its code.
        "description": config.get("description") or (flow.description or "").partition("\n\n")[0],
        "tags": config.get("tags") or [],
        "parameters": config.get("parameters") or {},
        "parameter_openapi_schema": within_bounds(
            parameter_schema(flow).model_dump(exclude_unset=True, mode="json"), load_settings().bounds
        ),
        "enforce_parameter_schema": config.get("enforce_parameter_schema", True),
        "pull_steps": [pull] if isinstance(pull, dict) else pull or [],
        "work_pool_name": pool["name"],
        "work_queue_name": pool.get("work_queue_name"),
        "job_variables": pool.get("job_variables") or {},
        "concurrency_limit": limit,
        "concurrency_options": options,
    }
    if config.get("paused") is not None:
        fields["paused"] = bool(config["paused"])
    schedules = config.get("schedules") or ([config["schedule"]] if config.get("schedule") else [])
    made = [_schedule(each, number) for number, each in enumerate(schedules, 1)]
    declared = Declared(
        flow.name,
        config["name"],
        _plain(fields),
        {schedule.slug: schedule for schedule in made},
        tuple(_plain(triggers)),
    )
    declared.automations()  # an error shows before anything is changed
    return declared


def check_captures(flow: str, config: Mapping[str, Any]) -> None:
    """Reject requests for captures that could only fail when they run.

    Args:
        flow: the flow's name; others than `capture` have no request.
        config: the deployment, as the file has it.

    Raises:
        InvalidRequest: a request has an unknown field, or a value that the API is documented to refuse.
    """
    given = config.get("parameters") or {}
    schedules = config.get("schedules") or [config.get("schedule") or {}]
    for parameters in (given, *(each.get("parameters") or {} for each in schedules)):
        request = parameters.get("request")
        if flow != "capture" or not isinstance(request, dict):
            continue
        model = FullRequest if request.get("type") == "full" else SimpleRequest
        try:
            check_request(model.model_validate(request), load_settings().bounds, now=datetime.now(UTC))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(map(str, first["loc"]))
            known = ", ".join((Filter if field.startswith("filter.") else model).model_fields)
            what = "unknown field" if first["type"] == "extra_forbidden" else first["msg"]
            raise InvalidRequest(f"request.{field}: {what}", hint=f"a request has {known}") from None
        except InvalidRequest as error:
            raise InvalidRequest(f"its request is refused: {error}") from None


def _schedule(said: dict[str, Any], number: int) -> Schedule:
    said = {**said}
    active = said.pop("active", True)
    slug = str(said.pop("slug", "") or f"schedule-{number}")
    try:
        schedule = _times(said, slug)
    except (ValidationError, ValueError, TypeError) as error:
        raise _wrong_times(said, slug, error) from None
    body = {"schedule": schedule.model_dump(mode="json"), "parameters": said.get("parameters") or {}}
    return Schedule(slug, _plain(said), str(active).lower() != "false", body)


def _times(said: Mapping[str, Any], slug: str) -> CronSchedule | IntervalSchedule | RRuleSchedule:
    zone = {"timezone": said["timezone"]} if said.get("timezone") else {}
    if cron := said.get("cron"):
        more = {"day_or": said["day_or"]} if said.get("day_or") is not None else {}
        return CronSchedule(cron=cron, **zone, **more)
    if (interval := said.get("interval")) is not None:
        anchor = {"anchor_date": said["anchor_date"]} if said.get("anchor_date") else {}
        return IntervalSchedule(interval=_SECONDS.validate_python(interval), **zone, **anchor)
    if rrule := said.get("rrule"):
        return RRuleSchedule(rrule=rrule, **zone)
    raise InvalidRequest(f"schedule {slug} has neither cron nor interval nor rrule")


def _wrong_times(said: Mapping[str, Any], slug: str, error: Exception) -> InvalidRequest:
    """What is wrong with a schedule, in words for a person."""
    kind = next(name for name in _MEANT if name in said)
    first = error.errors(include_url=False)[0]["loc"] if isinstance(error, ValidationError) else ()
    name = str(first[0]) if first and first[0] in said else kind
    meant, example = _MEANT.get(name, ("what a schedule takes", ""))
    what = f'schedule {slug}: {name} "{said[name]}" is not {meant}'
    return InvalidRequest(what, hint=f"such as {example}" if example else "")


def _plain(value: Any) -> Any:
    """As JSON: YAML also has dates."""
    return json.loads(json.dumps(value, default=str))
