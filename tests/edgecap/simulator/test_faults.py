"""Trouble that was asked for is real trouble, and the log says what took effect."""

import json
import tempfile
import time

import httpx
import pytest

from edgecap.errors import ConfigError
from edgecap.simulator.faults import Fault, Faults, parse_fault
from edgecap.simulator.serve import SimulatorServer

BODY = {"type": "simple", "system": "magic-transit", "time_limit": 1, "packet_limit": 10}


@pytest.fixture
def served(world):
    """The world behind a real server; its clock stands still."""
    with SimulatorServer(world.edge) as server, httpx.Client(headers=world.headers, timeout=120) as http:
        world.url = f"{server.base_url}/accounts/{world.account}/pcaps"
        world.control = f"{server.root_url}/_edge"
        world.client = http
        yield world


def ask_for(served, **fault):
    answer = httpx.post(f"{served.control}/faults", json=fault)
    assert answer.status_code == 200, answer.text


def last_request(served):
    return httpx.get(f"{served.control}/log", params={"event": "request"}).json()[-1]


def test_a_reset_after_the_request_was_accepted(served):
    """The capture exists, the answer never arrives, and TCP says reset."""
    ask_for(served, kind="reset", method="POST", path="*/pcaps")
    with pytest.raises(httpx.ReadError, match="reset"):
        served.client.post(served.url, json=BODY)
    [capture] = served.client.get(served.url).json()["result"]
    logged = httpx.get(f"{served.control}/log", params={"event": "request"}).json()[0]
    assert (logged["outcome"], logged["capture_id"]) == ("accepted", capture["id"])
    assert (logged["answered"], logged["fault"]) == (False, ["reset"])
    assert served.client.get(served.url).status_code == 200, "a count of one is spent"


def test_a_reset_before_the_request_was_accepted(served):
    ask_for(served, kind="reset", method="POST", after=False)
    with pytest.raises(httpx.ReadError, match="reset"):
        served.client.post(served.url, json=BODY)
    assert last_request(served)["outcome"] == "refused"
    assert served.client.get(served.url).json()["result"] == []


def test_a_request_that_arrives_long_after_its_connection_broke(served):
    ask_for(served, kind="late", method="POST", path="*/pcaps", value=0.3)
    with pytest.raises(httpx.ReadError, match="reset"):
        served.client.post(served.url, json=BODY)
    assert served.client.get(served.url).json()["result"] == []
    until = time.monotonic() + 60
    while not (found := served.client.get(served.url).json()["result"]):
        assert time.monotonic() < until
        time.sleep(0.05)
    logged = httpx.get(f"{served.control}/log", params={"event": "request"}).json()
    [late] = [line for line in logged if line["method"] == "POST"]
    assert (late["outcome"], late["capture_id"]) == ("accepted", found[0]["id"])
    assert (late["answered"], late["fault"]) == (False, ["late"])


