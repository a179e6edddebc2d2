"""The official SDK drives all nine operations of a running simulator, with a real S3 server as the bucket."""

import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import cloudflare
import pytest

from edgecap.simulator.buckets import EdgeBuckets
from edgecap.simulator.clock import Clock
from edgecap.simulator.serve import SimulatorServer
from edgecap.simulator.variants import VARIANTS
from edgecap.stores import open_store

SPEED = 30.0
SIMPLE, FULL = "PCAP", "MagicVisibilityPCAPsPCAPsResponseFull"  # the classes that the SDK makes of results
HTTPS = {"protocol": 6, "destination_port": 443}


@pytest.fixture
def sdk(object_store, make_world, request):
    """SDK, bucket and edge; the clock runs 30 times as fast as real."""
    place = object_store.place(object_store.make_bucket(f"caps-{time.time_ns()}"), "full")
    world = make_world(
        replace(VARIANTS[request.param], full_time_limit=86_400),  # so that no busy machine sees the end
        clock=Clock(SPEED),
        simple_spacing=36_000.0,  # no busy machine makes it pass
        buckets=EdgeBuckets(object_store.endpoint_url, None, place.access_key_id, place.secret_access_key),
    )
    world.place, world.store = place, open_store(place)
    with (
        SimulatorServer(world.edge) as server,
        cloudflare.Cloudflare(api_token="t" * 40, base_url=server.base_url, max_retries=0) as client,
    ):
        world.pcaps = client.magic_transit.pcaps
        yield world


def until(look, wanted, seconds=240.0):
    """Look until the answer is wanted; returns it."""
    deadline = time.monotonic() + seconds
    while not wanted(answer := look()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer


def read(store, key):
    with store.open(key) as reader:
        return b"".join(reader)


def packets_in(path):
    table = subprocess.run(["capinfos", "-T", "-M", "-c", path], check=True, capture_output=True, text=True)
    return int(table.stdout.split()[-1])


@pytest.mark.parametrize("sdk", list(VARIANTS), indirect=True)
def test_all_nine_operations(sdk, tmp_path):
    account, uri, pcaps = sdk.account, sdk.place.uri, sdk.pcaps
    variant = sdk.edge.variant

    made = pcaps.ownership.create(account_id=account, destination_conf=uri)
    assert made.status == "pending"
    name = made.filename.rpartition("/")[2]
    until(lambda: [info.key for info in sdk.store.list()], lambda keys: name in keys)
    content = read(sdk.store, name).decode()
    answered = pcaps.ownership.validate(account_id=account, destination_conf=uri, ownership_challenge=content)
    assert answered.id == made.id
    until(
        lambda: list(pcaps.ownership.get(account_id=account)),
        lambda found: [b.status for b in found] == ["success"],
    )

    asked = datetime.now(UTC) - timedelta(hours=1)
    simple = pcaps.create(
        account_id=account,
        type="simple",
        system="magic-transit",
        time_limit=20,
        packet_limit=500,
        offset_time=asked,
        filter_v1=HTTPS,
    )
    assert type(simple).__name__ == SIMPLE
    assert abs(simple.offset_time - asked) < timedelta(seconds=1)
    with pytest.raises(cloudflare.APIStatusError) as refused:
        pcaps.create(
            account_id=account, type="simple", system="magic-transit", time_limit=20, packet_limit=500
        )
    assert refused.value.status_code == variant.too_soon.status
    full = pcaps.create(
        account_id=account,
        type="full",
        system="magic-transit",
        time_limit=86_400,
        colo_name="ORD",
        destination_conf=uri,
        filter_v1=HTTPS,
    )
    assert type(full).__name__ == FULL

    def get(capture_id):
        return pcaps.get(capture_id, account_id=account)

    time.sleep(variant.shown_after / SPEED)
    until(lambda: get(full.id), lambda c: c.status == "running")
    pcaps.stop(full.id, account_id=account)
    assert type(get(full.id)).__name__ == FULL
    assert get(full.id).stop_requested is not None
    done = until(lambda: get(full.id), lambda c: c.status in ("success", "complete"))
    assert done.packets_captured > 0

    until(lambda: get(simple.id), lambda c: c.status in ("success", "complete"))
    time.sleep(variant.download_after / SPEED)
    download = tmp_path / "simple.pcap"
    pcaps.download.get(simple.id, account_id=account).write_to_file(download)
    assert 0 < packets_in(download) <= 500
    listed = until(lambda: list(pcaps.list(account_id=account)), lambda found: len(found) == 2)
    assert {(type(c).__name__, c.id) for c in listed} == {(SIMPLE, simple.id), (FULL, full.id)}

    def files():
        return [info.key for info in sdk.store.list() if full.id in info.key]

    kept = done.packets_captured if variant.stop_keeps == "all" else 1
    delivered = until(
        lambda: [e for e in sdk.edge.log.events("delivery") if e["outcome"] == "delivered"],
        lambda events: kept <= sum(event["packets"] for event in events) <= done.packets_captured,
    )
    assert sorted(files()) == sorted(event["key"] for event in delivered)
    for event in delivered:
        # Wireshark's tools recognise compressed files by their content, as anyone has to.
        path = tmp_path / "delivered"
        path.write_bytes(read(sdk.store, event["key"]))
        assert packets_in(path) == event["packets"]

    pcaps.ownership.delete(made.id, account_id=account)
    assert list(pcaps.ownership.get(account_id=account) or []) == []
    assert sdk.edge.log.events("trouble") == []


@pytest.mark.parametrize("sdk", ["documented"], indirect=True)
def test_the_sdks_own_errors(sdk):
    account = sdk.account
    request = {"account_id": account, "type": "simple", "system": "magic-transit", "packet_limit": 5}
    with pytest.raises(cloudflare.BadRequestError, match="time_limit must be"):
        sdk.pcaps.create(**request, time_limit=301)
    sdk.pcaps.create(**request, time_limit=1)
    with pytest.raises(cloudflare.RateLimitError):
        sdk.pcaps.create(**request, time_limit=1)
    with pytest.raises(cloudflare.NotFoundError):
        sdk.pcaps.get("0" * 32, account_id=account)
    with pytest.raises(cloudflare.PermissionDeniedError):
        sdk.pcaps.list(account_id="e" * 32)
    with pytest.raises(cloudflare.BadRequestError, match="ownership is not validated"):
        sdk.pcaps.create(
            account_id=account,
            type="full",
            system="magic-transit",
            time_limit=5,
            colo_name="ORD",
            destination_conf=sdk.place.uri,
        )
    with pytest.raises(cloudflare.BadRequestError, match="destination_conf is invalid"):
        sdk.pcaps.ownership.create(
            account_id=account, destination_conf="s3://no-such-bucket?region=us-east-1"
        )
