# pyright: basic
"""Rows of a file of chat data, one after the other: JSON lines, JSON lists, both also gzipped, or Parquet.

A file of any size is read in the memory of some rows. What can't be read is a row with a problem; where the place of the next row is
known, the rest goes on.
"""

import gzip
import json
import re
import reprlib
import sys
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from castalia.errors import InputError
from castalia.harmony.json_text import DEEPEST, parse_json, too_deep

LONGEST_ROW: Final = 64 << 20
"""Bytes. A longer row is one with a problem: it isn't held in memory."""
STDIN: Final = Path("-")
_CHUNK: Final = 1 << 20
_TABLE_ROWS: Final = 64
_SPACE: Final = re.compile(r"\s*")
_BETWEEN: Final = re.compile(r"\s*,?\s*")


class FileRow(NamedTuple):
    """A line of a text file, or an item of a list or table."""

    number: int
    """From 1: the line, or the item."""
    fields: dict[str, Any] | None
    problem: str = ""
    """Why there are no fields."""


def read_rows(path: Path) -> Iterator[FileRow]:
    """The rows of a file, or of standard input for `-`. Blank lines don't count as rows, but as lines.

    Raises InputError when the file can't be opened, or isn't what its first bytes say.
    """
    try:
        with _opened(path) as file:
            if _begins(file, b"PAR1"):
                yield from _table(path)
                return
            with gzip.GzipFile(fileobj=file) if _begins(file, b"\x1f\x8b") else _same(file) as plain:
                yield from _texts(plain)
    except OSError as problem:
        raise InputError(f"training file {str(path)!r} can't be read: {problem.strerror or problem}; give a JSONL file") from problem


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if path == STDIN:
        yield sys.stdin.buffer
    else:
        with path.open("rb") as file:
            yield file


@contextmanager
def _same(file: IO[bytes]) -> Iterator[IO[bytes]]:
    yield file


def _begins(file: Any, magic: bytes) -> bool:
    return bytes(file.peek(len(magic))[: len(magic)]) == magic


def _texts(file: Any) -> Iterator[FileRow]:
    """Rows of lines, or of lists. A damaged file ends with a row that says so."""
    number = 0
    try:
        rows = _items(file) if _first_byte(file) == b"[" else _lines(file)
        for row in rows:
            number = row.number
            yield row
    except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
        yield FileRow(number + 1, None, f"the file is damaged from here on: {problem}")


def _first_byte(file: Any) -> bytes:
    head = bytes(file.peek(64)).removeprefix(b"\xef\xbb\xbf").lstrip()
    return head[:1] if head[:2] != b'["' else b""  # a line that holds a list of texts is a broken line, not a list of rows


def _lines(file: Any) -> Iterator[FileRow]:
    number = 0
    while raw := file.readline(LONGEST_ROW):
        number += 1
        if len(raw) == LONGEST_ROW and not raw.endswith(b"\n"):
            while (rest := file.readline(_CHUNK)) and not rest.endswith(b"\n"):
                pass
            yield FileRow(number, None, f"longer than {LONGEST_ROW >> 20} MiB")
        elif raw.strip():
            yield _row(number, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw)


def _row(number: int, raw: bytes) -> FileRow:
    try:
        value = parse_json(raw)
    except ValueError as problem:
        return FileRow(number, None, f"no JSON: {problem}")
    return _object(number, value)


def _object(number: int, value: Any) -> FileRow:
    if isinstance(value, dict):
        return FileRow(number, value)
    return FileRow(number, None, f"a JSON object is needed, got {reprlib.repr(value)}")


def _items(file: Any) -> Iterator[FileRow]:
    """Items of a JSON list, and of what follows it, decoded as they come in. Behind a broken item no other can be found."""
    decoder, text = json.JSONDecoder(), getincrementaldecoder("utf-8-sig")("replace")
    waiting, at, number, wanted = "", 0, 0, 0
    inside = first = ended = False
    while True:
        at = _behind(_BETWEEN if inside and not first else _SPACE, waiting, at)
        if waiting[at : at + 1] == ("]" if inside else "["):
            inside = first = not inside
            at += 1
            continue
        if at < len(waiting) and (len(waiting) - at >= wanted or ended):
            try:
                value, end = decoder.raw_decode(waiting, at)
            except (ValueError, RecursionError) as problem:
                if ended or isinstance(problem, RecursionError) or len(waiting) - at > LONGEST_ROW:
                    yield FileRow(number + 1, None, f"no JSON from here on: {getattr(problem, 'msg', problem)}")
                    return
            else:
                if end < len(waiting) or ended:  # a number at the very end may go on
                    number, at, wanted, first = number + 1, end, 0, False
                    deep = too_deep(value)
                    yield FileRow(number, None, f"no JSON: deeper than {DEEPEST} levels") if deep else _object(number, value)
                    continue
            wanted = 2 * (len(waiting) - at)  # so that an item that comes in many chunks isn't tried at each of them
        if ended:
            if inside:
                yield FileRow(number + 1, None, "the list isn't closed: the file is cut off")
            return
        chunk = file.read(_CHUNK)
        ended = not chunk
        waiting, at = waiting[at:] + text.decode(chunk, ended), 0


def _behind(separator: re.Pattern[str], text: str, at: int) -> int:
    found = separator.match(text, at)
    return found.end() if found else at


def _table(path: Path) -> Iterator[FileRow]:
    if path == STDIN:
        raise InputError("Parquet can't be read from standard input: give a file")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False) as table:
            number = 0
            for batch in table.iter_batches(batch_size=_TABLE_ROWS):
                for fields in batch.to_pylist():
                    number += 1
                    yield FileRow(number, _without_nulls(fields))
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise InputError(f"training file {str(path)!r} is no readable Parquet: {problem}") from problem


def _without_nulls(value: Any) -> Any:
    """Arrow gives every object of a column the keys that any of them has; those without a value weren't in the data."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list) and value and isinstance(value[0], dict | list | None):
        return [_without_nulls(inner) for inner in value]
    return value
