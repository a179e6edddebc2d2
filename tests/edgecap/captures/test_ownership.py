"""Registering buckets: after an earlier attempt, with late answers, with any name of the challenge file."""

import itertools
import json

import httpx
import pytest

from edgecap.captures.ownership import register, require_validated
from edgecap.cloudflare.client import Client
from edgecap.errors import (
    BadCredentials,
    BucketNotValidated,
    ConfigError,
    DeadlinePassed,
    NetworkFailure,
    RequestRefused,
    StoreMissing,
)
from edgecap.settings import Account, StoreLocation
from edgecap.stores.folder import FolderStore

ACCOUNT = Account(account_id="0" * 32, api_token="0123456789-secret-token")
PLACE = StoreLocation(uri="s3://bucket/dir?region=us-east-1")
PUBLIC = "s3://bucket/dir?region=us-east-1"
R2 = StoreLocation(uri="r2://bucket/dir?account-id=023e", access_key_id="AKAKAK", secret_access_key="SKSKSK")


class Time:
    """A clock that sleeping moves, and things that happen at their time."""

    def __init__(self):
        self.now = 0.0
        self.plans = []

    def clock(self):
        return self.now

    def at(self, when, what):
        self.plans.append((when, what))

    async def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds
        for plan in [plan for plan in self.plans if plan[0] <= self.now]:
            self.plans.remove(plan)
            plan[1]()


class Cloudflare:
    """Ownership as the API documents it, and the liberties that it may take."""

    def __init__(self, store, time):
        self.store = store
        self.time = time
        self.records = []
        self.calls = []
        self.numbers = itertools.count(1)
        self.key = "{name}"  # where the file goes, from our side of the bucket
        self.filename = "{name}"  # what the answer calls it
        self.content = "proof-{name}\n"
        self.challenge_after = 0.0
        self.validation_takes = 0.0
        self.verdict = "success"
        self.refuse_if_known = False
        self.list_lag = 0.0
        self.faults = {}  # method and path: what to raise or answer the first time; None drops the answer

    def transport(self):
        return httpx.MockTransport(self.handle)

    def handle(self, request):
        path = request.url.path.split("/accounts/" + "0" * 32)[1]
        call = f"{request.method} {path}"
        body = json.loads(request.content) if request.content else {}
        self.calls.append((call, body))
        fault = self.faults.pop(call, None)
        if fault == "before":
            raise httpx.ReadError("reset")
        if isinstance(fault, httpx.Response):
            return fault
        answer = self.answer(request.method, path, body)
        if fault == "after":
            raise httpx.ReadError("reset")
        return answer

    def answer(self, method, path, body):
        if method == "GET":
            known = [self.shown(one) for one in self.records if one["since"] + self.list_lag <= self.time.now]
            return wrapped(known)
        if method == "DELETE":
            self.records = [one for one in self.records if one["id"] != path.rsplit("/", 1)[1]]
            return httpx.Response(204)
        if path.endswith("/validate"):
            return self.validate(body)
        if self.refuse_if_known and self.records:
            return refused("destination_conf is registered already")
        return wrapped(self.shown(self.begin(body["destination_conf"])))

    def begin(self, destination, status="pending"):
        number = f"{next(self.numbers):032x}"
        name = f"ownership-challenge-{number}.txt"
        content = self.content.format(name=name)
        record = {"id": number, "status": status, "destination_conf": destination, "since": self.time.now}
        record |= {
            "filename": self.filename.format(name=name),
            "submitted": f"2026-11-23T12:00:{int(number, 16):02}Z",
        }
        record |= {"proof": content.strip(), "settles": None}
        self.records.append(record)

        def write():
            self.store.put(self.key.format(name=name), content.encode())

        if self.challenge_after:
            self.time.at(self.time.now + self.challenge_after, write)
        else:
            write()
        return record

    def validate(self, body):
        assert "secret-access-key" not in body["destination_conf"]
        for record in self.records:
            if record["proof"] == body["ownership_challenge"]:
                if record["settles"] is None:
                    record["settles"] = self.time.now + self.validation_takes
                return wrapped(self.shown(record))
        return refused("the challenge is wrong")

    def shown(self, record):
        if record["settles"] is not None and record["settles"] <= self.time.now:
            record["status"] = self.verdict
        return {name: record[name] for name in ("id", "status", "destination_conf", "filename", "submitted")}

    def made(self, start):
        return [call for call, _ in self.calls if call == start or call.startswith(f"{start} ")]


def wrapped(result):
    return httpx.Response(200, json={"result": result, "success": True, "errors": [], "messages": []})


def refused(message, status=400):
    body = {"result": None, "success": False, "errors": [{"code": 1002, "message": message}], "messages": []}
    return httpx.Response(status, json=body)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def cloudflare(tmp_path, time):
    (tmp_path / "bucket").mkdir()
    store = FolderStore(tmp_path / "bucket")
    return Cloudflare(store, time)


