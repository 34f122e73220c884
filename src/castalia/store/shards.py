# pyright: basic
"""Rows as Parquet bytes and back. The same rows give the same bytes: fixed settings, no times, no machine names."""

import io
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Small row groups let one row be read without decoding its neighbors; `castalia trace` depends on it.
ROWS_PER_GROUP = 512


def encode_shard(table: pa.Table) -> bytes:
    """A table sorted by `id` as Parquet bytes."""
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        row_group_size=ROWS_PER_GROUP,
        compression="zstd",
        compression_level=3,
        version="2.6",
        use_dictionary=True,
        write_statistics=True,
    )
    return sink.getvalue()


def decode_shard(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of a shard, with all columns or only the named ones."""
    return _open(data).read(columns=None if columns is None else list(columns), use_threads=False)


def row_groups(data: bytes) -> Iterator[pa.Table]:
    """The rows of a shard, so many at a time, so that not all of them are decoded at once."""
    file = _open(data)
    return (file.read_row_group(number, use_threads=False) for number in range(file.num_row_groups))


def find_row(data: bytes, record_id: str) -> pa.Table:
    """The rows with this id: none or one. Decodes only the row group whose statistics allow it."""
    file = _open(data)
    column = file.schema_arrow.get_field_index("id")
    found = file.schema_arrow.empty_table()
    for number in range(file.num_row_groups):
        statistics = file.metadata.row_group(number).column(column).statistics
        if statistics is None or statistics.min <= record_id <= statistics.max:
            group = file.read_row_group(number, use_threads=False)
            found = group.filter(pc.field("id") == record_id)
            if found.num_rows:
                break
    return found


def _open(data: bytes) -> pq.ParquetFile:
    """A shard to read from. Without read-ahead and threads, because Arrow's thread pools abort the interpreter at its end now
    and then (apache/arrow#34314, #50482): 2 of 50 small processes did, 0 of 40 without."""
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
