"""The webhook's template and the automation for Prefect Cloud, rendered by Prefect's code, without a server.

What Prefect Cloud does with a webhook is documented: the template gets `method`, `headers` (any case, without
`Authorization`) and `body` (parsed if it is JSON), and must render to a JSON event.
"""

import copy
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.cli.deploy._triggers import _initialize_deployment_triggers
from prefect.server.events.actions import RunDeployment
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.server.utilities.user_templates import render_user_template_sync, validate_user_template
from prefect.utilities.schema_tools.hydration import HydrationContext, hydrate
from prefect.utilities.schema_tools.validation import validate

from edgecap.alerts.policy.decision import Policy
from edgecap.alerts.sources.payload import decode
from edgecap.alerts.sources.registry import SOURCES
from edgecap.alerts.understanding import understand
from edgecap.requests import Bounds
from flows.respond_to import respond_to

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deployments" / "prefect-cloud"
FIXTURES = sorted((ROOT / "tests" / "data" / "alerts" / "cloudflare").glob("*.json"))
SECRET = "5e7" * 8
TEMPLATE = (FOLDER / "webhook.json.j2").read_text().replace("SECRET", SECRET)
OCCURRED = datetime(2026, 11, 23, 6, 31, 30, 250_000, tzinfo=UTC)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def event(body, *, secret=SECRET):
    """The event that the webhook makes of a request."""
    headers = httpx.Headers({"CF-Webhook-Auth": secret} if secret is not None else {})
    text = render_user_template_sync(TEMPLATE, {"method": "POST", "headers": headers, "body": body})
    return ReceivedEvent(**json.loads(text), occurred=OCCURRED, received=OCCURRED, id=uuid4())


@pytest.fixture(scope="module")
def deployment():
    model = PrefectYamlModel.model_validate(yaml.safe_load((FOLDER / "prefect.yaml").read_text()))
    (found,) = model.deployments
    return found


@pytest.fixture(scope="module")
def automation(deployment):
    """As `prefect deploy` makes it of the trigger."""
    spec = yaml.safe_load((FOLDER / "prefect.yaml").read_text())["deployments"][0]["triggers"]
    (trigger,) = _initialize_deployment_triggers(deployment.name, spec)
    trigger.set_deployment_id(uuid4())
    return trigger.as_automation()


def parameters(automation, of):
    """What the automation gives to the run for an event."""
    (action,) = automation.actions
    given = copy.deepcopy(action.parameters)
    RunDeployment._upgrade_v1_templates(given)  # noqa: SLF001 - as it does before it renders them
    context = HydrationContext(render_jinja=True, jinja_context={"event": of})
    return json.loads(json.dumps(hydrate(given, context)))


def matches(automation, of):
    return EventTrigger.model_validate(automation.trigger.model_dump()).covers(of) and of.event in (
        automation.trigger.expect
    )


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_from_the_request_to_the_same_plan_that_the_receiver_makes(automation, path):
    body = path.read_bytes()
    arrived = event(json.loads(body))
    assert matches(automation, arrived)
    given = parameters(automation, arrived)
    validate(given, respond_to_schema(), raise_on_error=True, preprocess=False)
    taken = respond_to.validate_parameters(given)
    assert (taken["source"], taken["received"]) == ("cloudflare", OCCURRED)
    assert json.loads(taken["payload"]) == json.loads(body)
    plans = [
        understand(SOURCES["cloudflare"], each, Policy(), received=OCCURRED, now=OCCURRED, bounds=Bounds())
        for each in (body, taken["payload"].encode())
    ]
    assert plans[0] == plans[1]


def respond_to_schema():
    from prefect.utilities.callables import parameter_schema  # noqa: PLC0415 - it is Prefect's, and slow

    return parameter_schema(respond_to).model_dump_for_openapi()


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET.upper()])
def test_without_the_secret_nothing_runs(automation, secret):
    assert event({"alert_type": "x"}, secret=secret).event == "edgecap.alert.refused"
    assert not matches(automation, event({"alert_type": "x"}, secret=secret))


def test_the_secret_is_in_no_event():
    assert SECRET not in event({"alert_type": "x"}).model_dump_json()


@given(body=JSON)
def test_any_body_makes_an_event_and_arrives_as_it_was(automation, body):
    given = parameters(automation, event(body))
    assert decode(given["payload"].encode("utf-8", "surrogatepass"), "cloudflare") == body


def test_a_payload_s_own_templates_are_not_rendered(automation):
    hostile = {"__prefect_kind": "jinja", "template": "{{ 7 * 7 }}", "text": "{{ 7 * 7 }}"}
    given = parameters(automation, event(hostile))
    assert json.loads(given["payload"]) == hostile
    assert "49" not in given["payload"]


def test_the_template_is_one_that_prefect_takes():
    validate_user_template(TEMPLATE)


def test_the_deployment_is_the_flow_and_waits_in_the_queue_of_alerts(deployment):
    path, _, name = deployment.entrypoint.partition(":")
    assert (ROOT / path).is_file()
    assert name == respond_to.fn.__name__
    root = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    (theirs,) = [each for each in root if each["entrypoint"] == "flows/respond.py:respond"]
    assert deployment.work_pool.model_dump(exclude_none=True) == theirs["work_pool"]


def test_the_page_names_the_files_that_are_there():
    page = (ROOT / "docs" / "alerts" / "prefect-cloud.md").read_text()
    named = set(re.findall(r"deployments/prefect-cloud/[\w.-]+", page))
    assert named == {f"deployments/prefect-cloud/{path.name}" for path in FOLDER.iterdir()}
