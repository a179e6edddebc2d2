"""What `edgecap archive policy` and `edgecap bucket policy` print is enough, and nothing too much."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Intent
from edgecap.archive.verify import verify_archive
from edgecap.errors import StoreError
from edgecap.requests import SimpleRequest
from edgecap.stores import open_store
from edgecap.stores.s3.upload import SINGLE_PUT
from tests.limited import Root


@pytest.fixture
def printed(call, object_store, bucket):
    """Runs a command about a place on MiniStack: the policy that it prints, and what it says besides."""
    object_store.make_bucket(bucket)

    def make(kind, query="", *options, **more):
        env = {f"EDGECAP_{kind.upper()}S__DEFAULT__URI": f"s3://{bucket}/edge{query}", **more}
        done = call(kind, "policy", *options, **env)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    return make


def limited(object_store, bucket, policy):
    return Root(object_store).user(object_store.place(bucket, "edge"), policy)


def without(policy, action):
    """The policy with one action less."""
    statements = [
        {**each, "Action": left}
        for each in policy["Statement"]
        if (left := [name for name in each["Action"] if name != action])
    ]
    return {**policy, "Statement": statements}


def actions(policy):
    return sorted(name for each in policy["Statement"] for name in each["Action"])


def life_of_an_archive(object_store, bucket, place, tmp_path):
    """All that is done to an archive: check, put, put in parts, journal, list, read, verify, sweep."""
    Root(object_store).client("s3").create_multipart_upload(Bucket=bucket, Key="edge/captures/cut-off")
    store = open_store(place)
    store.check(write=True)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(SINGLE_PUT + 1)
    store.put("large", tmp_path / "large")
    intent = Intent(
        intent_id="0" * 32,
        request=SimpleRequest(),
        account="default",
        archive="default",
        body={},
        decided=datetime.now(UTC),
    )
    assert Journal(store).begin(intent) == Journal(store).begin(intent)
    assert {info.key for info in store.list()} >= {"large"}
    with store.open("large", start=SINGLE_PUT) as reader:
        assert b"".join(reader) == b"\0"
    assert list(verify_archive(store)) is not None
    time.sleep(1)  # an upload's time is in whole seconds
    swept = store.sweep(timedelta(days=9), ours=lambda _: True, uploads_older_than=timedelta(0))
    assert (swept.uploads, swept.refused) == (1, "")


ARCHIVE = [
    "s3:AbortMultipartUpload",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:PutObject",
]


def test_the_archive_policy_is_enough_for_all_that_is_done(printed, object_store, bucket, tmp_path):
    policy, said = printed("archive")
    assert actions(policy) == ARCHIVE
    assert "edge/.edgecap-write-check/" in said
    life_of_an_archive(object_store, bucket, limited(object_store, bucket, policy), tmp_path)


@pytest.mark.parametrize("action", ARCHIVE)
def test_the_archive_policy_has_nothing_too_much(action, printed, object_store, bucket, tmp_path):
    policy, _ = printed("archive")
    place = limited(object_store, bucket, without(policy, action))
    with pytest.raises((StoreError, AssertionError)):
        life_of_an_archive(object_store, bucket, place, tmp_path)


def test_a_key_of_kms_may_be_used_by_s3_alone(printed):
    policy, said = printed("archive", "?sse=aws:kms&region=eu-west-1")
    key = policy["Statement"][-1]
    assert key["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert key["Condition"] == {"StringLike": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}
    assert "ARN of your KMS key" in said


@pytest.mark.parametrize("deletes", [False, True])
def test_the_bucket_policy_reads_and_deletes_only_if_that_is_set(printed, object_store, bucket, deletes):
    more = {"EDGECAP_BUCKETS__DEFAULT__DELETE_DELIVERED": str(deletes)}
    policy, said = printed("bucket", **more)
    assert actions(policy) == [*(["s3:DeleteObject"] if deletes else []), "s3:GetObject", "s3:ListBucket"]
    assert "edgecap bucket policy --cloudflare" in said
    open_store(object_store.place(bucket, "edge")).put("x", b"1")
    store = open_store(limited(object_store, bucket, policy))
    store.check()
    assert [info.size for info in store.list()] == [1]
    with store.open("x") as reader:
        assert b"".join(reader) == b"1"
    with pytest.raises(StoreError):
        store.put("y", b"1")
    if deletes:
        store.delete("x")
        assert list(store.list()) == []
    else:
        with pytest.raises(StoreError, match="no right"):
            store.delete("x")


def test_the_policy_for_cloudflare_on_s3_is_its_documented_one(printed, object_store, bucket):
    policy, _ = printed("bucket", "", "--cloudflare")
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam::391854517948:user/cloudflare-logpush"}
    assert statement["Action"] == ["s3:PutObject"]
    assert statement["Resource"] == f"arn:aws:s3:::{bucket}/edge/*"
    Root(object_store).client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def test_gcs_gets_commands_and_r2_a_kind_of_token(call):
    done = call("archive", "policy", EDGECAP_ARCHIVES__DEFAULT__URI="gs://some-bucket/edge")
    roles = [line.rpartition("--role=")[2] for line in done.stdout.splitlines()]
    assert roles == ["roles/storage.objectViewer", "roles/storage.objectCreator"]
    env = {"EDGECAP_BUCKETS__DEFAULT__URI": "gs://some-bucket/edge"}
    done = call("bucket", "policy", EDGECAP_BUCKETS__DEFAULT__DELETE_DELIVERED="true", **env)
    assert "--permissions=storage.objects.delete" in done.stdout
    done = call("bucket", "policy", "--cloudflare", **env)
    assert "logpush@cloudflare-data.iam.gserviceaccount.com --role=roles/storage.objectAdmin" in done.stdout
    for kind in ("archive", "bucket"):
        uri = {f"EDGECAP_{kind.upper()}S__DEFAULT__URI": f"r2://some-bucket/edge?account-id={'a' * 32}"}
        done = call(kind, "policy", **uri)
        assert "Object Read & Write, for the bucket some-bucket only" in done.stdout


def test_a_folder_has_no_policy(call, store):
    done = call("archive", "policy")
    assert done.returncode == 0
    assert "must be able to create files in" in done.stdout
