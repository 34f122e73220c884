"""The page archive: every response as a WARC record, and an index that knows what was fetched when.

One gzip member per record, so a record is read without its neighbours. The index (SQLite) is committed after the record
is on disk; what a killed process left behind the last indexed record is cut off when the archive is opened again. An
answer that was fetched once is never fetched a second time. There is no stored frontier: discovery is replayed from the
archive, which gives the same frontier and asks the network only for what is missing.
"""

import fcntl
import gzip
import hashlib
import io
import json
import os
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from fastwarc.warc import ArchiveIterator, WarcRecordType

from castalia.errors import CorruptObject, StorageFull, StoreError
from castalia.web.robots import MAX_AGE_SECONDS, RobotsAnswer

_NAME = "pages.warc.gz"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS fetches (
    url TEXT PRIMARY KEY, final_url TEXT NOT NULL, status INTEGER NOT NULL, headers TEXT NOT NULL, media_type TEXT NOT NULL,
    body_sha256 TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, fetched_at TEXT NOT NULL,
    problem TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_body ON fetches (body_sha256);
CREATE TABLE IF NOT EXISTS robots (root TEXT PRIMARY KEY, status INTEGER NOT NULL, text TEXT NOT NULL, fetched_at TEXT NOT NULL);
"""


class Fetched(NamedTuple):
    """The outcome of asking for one URL. `problem` is a reason code, empty for an answer that may be used."""

    url: str
    final_url: str
    status: int
    headers: Mapping[str, str]
    media_type: str
    body: bytes
    body_sha256: str
    fetched_at: str
    problem: str = ""
    detail: str = ""


class Place(NamedTuple):
    """Where a response lies in the archive: a gzip member of `file`, `length` bytes from byte `offset`."""

    file: str
    offset: int
    length: int
    record_id: str
    """The WARC-Record-ID."""
    url: str
    """The URL that was asked for."""
    fetched_at: str


class Archive:
    """An archive folder: `pages.warc.gz` and `index.sqlite`. One process writes at a time; `read_only` ones look on.

    Raises StoreError when another process writes, CorruptObject when the pages are shorter than the index knows.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._path = folder / _NAME
        self._lock: IO[bytes] | None = None
        if read_only:
            if not (folder / "index.sqlite").is_file():
                raise StoreError(f"there is no page archive in {str(folder)!r}; name the folder that the run wrote to")
            self._index = sqlite3.connect(f"{(folder / 'index.sqlite').absolute().as_uri()}?mode=ro", uri=True, timeout=30)
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder / "writer.lock")
        self._index = sqlite3.connect(folder / "index.sqlite", timeout=30, check_same_thread=False)
        self._index.execute("PRAGMA journal_mode=WAL")
        self._index.executescript(_SCHEMA)
        (end,) = self._index.execute("SELECT coalesce(max(offset + length), 0) FROM fetches").fetchone()
        size = self._path.stat().st_size if self._path.exists() else 0
        if size < end:
            raise CorruptObject(
                f"archive {str(self._path)!r} has {size} bytes, its index knows {end}; restore it or start a new archive folder"
            )
        if size > end:  # a process was killed between record and index
            os.truncate(self._path, end)

    def get(self, url: str) -> Fetched | None:
        """What was fetched for `url`, or None."""
        return self._one("url", url)

    def lookup(self, body_sha256: str) -> Fetched | None:
        """The response whose body has this hash, with the time it was fetched."""
        return self._one("body_sha256", body_sha256)

    def place(self, body_sha256: str) -> Place | None:
        """Where the response lies whose body has this hash; nothing is read but the index."""
        row = self._index.execute(
            "SELECT offset, length, url, fetched_at FROM fetches WHERE body_sha256 = ? ORDER BY offset LIMIT 1", (body_sha256,)
        ).fetchone()
        return None if row is None else Place(_NAME, row[0], row[1], _record_id(row[2], body_sha256), row[2], row[3])

    def put(self, fetched: Fetched) -> None:
        """Writes an outcome: the record first, then the index. Raises StorageFull when there is no room."""
        record = _record(fetched) if fetched.status else b""
        try:
            with self._path.open("ab") as file:
                offset = file.tell()
                file.write(record)
                file.flush()
                os.fsync(file.fileno())
            with self._index:
                self._index.execute(
                    "INSERT OR REPLACE INTO fetches VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                    (
                        *(fetched.url, fetched.final_url, fetched.status, json.dumps(dict(fetched.headers)), fetched.media_type),
                        *(fetched.body_sha256, offset, len(record), fetched.fetched_at, fetched.problem, fetched.detail),
                    ),
                )
        except (OSError, sqlite3.OperationalError) as error:
            if getattr(error, "errno", None) == 28 or "full" in str(error):
                raise StorageFull(
                    f"no room to archive {fetched.url!r} in {str(self._path.parent)!r}; free some space and run again"
                ) from error
            raise StoreError(f"{fetched.url!r} can't be archived in {str(self._path.parent)!r}: {error}") from error

    def robots(self, root: str) -> RobotsAnswer | None:
        """robots.txt of a host, unless it is older than 24 hours."""
        row = self._index.execute("SELECT status, text, fetched_at FROM robots WHERE root = ?", (root,)).fetchone()
        if row is None or (datetime.now(UTC) - datetime.fromisoformat(row[2])).total_seconds() > MAX_AGE_SECONDS:
            return None
        return RobotsAnswer(row[0], row[1])

    def put_robots(self, root: str, answer: RobotsAnswer) -> None:
        """Remembers robots.txt of a host."""
        with self._index:
            self._index.execute("INSERT OR REPLACE INTO robots VALUES (?,?,?,?)", (root, *answer, now()))

    def close(self) -> None:
        """Closes the index and lets other processes write."""
        self._index.close()
        if self._lock is not None:
            self._lock.close()

    def _one(self, column: str, value: str) -> Fetched | None:
        row = self._index.execute(
            f"SELECT url, final_url, status, headers, media_type, body_sha256, offset, length, fetched_at, problem, detail "
            f"FROM fetches WHERE {column} = ? ORDER BY offset LIMIT 1",
            (value,),
        ).fetchone()
        if row is None:
            return None
        url, final_url, status, headers, media_type, digest, offset, length, fetched_at, problem, detail = row
        body = self._body(offset, length, digest) if length else b""
        return Fetched(url, final_url, status, json.loads(headers), media_type, body, digest, fetched_at, problem, detail)

    def _body(self, offset: int, length: int, digest: str) -> bytes:
        with self._path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
        for record in ArchiveIterator(io.BytesIO(data), record_types=WarcRecordType.response):
            body = record.reader.read()
            if hashlib.sha256(body).hexdigest() == digest:
                return body
        raise CorruptObject(
            f"archive {str(self._path)!r} holds no body {digest!r} at byte {offset}: it was damaged; restore it from a copy"
        )


