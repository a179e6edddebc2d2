"""The flow `capture` against a real Prefect server, a real object store and the simulated edge."""

import subprocess

import httpx
import pytest
from prefect import flow
from prefect.runtime import flow_run as this_run

from edgecap.archive.entries import list_entries
from edgecap.archive.journal import Journal
from edgecap.archive.summaries import read_summary
from edgecap.archive.verify import verify_entry
from edgecap.captures.delivery import matching
from edgecap.captures.order import CaptureOrder
from edgecap.errors import (
    BadCredentials,
    BucketNotValidated,
    CaptureFailed,
    ConfigError,
    EdgecapError,
    InvalidRequest,
    NetworkFailure,
    RequestRefused,
    StoreFull,
    StoreMissing,
    StoreUnwritable,
    WindowTooOld,
)
from edgecap.requests import Filter, FullRequest, SimpleRequest
from edgecap.settings import load_settings
from edgecap.simulator.variants import VARIANTS
from edgecap.stores import open_store
from flows.capture import capture
from flows.register_bucket import register_bucket
from tasks.submit import submit

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

WEB = Filter(destination_address="203.0.113.7", destination_port=443)


def packets_by_capinfos(path):
    """What an independent program counts."""
    done = subprocess.run(
        ["capinfos", "-c", "-M", "-T", "-r", path], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split("\t")[-1])


def raw_files(world):
    return sorted(path for path in world.root.rglob("raw/*") if path.is_file())


async def run(request, **more):
    return await capture(request, return_state=True, **more)


async def test_a_simple_capture_ends_in_the_archive(world, store):
    state = await run(SimpleRequest(time_limit=20, filter=Filter(protocol=17)))
    summary = await state.result()
    [entry] = list_entries(store)
    assert entry.manifest.entry_id == summary.capture_id
    assert summary.packets == entry.manifest.totals.packets > 0
    assert verify_entry(store, entry) == []
    [path] = raw_files(world)
    assert packets_by_capinfos(path) == summary.packets
    assert packets_by_capinfos(world.root / entry.prefix / "packets.pcapng") == summary.packets
    found = read_summary(store, entry)
    assert (found.packets, found.sampled, found.verdict) == (summary.packets, True, summary.verdict)
    assert summary.verdict in state.message
    assert len(world.posts()) == 1
    [record] = Journal(store).records()
    assert record.capture_id == summary.capture_id


async def test_the_api_is_asked_for_what_it_can_do_of_an_expression(world, store):
    request = SimpleRequest(time_limit=20, filter=WEB, expression="tcp and less 100")
    state = await run(request)
    summary = await state.result()
    [post] = world.posts()
    assert post["body"]["filter_v1"] == {**WEB.body(), "protocol": 6}
    [record] = Journal(store).records()
    assert record.intent.request.expression == "tcp and less 100"
    assert record.intent.residual == "less 100"
    [entry] = list_entries(store)
    assert entry.manifest.request["expression"] == "tcp and less 100"
    assert entry.manifest.intent["residual"] == "less 100"
    assert summary.packets == entry.manifest.totals.packets > 0
    residual = entry.manifest.residual
    assert 0 < residual.kept < residual.packets == summary.packets
    assert packets_by_capinfos(world.root / entry.prefix / "packets.pcapng") == residual.kept


async def test_delivered_files_are_deleted_after_archiving_if_the_bucket_says_so(world, store):
    await register_bucket()
    bucket = open_store(load_settings().bucket())
    request = FullRequest(colo="ORD", time_limit=20)
    kept = await (await run(request)).result()
    assert len(matching(bucket, kept.capture_id)) > 0
    world.write(**{"buckets.default": {**world.tables["buckets.default"], "delete_delivered": True}})
    cleared = await (await run(request)).result()
    assert len(matching(bucket, kept.capture_id)) > 0
    assert matching(bucket, cleared.capture_id) == []
    for entry in list_entries(store):
        assert verify_entry(store, entry) == []
    assert {entry.manifest.entry_id for entry in list_entries(store)} == {kept.capture_id, cleared.capture_id}


@pytest.mark.parametrize("world", [((), name) for name in VARIANTS], indirect=True, ids=list(VARIANTS))
async def test_a_full_capture_arrives_whole_under_every_plausible_api(world, store):
    await register_bucket()
    state = await run(FullRequest(colo="ORD", time_limit=20, filter=WEB))
    summary = await state.result()
    [entry] = list_entries(store)
    assert summary.files > 1
    assert entry.manifest.state == "complete"
    assert verify_entry(store, entry) == []
    assert sum(map(packets_by_capinfos, raw_files(world))) == summary.packets > 0
    delivered = world.edge.log.events("delivery")
    assert summary.packets == sum(event["packets"] for event in delivered)
    assert "secret" not in (world.root / entry.prefix / "manifest.json").read_text().lower()


async def test_a_run_leaves_progress_and_a_page_in_the_ui(world, prefect_server):
    state = await run(SimpleRequest(time_limit=10))
    summary = await state.result()
    async with httpx.AsyncClient(
        base_url=prefect_server.api_url, headers=prefect_server.prefect.headers()
    ) as client:
        found = (await client.post("/artifacts/filter", json={})).json()
    mine = {item["type"]: item for item in found if summary.capture_id[:12] in (item["key"] or "")}
    assert mine["progress"]["data"] == 100
    assert f"{summary.packets:,} packets in 1 file" in mine["markdown"]["data"]


