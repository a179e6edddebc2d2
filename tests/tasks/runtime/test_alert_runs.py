"""The runs of `respond`: one maker, whose parameters are plain data."""

from datetime import UTC, datetime

from edgecap.alerts.policy.decision import Plan
from edgecap.incidents.record import IncidentEvent
from tasks import enter_alert
from tasks.runtime.alert_runs import MOST_ALERT, respond_run

HOSTILE = {"description": "a\0b", "labels": {"__prefect_kind": "jinja", "template": "{{ 7 * 7 }}"}}
PLAIN = {"description": "a\ufffdb", "labels": {"_prefect_kind": "jinja", "template": "{{ 7 * 7 }}"}}


PLAN = Plan(
    alert="an attack\0",
    identity="i",
    incident="1" * 32,
    event="start",
    about="203.0.113.7",
    rule="any",
    built_in=True,
    reason="a rule says so",
    cooldown=0,
    daily_budget=1,
    preempt=False,
)


def run_for(alert):
    return respond_run(
        incident="1" * 32,
        event="start",
        alert=alert,
        words="an attack\0",
        plan=PLAN,
        account="a",
        archive="b",
        key="k",
    )


def test_a_template_and_a_nul_in_an_alert_become_plain_text():
    parameters = run_for(HOSTILE)["parameters"]
    assert parameters["alert"] == PLAIN
    assert parameters["plan"]["alert"] == "an attack\ufffd"


def test_the_run_carries_a_name_and_the_tags_of_its_incident():
    run = run_for({})
    assert run["name"] == f"incident {'1' * 8}: an attack\ufffd"
    assert (run["tags"], run["idempotency_key"]) == (["alert", f"incident {'1' * 8}"], "k")


def test_long_texts_are_left_out_of_a_very_large_alert():
    large = {"source": "generic", "text": "x" * MOST_ALERT, "labels": {}, "notes": []}
    assert run_for(large)["parameters"]["alert"] == {"source": "generic"}


async def test_an_alert_without_a_receiver_makes_the_same_plain_run(monkeypatch):
    """`respond_to` enters alerts that a webhook of Prefect hands over; its run is made by the same maker."""
    made = []

    class Client:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            pass

        async def read_deployment_by_name(self, name):
            return type("Deployment", (), {"id": name})

        async def create_flow_run_from_deployment(self, deployment_id, **run):
            made.append((deployment_id, run["parameters"]["alert"]))
            return type("Run", (), {"id": "id", "state": None})  # so it is not told of to a warm process

    monkeypatch.setattr(enter_alert, "get_client", Client)
    event = IncidentEvent(incident="1" * 32, alert=HOSTILE, plan=PLAN, account="a", at=datetime.now(UTC))
    await enter_alert.start_respond(event, "start", "b")
    assert made == [("respond/incident-response", PLAIN)]
