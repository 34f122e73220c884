# pyright: basic
"""A dataset as a sequence of records sorted by id, read shard by shard and verified on the way."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Generic, TypeVar, overload

import pyarrow as pa

from castalia.records import Record
from castalia.store.manifest import Manifest, Shard
from castalia.store.schema import arrow_schema, to_records
from castalia.store.shards import decode_shard, row_groups

R = TypeVar("R", bound=Record)

# Records are made so many at a time.
_BATCH = 64

# Random access keeps this many decoded shards in memory.
_SHARDS_IN_MEMORY = 4


class Dataset(Sequence[R], Generic[R]):
    """One version of a dataset. Iterating a large one holds one shard in memory, as Parquet bytes."""

    def __init__(self, manifest: Manifest, record_type: type[R], read_shard: Callable[[Shard], bytes]) -> None:
        self.manifest = manifest
        self.record_type = record_type
        self._read_shard = read_shard
        self._ends = list(accumulate(shard.rows for shard in manifest.shards))
        self._records = lru_cache(maxsize=_SHARDS_IN_MEMORY)(self._decode)

    def __len__(self) -> int:
        return self.manifest.rows

    def __iter__(self) -> Iterator[R]:
        if len(self.manifest.shards) == 1:  # kept, since stages walk a small dataset repeatedly
            yield from self._records(0)
            return
        for shard in self.manifest.shards:
            for rows in row_groups(self._read_shard(shard)):
                for batch in rows.to_batches(max_chunksize=_BATCH):
                    yield from to_records(batch, self.record_type)

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[R]: ...
    def __getitem__(self, index: int | slice) -> R | Sequence[R]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"dataset {self.manifest.dataset!r} has {len(self)} records, there is no number {index}")
        number = bisect_right(self._ends, position)
        start = self._ends[number - 1] if number else 0
        return self._records(number)[position - start]

    def frame(self) -> pa.Table:
        """All rows as one Arrow table with typed nested columns."""
        return pa.concat_tables([arrow_schema(self.record_type).empty_table(), *self.tables()])

    def tables(self) -> Iterator[pa.Table]:
        """The shards as Arrow tables, in the order of the ids."""
        return (decode_shard(self._read_shard(shard)) for shard in self.manifest.shards)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows as plain values, without making records of them."""
        for table in self.tables():
            yield from table.to_pylist()

    def _decode(self, number: int) -> list[R]:
        return to_records(decode_shard(self._read_shard(self.manifest.shards[number])), self.record_type)