def test_a_truncated_download(served):
    capture_id = served.client.post(served.url, json=BODY).json()["result"]["id"]
    served.seconds += 10
    served.edge.tick()
    url = f"{served.url}/{capture_id}/download"
    for _ in range(100):
        served.edge.tick()
        if served.client.get(url).status_code == 200:
            break
        time.sleep(0.02)
    whole = served.client.get(url).content
    ask_for(served, kind="truncate", path="*/download", value=0.25)
    got, promised = [], []

    def read():
        with served.client.stream("GET", url) as answer:
            promised.append(int(answer.headers["content-length"]))
            for chunk in answer.iter_raw():
                got.append(chunk)  # noqa: PERF402 - what came before the end must be kept

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        read()
    assert promised == [len(whole)]
    assert b"".join(got) == whole[: len(whole) // 4]
    assert served.client.get(url).content == whole


@pytest.mark.parametrize(("after", "outcome"), [(None, "refused"), (False, "refused"), (True, "accepted")])
@pytest.mark.parametrize(
    ("kind", "value", "status"), [("error", None, 503), ("error", 520, 520), ("rate_limit", 7, 429)]
)
def test_error_answers_before_and_after_the_request_took_effect(served, kind, value, status, after, outcome):
    ask_for(served, kind=kind, method="POST", value=value, after=after)
    answer = served.client.post(served.url, json=BODY)
    assert answer.status_code == status
    assert answer.json()["success"] is False
    assert answer.headers.get("retry-after") == ("7" if kind == "rate_limit" else None)
    assert last_request(served)["outcome"] == outcome
    assert len(served.client.get(served.url).json()["result"]) == (outcome == "accepted")


def test_garbage_is_no_envelope_but_took_effect(served):
    ask_for(served, kind="garbage", count=12)
    for _ in range(12):
        content = served.client.get(served.url).content
        try:
            body = json.loads(content)
        except ValueError:
            continue
        assert not isinstance(body, dict) or "errors" not in body
    assert served.client.get(served.url).json()["success"]


def test_latency_lets_the_answer_wait_in_real_seconds(served):
    ask_for(served, kind="latency", value=0.4)
    with pytest.raises(httpx.ReadTimeout):
        served.client.get(served.url, timeout=0.2)
    assert served.client.get(served.url).status_code == 200


def test_a_request_stays_under_way_after_its_caller_has_left(served):
    ask_for(served, kind="latency", value=2, method="POST")
    with pytest.raises(httpx.ReadTimeout):
        served.client.post(served.url, json=BODY, timeout=0.2)
    seen = []
    until = time.monotonic() + 60
    while (state := httpx.get(f"{served.control}/state").json())["under_way"] and time.monotonic() < until:
        seen.append(len(state["captures"]))
        time.sleep(0.05)
    assert seen[0] == 0, "it had not arrived at first"
    assert len(state["captures"]) == 1


def test_the_control_path_lists_adds_and_clears(served):
    ask_for(served, kind="error", count=None, path="*/ownership")
    assert served.client.get(f"{served.url}/ownership").status_code == 503
    [fault] = httpx.get(f"{served.control}/faults").json()
    assert (fault["kind"], fault["struck"], fault["count"]) == ("error", 1, None)
    assert httpx.delete(f"{served.control}/faults").json() == []
    assert served.client.get(f"{served.url}/ownership").status_code == 200
    answer = httpx.post(f"{served.control}/faults", json={"kind": "flood"})
    assert answer.status_code == 400
    assert "kind" in answer.json()["error"]


def test_the_control_path_shows_state_and_log(served):
    capture_id = served.client.post(served.url, json=BODY).json()["result"]["id"]
    state = httpx.get(f"{served.control}/state").json()
    assert [capture["id"] for capture in state["captures"]] == [capture_id]
    events = httpx.get(f"{served.control}/log").json()
    assert [event["event"] for event in events[-2:]] == ["state", "request"]
    since = httpx.get(f"{served.control}/log", params={"since": len(events) - 1}).json()
    assert since == events[-1:]


def full_files(world, **options):
    """Deliver a full capture; returns the bucket's files by server."""
    capture_id = world.full(**options).json()["result"]["id"]
    assert world.finish(capture_id)["status"] == "success"
    return {path.parent.name: path for path in world.folder().rglob(f"pcap_{capture_id}.pcap")}


def test_a_missing_file_never_comes_though_the_capture_succeeds(world):
    world.register()
    world.edge.faults.add(Fault(kind="missing_file", path="ord01-s2/*"))
    files = full_files(world)
    world.advance(3600, 600)
    assert "ord01-s1" in files
    assert "ord01-s2" not in files
    [missing] = [e for e in world.edge.log.events("delivery") if e["outcome"] == "missing"]
    assert (missing["server"], missing["faults"]) == ("ord01-s2", ["missing_file"])


def test_a_late_file_comes_late(make_world, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    world = make_world()
    world.register()
    world.edge.faults.add(Fault(kind="late_file", path="ord01-s2/*", value=120))
    assert "ord01-s2" not in full_files(world)
    world.advance(90)
    assert not list(world.folder().glob("ord01-s2/*"))
    world.advance(30)
    assert list(world.folder().glob("ord01-s2/*"))
    assert not list(tmp_path.glob("edgecap-simulator-*/*/*")), "nothing is left on the edge's disk"


def test_a_flipped_byte_changes_one_byte_of_one_file(make_world):
    clean, spoilt = make_world(), make_world()
    spoilt.edge.faults.add(Fault(kind="flip_byte", path="*s1/*"))
    contents = []
    for world in (clean, spoilt):
        world.register()
        contents.append({server: path.read_bytes() for server, path in full_files(world).items()})
    good, bad = contents
    changed = [server for server in good if good[server] != bad[server]]
    assert len(changed) == 1
    assert len(good[changed[0]]) == len(bad[changed[0]])
    pairs = zip(good[changed[0]], bad[changed[0]], strict=True)
    assert [a ^ b for a, b in pairs if a != b] == [0x10]


def test_a_flip_can_name_its_offset(world):
    world.register()
    world.edge.faults.add(Fault(kind="flip_byte", value=0))
    firsts = sorted(path.read_bytes()[0] for path in full_files(world).values())
    assert firsts[0] == 0xD4 ^ 0x10
    assert set(firsts[1:]) == {0xD4}


def test_probability_is_seeded_and_count_bounds_it():
    def strikes(seed):
        faults = Faults([Fault(kind="error", probability=0.3, count=20)], seed=seed)
        return [bool(faults.for_answer("GET", "/x")) for _ in range(200)]

    assert sum(strikes(1)) == 20
    assert strikes(1) == strikes(1) != strikes(2)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("reset", Fault(kind="reset")),
        (
            "reset,method=POST,path=*/pcaps,count=2",
            Fault(kind="reset", method="POST", path="*/pcaps", count=2),
        ),
        (
            "latency,value=0.5,count=always,probability=0.1",
            Fault(kind="latency", value=0.5, count=None, probability=0.1),
        ),
        ("error,after=true", Fault(kind="error", after=True)),
    ],
)
def test_faults_of_the_command_line(text, fault):
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["", "flood", "reset,count=0", "reset,when=now", "error,probability=2"])
def test_faults_that_cannot_be(text):
    with pytest.raises(ConfigError, match="fault"):
        parse_fault(text)
