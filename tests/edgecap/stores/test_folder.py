"""What is special about a folder: paths that must not leave it, disks that fill up, files that must last."""

import errno
import os
import subprocess
import sys
import textwrap

import pytest

from edgecap.errors import (
    InvalidRequest,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreUnreachable,
    StoreUnwritable,
)
from edgecap.files.durable import explained, make_folders, rename_new
from edgecap.stores.folder import FolderStore


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def folder(root):
    return FolderStore(root)


def everything(path):
    return sorted(str(each.relative_to(path)) for each in path.rglob("*"))


@pytest.mark.parametrize(
    "key",
    ["..", "../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a/.", "a/", ".tmp", ".tmp/x", "x" * 256],
)
def test_keys_cannot_leave_the_folder(folder, tmp_path, key):
    for call in (folder.stat, folder.delete, lambda key: folder.put(key, b"x")):
        with pytest.raises(InvalidRequest):
            call(key)
    with pytest.raises(InvalidRequest), folder.open(key):
        pass
    assert everything(tmp_path) == ["root"]


def test_links_do_not_lead_out(folder, root, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (root / "dir").symlink_to(tmp_path / "outside")
    (root / "file").symlink_to(tmp_path / "outside" / "secret")
    assert list(folder.list()) == []
    for key in ("dir/secret", "file"):
        with pytest.raises(StoreError), folder.open(key):
            pass
        with pytest.raises(StoreError):
            folder.stat(key)
    with pytest.raises(StoreError):
        folder.put("dir/new", b"x")
    assert everything(tmp_path / "outside") == ["secret"]


def test_unfinished_files_are_not_listed(folder):
    (folder.staging() / "half").write_bytes(b"x")
    folder.put("dir/.tmp/x", b"1")  # the name means nothing further down
    assert [info.key for info in folder.list()] == ["dir/.tmp/x"]
    assert [info.key for info in folder.list(".tmp")] == []
    assert [info.key for info in folder.list(".tmp/")] == []


def test_a_missing_folder_is_reported_and_not_made(root):
    """It may be a disk that is not mounted."""
    missing = root / "missing"
    store = FolderStore(missing)
    for call in (
        store.check,
        lambda: store.check(write=True),
        lambda: next(store.list()),
        lambda: store.stat("x"),
        lambda: store.delete("x"),
        lambda: store.put("x", b"1"),
        store.staging,
    ):
        with pytest.raises(StoreMissing, match="create it"):
            call()
    with pytest.raises(StoreMissing), store.open("x"):
        pass
    assert not missing.exists()


@pytest.mark.parametrize("moved", [True, False])
def test_a_folder_that_vanishes_during_a_put_is_not_made_again(tmp_path, root, moved, monkeypatch):
    """What was made in the place of an unmounted disk would be hidden when that is there again."""
    source = root / ".tmp" / "new" if moved else tmp_path / "new"
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(b"1")
    store = FolderStore(root)

    def unmounted(folder, top):
        if folder == root / "a" / "b":
            root.rename(tmp_path / "away")
        make_folders(folder, top)

    monkeypatch.setattr("edgecap.stores.folder.make_folders", unmounted)
    with pytest.raises(StoreMissing):
        store.put("a/b/c", source, move=moved)
    assert not root.exists()


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN]
)
def test_a_file_server_that_went_away_is_unreachable(number):
    """As NFS and FUSE say it: a run waits for that."""
    with pytest.raises(StoreUnreachable, match="the disk does not answer"), explained("/mnt/archive/x"):
        raise OSError(number, os.strerror(number))


def test_a_file_is_no_folder(folder, root):
    folder.put("a", b"1")
    with pytest.raises(ObjectExists):
        folder.put("a/b", b"1")
    with pytest.raises(ObjectMissing):
        folder.stat("a/b")
    folder.put("c/d", b"1")
    with pytest.raises(ObjectExists):
        folder.put("c", b"1")
    with pytest.raises(ObjectMissing):
        folder.stat("c")
    with pytest.raises(ObjectMissing), folder.open("c"):
        pass
    with pytest.raises(StoreMissing, match="does not exist"):
        FolderStore(root / "a").check(write=True)


