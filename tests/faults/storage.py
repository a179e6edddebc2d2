"""The archives and the bucket of a case, and their contents, read without edgecap."""

from __future__ import annotations

from pathlib import Path

import boto3
from botocore.config import Config

from deployments.demo.object_store import REGION, ObjectStore
from tests.faults.case import Place
from tests.mounting import mount, remount, run_as_root

PREFIX = "archive"
SMALL_DISK = 1 << 20
OTHER = "other"  # name of the second archive, where there is one
ROOM = 96 << 10  # bytes that are left on a small disk: enough for the journal, too little for the packets


class CannotPlay(Exception):
    """This machine lacks what the case needs."""


class Storage:
    """The archives and the bucket of a case.

    Args:
        place: how they are to be.
        folder: of the case, on this machine.
        store: the S3 server.
        bucket: the case's own, on it.
    """

    def __init__(self, place: Place, folder: Path, store: ObjectStore, bucket: str) -> None:
        self._place = place
        self._folder = folder
        self._bucket = bucket
        self._mounted: Path | None = None
        self._s3 = boto3.client(
            "s3",
            endpoint_url=store.endpoint_url,
            region_name=REGION,
            aws_access_key_id=store.access_key_id,
            aws_secret_access_key=store.secret_access_key,
            config=Config(proxies={}, connect_timeout=5, read_timeout=30),
        )

    def __repr__(self) -> str:
        return f"<Storage {self._place.archive} {self._bucket}>"

    @property
    def root(self) -> Path:
        """The folder of an archive on this machine."""
        return (self._mounted or self._folder) / PREFIX

    def make(self) -> None:
        """Make what is on this machine.

        Raises:
            CannotPlay: mounting is refused.
        """
        if self._place.second:
            (self._folder / OTHER).mkdir()
        if self._place.archive in ("small disk", "disk"):
            self._mount()
        elif self._place.archive == "folder":
            self.root.mkdir(exist_ok=True)

    def close(self) -> None:
        """Let go of the server and of the file system."""
        self._s3.close()
        if self._mounted:
            run_as_root("umount", "--lazy", self._mounted)

    def make_read_only(self, read_only: bool) -> None:
        """Turn the archive's file system read-only, or back."""
        assert self._mounted
        remount(self._mounted, "ro" if read_only else "rw")

    def archive(self) -> dict[str, bytes]:
        """Every file of the archive under its final name."""
        return self.objects(f"{PREFIX}/") if self._place.archive == "s3" else _files(self.root)

    def other(self) -> dict[str, bytes]:
        """Likewise of the second archive, where there is one."""
        return _files(self._folder / OTHER) if self._place.second else {}

    def names(self) -> set[str]:
        """The names of the archives' files, temporary ones too."""
        if self._place.archive == "s3":
            return {key.removeprefix(f"{PREFIX}/") for key in self._keys(f"{PREFIX}/")}
        return {
            p.relative_to(root).as_posix()
            for root in (self.root, self._folder / OTHER)
            for p in root.rglob("*")
            if p.is_file()
        }

    def objects(self, prefix: str) -> dict[str, bytes]:
        """The bucket's objects below a prefix, by what is left of their keys."""
        return {
            key.removeprefix(prefix): self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            for key in self._keys(prefix)
        }

    def _keys(self, prefix: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def _mount(self) -> None:
        folder = self._folder / "disk"
        folder.mkdir()
        size = SMALL_DISK if self._place.archive == "small disk" else SMALL_DISK * 64
        if trouble := mount(folder, f"size={size}"):
            raise CannotPlay(f"no file system can be mounted here: {trouble}")
        self._mounted = folder
        self.root.mkdir()
        if self._place.archive == "small disk":
            (folder / "filler").write_bytes(b"x" * (SMALL_DISK - ROOM))


def _files(root: Path) -> dict[str, bytes]:
    """The files under final names."""
    found = {}
    for path in sorted(root.rglob("*")):
        key = path.relative_to(root).as_posix()
        if path.is_file() and not key.startswith(".tmp/"):
            found[key] = path.read_bytes()
    return found
