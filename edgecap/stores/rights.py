"""The minimal rights of the keys of an archive and a bucket, in each provider's notation.

edgecap only adds to an archive: its keys need no right to overwrite or delete. A bucket's keys read, and
delete only if `delete_delivered` is set. Cloudflare's own rights are from its page on packet captures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgecap.settings import Bucket, StoreLocation
from edgecap.settings.uri import Address, parse_uri
from edgecap.stores.write_check import WRITE_CHECKS

CLOUDFLARE_ON_AWS = "arn:aws:iam::391854517948:user/cloudflare-logpush"
CLOUDFLARE_ON_GOOGLE = "logpush@cloudflare-data.iam.gserviceaccount.com"
R2_PERMISSION = "Object Read & Write"
_DELETE = "edgecapDelete"
_MEMBER = "serviceAccount:EDGECAP@PROJECT.iam.gserviceaccount.com"
_LIST = "s3:ListBucket applies to the whole bucket: without it, S3 answers 403 instead of 404."


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights to grant.

    Attributes:
        policy: a policy document in S3's format; None for stores without one.
        lines: commands or sentences, for stores without a policy document.
        notes: what else a person should know.
    """

    policy: dict[str, Any] | None = None
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def archive_rights(place: StoreLocation) -> Rights:
    """The rights that an archive's keys need: to list, read and create.

    Raises:
        ConfigError: the URI is wrong.
    """
    address = parse_uri(place.uri)
    return _ARCHIVES[address.scheme](address)


def bucket_rights(place: Bucket) -> Rights:
    """The rights that a bucket's keys need: to list and read, and to delete if `delete_delivered` is set.

    Raises:
        ConfigError: the URI is wrong.
    """
    address = parse_uri(place.uri)
    deletes = place.delete_delivered
    if address.scheme == "s3":
        statements = [
            _allow("List", address, ["s3:ListBucket"]),
            _allow("Read", address, ["s3:GetObject", *(["s3:DeleteObject"] if deletes else [])], inside=True),
            *_key(address, "kms:Decrypt"),
        ]
        also = "Cloudflare needs its own right: `edgecap bucket policy --cloudflare` prints it."
        return Rights(_document(statements), notes=(*_notes(address), also))
    if address.scheme == "gs":
        lines = [_bind(address, _MEMBER, "roles/storage.objectViewer")]
        if deletes:
            lines += [
                f"gcloud iam roles create {_DELETE} --project=PROJECT --permissions=storage.objects.delete",
                _bind(address, _MEMBER, f"projects/PROJECT/roles/{_DELETE}"),
            ]
        also = "Cloudflare needs its own right: `edgecap bucket policy --cloudflare` prints it."
        return Rights(lines=tuple(lines), notes=(_REPLACE, also))
    return cloudflare_rights(place)


def cloudflare_rights(place: StoreLocation) -> Rights:
    """The rights that Cloudflare needs to write captures to a bucket.

    Raises:
        ConfigError: the URI is wrong.
    """
    address = parse_uri(place.uri)
    if address.scheme == "s3":
        statement = _allow("CloudflareWrites", address, ["s3:PutObject"], inside=True)
        policy = _document([{**statement, "Principal": {"AWS": CLOUDFLARE_ON_AWS}}])
        note = "Add this to the bucket's policy; `aws s3api put-bucket-policy` replaces the existing one."
        return Rights(policy, notes=(note,))
    if address.scheme == "gs":
        member = f"serviceAccount:{CLOUDFLARE_ON_GOOGLE}"
        return Rights(lines=(_bind(address, member, "roles/storage.objectAdmin"),))
    if address.scheme == "r2":
        token = f"An R2 API token with {R2_PERMISSION}, for the bucket {address.bucket} only."
        return Rights(lines=(token,), notes=("edgecap reads with it, and Cloudflare writes with it.",))
    return Rights(notes=("Cloudflare writes to buckets, not to folders.",))


def _s3_archive(address: Address) -> Rights:
    statements = [
        _allow("List", address, ["s3:ListBucket"]),
        _allow("ReadAndCreate", address, ["s3:GetObject", "s3:PutObject"], inside=True),
        # Without these two, large uploads that were cut off remain until a rule of the bucket aborts them.
        _allow("FindUnfinishedUploads", address, ["s3:ListBucketMultipartUploads"]),
        _allow("AbortUnfinishedUploads", address, ["s3:AbortMultipartUpload"], inside=True),
        *_key(address, "kms:Decrypt", "kms:GenerateDataKey"),
    ]
    return Rights(_document(statements), notes=(*_notes(address), _OVERWRITES, _checks(address)))


def _gcs_archive(address: Address) -> Rights:
    roles = ("roles/storage.objectViewer", "roles/storage.objectCreator")
    lines = tuple(_bind(address, _MEMBER, role) for role in roles)
    return Rights(lines=lines, notes=(_REPLACE, _checks(address)))


def _r2_archive(address: Address) -> Rights:
    token = f"An R2 API token with {R2_PERMISSION}, for the bucket {address.bucket} only."
    lock = (
        "R2 has no token that writes but cannot delete: a bucket lock rule for the folder "
        f"{_folder(address) or '(all of it)'} protects the archive."
    )
    return Rights(lines=(token,), notes=(lock, _checks(address)))


def _folder_archive(address: Address) -> Rights:
    return Rights(lines=(f"The user that runs edgecap must be able to create files in {address.path}.",))


_OVERWRITES = (
    "s3:PutObject also allows overwriting, which edgecap never does. Object Lock keeps the earlier versions, "
    "and a bucket policy can enforce the condition of edgecap's puts: "
    "https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html"
)
_REPLACE = "Replace EDGECAP and PROJECT with edgecap's service account."
_ARCHIVES: dict[str, Callable[[Address], Rights]] = {
    "s3": _s3_archive,
    "gs": _gcs_archive,
    "r2": _r2_archive,
    "file": _folder_archive,
}


def _checks(address: Address) -> str:
    return (
        "If deleting is forbidden, each check of the archive leaves 7 bytes below "
        f"{_folder(address)}{WRITE_CHECKS}; a lifecycle rule for this prefix can remove them."
    )


def _notes(address: Address) -> tuple[str, ...]:
    notes = ["A policy for the IAM user or role whose keys edgecap uses: aws iam put-user-policy.", _LIST]
    if address.sse == "aws:kms":
        notes.append('Replace the last "*" with the ARN of your KMS key.')
    return tuple(notes)


def _folder(address: Address) -> str:
    return f"{address.path}/" if address.path else ""


def _arn(address: Address) -> str:
    partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
    found = next((name for start, name in partition.items() if address.region.startswith(f"{start}-")), "aws")
    return f"arn:{found}:s3:::{address.bucket}"


def _allow(sid: str, address: Address, actions: list[str], *, inside: bool = False) -> dict[str, Any]:
    resource = f"{_arn(address)}/{_folder(address)}*" if inside else _arn(address)
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}


def _key(address: Address, *actions: str) -> list[dict[str, Any]]:
    """For a bucket that KMS encrypts: S3's use of the key."""
    if address.sse != "aws:kms":
        return []
    via = {"StringLike": {"kms:ViaService": f"s3.{address.region or '*'}.amazonaws.com"}}
    return [{"Sid": "Key", "Effect": "Allow", "Action": list(actions), "Resource": "*", "Condition": via}]


def _document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def _bind(address: Address, member: str, role: str) -> str:
    return (
        f"gcloud storage buckets add-iam-policy-binding gs://{address.bucket} --member={member} --role={role}"
    )
