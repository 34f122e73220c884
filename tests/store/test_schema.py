"""Records and typed columns."""

import inspect
import json
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import castalia.records as records_module
from castalia.errors import ConfigError, CorruptObject
from castalia.records import Atom, Candidate, Document, ExecutionTest, Frozen, Message, Record
from castalia.store import open_store, schema_text
from castalia.store.schema import to_records, to_table
from castalia.store.shards import decode_shard, encode_shard

RECORD_TYPES = sorted(
    (value for value in vars(records_module).values() if inspect.isclass(value) and issubclass(value, Record) and value is not Record),
    key=lambda value: value.__name__,
)

TEXT = st.text(max_size=12)
JSON_TEXT = st.one_of(st.integers(), st.text(max_size=5), st.lists(st.booleans(), max_size=2)).map(json.dumps)

# Records whose validators no random text would pass.
SPECIAL: dict[Any, st.SearchStrategy[Any]] = {
    Message: st.builds(Message, role=st.just("assistant"), content=TEXT, channel=st.sampled_from(["analysis", "final"])),
    ExecutionTest: st.builds(ExecutionTest, input=JSON_TEXT, expected=JSON_TEXT),
}


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Anything a field of this type can hold."""
    if annotation in SPECIAL:
        return SPECIAL[annotation]
    if inspect.isclass(annotation) and issubclass(annotation, Frozen):
        return made(annotation, {name: values_of(field.annotation) for name, field in annotation.model_fields.items()})
    if annotation is int:
        return st.integers(-(2**63), 2**63 - 1)
    if annotation is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if annotation in (str, bool, type(None)):
        return {str: TEXT, bool: st.booleans(), type(None): st.none()}[annotation]
    arguments = annotation.__args__
    if getattr(annotation, "__origin__", None) is Literal:
        return st.sampled_from(arguments)
    if getattr(annotation, "__origin__", None) is tuple:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    return st.one_of([values_of(argument) for argument in arguments])


def made(model: type[Frozen], fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Valid values of a model; what its validators refuse is drawn again."""

    def make(values: dict[str, Any]) -> Frozen:
        try:
            return model.model_validate(values)
        except ValidationError:
            reject()

    return st.fixed_dictionaries(fields).map(make)


def records_of(record_type: type[Record]) -> st.SearchStrategy[Record]:
    """Any valid record of this type."""
    fields = {name: values_of(field.annotation) for name, field in record_type.model_fields.items()}
    if record_type is not Atom:
        return made(record_type, fields)
    bodies = {"knowledge": "knowledge", "skills": "skill", "behavioral": "behavioral", "procedural": "procedural"}
    plain = {name: strategy for name, strategy in fields.items() if name not in {"category", *bodies.values()}}

    def one_body(category: str) -> st.SearchStrategy[Any]:
        annotation: Any = Atom.model_fields[bodies[category]].annotation
        return made(Atom, {**plain, "category": st.just(category), bodies[category]: values_of(annotation.__args__[0])})

    return st.sampled_from(sorted(bodies)).flatmap(one_body)


@pytest.mark.parametrize("record_type", RECORD_TYPES, ids=lambda value: value.__name__)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(data=st.data())
def test_every_record_comes_back_from_parquet_exactly_as_it_was_written(record_type: type[Record], data: st.DataObject):
    written = data.draw(st.lists(records_of(record_type), min_size=1, max_size=3))
    table = to_table([record.to_row() for record in written], record_type)
    read = to_records(decode_shard(encode_shard(table)), record_type)
    assert read == written
    assert [repr(record) for record in read] == [repr(record) for record in written]


def test_columns_keep_their_types_and_nesting():
    columns = dict(line.split(": ", 1) for line in schema_text(Document))
    assert columns["redactions"] == "int64 not null"
    assert "rows: list<element: list<element: string not null> not null> not null" in columns["blocks"]


def test_an_absent_value_differs_from_an_empty_one(tmp_path):
    class Optional(Record):
        PREFIX: ClassVar[str] = "optional"
        candidate: Candidate | None
        names: tuple[str, ...] | None

    full = Optional(candidate=Candidate(level="hasty", text="", score=None), names=())
    empty = Optional(candidate=None, names=None)
    store = open_store(tmp_path)
    store.write_dataset("things", Optional, [full, empty], fingerprint="f")
    assert set(store.read_dataset("things", Optional)) == {full, empty}


@pytest.mark.parametrize("annotation", [dict[str, str], list[int], str | int, tuple[int, str], bytes, Any, Literal["a", 1]])
def test_a_field_without_a_column_type_is_refused_when_the_type_is_declared(annotation: Any):
    wrong = type("Wrong", (Record,), {"PREFIX": "wrong", "__annotations__": {"PREFIX": ClassVar[str], "thing": annotation}})
    with pytest.raises(ConfigError, match=r"Wrong\.thing .* no column type"):
        schema_text(wrong)


def test_an_integer_beyond_64_bits_is_refused_with_the_rule(tmp_path):
    class Number(Record):
        PREFIX: ClassVar[str] = "number"
        value: int

    with pytest.raises(ConfigError, match="64 bits"):
        open_store(tmp_path).write_dataset("numbers", Number, [Number(value=2**63)], fingerprint="f")


def test_a_row_edited_after_it_was_written_is_noticed():
    class Word(Record):
        PREFIX: ClassVar[str] = "word"
        text: str

    row = Word(text="right").to_row()
    with pytest.raises(CorruptObject, match="edited"):
        Word.from_row({**row, "text": "wrong"})


def test_a_dataset_can_be_taken_as_one_arrow_table(tmp_path):
    class Word(Record):
        PREFIX: ClassVar[str] = "word"
        text: str

    store = open_store(tmp_path)
    store.write_dataset("words", Word, [Word(text="a"), Word(text="b")], fingerprint="f")
    frame = store.read_dataset("words", Word).frame()
    assert frame.schema.field("text").type == pa.string()
    assert sorted(frame.column("text").to_pylist()) == ["a", "b"]
