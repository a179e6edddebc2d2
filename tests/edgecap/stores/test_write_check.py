"""What `check(write=True)` proves, also where nobody may delete, and what it refuses."""

import errno
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from edgecap.errors import ObjectExists, StoreUnwritable
from edgecap.settings import StoreLocation
from edgecap.stores import open_store
from edgecap.stores.write_check import WRITE_CHECKS, require_writable
from tests.flaky_proxy import FlakyProxy
from tests.limited import CREATE_ONLY, Root, allow
from tests.mounting import run_as_root
from tests.servers import Rclone, rclone


def ours(_key):
    return True


@pytest.fixture
def through(place_of):
    """A store of a kind through a proxy, and the proxy."""
    stack = []

    def make(kind):
        place = place_of(kind)
        proxy = FlakyProxy(urlsplit(place.endpoint_url).port)
        stack.append(proxy)
        proxy.__enter__()
        return open_store(place.model_copy(update={"endpoint_url": proxy.url})), proxy

    yield make
    for proxy in stack:
        proxy.__exit__()


def puts(proxy):
    """The heads of all requests that put an object."""
    return [head for head in proxy.requests if head.startswith((b"PUT ", b"POST "))]


def test_a_key_that_may_only_create_is_enough(object_store, place_of, bucket):
    """Each check has a key of its own, and what stays is never listed."""
    place = Root(object_store).user(place_of("s3"), allow(bucket, *CREATE_ONLY))
    store = open_store(place)
    for _ in range(3):
        store.check(write=True)
    store.put("kept", b"1")
    assert [info.key for info in store.list()] == ["kept"]
    left = Root(object_store).client("s3").list_objects_v2(Bucket=bucket, Prefix=f"edge/{WRITE_CHECKS}")
    assert left["KeyCount"] == 3
    assert store.sweep(timedelta(0), ours=ours).refused.startswith("the key has no right to write here")


def test_object_lock_with_a_default_retention(object_store, bucket):
    """S3 wants a checksum of each put there, which MiniStack does not ask for; the proxy does."""
    Root(object_store).locked_bucket(bucket)
    place = object_store.place(bucket, "edge")
    with FlakyProxy(urlsplit(place.endpoint_url).port) as proxy:
        proxy.require("Content-MD5")
        store = open_store(place.model_copy(update={"endpoint_url": proxy.url}))
        for _ in range(2):
            store.check(write=True)
        store.put("kept", b"1")
        with pytest.raises(ObjectExists):
            store.put("kept", b"2")
        store.sweep(timedelta(0), ours=ours)
        assert [info.key for info in store.list()] == ["kept"]
    s3 = Root(object_store).client("s3")
    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert len(versions) == len({version["Key"] for version in versions})  # nothing was ever overwritten


def test_a_gcs_retention_policy_and_create_only_roles(through):
    """Without the right to delete, Google answers 403, also to a put over an existing object."""
    store, proxy = through("gcs")
    proxy.never, proxy.trouble = b"DELETE ", b"403 Forbidden"
    proxy.instead = {b"412 Precondition Failed": b"403 Forbidden"}
    for _ in range(2):
        store.check(write=True)
    store.put("kept", b"1")
    with pytest.raises(ObjectExists):
        store.put("kept", b"2")
    assert [info.key for info in store.list()] == ["kept"]
    with pytest.raises(StoreUnwritable):
        store.delete("kept")


def test_a_gcs_role_without_create_rights_is_reported(through):
    store, proxy = through("gcs")
    proxy.never, proxy.trouble = b"POST ", b"403 Forbidden"
    with pytest.raises(StoreUnwritable, match="no right to write here"):
        store.check(write=True)


def test_a_server_that_ignores_the_condition_is_refused(tmp_path, bucket):
    with Rclone(tmp_path) as server:
        store = open_store(server.place(server.make_bucket(bucket), "edge"))
        store.check()
        with pytest.raises(StoreUnwritable, match="ignores If-None-Match, so nothing protects"):
            store.check(write=True)
        assert list(store.list()) == []


