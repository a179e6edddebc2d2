"""Files that are whole or absent, even after a power failure: fsync, create-only rename, fsync of folders."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

from edgecap.errors import (
    ObjectExists,
    ObjectMissing,
    StoreError,
    StoreFull,
    StoreUnreachable,
    StoreUnwritable,
)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNWRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}
# The disk or the file server is gone: NFS, FUSE, iSCSI, a pulled cable.
_AWAY = {
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENODEV,
    errno.ENXIO,
    errno.EREMOTEIO,
    errno.ESHUTDOWN,
}
_MOST_KEPT_FREE = 512 << 20  # bytes
_PART_KEPT_FREE = 20
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NOT_KNOWN = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}  # a file system does not support the call
_UNSYNCED: set[int] = set()  # devices of file systems that the log already names
_LOG = logging.getLogger(__name__)
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_SYNC_FILE_RANGE_WRITE = 2


def explain(error: OSError, where: str | Path) -> StoreError:
    """The StoreError for an error of the operating system.

    Args:
        error: the error.
        where: the file or folder to name.
    """
    place = str(where)
    if error.errno in _FULL:
        quota = "the quota is used up" if error.errno == errno.EDQUOT else "no space is left"
        return StoreFull(quota, where=place, hint="free some space, or choose another place")
    if error.errno in _UNWRITABLE:
        reason = "it is read-only" if error.errno == errno.EROFS else "permission is denied"
        return StoreUnwritable(reason, where=place, hint="correct its permissions, or choose another place")
    if error.errno == errno.ENOENT:
        return ObjectMissing("there is no such file", where=place)
    if error.errno == errno.EEXIST:
        return ObjectExists("the file already exists", where=place)
    if error.errno in _AWAY:
        return StoreUnreachable(
            f"the disk does not answer: {error.strerror}", where=place, hint="check this disk"
        )
    return StoreError(error.strerror or type(error).__name__, where=place, hint="check this disk")


@contextmanager
def explained(where: str | Path) -> Iterator[None]:
    """Translate the OSErrors of this block into errors of `edgecap.errors`."""
    try:
        yield
    except OSError as error:
        raise explain(error, where) from error


def keep_free(place: int | Path, folder: Path, *, needed: int = 0) -> None:
    """Require room for `needed` more bytes on a disk, and a reserve for everything else on it.

    A full disk can damage Prefect's database. So a twentieth of the disk stays free, at most half a gigabyte.

    Args:
        place: a file or a folder on the disk, as a path or as an open descriptor.
        folder: for the error message.
        needed: bytes.

    Raises:
        StoreFull: there is not enough room.
    """
    status = os.statvfs(place)
    free = status.f_bavail * status.f_frsize
    if not status.f_blocks:
        return  # some mounts (FUSE) do not tell their size
    floor = min(_MOST_KEPT_FREE, status.f_blocks * status.f_frsize // _PART_KEPT_FREE)
    if free - needed < floor:
        asked = f", {needed:,} are needed" if needed else ""
        raise StoreFull(
            f"too little space is left: {free:,} bytes are free{asked}, and {floor:,} must stay free",
            where=str(folder),
            hint="free some space, or choose another place",
        )


def forget_cached(path: Path) -> None:
    """Make the next reader of `path` read the disk, not the kernel's page cache.

    Unwritten pages stay. File servers and FUSE may have caches that this does not reach.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def begin_write_back(descriptor: int, start: int, length: int) -> None:
    """Ask the kernel to start writing these bytes to the disk; does nothing where that is not supported."""
    _libc().sync_file_range(
        descriptor, ctypes.c_int64(start), ctypes.c_int64(length), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE)
    )


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, if its file system supports that.

    Some do not (s3fs, old CIFS): their server alone decides when a name is durable. The log says so.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_KNOWN:
            raise
        _note_unsynced(os.fstat(descriptor).st_dev, folder)
    finally:
        os.close(descriptor)


def _note_unsynced(device: int, folder: Path) -> None:
    if device not in _UNSYNCED:
        _UNSYNCED.add(device)
        _LOG.warning("%s does not sync folders: its server decides when new files are safe", mount_of(folder))


def sync_file(path: Path) -> None:
    """Make the content of `path` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path, root: Path | None = None) -> None:
    """Create `folder` and its missing parents durably, but neither `root` nor anything above it.

    A missing root may be an unmounted disk: files created in its place would be hidden once it is mounted.

    Raises:
        FileNotFoundError: `root` does not exist.
    """
    missing = []
    while folder != root and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_folder(each.parent)


@contextmanager
def new_file(target: Path) -> Iterator[int]:
    """A descriptor of a file that gets the name `target`, durably, if the block succeeds; else it is removed.

    Raises:
        ObjectExists: the name is taken; that file is untouched.
        StoreFull: the disk is full.
        StoreUnwritable: the folder is not writable.
        ObjectMissing: the folder does not exist.
    """
    if os.path.lexists(target):
        raise ObjectExists(
            "the file already exists", where=str(target), hint="give another name, or remove it"
        )
    temporary = target.with_name(f".{target.name[:200]}.{uuid4().hex}.part")
    with explained(target):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            yield descriptor
            os.fsync(descriptor)
            rename_new(temporary, target)
            sync_folder(target.parent)
        finally:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)


def rename_new(source: Path, target: Path) -> None:
    """Rename `source` to `target`, unless that exists; after success only the new name remains.

    Both must be on one file system. The caller syncs the folder.

    Raises:
        FileExistsError: `target` exists; `source` is untouched.
        StoreUnwritable: the file system does not support that.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_noreplace(source, target)  # file systems without hard links: FAT, some of FUSE
    else:
        with contextlib.suppress(FileNotFoundError):
            source.unlink()


def _rename_noreplace(source: Path, target: Path) -> None:
    if _libc().renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE):
        code = ctypes.get_errno()
        if code in _NOT_KNOWN:
            raise StoreUnwritable(
                f"{mount_of(target)} has no hard links and cannot rename without overwriting, so nothing "
                "protects its files from being overwritten",
                where=str(target),
                hint="choose another file system, or name the bucket itself if one is mounted here",
            )
        raise OSError(code, os.strerror(code), str(target))


def mount_of(path: Path) -> str:
    """The mount of `path` and the kind of its file system, for messages."""
    inside = path
    while not inside.is_mount() and inside != inside.parent:
        inside = inside.parent
    kind = ""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, place, found, *_ = line.split(" ")
            if place.encode().decode("unicode_escape") == str(inside):
                kind = f" ({found})"
    return f"the file system at {inside}{kind}"
