"""Clock, variants and log by themselves."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.errors import ConfigError
from edgecap.simulator.captures import keyless
from edgecap.simulator.clock import Clock
from edgecap.simulator.envelope import Refusal
from edgecap.simulator.log import EdgeLog, without_secrets
from edgecap.simulator.variants import VARIANTS, Variant, make_variant

START = datetime(2026, 11, 23, tzinfo=UTC)


def test_the_clock_runs_as_fast_as_it_is_told():
    real = [100.0]
    clock = Clock(60, start=START, source=lambda: real[0])
    assert clock.now() == START
    real[0] += 1.5
    assert clock.now() == START + timedelta(seconds=90)
    assert clock.real_seconds(90) == 1.5
    assert repr(clock) == "<Clock 2026-11-23T00:01:30Z [60 x]>"


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_clock_cannot_stand_or_run_backwards(speed):
    with pytest.raises(ConfigError, match="speed"):
        Clock(speed)


def test_variants_differ_in_everything_that_is_unknown():
    """Each choice that `Variant` offers is made differently by some named variant."""
    for name in Variant.__dataclass_fields__:
        assert len({getattr(variant, name) for variant in VARIANTS.values()}) > 1, name


def test_single_choices_can_be_changed():
    variant = make_variant(
        "lagging",
        {
            "list_lag": "7.5",
            "gzip": "named",
            "extra_fields": "true",
            "busy": '{"status": 423, "code": 4230, "message": "locked"}',
            "simple_steps": '[["running", 2], ["complete", 0]]',
        },
    )
    assert (variant.list_lag, variant.gzip, variant.extra_fields) == (7.5, "named", True)
    assert variant.busy == Refusal(423, 4230, "locked")
    assert variant.simple_steps == (("running", 2.0), ("complete", 0.0))
    assert variant.list_order == VARIANTS["lagging"].list_order


def test_a_capture_may_start_without_being_pending(make_world):
    variant = make_variant("documented", {"full_steps": '[["running", 0], ["success", 0]]'})
    world = make_world(variant)
    world.register()
    result = world.full(time_limit=3).json()["result"]
    assert result["status"] == "running"
    assert world.finish(result["id"])["packets_captured"] > 0


@pytest.mark.parametrize(
    "steps", [(("pending", 1.0),), (("success", 1.0), ("failed", 0.0)), (("pending", 1.0), ("running", 0.0))]
)
def test_states_that_lead_nowhere_are_refused(steps):
    with pytest.raises(ConfigError):
        Variant(simple_steps=steps)


def test_the_log_is_in_the_file_when_write_returns(tmp_path):
    path = tmp_path / "a" / "edge.log"
    log = EdgeLog(Clock(start=START, source=lambda: 0.0), path)
    log.write("request", path="/x", reason=None)
    log.write("state", after="pending")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == log.events()
    assert [line["number"] for line in lines] == [1, 2]
    assert lines[0].keys() == {"event", "number", "time", "wall", "path"}
    assert lines[0]["time"] == "2026-11-23T00:00:00.000000Z"
    assert log.events(since=1) == lines[1:]
    assert log.events("request") == lines[:1]
    log.close()


def test_secrets_of_a_body_are_hidden():
    body = {
        "destination_conf": "r2://b?account-id=1&access-key-id=AK&secret-access-key=SK",
        "ownership_challenge": "token",
        "list": [{"x": "Bearer abc"}],
    }
    hidden = without_secrets(body)
    assert hidden["destination_conf"] == "r2://b?account-id=1&access-key-id=***&secret-access-key=***"
    assert (hidden["ownership_challenge"], hidden["list"][0]["x"]) == ("***", "Bearer ***")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://b/d?region=us-east-1&sse=AES256", "s3://b/d?region=us-east-1&sse=AES256"),
        ("r2://b?account-id=1&access-key-id=AK&secret-access-key=SK", "r2://b?account-id=1"),
        ("r2://b?access-key-id=AK&secret-access-key=SK", "r2://b"),
        ("gs://b/d", "gs://b/d"),
    ],
)
def test_destinations_without_their_keys(uri, shown):
    assert keyless(uri) == shown


def test_things_say_what_they_are(world):
    world.register()
    full = world.full().json()["result"]["id"]
    assert repr(world.edge).endswith("[1 captures, 1 active]>")
    assert repr(world.edge.captures[full]) == f"<Capture {full} [full, pending, 0 packets]>"
    assert repr(world.edge.ownerships) == "<Ownerships [1 buckets]>"
    assert repr(world.edge.lifecycle) == "<Lifecycle [0 recording, 0 files to come]>"