@pytest.fixture
async def client(cloudflare):
    async with Client(ACCOUNT, transport=cloudflare.transport(), attempts=1) as client:
        yield client


@pytest.fixture
def go(client, cloudflare, time):
    """Runs `register`."""

    async def run(place=PLACE, **options):
        return await register(client, cloudflare.store, place, sleep=time.sleep, clock=time.clock, **options)

    return run


CREATE = "POST /pcaps/ownership"
VALIDATE = "POST /pcaps/ownership/validate"
LIST = "GET /pcaps/ownership"


async def test_a_new_bucket_is_registered_with_the_file_s_content(go, cloudflare, client):
    ownership = await go()
    assert ownership.succeeded
    name = cloudflare.records[0]["filename"]
    assert cloudflare.calls[1:] == [
        (CREATE, {"destination_conf": PUBLIC}),
        (VALIDATE, {"destination_conf": PUBLIC, "ownership_challenge": f"proof-{name}"}),
    ]
    await require_validated(client, PLACE)


async def test_doing_it_again_changes_nothing(go, cloudflare):
    first = await go()
    cloudflare.calls.clear()
    assert (await go()).id == first.id
    assert [call for call, _ in cloudflare.calls] == [LIST]


async def test_only_creating_an_r2_bucket_carries_its_keys(go, cloudflare):
    await go(R2)
    bodies = dict(cloudflare.calls)
    assert bodies[CREATE]["destination_conf"].endswith("&access-key-id=AKAKAK&secret-access-key=SKSKSK")
    assert bodies[VALIDATE]["destination_conf"] == "r2://bucket/dir?account-id=023e"
    # The API echoes the keys here; they make no difference to knowing it again.
    cloudflare.calls.clear()
    await go(R2)
    assert [call for call, _ in cloudflare.calls] == [LIST]


async def test_an_r2_bucket_without_keys_is_a_wrong_setting(go, cloudflare):
    with pytest.raises(ConfigError, match="needs the R2 bucket's keys"):
        await go(StoreLocation(uri="r2://bucket?account-id=023e"))
    assert cloudflare.made("POST") == []


@pytest.mark.parametrize(
    ("filename", "key"),
    [
        ("{name}", "{name}"),
        ("dir/{name}", "{name}"),
        ("dir/{name}", "dir/{name}"),
        ("/dir/{name}", "{name}"),
        ("{name}", "dir/deep/{name}"),
        ("{name}", "20261123/prefix-{name}"),
        ("../{name}", "{name}"),
    ],
)
@pytest.mark.parametrize("after", [0, 40])
async def test_the_challenge_is_found_wherever_it_is_and_whenever_it_comes(
    go, cloudflare, filename, key, after
):
    cloudflare.filename, cloudflare.key, cloudflare.challenge_after = filename, key, after
    cloudflare.store.put("other/file.txt", b"not this")
    assert (await go()).succeeded


async def test_a_missing_challenge_names_the_right_to_grant(go, cloudflare, time):
    cloudflare.challenge_after = 10_000
    with pytest.raises(BucketNotValidated, match="did not appear") as caught:
        await go()
    assert "391854517948" in str(caught.value)
    assert time.now == pytest.approx(900)
    assert cloudflare.made(VALIDATE) == []


@pytest.mark.parametrize("takes", [1, 300, 600])
async def test_validation_may_take_ten_minutes(go, cloudflare, time, takes):
    cloudflare.validation_takes = takes
    assert (await go()).succeeded
    assert takes <= time.now <= takes + 15
    assert len(cloudflare.made(VALIDATE)) == 1


async def test_validation_that_takes_too_long_is_late_and_can_be_finished_later(go, cloudflare, time):
    cloudflare.validation_takes = 1000
    with pytest.raises(DeadlinePassed, match="not validated the bucket in time"):
        await go()
    assert time.now == pytest.approx(900)
    assert (await go()).succeeded
    assert len(cloudflare.made(CREATE)) == 1


@pytest.mark.parametrize("takes", [0, 300])
async def test_a_rejected_proof_says_what_to_do(go, cloudflare, client, takes):
    cloudflare.verdict, cloudflare.validation_takes = "failed", takes
    with pytest.raises(BucketNotValidated, match="rejected") as caught:
        await go()
    assert "s3:PutObject" in caught.value.hint
    with pytest.raises(BucketNotValidated, match="rejected"):
        await require_validated(client, PLACE)


@pytest.mark.parametrize("refuse", [False, True])
@pytest.mark.parametrize("lag", [0, 30])
async def test_after_a_failure_it_is_begun_anew(go, cloudflare, refuse, lag):
    cloudflare.begin(PUBLIC, status="failed")
    cloudflare.refuse_if_known, cloudflare.list_lag, cloudflare.validation_takes = refuse, 0, 100
    old = cloudflare.records[0]["id"]
    ownership = await go()
    assert ownership.succeeded
    assert ownership.id != old
    assert len(cloudflare.made("DELETE")) == refuse


