# pyright: basic
"""Links the other way: which records name this record, or this call, as what they were made from.

Records name their parents, so looking down needs an index: the file `trace.sqlite` beside the store, one pair of tables per dataset, made
for a dataset's manifest when it is first needed and again when the manifest changes. It holds nothing that the store doesn't hold; deleting
it costs the time to make it.
"""

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from castalia.errors import StoreError
from castalia.store import Manifest, Store

KEY_DIGITS = 20
"""Digits of a call's key that the index keeps: as many as a record id has."""

_VERSION = 2
_NAMES = ("url", "subject", "key", "text")
_SHOWN = {"verdict": ("layer", "check", "outcome"), "label": ("reviewer", "label")}


class Child(NamedTuple):
    """A record made from another one: its id, the dataset it lies in, and what it is called."""

    identity: str
    dataset: str
    name: str


class Links:
    """The index of one store, brought up to date when it was opened."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._datasets = [name for (name,) in database.execute("SELECT dataset FROM manifests WHERE records ORDER BY dataset")]

    def below(self, source: str) -> list[Child]:
        """Records that name `source`, a record id or the key of a call, by dataset and id."""
        wanted = source[:KEY_DIGITS] if "_" not in source else source
        return [
            Child(identity, dataset, name)
            for dataset in self._datasets
            for identity, name in self._database.execute(
                f'SELECT child, name FROM "links:{dataset}" JOIN "names:{dataset}" ON child = id WHERE source = ? ORDER BY child', (wanted,)
            )
        ]


@contextmanager
def open_links(store: Store, path: Path) -> Generator[Links]:
    """The index at `path`, made where it is missing, behind or damaged; in memory where the folder can't be written.

    Raises StoreError when neither can be had.
    """
    try:
        database = _current(path, store)
        try:
            yield Links(database)
        finally:
            database.close()
    except sqlite3.Error as error:
        raise StoreError(f"the index {str(path)!r} can't be used: {error}; remove the file, it is made again") from error


def _current(path: Path, store: Store) -> sqlite3.Connection:
    try:
        return _updated(str(path), store)
    except sqlite3.DatabaseError as error:
        if "readonly" in str(error) or "unable to open" in str(error):
            return _updated(":memory:", store)
    path.unlink(missing_ok=True)  # it is damaged, or of another version; the store has everything it held
    return _updated(str(path), store)


def _updated(place: str, store: Store) -> sqlite3.Connection:
    database = sqlite3.connect(place, isolation_level=None, timeout=60)
    try:
        _update(database, store)
    except BaseException:
        database.close()
        raise
    return database


def _update(database: sqlite3.Connection, store: Store) -> None:
    database.execute("PRAGMA synchronous = OFF")  # what a power cut damages is made again
    database.execute("PRAGMA cache_size = -131072")
    if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        database.execute(f"PRAGMA user_version = {_VERSION}")
        database.execute("CREATE TABLE manifests (dataset TEXT PRIMARY KEY, hash TEXT NOT NULL, records INTEGER NOT NULL) WITHOUT ROWID")
    elif database.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        raise sqlite3.DatabaseError(f"it was made by another version than {_VERSION}")
    wanted = {name: store.manifest(name) for name in store.names()}
    known = dict(database.execute("SELECT dataset, hash FROM manifests"))
    for dataset in sorted(known.keys() | wanted.keys()):
        manifest = wanted.get(dataset)
        if manifest is None or manifest.hash != known.get(dataset):
            with _transaction(database):
                _forget(database, dataset)
                if manifest is not None:
                    _add(database, store, manifest)


@contextmanager
def _transaction(database: sqlite3.Connection) -> Generator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _forget(database: sqlite3.Connection, dataset: str) -> None:
    database.execute("DELETE FROM manifests WHERE dataset = ?", (dataset,))
    for table in ("links", "names"):
        database.execute(f'DROP TABLE IF EXISTS "{table}:{dataset}"')


def _add(database: sqlite3.Connection, store: Store, manifest: Manifest) -> None:
    name = manifest.dataset
    database.execute("INSERT INTO manifests VALUES (?, ?, ?)", (name, manifest.hash, manifest.rows))
    if not manifest.rows:
        return
    database.execute(f'CREATE TABLE "links:{name}" (source TEXT, child TEXT, PRIMARY KEY (source, child)) WITHOUT ROWID')
    database.execute(f'CREATE TABLE "names:{name}" (id TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID')
    kinds = dict(column.split(": ", 1) for column in manifest.columns)
    shown = _SHOWN.get(manifest.prefix) or tuple(column for column in _NAMES if kinds.get(column, "").startswith("string"))[:1]
    bank = ("bank",) if "bank" in kinds else ()
    for table in store.read_columns(name, ("id", "provenance", *shown, *bank)):
        ids: list[str] = table.column("id").to_pylist()
        database.executemany(f'INSERT INTO "links:{name}" VALUES (?, ?)', sorted(set(_pairs(table))))
        database.executemany(f'INSERT INTO "names:{name}" VALUES (?, ?)', zip(ids, _titles(table, shown, bool(bank)), strict=True))


def _pairs(table: pa.Table) -> Iterator[tuple[str, str]]:
    """(source, child) for every parent and every call of every row."""
    ids, provenance = table.column("id").combine_chunks(), table.column("provenance").combine_chunks()
    for kind, digits in (("parents", None), ("calls", KEY_DIGITS)):
        lists = provenance.field(kind)
        children = ids.take(lists.value_parent_indices()).to_pylist()
        yield from ((source[:digits], child) for source, child in zip(lists.flatten().to_pylist(), children, strict=True))


def _titles(table: pa.Table, shown: Sequence[str], banked: bool) -> Iterator[str]:
    """What each row is called; GATE and VAULT items have no name here."""
    columns = [table.column(column).to_pylist() for column in shown]
    banks = table.column("bank").to_pylist() if banked else ["dev"] * len(table)
    for number, bank in enumerate(banks):
        yield " ".join(str(column[number])[:120] for column in columns) if bank == "dev" else ""