def test_a_gcs_server_that_ignores_the_condition_is_refused(through):
    store, proxy = through("gcs")
    proxy.hidden = b"ifGenerationMatch"
    with pytest.raises(StoreUnwritable, match="ignores ifGenerationMatch, so nothing protects"):
        store.check(write=True)


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_a_proof_counts_for_a_day(kind, through, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store, proxy = through(kind)
    require_writable(store)
    assert len(puts(proxy)) == 2
    require_writable(store)
    assert len(puts(proxy)) == 2
    require_writable(store, proven_within=timedelta(0))
    assert len(puts(proxy)) == 4
    (proof,) = tmp_path.glob("edgecap-proofs-*/*")
    yesterday = time.time() - 86_401
    os.utime(proof, (yesterday, yesterday))
    require_writable(store)
    assert len(puts(proxy)) == 6


def test_a_folder_is_proven_each_time(read_only_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for _ in range(2):
        with pytest.raises(StoreUnwritable, match="read-only"):
            require_writable(open_store(StoreLocation(uri=f"file:{read_only_disk}")))


# What file systems answer that lack a call, where libc would ask the kernel.
SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(const char *name) {
  const char *code = getenv(name);
  if (code) errno = atoi(code);
  return code != NULL;
}
int fsync(int fd) {
  struct stat st;
  if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && fails("SYNC")) return -1;
  return syscall(SYS_fsync, fd);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
  return fails("LINK") ? -1 : syscall(SYS_linkat, a, from, b, to, flags);
}
int link(const char *from, const char *to) {
  return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  if (fails("RENAME")) return -1;
  return syscall(SYS_renameat2, a, from, b, to, getenv("OVERWRITES") ? 0 : flags);
}
"""
PROGRAM = """
import logging, sys
logging.basicConfig(format="%(message)s")
from edgecap.settings import StoreLocation
from edgecap.stores import open_store
store = open_store(StoreLocation(uri=f"file:{sys.argv[1]}"))
store.check(write=True)
for number in range(3):
    store.put(f"{number}/file", b"1")
"""


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """Runs a program that checks a folder and puts to it, with calls that fail as they are told to."""
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    library = folder / "shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "shim.c"], check=True)

    def run(root, **codes):
        env = os.environ | {name: str(code) for name, code in codes.items()} | {"LD_PRELOAD": str(library)}
        argv = [sys.executable, "-c", PROGRAM, str(root)]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.mark.parametrize("code", ["EINVAL", "EOPNOTSUPP", "ENOSYS"])
def test_a_folder_that_cannot_be_synced_is_noted_once(shim, tmp_path, code):
    done = shim(tmp_path, SYNC=getattr(errno, code))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("does not sync folders") == 1
    assert [path.name for path in sorted(tmp_path.glob("*/file"))] == ["file"] * 3


def test_a_disk_that_is_broken_is_no_disk_that_cannot_sync(shim, tmp_path):
    done = shim(tmp_path, SYNC=errno.EIO)
    assert "the disk does not answer" in done.stderr.splitlines()[-1]


def test_a_folder_without_links_is_fine_if_it_renames_without_overwriting(shim, tmp_path):
    done = shim(tmp_path, LINK=errno.EPERM)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("code", ["EINVAL", "ENOSYS"])
def test_a_folder_that_can_only_overwrite_is_refused(shim, tmp_path, code):
    done = shim(tmp_path, LINK=errno.EPERM, RENAME=getattr(errno, code))
    said = done.stderr.splitlines()[-1]
    assert said.startswith("edgecap.errors.StoreUnwritable: the file system at ")
    assert "has no hard links and cannot rename without overwriting, so nothing protects" in said


def test_a_folder_that_overwrites_in_spite_of_all_is_refused(shim, tmp_path):
    done = shim(tmp_path, LINK=errno.EPERM, OVERWRITES=1)
    assert "overwrites files, so nothing protects" in done.stderr.splitlines()[-1]


def test_a_mount_of_rclone_is_refused(tmp_path):
    """A real one, where this machine lets us mount."""
    served, mount = tmp_path / "served", tmp_path / "mount"
    served.mkdir()
    mount.mkdir()
    argv = [rclone(), "mount", str(served), str(mount), "--config", os.devnull, "--vfs-cache-mode", "writes"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(argv, stdout=log, stderr=log) as program:
        try:
            deadline = time.monotonic() + 60
            while not mount.is_mount() and program.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            if not mount.is_mount():
                pytest.skip(f"nothing can be mounted here: {(tmp_path / 'log').read_text()[-200:]}")
            with pytest.raises(StoreUnwritable, match=r"mount \(fuse\.rclone\) has no hard links"):
                open_store(StoreLocation(uri=f"file:{mount}")).check(write=True)
        finally:
            run_as_root("umount", "--lazy", mount)
            program.kill()