def _locked(path: Path) -> IO[bytes]:
    """The open lock file; the lock ends with the process, however it ends."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StoreError(
            f"page archive {str(path.parent)!r} is being written by another process; wait for it or use another folder"
        ) from error
    return file


def now() -> str:
    """The time as ISO 8601 in UTC. It stands in the archive only, never in a record."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _record(fetched: Fetched) -> bytes:
    """One WARC/1.1 response record. The body is stored without its content encoding, so the headers say so too."""
    http = f"HTTP/1.1 {fetched.status} \r\n" + "".join(
        f"{_line(name)}: {_line(value)}\r\n"
        for name, value in fetched.headers.items()
        if name not in ("content-length", "transfer-encoding")
    )
    block = http.encode("utf-8", "replace") + f"content-length: {len(fetched.body)}\r\n\r\n".encode() + fetched.body
    head = (
        "WARC/1.1\r\nWARC-Type: response\r\n"
        f"WARC-Record-ID: {_record_id(fetched.url, fetched.body_sha256)}\r\n"
        f"WARC-Date: {fetched.fetched_at.replace('+00:00', 'Z')}\r\nWARC-Target-URI: {fetched.final_url}\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0)


def _record_id(url: str, body_sha256: str) -> str:
    return f"<urn:uuid:{uuid5(NAMESPACE_URL, url + ' ' + body_sha256)}>"


def _line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")
