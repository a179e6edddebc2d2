"""Orders reach Prefect: each once, in order, whatever Prefect answers and however long it is away."""

import uuid
from datetime import UTC, datetime

import pytest

from deployments.receiver.dispatch import Dispatch
from deployments.receiver.metrics import Metrics
from deployments.receiver.relay import ANSWERS, AWAY, STUBBORN, OutboxRelay
from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Plan
from edgecap.errors import StoreFull
from tasks.runtime.alert_runs import MOST_ALERT
from tasks.runtime.prefect_server import PrefectServer
from tasks.runtime.warm_runner import OUT_OF_SIGHT
from tests.deployments.conftest import attack, until
from tests.edgecap.incidents.inbox.inbox_parts import incident_of


@pytest.fixture
def dispatch(prefect):
    return Dispatch(lambda: prefect.server, warm_runner=prefect.warm_runner, account="main", archive="cold")


@pytest.fixture
def relay(inbox, dispatch, clock, missed):
    """Not running by itself: each step is the test's."""
    return OutboxRelay(inbox, dispatch, metrics=Metrics(), missed=missed, clock=clock)


def numbers(prefect):
    """The attacks that runs were made for, in order."""
    return [run["parameters"]["alert"]["targets"][0].split(".")[3] for run in prefect.runs]


def test_an_order_becomes_a_run_with_all_that_respond_needs(relay, prefect, enter, inbox):
    prefect.start()
    enter(attack(1))
    (order,) = inbox.orders()
    relay.step()
    (run,) = prefect.runs
    assert run["idempotency_key"] == order.key
    assert run["tags"] == ["alert", f"incident {order.incident[:8]}"]
    assert run["state"]["type"] == "SCHEDULED"
    at = datetime.fromisoformat(run["state"]["state_details"]["scheduled_time"])
    assert at > datetime.now(UTC) + OUT_OF_SIGHT, "no worker takes it before the warm process"
    given = run["parameters"]
    assert {name: given[name] for name in ("incident", "event", "account", "archive")} == {
        "incident": order.incident,
        "event": "start",
        "account": "main",
        "archive": "cold",
    }
    assert Alert.model_validate(given["alert"]) == order.alert.model_copy(update={"raw": {}})
    assert Plan.model_validate(given["plan"]) == order.plan
    run_id = prefect.ids[order.key]
    assert incident_of(inbox, order.incident).runs == {"start": run_id}
    assert inbox.orders() == []
    assert prefect.told == [f"/runs/{run_id}"]
    assert prefect.hurried == []
    (event,) = prefect.events
    assert event["event"] == "edgecap.alert"
    assert event["resource"]["prefect.resource.id"] == f"edgecap.incident.{order.incident}"
    assert event["related"][0]["prefect.resource.id"] == f"prefect.flow-run.{run_id}"


def test_orders_wait_while_prefect_is_away_and_arrive_in_order(relay, prefect, enter, inbox, clock):
    enter(*(attack(number) for number in range(5)))
    pauses = []
    for _ in range(8):
        pauses.append(relay.step())
        assert relay.prefect_said == AWAY
        clock.now += pauses[-1]
    assert pauses == [0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0]
    enter(attack(5))
    prefect.start()
    relay.step()
    assert numbers(prefect) == ["1", "2", "3", "4", "5", "6"]
    assert relay.prefect_said == ANSWERS
    assert inbox.orders() == []


