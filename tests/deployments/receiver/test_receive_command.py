"""The real command as a process: how it starts, how it ends, and what it survives."""

import json
import signal
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import HeldBack
from edgecap.stores.folder import FolderStore
from tests.deployments.conftest import SECRET, attack, http, until
from tests.receiver_kills import LANES, Kills, each_once

KILLS = 3


def test_from_the_alert_to_prefect_and_to_the_warm_process(command, prefect):
    prefect.start()
    command.env = {"PREFECT_API_URL": prefect.api_url, "EDGECAP_WARM_RUNNER": prefect.warm_runner}
    command.start()
    assert command.post(attack(1)).status_code == 202
    until(lambda: prefect.told)
    (run,) = prefect.runs
    with command.inbox as inbox:
        (incident,) = inbox.incidents()
    assert run["tags"] == ["alert", f"incident {incident.id[:8]}"]
    assert prefect.told == [f"/runs/{prefect.ids[run['idempotency_key']]}"]
    until(lambda: http.get(f"{command.address}/readyz").json()["orders"] == 0)
    page = http.get(f"{command.address}/metrics").text
    assert 'edgecap_orders_sent_total{event="start"} 1.0' in page
    assert "edgecap_prefect_reachable 1.0" in page
    assert SECRET not in page + command.log + json.dumps(prefect.runs)
    folder = command.folder / ".edgecap/alerts"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_repeated_alerts_are_counted_in_the_archive(command, tmp_path):
    """Also while Prefect is away."""
    archive = tmp_path / "archive"
    archive.mkdir()
    command.env = {"EDGECAP_ARCHIVES__DEFAULT__URI": f"file:{archive}"}
    command.start()
    again = attack(1)
    for _ in range(3):
        assert command.post(again).status_code == 202
    with command.inbox as inbox:
        until(lambda: inbox.incidents() and inbox.incidents()[0].repeated == 2)
        (incident,) = inbox.incidents()
    assert command.post(attack(1, event="END")).status_code == 202
    until(lambda: Incidents(FolderStore(archive)).held_back(incident.id) == HeldBack(repeated=2))


def test_a_thousand_alerts_from_eight_connections_become_a_hundred_incidents(command, prefect):
    """100 attacks: of each, connections tell the start six times and the end four times, eight at a time."""
    prefect.start()
    command.env = {"PREFECT_API_URL": prefect.api_url}
    command.start()
    codes = Counter()
    for event, times in (("START", 6), ("END", 4)):
        alerts = [attack(number, event=event) for number in range(100)] * times
        lanes = [alerts[lane::8] for lane in range(8)]
        # Neighbours in time are other attacks, but the same one soon comes on another connection.
        with ThreadPoolExecutor(8) as pool:
            for answers in pool.map(lambda lane: post_in_turn(command, lane), lanes):
                codes.update(answers)
    assert codes == {202: 1000}
    until(lambda: len(prefect.runs) == 200, timeout=240)
    until(lambda: http.get(f"{command.address}/readyz").json()["orders"] == 0)
    with command.inbox as inbox:
        incidents = inbox.incidents(2000)
        outcomes = Counter(each.outcome for each in inbox.alerts(2000))
        assert inbox.counts().pending == inbox.counts().asides == 0
    assert {each.alert.labels["attack_id"] for each in incidents} == {f"attack-{n}" for n in range(100)}
    assert len(incidents) == 100
    assert all(each.closed and set(each.runs) == {"start", "end"} for each in incidents)
    assert outcomes["repeated"] == 800
    assert outcomes["ended"] == 100
    assert outcomes["opened"] + outcomes["over_budget"] == 100
    sent = [(run["parameters"]["incident"], run["parameters"]["event"]) for run in prefect.runs]
    assert len(set(sent)) == len(sent) == 200
    assert all(sent.index((each.id, "start")) < sent.index((each.id, "end")) for each in incidents)


def post_in_turn(command, alerts):
    """Post alerts on one connection; the codes of the answers."""
    with httpx.Client(verify=False, headers={"cf-webhook-auth": SECRET}, timeout=20) as client:
        return [client.post(f"{command.address}/alerts/cloudflare", json=each).status_code for each in alerts]


