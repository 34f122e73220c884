"""Rows on their way into a dataset, in memory or not."""

from pathlib import Path
from typing import ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st

import castalia.store.spool as spool_module
from castalia.records import Record
from castalia.store import open_store


class Word(Record):
    PREFIX: ClassVar[str] = "word"
    text: str


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(max_size=20), max_size=30), in_memory=st.sampled_from([1, 50, 10_000]))
def test_where_the_rows_wait_decides_nothing(texts: list[str], in_memory: int, tmp_path_factory):
    records = [Word(text=text) for text in texts]
    plain = open_store(tmp_path_factory.mktemp("plain")).write_dataset("words", Word, records, fingerprint="f")
    before, spool_module.IN_MEMORY = spool_module.IN_MEMORY, in_memory
    try:
        spooled = open_store(tmp_path_factory.mktemp("spooled")).write_dataset("words", Word, records, fingerprint="f")
    finally:
        spool_module.IN_MEMORY = before
    assert spooled.hash == plain.hash


def test_nothing_is_left_of_a_dataset_that_was_given_up(tmp_path: Path):
    store = open_store(tmp_path)
    spool = store.spool("words", Word)
    spool.add(Word(text="a" * 9_000_000))
    spool.close()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