def test_new_alerts_do_not_hurry_a_prefect_that_is_away(relay, prefect, enter, clock):
    enter(attack(1))
    relay.step()
    prefect.start()
    enter(attack(2))
    assert relay.step() == pytest.approx(0.2)
    assert prefect.asked == []
    clock.now += 0.21
    relay.step()
    assert numbers(prefect) == ["2", "3"]


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_a_run_request_that_prefect_refuses_does_not_stop_the_others(relay, prefect, enter, inbox, status):
    prefect.start()
    prefect.answer = lambda body: (status, {"detail": "no"}) if refused(body) else None

    def refused(body):
        return body["parameters"]["alert"]["targets"] == ["203.0.0.2"]

    enter(attack(0), attack(1), attack(2))
    relay.step()
    assert numbers(prefect) == ["1", "3"]
    assert inbox.orders() == []
    (aside,) = inbox.orders(refused=True)
    assert str(status) in aside.refused
    assert '{"detail": "no"}' in aside.refused
    assert inbox.counts().refused == 1


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"detail": "Internal Server Error"}),
        (401, {"detail": "Unauthorized"}),
        (404, {"detail": "Deployment not found"}),
        (307, {}),
        (200, b"<html>a proxy's page</html>"),
        (200, [1, 2, 3]),
        (201, {"id": "../../etc"}),
        (201, None),
    ],
    ids=str,
)
def test_run_requests_survive_any_answer_of_prefect_and_arrive_once(
    relay, prefect, enter, inbox, clock, answer
):
    prefect.start()
    enter(attack(0), attack(1))
    prefect.answer = lambda _: answer
    for _ in range(2 * STUBBORN):
        clock.now += relay.step()
    assert len(inbox.orders()) == 2
    assert prefect.runs == []
    prefect.answer = None
    relay.step()
    assert numbers(prefect) == ["1", "2"]
    assert inbox.orders() == []
    assert inbox.orders(refused=True) == []


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_while_prefect_is_busy_no_order_goes_before_another(relay, prefect, enter, inbox, clock, status):
    prefect.start()
    enter(attack(0), attack(1))
    prefect.answer = lambda _: (status, {})
    for _ in range(2 * STUBBORN):
        clock.now += relay.step()
    first, _ = inbox.orders()
    assert set(prefect.asked) == {first.incident}
    prefect.answer = None
    relay.step()
    assert numbers(prefect) == ["1", "2"]


def test_a_run_request_that_makes_prefect_fail_is_retried_behind_the_others(
    relay, prefect, enter, inbox, clock
):
    """Its incident's end waits for it; alerts of other incidents go before it."""
    broken = True
    prefect.start()
    prefect.answer = lambda body: (
        (500, {}) if broken and body["parameters"]["alert"]["targets"] == ["203.0.0.1"] else None
    )
    enter(attack(0), attack(0, event="END"), attack(1), attack(2))
    for _ in range(STUBBORN):
        assert numbers(prefect) == []
        clock.now += relay.step()
    assert numbers(prefect) == ["2", "3"]
    enter(attack(3))
    relay.step()
    assert numbers(prefect) == ["2", "3", "4"]
    tries = len(prefect.asked)
    relay.step()
    assert len(prefect.asked) == tries  # it is left in peace for a while
    broken = False
    clock.now += 31
    relay.step()
    assert numbers(prefect) == ["2", "3", "4", "1", "1"]
    assert [run["parameters"]["event"] for run in prefect.runs[-2:]] == ["start", "end"]
    assert inbox.orders() == []


def test_a_crash_before_the_record_makes_no_second_run(relay, dispatch, prefect, enter, inbox):
    """Prefect has the run and the inbox does not know: the same order again is the same run."""
    prefect.start()
    enter(attack(1))
    (order,) = inbox.orders()
    first = dispatch.send(order)
    relay.step()
    assert len(prefect.asked) == 2
    assert len(prefect.runs) == 1
    assert incident_of(inbox, order.incident).runs == {"start": first}
    assert len({event["id"] for event in prefect.events}) == 1


def test_an_unwritable_inbox_does_not_stop_the_relay_for_good(inbox, dispatch, prefect, enter, missed):
    """The thread goes on when the disk has room again."""

    class FullBook:
        full = True

        def __getattr__(self, name):
            return getattr(inbox, name)

        def sent(self, *given):
            if self.full:
                raise StoreFull("no space is left")
            inbox.sent(*given)

    full = FullBook()
    relay = OutboxRelay(full, dispatch, metrics=Metrics(), missed=missed)
    prefect.start()
    enter(attack(1))
    relay.loop.start()
    until(lambda: len(prefect.asked) >= 2)
    full.full = False
    until(lambda: inbox.orders() == [])
    assert relay.loop.end(patience=10)
    assert len(prefect.runs) == 1


