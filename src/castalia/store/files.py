# pyright: basic
"""Where bytes lie: a local directory or an object store, behind four verbs. Writes are atomic and durable.

Local writes go to a temporary name, are flushed to the disk and renamed; a crash leaves the old file or the new one.
Object stores make an upload visible only when it is complete, so they need no temporary name.
"""

import errno
import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.fs as pafs

from castalia.errors import ConfigError, StorageFull, StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Files(Protocol):
    """Named byte strings. Names are relative, with `/`."""

    root: str

    def read(self, name: str) -> bytes | None:
        """The bytes, or None when there is no such name. Raises StoreError."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Stores all of `data` or nothing. Raises StorageFull, StoreError."""
        ...

    def exists(self, name: str) -> bool:
        """Whether the name is stored."""
        ...

    def list(self, folder: str) -> list[str]:
        """All names below `folder`, sorted."""
        ...


class LocalFiles:
    """Files in a directory of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._path = root

    def read(self, name: str) -> bytes | None:
        with store_errors(f"{self.root}/{name}", "read"):
            try:
                return (self._path / name).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        _write_by_rename(self._path / name, data, self._path / "tmp" / f"{os.getpid()}-{uuid.uuid4().hex}")

    def exists(self, name: str) -> bool:
        return (self._path / name).is_file()

    def list(self, folder: str) -> list[str]:
        base = self._path / folder
        return sorted(path.relative_to(self._path).as_posix() for path in base.rglob("*") if path.is_file())

    def sweep(self) -> int:
        """Removes what processes that no longer run left unfinished; returns how many files."""
        left = [path for path in (self._path / "tmp").glob("*-*") if not _runs(path.name.partition("-")[0])]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)


class ObjectFiles:
    """Files in any filesystem that pyarrow reaches: S3, Google Cloud Storage, Azure, HDFS."""

    def __init__(self, root: str, filesystem: pafs.FileSystem, base: str) -> None:
        self.root = root
        self._filesystem = filesystem
        self._base = base.rstrip("/")

    def read(self, name: str) -> bytes | None:
        with store_errors(f"{self.root}/{name}", "read"):
            try:
                with self._filesystem.open_input_stream(f"{self._base}/{name}") as stream:
                    return stream.read()
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        target = f"{self._base}/{name}"
        with store_errors(f"{self.root}/{name}", "write"):
            if self._filesystem.type_name in {"s3", "gcs", "abfs"}:
                self._upload(target, data)
                return
            temporary = f"{self._base}/tmp/{os.getpid()}-{uuid.uuid4().hex}"
            self._filesystem.create_dir(f"{self._base}/tmp", recursive=True)
            self._filesystem.create_dir(target.rpartition("/")[0], recursive=True)
            try:
                self._upload(temporary, data)
                self._filesystem.move(temporary, target)
            except OSError:
                if self._filesystem.get_file_info(temporary).type != pafs.FileType.NotFound:
                    self._filesystem.delete_file(temporary)
                raise

    def _upload(self, target: str, data: bytes) -> None:
        with self._filesystem.open_output_stream(target) as stream:
            stream.write(data)

    def exists(self, name: str) -> bool:
        with store_errors(f"{self.root}/{name}", "read"):
            return self._filesystem.get_file_info(f"{self._base}/{name}").type == pafs.FileType.File

    def list(self, folder: str) -> list[str]:
        with store_errors(f"{self.root}/{folder}", "list"):
            selector = pafs.FileSelector(f"{self._base}/{folder}", allow_not_found=True, recursive=True)
            found = [info.path for info in self._filesystem.get_file_info(selector) if info.type == pafs.FileType.File]
        return sorted(path.removeprefix(f"{self._base}/") for path in found)


def open_files(root: str | Path) -> LocalFiles | ObjectFiles:
    """The files at a directory or a `pyarrow.fs` URI such as `s3://bucket/prefix`. Raises ConfigError, StoreError."""
    text = str(root)
    if "://" not in text:
        return LocalFiles(Path(text).expanduser().absolute())
    if text.startswith("file://"):
        return LocalFiles(Path(text.removeprefix("file://")))
    try:
        filesystem, base = pafs.FileSystem.from_uri(text)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise ConfigError(f"store {text!r} can't be opened: {error}; give a directory, or a URI like s3://bucket/prefix") from error
    except OSError as error:
        raise StoreError(f"store {text!r} can't be reached: {error}; check the name, the network and the credentials") from error
    return ObjectFiles(text, filesystem, base)


def write_file(target: Path, data: bytes) -> None:
    """Stores all of `data` under a path of its own or nothing, flushed to the disk. Raises StorageFull, StoreError."""
    _write_by_rename(target, data, target.with_name(f".{target.name}.{os.getpid()}"))


def _write_by_rename(target: Path, data: bytes, temporary: Path) -> None:
    with store_errors(str(target), "write"):
        temporary.parent.mkdir(parents=True, exist_ok=True)
        _make_folder(target.parent)
        try:
            _write_through(temporary, data)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(target.parent)


def _write_through(path: Path, data: bytes) -> None:
    """Writes and flushes to the disk, past the operating system's cache."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(path: Path) -> None:
    """Makes the folder and flushes its name to the disk, so that a file in it can't outlive it."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        _flush_folder(path.parent)


def _flush_folder(path: Path) -> None:
    """A rename is durable only once the folder that holds the name is flushed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def store_errors(place: str, verb: str) -> Generator[None]:
    """Turns what the operating system says into StorageFull or StoreError, naming the place and what was tried."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(
                f"no room to write {place!r}: {error.strerror}; nothing half-written was left behind. "
                f"Free some space and run the same command again"
            ) from error
        raise StoreError(f"could not {verb} {place!r}: {error}; check that the store can be reached and its permissions") from error


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
