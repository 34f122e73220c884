"""Rows on their way into a dataset. Their texts wait in a file without a name once they are more than a few megabytes, so that a stage
may write more than fits in memory; what stays in memory is an id and a place for each."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from castalia.errors import ConfigError
from castalia.records import Record, canonical_json
from castalia.store.files import store_errors

IN_MEMORY = 8 * 1024 * 1024
"""Bytes of text."""


class Row(NamedTuple):
    """A row as JSON text."""

    id: str
    text: str


class Spool:
    """Takes records in any order, gives their rows sorted by id, one an id."""

    def __init__(self, name: str, record_type: type[Record], folder: Path | None) -> None:
        self.name = name
        self.record_type = record_type
        self.duplicates = 0
        """How many records with an id seen before were dropped."""
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._where = str(folder or tempfile.gettempdir())
        with store_errors(self._where, "write"):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=self._where)  # noqa: SIM115 - it lives as long as the spool

    def __len__(self) -> int:
        return len(self._places)

    def add(self, record: Record) -> None:
        """One more record. Of equal ids the one whose JSON sorts first stays, so that the order of arrival doesn't decide.

        Raises ConfigError for a record of another type, StorageFull, StoreError.
        """
        if type(record) is not self.record_type:
            raise ConfigError(f"dataset {self.name!r} holds {self.record_type.__name__} records, it was given {record!r:.120}")
        identity, text = record.id, canonical_json(record.to_row())
        if identity in self._places:
            self.duplicates += 1
            if self._read(identity) <= text:
                return
        data = text.encode()
        with store_errors(self._where, "write"):
            self._file.seek(self._end)
            self._file.write(data)
        self._places[identity] = (self._end, len(data))
        self._end += len(data)

    def rows(self) -> Iterator[Row]:
        """The rows by id."""
        for identity in sorted(self._places):
            yield Row(identity, self._read(identity))

    def close(self) -> None:
        """Forgets everything."""
        self._file.close()

    def _read(self, identity: str) -> str:
        offset, length = self._places[identity]
        with store_errors(self._where, "read"):
            self._file.seek(offset)
            return self._file.read(length).decode()