def test_a_full_disk_is_reported_and_leaves_nothing(small_disk, noise, tmp_path):
    store = FolderStore(small_disk)
    store.put("small", b"1")
    source = tmp_path / "source"
    source.write_bytes(noise)
    for data in (noise, source):
        with pytest.raises(StoreFull, match=r"no space is left .*free some space"):
            store.put("dir/large", data)
    with pytest.raises(StoreFull):
        store.put("dir/large", source, move=True)
    assert source.read_bytes() == noise
    assert everything(small_disk) == [".tmp", "small"]
    store.put("dir/other", b"2")


def test_a_read_only_file_system_is_reported(read_only_disk):
    store = FolderStore(read_only_disk)
    store.check()
    with pytest.raises(StoreUnwritable, match="read-only"):
        store.check(write=True)
    with pytest.raises(StoreUnwritable, match="read-only"):
        store.put("x", b"1")
    assert everything(read_only_disk) == []


def test_a_file_that_is_written_to_while_it_is_read_is_noticed(folder, root, noise):
    info = folder.put("x", noise)
    with folder.open("x", etag=info.etag) as reader:
        chunks = iter(reader)
        next(chunks)
        with (root / "x").open("ab") as file:
            file.write(b"more")
        with pytest.raises(ObjectChanged):
            list(chunks)


def test_deleting_takes_empty_folders_along(folder, root):
    folder.put("a/b/c", b"1")
    folder.put("a/d", b"1")
    folder.delete("a/b/c")
    assert everything(root) == [".tmp", "a", "a/d"]
    folder.delete("a/d")
    assert everything(root) == [".tmp"]


def test_without_hard_links_a_rename_replaces_nothing_either(tmp_path, monkeypatch):
    """What file systems without links get."""

    def no_link(*_, **__):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_link)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        rename_new(source, target)
    assert target.read_bytes() == b"old"
    target.unlink()
    rename_new(source, target)
    assert target.read_bytes() == b"new"
    assert not source.exists()


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_a_put_that_is_killed_leaves_all_or_nothing(root, tmp_path, kind, noise):
    """Killed at a random moment, again and again: under its final name a file is whole."""
    source = tmp_path / "source"
    source.write_bytes(noise)
    program = textwrap.dedent(f"""
        from pathlib import Path
        from edgecap.stores.folder import FolderStore
        source = Path({str(source)!r})
        data = source.read_bytes() if {kind!r} == "bytes" else source
        store = FolderStore(Path({str(root)!r}))
        print("ready", flush=True)
        for number in range(10_000):
            store.put(f"dir-{{number}}/x", data)
    """)
    for delay in (0.003, 0.029):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
        store = FolderStore(root)
        for info in store.list() if root.exists() else ():
            assert info.size == len(noise)
            with store.open(info.key) as reader:
                assert b"".join(reader) == noise
            store.delete(info.key)


def test_the_durable_steps_happen_in_order(root, tmp_path):
    """Seen from the kernel: data is synced before the name appears, and folders after."""
    if subprocess.run(["which", "strace"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not installed")
    log = tmp_path / "log"
    program = (
        "from pathlib import Path; from edgecap.stores.folder import FolderStore;"
        f"FolderStore(Path({str(root)!r})).put('a/b', b'x')"
    )
    subprocess.run(
        ["strace", "-f", "-y", "-e", "trace=fsync,link,linkat", "-o", log, sys.executable, "-c", program],
        check=True,
    )
    steps = log.read_text().splitlines()
    linked = next(number for number, step in enumerate(steps) if "link" in step)
    assert any("fsync" in step and "/.tmp/" in step for step in steps[:linked])
    after = [step for step in steps[linked:] if "fsync" in step]
    assert f"{root}/a>" in after[0]
    assert f"{root}>" in after[1]
