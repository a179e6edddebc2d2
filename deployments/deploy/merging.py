"""What a deploy changes: whatever is new in `prefect.yaml`. What a person set in the UI stands.

For each deployment, the server keeps a digest of each value in the file at the last deploy. A value that is
the same as then is left alone, even if a person changed it in the UI; a new value is applied.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployments.deploy.declared import Declared, Schedule

_LENGTH = 10  # hexadecimal digits of a digest


@dataclass(frozen=True)
class Existing:
    """A deployment as the server has it.

    Attributes:
        id: its id.
        schedules: its schedules' ids by their slugs.
        others: ids of its schedules without a slug.
        active: ids of its schedules that are on.
        paused: whether it is off.
    """

    id: str
    schedules: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    active: frozenset[str] = frozenset()
    paused: bool = False


@dataclass(frozen=True)
class Changes:
    """What to do about a deployment.

    Attributes:
        create: the deployment is to be made.
        fields: fields to set.
        add: schedules to add.
        update: what to change in schedules, by their ids.
        remove: ids of schedules to switch off, and to delete once no run of the deployment is overdue.
        retired: ids of schedules that an earlier deploy switched off, and could not delete yet.
        triggers: whether its automations are to be made anew.
    """

    create: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)
    add: tuple[Schedule, ...] = ()
    update: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    triggers: bool = False

    def __bool__(self) -> bool:
        return bool(self.create or self.fields or self.add or self.update or self.remove or self.triggers)


def digest(value: object) -> str:
    """A short name for a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_LENGTH]


def record_of(declared: Declared, *, retired: Iterable[str] = ()) -> dict[str, Any]:
    """What to remember of a deployment that was brought up to date.

    Args:
        declared: what the file says.
        retired: ids of schedules that left the file, are switched off, and are still to be deleted.
    """
    record: dict[str, Any] = {
        "deployment": declared.key,
        "fields": {name: digest(value) for name, value in declared.fields.items()},
        "schedules": {s.slug: [digest(s.said), s.active] for s in declared.schedules.values()},
        "triggers": digest(declared.triggers),
        "file": declared.origin,
    }
    if left := sorted(retired):
        record["retired"] = left
    return record


def changes(
    declared: Declared, existing: Existing | None, record: Mapping[str, Any] | None, *, reset: bool = False
) -> Changes:
    """What is to be done so that the server has what the file says anew.

    Args:
        declared: what the file says.
        existing: what the server has; None if it has no such deployment.
        record: `record_of` of the last deploy; None if there is none. Then everything is applied, except what
            switches things on and off. With `off`, the deployment had left the file and is back in it.
        reset: apply everything, over what people set.
    """
    if existing is None:
        return Changes(create=True)
    if reset:
        return _reset(declared, existing)
    before = record or {}
    said = before.get("fields", {})
    is_back = bool(before.get("off"))
    fields = {name: value for name, value in declared.fields.items() if digest(value) != said.get(name)}
    if record is None:
        fields.pop("paused", None)
    if is_back:
        fields = {"paused": declared.fields.get("paused", False), **fields}
    add, update = [], {}
    known, retired = before.get("schedules", {}), set(before.get("retired", ()))
    for schedule in declared.schedules.values():
        then, was_active = known.get(schedule.slug, [None, None])
        at = existing.schedules.get(schedule.slug)
        body: dict[str, Any] = dict(schedule.body) if digest(schedule.said) != then else {}
        # If it is back in the file before it was deleted, we switched it off, not a person.
        if at in retired or (then is not None and schedule.active != was_active):
            body["active"] = schedule.active
        if at and body:
            update[at] = body
        elif not at and body:  # without anything new, a person has deleted it
            add.append(schedule)
    there = {at for slug, at in existing.schedules.items() if slug not in declared.schedules}
    gone = [existing.schedules[slug] for slug in known if existing.schedules.get(slug) in there]
    # If it is on again, a person switched it on, and keeps it.
    waiting = retired & {*there, *existing.others} - existing.active
    return Changes(
        fields=fields,
        add=tuple(add),
        update=update,
        remove=tuple(gone),
        retired=tuple(sorted(waiting)),
        triggers=is_back or digest(declared.triggers) != before.get("triggers"),
    )


def _reset(declared: Declared, existing: Existing) -> Changes:
    wanted = declared.schedules
    return Changes(
        fields={"paused": False, **declared.fields},
        add=tuple(schedule for slug, schedule in wanted.items() if slug not in existing.schedules),
        update={
            existing.schedules[slug]: {**schedule.body, "active": schedule.active}
            for slug, schedule in wanted.items()
            if slug in existing.schedules
        },
        remove=(*existing.others, *(at for slug, at in existing.schedules.items() if slug not in wanted)),
        triggers=True,
    )
