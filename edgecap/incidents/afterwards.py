"""The captures after an incident's end, made to compare with those from before it."""

from __future__ import annotations

from collections.abc import Sequence

from edgecap.alerts.policy.decision import Plan
from edgecap.incidents.escalation import selects_more
from edgecap.requests import CaptureRequest, Filter

_WHY = "of all packets that the incident looked back at, so that after compares with before"


def comparable(plan: Plan, before: Sequence[Plan]) -> Plan:
    """An end's plan with the filter of the incident, and not with that of the alert which ended last.

    That alert may be about one port, and the incident about all packets to the target.

    Args:
        plan: the end's.
        before: the plans that the incident has ordered, in their order.
    """
    asked = [(one, each) for one in before for each in one.captures]
    looks_back = [(one, each.request) for one, each in asked if each.phase == "before"]
    found = looks_back or [(one, each.request) for one, each in asked]
    if not plan.captures or not found:
        return plan
    of, wanted, expression = _widest(found)
    same = all(
        (each.request.filter, each.request.expression) == (wanted, expression) for each in plan.captures
    )
    if same:
        return plan
    less = {"filter": wanted, "expression": expression}
    captures = tuple(
        each.model_copy(update={"request": each.request.model_copy(update=less)}) for each in plan.captures
    )
    return plan.model_copy(
        update={
            **less,
            "captures": captures,
            "filter_reasons": (_WHY,),
            "residual": of.residual if expression else "",
        }
    )


def _widest(found: Sequence[tuple[Plan, CaptureRequest]]) -> tuple[Plan, Filter, str]:
    """The filter that selects what all of these select: one of them, else what they have in common."""
    for of, request in found:
        if all(selects_more(request, other) for _, other in found):
            return of, request.filter, request.expression
    of, first = found[0]
    fields = {
        name: value
        for name in Filter.model_fields
        if len({getattr(request.filter, name) for _, request in found}) == 1
        and (value := getattr(first.filter, name)) is not None
    }
    is_same = len({request.expression for _, request in found}) == 1
    expression = first.expression if is_same else ""
    if not (expression or {"source_address", "destination_address"} & set(fields)):
        return of, first.filter, first.expression  # rather than the packets of strangers, too
    return of, Filter(**fields), expression
