"""What the deployments of `prefect.yaml` ask for can be asked for, and the form offers all of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from prefect.utilities.callables import parameter_schema
from pydantic import TypeAdapter

from edgecap.filters.check import check_request
from edgecap.filters.of_request import explain_request
from edgecap.requests import Bounds, CaptureRequest
from flows.capture import capture

ROOT = Path(__file__).parents[2]
CAPTURES = {
    each["name"]: each
    for each in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    if each["entrypoint"] == "flows/capture.py:capture" and "request" in each.get("parameters", {})
}


def request_of(name):
    return TypeAdapter(CaptureRequest).validate_python(CAPTURES[name]["parameters"]["request"])


@pytest.mark.parametrize("name", CAPTURES)
def test_every_deployment_s_request_is_valid(name):
    check_request(request_of(name), Bounds(), now=datetime.now(UTC))
    assert capture.validate_parameters(CAPTURES[name]["parameters"])["request"] == request_of(name)


def test_the_example_of_an_expression_leaves_something_to_do_and_is_off():
    explained = explain_request(request_of("simple-dns-hourly"), Bounds())
    assert (str(explained.filter), explained.residual) == ("udp :53 > any", "dst net 203.0.113.0/24")
    assert [each["active"] for each in CAPTURES["simple-dns-hourly"]["schedules"]] == [False]


def test_the_form_offers_and_explains_an_expression_for_both_kinds():
    schema = parameter_schema(capture.fn).model_dump_for_openapi()
    for title in ("Simple capture", "Full capture"):
        [kind] = [each for each in schema["definitions"].values() if each.get("title") == title]
        field = kind["properties"]["expression"]
        assert (field["type"], field["default"], field["title"]) == ("string", "", "Filter expression")
        assert "as for tcpdump" in field["description"]
        assert "expression" not in kind.get("required", [])


def test_runs_of_reconcile_do_not_each_call_for_another():
    """Slow to begin on a busy machine, they would call for more and more, and nothing else would start."""
    [reconcile] = [
        each
        for each in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
        if each["entrypoint"] == "flows/reconcile.py:reconcile"
    ]
    related = [trigger.get("match_related", {}) for trigger in reconcile["triggers"]]
    named = [each.get("prefect.resource.name", []) for each in related]
    of_its_own = [
        trigger
        for trigger, names in zip(reconcile["triggers"], named, strict=True)
        if "reconcile" in ([names] if isinstance(names, str) else names)
    ]
    assert [trigger["posture"] for trigger in of_its_own] == ["Proactive"]
    assert of_its_own[0]["for_each"] == ["related:flow:prefect.resource.id"]  # one for all runs


def test_no_trigger_waits_for_silence_from_no_event_on():
    """Without `for_each`, Prefect fires a proactive trigger every few minutes, although nothing happened."""
    silence = [
        trigger
        for each in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
        for trigger in each.get("triggers", [])
        if trigger.get("posture") == "Proactive"
    ]
    assert silence
    assert all(trigger["for_each"] for trigger in silence)
