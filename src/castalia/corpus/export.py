# pyright: basic
"""From the store to the corpus folder: Parquet, attribution, and the facts that the report shows.

`report.json` is written last and names what it was made from, so a folder that has it is complete.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from castalia.corpus.facts import CorpusFacts
from castalia.corpus.row import CorpusDocument, corpus_document
from castalia.records import Document, Redaction, Reject, content_hash
from castalia.store import Store, write_file
from castalia.store.files import store_errors
from castalia.store.schema import to_table
from castalia.web.archive import Archive

DATA = "data"
REPORT = "report.json"
_BATCH = 100
_CHARACTERS_PER_FILE = 512 * 1024 * 1024
_LAYOUT = 4
"""Raised when the columns or the report change, so that an older folder is written again."""


def identity(store: Store, stages: tuple[str, ...]) -> str:
    """Hash of everything that the corpus is made from."""
    datasets = {
        name: store.manifest(name).hash for name in store.names() if name.partition(".")[0] in {*stages, "documents", "pages", "redactions"}
    }
    return content_hash({"layout": _LAYOUT, "datasets": datasets})


def written(out: Path) -> Mapping[str, Any] | None:
    """The report of a folder whose files are all there, None for one that is not complete."""
    try:
        report = json.loads((out / REPORT).read_bytes())
        return report if all((out / name).stat().st_size == size for name, size in report["files"].items()) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # it is written again, which costs seconds


def write_corpus(store: Store, archive: Archive, out: Path, facts: CorpusFacts, stages: tuple[str, ...]) -> CorpusFacts:
    """Writes `data/*.parquet` and `ATTRIBUTION.md` to `out`, counting into `facts` as the records go by. Raises StoreError, StorageFull."""
    for stage in stages:
        facts.add_rejects(store.read_dataset(f"{stage}.rejects", Reject))
    facts.add_redactions(store.read_dataset("redactions", Redaction))
    attribution = _Attribution()
    with _parts(out / DATA) as write:
        for identity, row in _rows(store, archive):
            facts.add_document(row)
            attribution.add(row)
            write(identity, row)
    write_file(out / "ATTRIBUTION.md", attribution.text().encode())
    names = [*sorted((out / DATA).glob("*.parquet")), out / "ATTRIBUTION.md"]
    facts.files = {path.relative_to(out).as_posix(): path.stat().st_size for path in names}
    return facts


def _rows(store: Store, archive: Archive) -> Iterator[tuple[str, CorpusDocument]]:
    """Each document by its id, with the page it was made from."""
    parents: dict[str, str] = {}
    for dataset in ("documents_raw", "documents_scrubbed"):
        for table in store.read_columns(dataset, ("id", "provenance")):
            for row in table.to_pylist():
                parents.setdefault(row["id"], next(iter(row["provenance"]["parents"]), ""))
    bodies: dict[str, str] = {}
    for table in store.read_columns("pages", ("id", "body_sha256")):
        bodies.update(zip(table.column("id").to_pylist(), table.column("body_sha256").to_pylist(), strict=True))
    for document in store.read_dataset("documents", Document):
        source = next(iter(document.provenance.parents), "")
        while source and source not in bodies:
            source = parents.pop(source, "")
        body = bodies.get(source, "")
        yield document.id, corpus_document(document, source, body, archive.place(body) if body else None)


@contextmanager
def _parts(folder: Path) -> Iterator[Any]:
    """A function that takes rows; on leaving, the files of the folder are exactly what it was given."""
    with store_errors(str(folder), "write"):
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".part-*"):
            left.unlink()
        files = _Files(folder)
        try:
            yield files.add
            files.close()
        finally:
            files.abandon()
        for path in folder.glob("part-*.parquet"):
            if path.name not in files.names:
                path.unlink()


class _Files:
    """Parquet files that take their names only when each is whole."""

    def __init__(self, folder: Path) -> None:
        self.names: list[str] = []
        self._folder = folder
        self._waiting: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None
        self._characters = 0

    def add(self, identity: str, row: CorpusDocument) -> None:
        self._waiting.append({"id": identity, **row.model_dump(mode="python")})
        self._characters += len(row.text)
        if len(self._waiting) >= _BATCH:
            self._flush()
        if self._characters >= _CHARACTERS_PER_FILE:
            self._finish()

    def close(self) -> None:
        self._flush(even_empty=not self.names)
        self._finish()

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self, *, even_empty: bool = False) -> None:
        if not self._waiting and not (even_empty and self._writer is None):
            return
        table: pa.Table = to_table(self._waiting, CorpusDocument)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._unfinished, table.schema, compression="zstd")
        self._writer.write_table(table)
        self._waiting = []

    def _finish(self) -> None:
        if self._writer is not None:
            self._flush()
            self._writer.close()
            self._writer = None
            name = f"part-{len(self.names):05}.parquet"
            self._unfinished.replace(self._folder / name)
            self.names.append(name)
            self._characters = 0

    @property
    def _unfinished(self) -> Path:
        return self._folder / f".part-{len(self.names):05}"


class _Attribution:
    """Every licence and notice, with the pages that it covers."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], list[str]] = {}

    def add(self, row: CorpusDocument) -> None:
        parts = "".join(f", {part.scope} {part.spdx}{'' if part.allowed else ' (left out)'}" for part in row.licence_parts)
        self._pages.setdefault((row.licence + parts, row.attribution), []).append(_work(row))

    def text(self) -> str:
        lines = ["# Sources and licences", ""]
        for (licence, notice), urls in sorted(self._pages.items()):
            lines += [
                f"## {licence}: {len(urls)} document{'s' if len(urls) > 1 else ''}",
                "",
                *(f"> {line}".rstrip() for line in notice.splitlines()),
                "",
            ]
            lines += [*(f"* {url}" for url in sorted(urls)), ""]
        return "\n".join(lines)


def _work(row: CorpusDocument) -> str:
    """The work as a notice names it: address, title, author where the page states one."""
    named = ", by ".join(part for part in (row.title, row.author) if part)
    return f"{row.url}: {' '.join(named.split())}" if named else row.url
