# pyright: basic
"""The order in which documents are preferred, and what is held of each to compare addresses and whole texts.

Held in Arrow columns, about a hundred and fifty bytes a document: an address, an id, two digests and a few numbers.
"""

import hashlib
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from castalia.records import Document
from castalia.web.urls import url_key

_STRUCTURE = frozenset(["heading", "list", "code", "table", "quote", "math"])
_NO_DAY = "9999-12-31"
_BATCH = 4096
_DIGEST = 16
_CLASS = 1.1
"""Lengths within ten percent are one class: a copy that lacks a little is one that may be preferred, a part is not."""
_COLUMNS = pa.schema(
    [
        ("unlicensed", pa.bool_()),
        ("length_class", pa.int32()),
        ("day", pa.string()),
        ("structure", pa.int32()),
        ("length", pa.int64()),
        ("url", pa.string()),
        ("id", pa.string()),
        ("position", pa.int64()),
        ("address", pa.binary(_DIGEST)),
        ("content", pa.binary(_DIGEST)),
    ]
)
_DECIDING = ("unlicensed", "length_class", "day", "structure", "length", "url", "id")


class Copy(NamedTuple):
    """What a reject says of a document."""

    id: str
    url: str


class Order:
    """All documents, the copy to keep first. A document's number is its place in this order."""

    def __init__(self, table: pa.Table) -> None:
        places = pc.call_function("sort_indices", [table], pc.SortOptions([(name, "ascending") for name in _DECIDING]))
        self._table = table.select(["url", "id", "address", "content"]).take(places).combine_chunks()
        self.numbers: NDArray[np.int64] = np.argsort(table["position"].take(places).to_numpy())
        """The number of each document, by its position in the dataset."""

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, number: int) -> Copy:
        return Copy(self._table["id"][number].as_py(), self._table["url"][number].as_py())

    def addresses(self) -> list[int]:
        """A group for each document; documents of one group have one canonical address."""
        return self._groups("address")

    def contents(self) -> list[int | None]:
        """A group for each document with a text; documents of one group have the same, white space aside."""
        return self._groups("content")

    def _groups(self, column: str) -> list[Any]:
        return self._table[column].combine_chunks().dictionary_encode().indices.to_pylist()


def order_of(documents: Iterable[Document]) -> Order:
    """The order of preference of documents, given in the order of the dataset.

    A verified licence before none, then the longer text; among about equally long ones the one whose page states the earlier
    day, then the one with more structure, then the first address in sorted order. The day is the page's own word: when a page was
    fetched says more about the crawl than about the page, and would make the result depend on it.
    """
    batches: list[pa.RecordBatch] = []
    rows: list[dict[str, Any]] = []
    for position, document in enumerate(documents):
        rows.append(_row(position, document))
        if len(rows) == _BATCH:
            batches.append(pa.RecordBatch.from_pylist(rows, schema=_COLUMNS))
            rows = []
    batches.append(pa.RecordBatch.from_pylist(rows, schema=_COLUMNS))
    return Order(pa.Table.from_batches(batches, schema=_COLUMNS))


def _row(position: int, document: Document) -> dict[str, Any]:
    length = sum(len(block.text) for block in document.blocks)
    text = " ".join(word for block in document.blocks for word in block.text.split())
    return {
        "unlicensed": document.licence.verdict != "allowed",
        "length_class": -round(math.log(length + 1) / math.log(_CLASS)),
        "day": (document.published or document.modified)[:10] or _NO_DAY,
        "structure": -sum(block.kind in _STRUCTURE for block in document.blocks),
        "length": -length,
        "url": document.url,
        "id": document.id,
        "position": position,
        "address": _digest(url_key(document.url)),
        "content": _digest(text) if text else None,
    }


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()
