"""The proof that a bucket is the customer's, under every variant."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from edgecap.errors import StoreDenied
from edgecap.simulator.variants import VARIANTS
from edgecap.stores import FolderStore


@pytest.fixture(params=list(VARIANTS))
def fresh(request, make_world):
    """A world of every variant, with a bucket that nobody registered yet."""
    world = make_world(request.param)
    world.buckets.make("caps")
    return world


def create(world, destination=None):
    return world.call("POST", "/ownership", {"destination_conf": destination or world.destination})


def validate(world, content, destination=None):
    body = {"destination_conf": destination or world.destination, "ownership_challenge": content}
    return world.call("POST", "/ownership/validate", body)


def challenge(world, created):
    name = created.json()["result"]["filename"].removeprefix("full/")
    return (world.folder() / name).read_text()


def test_the_way_to_a_validated_bucket(fresh):
    variant = fresh.edge.variant
    created = create(fresh)
    result = created.json()["result"]
    assert created.status_code == 200
    assert (result["status"], result["validated"]) == ("pending", "")
    assert result["filename"].startswith("full/") == variant.filename_folder
    assert any(fresh.folder().glob("ownership-*")) == (variant.challenge_after == 0)
    fresh.advance(variant.challenge_after)
    answer = validate(fresh, f" {challenge(fresh, created)}\n")
    expected = "pending" if variant.validation_takes else "success"
    assert (answer.status_code, answer.json()["result"]["status"]) == (200, expected)
    if expected == "pending":
        fresh.advance(variant.validation_takes - 1, 10)
        assert fresh.call("GET", "/ownership").json()["result"][0]["status"] == "pending"
        assert fresh.full().status_code == 400
        fresh.advance(2)
    [bucket] = fresh.call("GET", "/ownership").json()["result"]
    assert (bucket["status"], bucket["id"]) == ("success", result["id"])
    assert bucket["validated"]
    assert fresh.full().status_code == 200


def test_the_file_name_is_not_the_answer_to_the_challenge(world):
    """The OpenAPI text says "filename"; the documentation's prose says content."""
    world.buckets.make("caps")
    created = create(world)
    answer = validate(world, created.json()["result"]["filename"])
    assert answer.json()["result"]["status"] == "failed"
    assert world.full().status_code == 400
    assert validate(world, challenge(world, created)).json()["result"]["status"] == "pending"


def test_a_deleted_bucket_takes_no_captures(world):
    world.register()
    [bucket] = world.call("GET", "/ownership").json()["result"]
    answer = world.call("DELETE", f"/ownership/{bucket['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert world.call("GET", "/ownership").json()["result"] == []
    assert world.call("DELETE", f"/ownership/{bucket['id']}").status_code == 404
    assert "not validated" in world.full().json()["errors"][0]["message"]


def test_registering_again_keeps_a_validated_bucket_and_renews_a_pending_one(world):
    world.buckets.make("caps")
    first, second = create(world).json()["result"], create(world).json()["result"]
    assert first["filename"] != second["filename"]
    assert [b["id"] for b in world.call("GET", "/ownership").json()["result"]] == [second["id"]]
    validate(world, (world.folder() / second["filename"]).read_text())
    world.advance(30)
    assert create(world).json()["result"]["id"] == second["id"]


@pytest.mark.parametrize("change", ["?region=eu-west-1", "?region=us-east-1&sse=AES256", ""])
def test_parameters_do_not_make_another_destination(world, change):
    world.register()
    assert world.full(destination_conf=f"s3://caps/full{change}").status_code == 200


def test_another_folder_is_another_destination(world):
    world.register()
    answer = world.full(destination_conf="s3://caps/other?region=us-east-1")
    assert "not validated" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("s3://nowhere/full?region=us-east-1", "does not exist"),
        ("http://caps/full", "destination_conf is invalid"),
        ("file:/tmp", "must be an s3, gs or r2 bucket"),
        ("s3://", "is not a bucket name"),
        ("s3://caps?a=b", "is not a parameter"),
    ],
)
def test_destinations_that_cannot_be(world, destination, words):
    """Both the bucket's registration and a capture are refused, and the message names the field."""
    for answer in (create(world, destination), world.full(destination_conf=destination)):
        message = answer.json()["errors"][0]["message"]
        assert answer.status_code == 400
        assert "destination_conf" in message
        assert words in message