async def test_an_older_failure_is_not_mistaken_for_the_new_one(go, cloudflare, time):
    cloudflare.begin(PUBLIC, status="failed")
    time.now = 50.0
    cloudflare.list_lag, cloudflare.validation_takes = 20, 40
    assert (await go()).succeeded


async def test_a_pending_registration_is_finished(go, cloudflare):
    cloudflare.begin(PUBLIC)
    assert (await go()).succeeded
    assert cloudflare.made(CREATE) == []


async def test_a_pending_registration_without_its_file_is_started_again(go, cloudflare, time):
    cloudflare.challenge_after = 10_000
    cloudflare.begin(PUBLIC)
    cloudflare.challenge_after = 0
    assert (await go()).succeeded
    assert len(cloudflare.made(CREATE)) == 1
    assert time.now < 60


async def test_a_pending_registration_with_an_outdated_file_is_started_again(go, cloudflare):
    record = cloudflare.begin(PUBLIC)
    record["proof"] = "another"
    cloudflare.refuse_if_known = True
    assert (await go()).succeeded
    assert len(cloudflare.made("DELETE")) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_to_the_proof_is_cleared_up(go, cloudflare, when):
    cloudflare.faults[VALIDATE] = when
    cloudflare.validation_takes = 20
    assert (await go()).succeeded


async def test_a_lost_answer_to_the_registration_is_looked_up(go, cloudflare):
    cloudflare.faults[CREATE] = "after"
    assert (await go()).succeeded
    assert len(cloudflare.made(CREATE)) == 1


async def test_a_registration_that_did_not_arrive_says_where_to_look(go, cloudflare):
    cloudflare.faults[CREATE] = "before"
    with pytest.raises(NetworkFailure, match="check before you try again"):
        await go()


async def test_trouble_while_waiting_is_waited_out(go, cloudflare, time):
    cloudflare.validation_takes = 60
    time.at(5, lambda: cloudflare.faults.update({LIST: httpx.Response(502)}))
    time.at(20, lambda: cloudflare.faults.update({LIST: "before"}))
    assert (await go()).succeeded


async def test_a_wrong_proof_is_the_bucket_s_error(go, cloudflare):
    cloudflare.faults[VALIDATE] = refused("the challenge is wrong")
    with pytest.raises(BucketNotValidated, match="the challenge is wrong"):
        await go()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(refused("no", 401), BadCredentials), (refused("cannot write to the bucket"), RequestRefused)],
)
async def test_a_permanent_refusal_is_raised(go, cloudflare, answer, kind):
    cloudflare.faults[CREATE] = answer
    with pytest.raises(kind):
        await go()


async def test_a_bucket_that_cannot_be_read_is_the_store_s_error(client, time, tmp_path, cloudflare):
    with pytest.raises(StoreMissing):
        await register(client, FolderStore(tmp_path / "gone"), PLACE, sleep=time.sleep, clock=time.clock)


async def test_a_folder_is_refused_before_anything_is_asked(go, cloudflare, client):
    for call in (go(StoreLocation(uri="file:/x")), require_validated(client, StoreLocation(uri="file:/x"))):
        with pytest.raises(ConfigError, match="cannot write to a folder"):
            await call
    assert cloudflare.calls == []


class TestRequireValidated:
    async def test_an_unregistered_bucket_is_refused(self, client, cloudflare):
        cloudflare.begin("s3://other", status="success")
        with pytest.raises(BucketNotValidated, match="not registered") as caught:
            await require_validated(client, PLACE)
        assert "register-bucket" in caught.value.hint

    async def test_a_pending_one_is_stopped(self, client, cloudflare):
        cloudflare.begin(PUBLIC)
        with pytest.raises(BucketNotValidated, match="status pending"):
            await require_validated(client, PLACE)

    @pytest.mark.parametrize(
        "registered", [PUBLIC, "s3://bucket/dir/", "s3://bucket", "s3://bucket/dir?sse=AES256", "", "masked"]
    )
    async def test_a_bucket_that_may_be_validated_passes(self, client, cloudflare, registered):
        cloudflare.begin(PUBLIC, status="failed")
        cloudflare.begin(registered, status="success")
        await require_validated(client, PLACE)

    async def test_a_folder_below_is_not_enough(self, client, cloudflare):
        cloudflare.begin("s3://bucket/dir/below", status="success")
        with pytest.raises(BucketNotValidated, match="not registered"):
            await require_validated(client, PLACE)

    async def test_no_message_contains_a_secret(self, client):
        with pytest.raises(BucketNotValidated) as caught:
            await require_validated(client, R2)
        assert "SKSKSK" not in str(caught.value)
