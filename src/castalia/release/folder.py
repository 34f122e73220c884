# pyright: basic
"""A folder that appears by one rename, so that it exists completely or not at all. Its files are written part by part, hashed on the way
and flushed to the disk."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from castalia.errors import StorageFull, StoreError
from castalia.records import canonical_json

_ROWS_PER_GROUP = 1024


class Written(NamedTuple):
    """A file as it was written."""

    size: int
    sha256: str


class NewFolder:
    """A folder while it is being filled. `files` are those that it has so far."""

    def __init__(self, place: Path) -> None:
        self.files: dict[str, Written] = {}
        self.wanted = True
        self._place = place

    def write(self, name: str, parts: Iterable[bytes]) -> None:
        """Adds a file of these parts."""
        with self._open(name) as file:
            for part in parts:
                file.write(part)

    def write_text(self, name: str, text: str) -> None:
        """Adds a text file."""
        self.write(name, [text.encode()])

    def write_json(self, name: str, value: Any) -> None:
        """Adds a value as JSON for people."""
        self.write_text(name, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")

    def write_lines(self, name: str, rows: Iterable[Any]) -> None:
        """Adds rows as JSON lines."""
        self.write(name, (f"{canonical_json(row)}\n".encode() for row in rows))

    def write_parquet(self, name: str, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, Any]) -> None:
        """Adds rows as Parquet with exactly these columns. Raises KeyError for a row that has others."""
        schema = pa.schema(list(columns.items()))
        with (
            self._open(name) as file,
            pq.ParquetWriter(pa.PythonFile(file, mode="w"), schema, compression="zstd", compression_level=3, version="2.6") as parquet,
        ):
            for group in _groups(rows):
                strange = next((row for row in group if row.keys() != columns.keys()), None)
                if strange is not None:
                    raise KeyError(f"a row of {name!r} has the columns {sorted(strange)}, the file has {sorted(columns)}")
                parquet.write_table(pa.Table.from_pylist(group, schema=schema))

    def discard(self) -> None:
        """Nobody wants the folder after all."""
        self.wanted = False

    @contextmanager
    def _open(self, name: str) -> Generator["_Hashed"]:
        path = self._place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            hashed = _Hashed(file)
            yield hashed
            file.flush()
            os.fsync(file.fileno())
        self.files[name] = Written(hashed.size, hashed.digest.hexdigest())


class _Hashed:
    """An open file that is hashed while it is written."""

    closed = False  # Arrow asks

    def __init__(self, file: BinaryIO) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._file = file

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """Arrow closes what it is done with; the file is still to be flushed to the disk."""


@contextmanager
def new_folder(target: Path, what: str) -> Generator[NewFolder]:
    """The folder `target`, which appears when everything is written; on any error, or when it is discarded, nothing does. `what` is it in
    words. Raises StorageFull, StoreError."""
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        folder = NewFolder(unfinished)
        yield folder
        if folder.wanted:
            unfinished.rename(target)
    except OSError as error:
        kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
        raise kind(f"{what} can't be written to {str(target.parent)!r}: {error.strerror}; nothing was left behind") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _groups(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Rows by so many; one empty group where there are none, so that the file has its columns all the same."""
    left = iter(rows)
    group = list(islice(left, _ROWS_PER_GROUP))
    yield group
    while group := list(islice(left, _ROWS_PER_GROUP)):
        yield group