def test_a_missing_deployment_is_looked_for_again(prefect, enter, inbox, clock, missed):
    """`edgecap up` makes the server first and the deployments a little later."""
    prefect.start()
    prefect.answer = lambda _: (404, {})
    dispatch = Dispatch(lambda: prefect.server, account="main", archive="cold")
    relay = OutboxRelay(inbox, dispatch, metrics=Metrics(), missed=missed, clock=clock)
    enter(attack(1))
    clock.now += relay.step()
    prefect.answer = None
    relay.step()
    assert numbers(prefect) == ["2"]
    assert prefect.told == []  # there is no warm process
    assert prefect.runs[-1]["state"] == {"type": "SCHEDULED", "state_details": {}}


def test_a_busy_warm_process_leaves_the_run_to_a_worker_at_once(relay, prefect, enter, inbox):
    prefect.start()
    prefect.is_busy = True
    enter(attack(1))
    (order,) = inbox.orders()
    relay.step()
    assert prefect.hurried == [f"/api/flow_runs/{prefect.ids[order.key]}/set_state"]


def test_without_a_server_orders_wait_for_one(inbox, prefect, enter, clock, missed):
    where = None
    dispatch = Dispatch(lambda: where, account="main", archive="cold")
    relay = OutboxRelay(inbox, dispatch, metrics=Metrics(), missed=missed, clock=clock)
    enter(attack(1))
    for bad in ("", "no address at all", "http://[", "http://127.0.0.1:1/api"):
        where = PrefectServer(bad) if bad else None
        clock.now += relay.step()
        assert relay.prefect_said == AWAY
    prefect.start()
    where = prefect.server
    relay.step()
    assert numbers(prefect) == ["2"]


def test_nothing_in_an_alert_is_a_template_to_prefect(relay, prefect, enter):
    """Prefect's server renders tables with `__prefect_kind`, from its variables; NUL breaks its database."""
    prefect.start()
    evil = attack(1, text="a\0b")
    evil["data"] |= {"__prefect_kind": "workspace_variable", "variable_name": "hush"}
    enter(evil)
    relay.step()
    alert = prefect.runs[0]["parameters"]["alert"]
    assert alert["labels"]["variable_name"] == "hush"
    assert "__prefect_kind" not in str(prefect.runs) + str(prefect.events)
    assert alert["labels"]["_prefect_kind"] == "workspace_variable"
    assert "\0" not in str(alert)
    assert Alert.model_validate(alert).text == "a\N{REPLACEMENT CHARACTER}b"


def test_an_alert_too_long_for_prefect_loses_its_texts_for_people(relay, prefect, enter, inbox):
    prefect.start()
    long = attack(1)
    long["data"] |= {f"note-{number}": "word " * 500 for number in range(200)}
    enter(long)
    (order,) = inbox.orders()
    assert len(order.alert.model_dump_json(exclude={"raw"})) > MOST_ALERT
    relay.step()
    alert = Alert.model_validate(prefect.runs[0]["parameters"]["alert"])
    assert (alert.identity, alert.targets, alert.labels) == (order.alert.identity, order.alert.targets, {})


@pytest.mark.parametrize(
    ("variable", "value", "header"),
    [
        ("PREFECT_API_AUTH_STRING", "admin:pass", "Basic YWRtaW46cGFzcw=="),
        ("PREFECT_API_KEY", "pnu_1", "Bearer pnu_1"),
    ],
)
def test_prefect_is_signed_in_to_as_its_own_client_does(
    prefect, enter, inbox, dispatch, monkeypatch, variable, value, header
):
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    prefect.start()
    enter(attack(1))
    uuid.UUID(dispatch.send(inbox.orders()[0]))
    assert prefect.headers[0]["Authorization"] == header


def test_an_order_that_prefect_refuses_is_noted_with_the_refusal(relay, prefect, enter, inbox):
    prefect.start()
    prefect.answer = lambda _: (422, {"detail": "no such parameter"})
    enter(attack(1))
    relay.step()
    [note] = inbox.missed.newest(["not captured"], 5)
    assert "Prefect refused the run for its start" in note.reason
    assert "203.0.0.2" in note.reason