BAD = [
    (SimpleRequest(time_limit=301), InvalidRequest, "time_limit 301 is out of bounds"),
    (SimpleRequest(packet_limit=10_001), InvalidRequest, "packet_limit 10001 is out of bounds"),
    (FullRequest(colo="ORD", time_limit=86_401), InvalidRequest, "time_limit 86401 is out of bounds"),
    (FullRequest(colo="ORD", byte_limit=0), InvalidRequest, "byte_limit 0 is out of bounds"),
    (FullRequest(colo="nowhere"), InvalidRequest, "unknown data centre 'nowhere'"),
    (SimpleRequest(filter=Filter(source_address="2001:db8::1")), InvalidRequest, "is IPv6"),
    (SimpleRequest(filter=Filter(source_address="203.0.113.0/24")), InvalidRequest, "is a network"),
    (SimpleRequest(filter=Filter(protocol=256)), InvalidRequest, "IP protocol 256"),
    (SimpleRequest(offset_time="2020-01-01T00:00:00Z"), WindowTooOld, "more than 24 hours old"),
    (FullRequest(colo="ORD", bucket="unknown"), ConfigError, "no bucket is called 'unknown'"),
]


@pytest.mark.parametrize(("request_", "error", "words"), BAD, ids=[words for *_, words in BAD])
async def test_bad_input_is_one_line_a_red_run_and_nothing_sent(world, request_, error, words):
    await refused(world, run(request_), error, words)
    assert not world.posts("refused")


async def test_a_colo_that_the_api_does_not_know(world):
    await register_bucket()
    await refused(world, run(FullRequest(colo="zzz99", time_limit=5)), RequestRefused, "zzz99")


async def test_a_wrong_token(world):
    world.write(**{"accounts.default": {**world.tables["accounts.default"], "api_token": "wrong" * 8}})
    await refused(world, run(SimpleRequest()), BadCredentials, "CLOUDFLARE_API_TOKEN")


async def test_a_bucket_that_is_not_validated(world):
    await refused(world, run(FullRequest(colo="ORD")), BucketNotValidated, "edgecap bucket register")


async def test_a_bucket_that_does_not_exist(world):
    bucket = {**world.tables["buckets.default"], "uri": "s3://there-is-no-such-bucket/x?region=us-east-1"}
    world.write(**{"buckets.default": bucket})
    await refused(world, run(FullRequest(colo="ORD")), StoreMissing, "there-is-no-such-bucket")


async def test_an_archive_that_does_not_exist(world):
    world.write(**{"archives.default": {"uri": f"file:{world.root}/missing"}})
    await refused(world, run(SimpleRequest()), StoreMissing, "does not exist")


async def test_an_archive_that_cannot_be_written(world, read_only_disk):
    world.write(**{"archives.default": {"uri": f"file:{read_only_disk}"}})
    await refused(world, run(SimpleRequest()), StoreUnwritable, "read-only")


async def test_a_disk_without_room_for_what_was_captured(world, small_disk):
    """The capture was accepted, so the run says why it is not kept; nothing half-written has a final name."""
    world.write(**{"archives.default": {"uri": f"file:{small_disk}"}})
    await register_bucket()
    state = await run(FullRequest(colo="ORD", time_limit=60))
    assert state.is_failed()
    with pytest.raises(StoreFull, match="too little space is left") as caught:
        await state.result()
    assert str(caught.value) in state.message
    assert not list(small_disk.rglob("manifest.json"))
    delivered = {event["bytes"] for event in world.edge.log.events("delivery")}
    assert all(path.stat().st_size in delivered for path in small_disk.rglob("raw/*"))
    assert not list(small_disk.rglob("*.part"))


TROUBLE = [
    "error,method=GET,count=2,value=503",
    "rate_limit,method=GET,path=*/pcaps,count=1,value=1",
    "reset,method=POST,path=*/pcaps,count=1",
    "truncate,path=*/download,count=1",
    "garbage,method=GET,path=*/pcaps,count=1",
]


@pytest.mark.parametrize("world", [((fault,), "documented") for fault in TROUBLE], indirect=True, ids=TROUBLE)
async def test_trouble_on_the_way_costs_time_and_nothing_else(world, store):
    """Whatever breaks once, one request is accepted and its packets are archived whole."""
    summary = await (await run(SimpleRequest(time_limit=10))).result()
    assert len(world.posts()) == 1
    [entry] = list_entries(store)
    assert verify_entry(store, entry) == []
    assert summary.packets == entry.manifest.totals.packets > 0


async def test_no_packets_is_a_failure_that_says_so(world, store):
    await register_bucket()
    nobody = Filter(destination_address="192.0.2.250")
    state = await run(FullRequest(colo="ORD", time_limit=5, filter=nobody))
    with pytest.raises(CaptureFailed, match="No packets matched the filter"):
        await state.result()
    assert state.is_failed()
    [record] = Journal(store).records()
    assert (record.ended.outcome, record.ended.error) == ("failed", "CaptureFailed")
    assert not raw_files(world)


async def refused(world, running, error, words):
    """The run is red, its message is the error's one line, and nothing lies under a final name."""
    state = await running
    assert state.is_failed()
    with pytest.raises(error) as caught:
        await state.result()
    line = str(caught.value)
    assert words in line
    assert "\n" not in line
    assert line in state.message
    assert isinstance(caught.value, EdgecapError)
    assert caught.value.exit_code not in (0, 1)
    assert not list(world.root.rglob("captures/**/*"))
    assert not world.posts("accepted")


@flow
async def submit_once(request):
    """The first task alone, without its minutes of patience."""
    once = submit.with_options(retries=0)
    return await once(CaptureOrder(request, this_run.id))


async def test_an_api_that_cannot_be_reached(world):
    gone = {**world.tables["accounts.default"], "base_url": "http://127.0.0.1:1/client/v4"}
    world.write(**{"accounts.default": gone})
    await refused(world, submit_once(SimpleRequest(), return_state=True), NetworkFailure, "127.0.0.1:1")