def test_sigterm_answers_accepted_requests_and_cuts_off_slow_clients(command):
    """Four connections post all the time; one more has sent half an alert and says nothing further."""
    command.start()
    port = int(command.address.rpartition(":")[2])
    slow = socket.create_connection(("127.0.0.1", port))
    slow.sendall(b"POST /alerts/cloudflare HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
    posting = Posting(command)
    until(lambda: len(posting.taken) > 20)
    command.process.send_signal(signal.SIGTERM)
    code = command.process.wait(240)  # the slow one would never let it end
    posting.join()
    slow.close()
    assert code == 0
    with command.inbox as inbox:
        assert_each_once(inbox, posting.taken)


def test_sigterm_does_not_wait_for_a_prefect_that_never_answers(command):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command.env = {"PREFECT_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/api"}
        command.start()
        assert command.post(attack(1)).status_code == 202
        with command.inbox as inbox:
            until(lambda: inbox.counts().orders == 1)
        command.process.terminate()
        assert command.process.wait(240) == 0


def test_kills_under_load_lose_nothing_and_double_nothing(command, prefect):
    """`make kill-test` does the same for longer, with a real Prefect server."""
    prefect.start()
    command.env = {"PREFECT_API_URL": prefect.api_url}
    senders = Kills(command, rate=200, seed=1).run(KILLS)
    assert each_once(senders, [run["parameters"] for run in prefect.runs]) >= LANES


def assert_each_once(inbox, taken):
    """Every attack that was answered is in the inbox, once, under the number that its sender was told."""
    arrivals = {}
    for kept in inbox.pending(100_000):
        arrivals.setdefault(json.loads(kept.body)["alert_correlation_id"], []).append(kept.id)
    for judged in inbox.alerts(100_000):
        arrivals.setdefault(judged.alert.labels["attack_id"], []).append(judged.arrival)
    assert {name: arrivals.get(name) for name in taken} == {name: [number] for name, number in taken.items()}


class Posting:
    """Four connections that post one attack after the other until the receiver is gone.

    Attributes:
        taken: the attacks that were answered 202, with their numbers in the inbox.
    """

    def __init__(self, command):
        self.taken = {}
        self._threads = [
            threading.Thread(target=self._post, args=(command.address, lane * 10_000), daemon=True)
            for lane in range(4)
        ]
        for thread in self._threads:
            thread.start()

    def _post(self, address, number):
        with httpx.Client(verify=False, headers={"cf-webhook-auth": SECRET}, timeout=20) as client:
            while True:
                try:
                    answer = client.post(f"{address}/alerts/cloudflare", json=attack(number))
                except httpx.TransportError:
                    return
                if answer.status_code == 202:
                    self.taken[f"attack-{number}"] = answer.json()["id"]
                number += 1

    def join(self):
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("env", "code", "line"),
    [
        ({"EDGECAP_ALERTS__CLOUDFLARE__SECRET": ""}, 3, "alerts from cloudflare have no secret"),
        ({"EDGECAP_RECEIVER__POLICY": "missing.toml"}, 3, "the policy cannot be read"),
        ({"EDGECAP_RECEIVER__HOST": "192.0.2.1"}, 15, "cannot listen"),
        ({"EDGECAP_HOME": "/dev/null"}, 9, "a file is where the folder of the inbox of alerts should be"),
    ],
)
def test_it_does_not_start_when_it_could_not_do_its_work(command, env, code, line):
    command.env = env
    process = command.spawn()
    said = process.communicate(timeout=240)[1]
    assert process.returncode == code
    assert said.startswith("edgecap: ")
    assert line in said
    assert len(said.splitlines()) == 1


def test_strangers_do_not_learn_how_prefect_is_reached(command):
    command.env = {"PREFECT_API_URL": "http://user:hush-hush@127.0.0.1:1/api"}
    command.start()
    until(lambda: "takes no orders" in http.get(f"{command.address}/readyz").text)
    said = [http.get(f"{command.address}/{page}").text for page in ("readyz", "metrics", "healthz")]
    assert "127.0.0.1" not in str(said)
    until(lambda: "they wait" in command.log)
    assert "hush" not in str(said) + command.log


def test_a_second_receiver_does_not_write_into_the_same_inbox(command):
    command.start()
    second = command.spawn()
    assert "another receiver has this inbox of alerts open" in second.communicate(timeout=240)[1]
    assert second.returncode == 3
    assert command.post(attack(1)).status_code == 202


def test_a_run_request_that_prefect_refused_is_retried_after_a_restart(command, prefect):
    """A deployment that was wrong was put right meanwhile."""
    prefect.start()
    prefect.answer = lambda _: (409, {"detail": "no such parameter"})
    command.env = {"PREFECT_API_URL": prefect.api_url}
    command.start()
    command.post(attack(1))
    until(lambda: "edgecap_alerts_set_aside 1.0" in http.get(f"{command.address}/metrics").text)
    command.process.terminate()
    assert command.process.wait(240) == 0
    prefect.answer = None
    command.start()
    until(lambda: len(prefect.runs) == 1)


def test_a_server_that_starts_later_gets_the_waiting_run_requests(command, prefect):
    command.env = {"PREFECT_API_URL": prefect.api_url}
    command.start()
    assert command.post(attack(1)).status_code == 202
    assert http.get(f"{command.address}/readyz").status_code == 200
    prefect.start()
    until(lambda: len(prefect.runs) == 1)