def test_a_bucket_that_cannot_be_written_to_is_refused(make_world):
    class ReadOnly(FolderStore):
        def put(self, key, source, *, move=False):
            raise StoreDenied("the bucket refuses to take files")

    world = make_world()
    world.buckets.make("caps")
    world.buckets.kind = ReadOnly
    answer = create(world)
    assert answer.status_code == 400
    assert "refuses to take files" in answer.json()["errors"][0]["message"]
    assert world.call("GET", "/ownership").json()["result"] == []


def test_a_challenge_that_cannot_be_written_later_fails(make_world):
    world = make_world("lagging")
    folder = world.buckets.make("caps")
    create(world)
    shutil.rmtree(folder)
    folder.write_text("in the way")
    world.advance(5)
    assert world.call("GET", "/ownership").json()["result"][0]["status"] == "failed"


def test_validating_an_unregistered_bucket_is_refused(world):
    world.buckets.make("caps")
    answer = validate(world, "x")
    assert answer.status_code == 400
    assert "destination_conf" in answer.json()["errors"][0]["message"]


def test_an_answer_with_other_letters_than_ascii_is_only_wrong(world):
    world.buckets.make("caps")
    create(world)
    assert validate(world, "\u00e4\u20ac").json()["result"]["status"] == "failed"


@pytest.mark.parametrize(("variant", "shown"), [("documented", False), ("talkative", True)])
def test_r2_keys_are_echoed_only_by_the_variant_that_does_so(make_world, variant, shown):
    """And in the log they never are."""
    world = make_world(variant)
    world.buckets.make("caps")
    keys = "access-key-id=AKIDEXAMPLE&secret-access-key=wJalrXUtnFEMI"
    destination = f"r2://caps/full?account-id={'0' * 32}&{keys}"
    created = create(world, destination).json()["result"]
    assert ("wJalrXUtnFEMI" in created["destination_conf"]) == shown
    assert created["destination_conf"].startswith(f"r2://caps/full?account-id={'0' * 32}")
    content = (world.folder() / created["filename"]).read_text()
    # "Leave the two keys out when validating."
    validate(world, content, f"r2://caps/full?account-id={'0' * 32}")
    world.advance(100, 50)
    capture = world.full(destination_conf=destination).json()["result"]
    assert ("wJalrXUtnFEMI" in capture["destination_conf"]) == shown
    world.finish(capture["id"])
    logged = repr(world.edge.log.events())
    assert content not in logged
    assert "wJalrXUtnFEMI" not in logged
    assert "AKIDEXAMPLE" not in logged
    assert "wJalrXUtnFEMI" not in repr(world.edge.state()) or shown


def test_a_due_challenge_is_written_once_despite_many_threads(make_world):
    """The edge's own thread and one that answers a request may both find that it is time."""
    world = make_world("lagging")
    world.buckets.make("caps")
    put = []

    class Slow(FolderStore):
        def put(self, key, source, *, move=False):
            put.append(key)
            time.sleep(0.05)
            return super().put(key, source, move=move)

    created = create(world)
    later = world.edge.clock.now() + timedelta(seconds=world.edge.variant.challenge_after + 1)
    world.buckets.kind = Slow
    start = threading.Barrier(8)

    def tick(_):
        start.wait()
        world.edge.ownerships.tick(later)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(tick, range(8)))
    assert len(put) == 1
    assert challenge(world, created)
    assert world.call("GET", "/ownership").json()["result"][0]["status"] == "pending"
