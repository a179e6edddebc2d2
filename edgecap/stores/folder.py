"""A local folder as a store."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgecap.errors import (
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    StoreError,
    StoreMissing,
    StoreUnwritable,
)
from edgecap.files.durable import explained, make_folders, mount_of, rename_new, sync_file, sync_folder
from edgecap.stores.base import CHUNK, UPLOAD_AGE, ObjectInfo, Swept
from edgecap.stores.keys import TEMPORARY, check_file_key
from edgecap.stores.staging import sweep_folder
from edgecap.stores.write_check import is_write_check, prove_create_only


class FolderStore:
    """Keys are paths below a folder. Symbolic links below it are neither listed nor followed.

    The folder must exist: if it does not, a disk may be unmounted.

    Args:
        root: the folder; a relative one is resolved now.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow links

    def __repr__(self) -> str:
        return f"<FolderStore {self.uri}>"

    @property
    def uri(self) -> str:
        """`file:` and the absolute path."""
        return f"file:{self._root}"

    def check(self, *, write: bool = False) -> None:
        """Raise if the folder is missing, or, with `write`, if it cannot take puts.

        Raises:
            StoreMissing: it does not exist: it was never created, or a disk is not mounted.
            StoreUnwritable: it is read-only, not ours or not a folder, or its file system overwrites files.
            StoreFull: the disk is full.
        """
        self._require_root()
        with explained(self.uri):
            os.scandir(self._root).close()
        if write:
            prove_create_only(self, f"{mount_of(self._root)} overwrites files")

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all files whose key starts with `prefix`, in an object store's order: by UTF-8 bytes.

        Raises:
            StoreMissing: the folder does not exist.
        """
        self._require_root()
        folder, _, _ = prefix.rpartition("/")
        parts = folder.split("/") if folder else []
        if any(part in ("", ".", "..") for part in parts) or parts[:1] == [TEMPORARY]:
            return  # such a key cannot exist
        yield from self._walk(self._root / folder, f"{folder}/" if folder else "", prefix)

    def stat(self, key: str) -> ObjectInfo:
        """Size, time and version of `key`; a folder states no checksums.

        Raises:
            ObjectMissing: the file does not exist.
        """
        path = self._path(key)
        with self._reading(key):
            return _info(key, self._regular(path.lstat(), key))

    @contextmanager
    def open(
        self, key: str, *, start: int = 0, etag: str = "", length: int | None = None
    ) -> Iterator[_FileReader]:
        """Read `key` from byte `start` on, at most `length` bytes.

        Raises:
            ObjectMissing: the file does not exist.
            ObjectChanged: its version is not `etag`, or it changed while it was read.
        """
        path = self._path(key)
        with self._reading(key):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            info = _info(key, self._regular(os.fstat(descriptor), key))
            if etag and info.etag != etag:
                raise ObjectChanged("the file was replaced", where=f"{self.uri}/{key}", hint="read it again")
            with self._reading(key):
                os.lseek(descriptor, start, os.SEEK_SET)
            yield _FileReader(descriptor, info, f"{self.uri}/{key}", length)
        finally:
            os.close(descriptor)

    def put(self, key: str, source: bytes | Path, *, move: bool = False) -> ObjectInfo:
        """Create `key`, durably, whole or not at all.

        Raises:
            ObjectExists: the key exists, or a part of it is a file or a folder.
            StoreFull, StoreUnwritable: the file cannot be written; nothing remains of it.
        """
        path = self._path(key)
        where = f"{self.uri}/{key}"
        if isinstance(source, Path):
            with self._explained(source):
                source.stat()
        if not (move and isinstance(source, Path) and self._adopt(source, path, where)):
            temporary = self._temporary()
            try:
                with self._explained(where):
                    if isinstance(source, Path):
                        shutil.copyfile(source, temporary)
                        sync_file(temporary)
                    else:
                        _write(temporary, source)
                self._publish(temporary, path, where)
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink()
            if move and isinstance(source, Path):
                with explained(source):
                    source.unlink(missing_ok=True)
        with self._reading(key):
            return _info(key, path.stat())

    def local(self, key: str) -> Path:
        """The path of the file."""
        return self._path(key)

    def delete(self, key: str) -> None:
        """Remove `key`, and the parent folders that become empty."""
        path = self._path(key)
        with self._reading(key):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                self._require_root()
                return
            folder = path.parent
            sync_folder(folder)
            with contextlib.suppress(OSError):  # not empty, or just filled again
                while folder != self._root:
                    folder.rmdir()
                    folder = folder.parent
                    sync_folder(folder)

    def staging(self) -> Path:
        """`.tmp` in the folder: files are renamed from there, not copied."""
        self._require_root()
        folder = self._root / TEMPORARY
        with self._explained(self.uri):
            try:
                make_folders(folder, self._root)
            except (FileExistsError, NotADirectoryError):
                raise StoreUnwritable(
                    "this is a file, not a folder", where=self.uri, hint="choose another place"
                ) from None
        return folder

    def sweep(
        self,
        older_than: timedelta,
        *,
        ours: Callable[[str], bool],  # noqa: ARG002 - a folder has no multipart uploads
        uploads_older_than: timedelta = UPLOAD_AGE,  # noqa: ARG002 - the same
    ) -> Swept:
        """Remove old files from `.tmp`, if it exists.

        Raises:
            StoreMissing: the folder does not exist.
            StoreUnwritable: an old file cannot be removed.
        """
        self._require_root()
        return sweep_folder(self._root / TEMPORARY, older_than)

    def _temporary(self) -> Path:
        return self.staging() / uuid.uuid4().hex

    def _require_root(self) -> None:
        with explained(self.uri):
            if not self._root.is_dir():
                raise StoreMissing(
                    "the folder does not exist", where=self.uri, hint="create it, or correct the URI"
                )

    @contextmanager
    def _explained(self, where: str | Path) -> Iterator[None]:
        """As `explained`, but if a file is missing because the whole folder is, say that."""
        try:
            with explained(where):
                yield
        except ObjectMissing:
            self._require_root()
            raise

    def _path(self, key: str) -> Path:
        check_file_key(key)
        path = self._root / key
        for parent in path.parents:
            if parent == self._root:
                break
            if parent.is_symlink():
                raise StoreError(
                    "a symbolic link leads out of the folder", where=str(parent), hint="use a mount instead"
                )
        return path

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        where = f"{self.uri}/{key}"
        with self._explained(where):
            try:
                yield
            except NotADirectoryError:
                raise ObjectMissing("there is no such file", where=where) from None
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise ObjectMissing("this is a link, not a file", where=where) from None
                raise

    def _regular(self, status: os.stat_result, key: str) -> os.stat_result:
        if not stat.S_ISREG(status.st_mode):
            raise ObjectMissing("this is not a file", where=f"{self.uri}/{key}")
        return status

    def _adopt(self, source: Path, path: Path, where: str) -> bool:
        with self._explained(source):
            # On one file system a rename is enough. Never move the target of a link: it is not ours.
            if source.is_symlink() or source.stat().st_dev != self.staging().stat().st_dev:
                return False
            sync_file(source)
        try:
            self._publish(source, path, where)
        except StoreError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EXDEV:
                return False  # two mounts of one file system
            raise
        return True

    def _publish(self, temporary: Path, path: Path, where: str) -> None:
        with self._explained(where):
            for _ in range(100):
                try:
                    make_folders(path.parent, self._root)
                    rename_new(temporary, path)
                    break
                except FileNotFoundError:
                    if not temporary.exists():
                        raise
                    # `delete` removed the empty folder in between
                except (FileExistsError, NotADirectoryError):
                    raise ObjectExists("the key is taken", where=where) from None
            else:
                raise StoreError("its folder keeps disappearing", where=where, hint="try again")
            # Sync all of them: another process may have created one, and not synced it yet.
            for folder in path.parents:
                sync_folder(folder)
                if folder == self._root:
                    break

    def _walk(self, folder: Path, base: str, prefix: str) -> Iterator[ObjectInfo]:
        try:
            with os.scandir(folder) as entries:
                found = sorted(
                    (entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name, entry)
                    for entry in entries
                    if base or entry.name != TEMPORARY
                )
        except (FileNotFoundError, NotADirectoryError):
            return  # removed since it was listed
        except OSError as error:
            with explained(folder):
                raise error from None
        found.sort(key=lambda item: os.fsencode(item[0]))
        for name, entry in found:
            key = base + name
            if name.endswith("/"):
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._walk(folder / entry.name, key, prefix)
            elif key.startswith(prefix) and not is_write_check(key):
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield _info(key, status)


class _FileReader:
    def __init__(self, descriptor: int, info: ObjectInfo, where: str, length: int | None) -> None:
        self.info = info
        self._left = info.size if length is None else length
        self._descriptor = descriptor
        self._where = where

    def __iter__(self) -> Iterator[bytes]:
        with explained(self._where):
            while data := os.read(self._descriptor, min(CHUNK, self._left)):
                self._left -= len(data)
                yield data
            if _version(os.fstat(self._descriptor)) != self.info.etag:
                raise ObjectChanged("the file was written to while it was read", where=self._where)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return ObjectInfo(key, status.st_size, modified, _version(status))
