"""The forms for a capture now, filled in with a browser in both of Prefect's UIs, and their captures."""

import asyncio
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Pending
from prefect.utilities.callables import parameter_schema

from edgecap.archive.entries import list_entries
from edgecap.requests import Bounds
from flows.capture_now import full_capture_now, simple_capture_now
from flows.register_bucket import register_bucket
from tasks.runtime.compat import run_here
from tasks.runtime.rest import PrefectApi
from tests.browser import chromium, visit

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]

FLOWS = {"simple-capture-now": simple_capture_now, "full-capture-now": full_capture_now}


@dataclass
class Form:
    """The form for a custom run of a deployment."""

    page: Any
    is_older: bool = False

    def fill(self, label, value):
        named = re.compile(f"^{label}( \\(Optional\\))?$")
        older = self.page.locator(".schema-form-property", has=self.page.get_by_text(named))
        field = older.locator("textarea, input") if self.is_older else self.page.get_by_label(named)
        field.first.fill(str(value))

    def complaints(self):
        """What Prefect and the browser itself say of the fields."""
        words = self.page.evaluate("[...document.querySelectorAll(':invalid')].map(e => e.validationMessage)")
        text = self.page.inner_text("body")
        return [*filter(None, words), *re.findall("[^\\n]*(?:is greater than|does not match)[^\\n]*", text)]

    def submit(self):
        self.page.get_by_role("button", name="Submit", exact=True).click()


@contextmanager
def form_of(setup, name, ui):
    """The form in Prefect's newer UI (`v2`) or in the older one (`v1`)."""
    with PrefectApi(setup.prefect) as prefect:
        deployment = prefect.deployment(f"capture/{name}")["id"]
    path = f"{'/v2' if ui == 'v2' else ''}/deployments/deployment/{deployment}/run"
    secret = setup.sign_in.auth_string
    with chromium() as browser, visit(browser, f"{setup.ui_url}{path}", prefect_auth=secret) as seen:
        seen.page.get_by_text("Filter expression").first.wait_for(timeout=60_000)
        for word in ("Skip", "Dismiss"):  # a first visit
            if seen.page.get_by_role("button", name=word).count():
                seen.page.get_by_role("button", name=word).first.click()
        yield Form(seen.page, ui == "v1")


@pytest.fixture
def submitted(deployed):
    """Fills in and submits a form; the run that it made, or None and why there is none."""

    def submit(name, ui, fields):
        with form_of(deployed, name, ui) as form, PrefectApi(deployed.prefect) as prefect:
            deployment = prefect.deployment(f"capture/{name}")["id"]
            before = {run["id"] for run in runs_of(prefect, deployment)}
            for label, value in fields.items():
                form.fill(label, value)
            form.page.wait_for_timeout(300)  # the form gathers what is typed
            form.submit()
            for _ in range(60):
                form.page.wait_for_timeout(500)
                made = [run for run in runs_of(prefect, deployment) if run["id"] not in before]
                if made or (complaints := form.complaints()):
                    break
            return (made[0], "") if made else (None, complaints)

    return submit


@pytest.fixture
def loop():
    """Runs a coroutine to its end, beside Playwright, which does not stand a running loop."""
    return asyncio.run


def runs_of(prefect, deployment):
    return prefect.find_runs({"deployment_id": {"any_": [deployment]}})


async def captured(flow, run):
    """Work on a run as a worker would; the run as it is afterwards."""
    async with get_client() as client:
        claimed = await client.set_flow_run_state(run["id"], Pending(), force=True)
        found = await client.read_flow_run(run["id"])
        found.state = claimed.state
        await run_here(flow, found)
        return await client.read_flow_run(run["id"])


@pytest.mark.parametrize("ui", ["v2", "v1"])
def test_a_simple_capture_is_taken_from_the_form(submitted, world, store, ui, loop):
    fields = {"Destination address": "203.0.113.7", "Destination port": 443, "Seconds": 20}
    run, complaints = submitted("simple-capture-now", ui, fields)
    assert run, complaints
    done = loop(captured(simple_capture_now, run))
    assert (done.state.name, done.name) == ("Completed", "simple 20s 203.0.113.7:443")
    [entry] = list_entries(store)
    assert entry.manifest.request["filter"]["destination_address"] == "203.0.113.7"


@pytest.mark.parametrize("ui", ["v2", "v1"])
def test_a_full_capture_is_taken_from_the_form(submitted, world, store, ui, loop):
    loop(register_bucket())
    run, complaints = submitted("full-capture-now", ui, {"Data centre": "ORD", "Seconds": 30})
    assert run, complaints
    done = loop(captured(full_capture_now, run))
    assert (done.state.name, done.name) == ("Completed", "full ORD everything")
    assert [entry.manifest.colo for entry in list_entries(store)] == ["ORD"]


@pytest.mark.parametrize("ui", ["v2", "v1"])
@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("simple-capture-now", {"Seconds": 500}, "(maximum of|equal to) 300"),
        ("full-capture-now", {"Data centre": "Chicago"}, "does not match"),
        (
            "full-capture-now",
            {"Data centre": "ORD", "Most packets": 20_000},
            "(maximum of|equal to) 10000",
        ),
    ],
)
def test_the_form_refuses_what_is_out_of_bounds(submitted, name, ui, fields, says):
    run, complaints = submitted(name, ui, fields)
    assert run is None
    assert any(re.search(says, each) for each in complaints), complaints


@pytest.mark.parametrize("ui", ["v2", "v1"])
@pytest.mark.parametrize("name", FLOWS)
def test_the_form_shows_plain_fields_and_nothing_internal(deployed, name, ui):
    with form_of(deployed, name, ui) as form:
        text = form.page.inner_text("body")
    for internal in ('"None"', "None", "int", "str", "part", "request", "offset_time", "window start"):
        assert not re.search(rf"(?m)^{internal}( \(Optional\))?$", text), text
    fields = [line.removesuffix(" (Optional)") for line in text.splitlines()]
    order = [
        fields.index(label) for label in ("Filter expression", "Destination address", "Seconds", "Account")
    ]
    assert order == sorted(order)
    assert "tcp" not in fields or ui == "v1"  # the list of protocols is closed


@pytest.mark.parametrize("name", FLOWS)
def test_a_null_for_an_empty_field_is_accepted(deployed, name):
    required = {"colo": "ORD"} if name == "full-capture-now" else {}
    empty = ("filter_expression", "destination_address", "destination_port", "source_port")
    with PrefectApi(deployed.prefect) as prefect:
        deployment = prefect.deployment(f"capture/{name}")["id"]
        run = prefect.start_run(deployment, {**required, **dict.fromkeys(empty)}, tags=[])
        assert FLOWS[name].validate_parameters(run["parameters"])["source_port"] is None
        prefect.call("DELETE", f"/flow_runs/{run['id']}")


@pytest.mark.parametrize("name", FLOWS)
def test_each_field_has_a_label_and_a_sentence(name):
    fields = parameter_schema(FLOWS[name].fn).properties
    for parameter, field in fields.items():
        assert field["title"] != parameter
        assert field["description"].endswith(".")
        assert "anyOf" not in field


def test_the_forms_have_the_documented_bounds():
    simple, full = (parameter_schema(flow.fn).properties for flow in FLOWS.values())
    bounds = Bounds()
    assert simple["seconds"]["maximum"] == bounds.simple_time_limit
    assert full["seconds"]["maximum"] == bounds.full_time_limit
    assert full["bytes"]["maximum"] == bounds.byte_limit
    assert next(iter(full)) == "colo"
