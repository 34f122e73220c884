"""Rows of chat data from any form into one."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple, cast

from castalia.errors import InputError
from castalia.harmony.declared import write_declarations
from castalia.harmony.files import FileRow
from castalia.harmony.openai_messages import to_openai_messages
from castalia.harmony.rows import held
from castalia.harmony.samples import Sample, render_samples
from castalia.harmony.sharegpt import to_hermes, to_sharegpt
from castalia.harmony.style import Style
from castalia.harmony.transcript import from_transcript
from castalia.harmony.trl import to_trl
from castalia.harmony.vocabulary import Vocabulary
from castalia.records.conversation import Conversation

Form = Literal["openai", "trl", "sharegpt", "hermes", "ids", "text"]
_WRITERS: Final = {"trl": to_trl, "sharegpt": to_sharegpt, "hermes": to_hermes}


class Converted(NamedTuple):
    """What became of one row of a file."""

    number: int
    """Of the row, from 1."""
    rows: tuple[dict[str, Any], ...] = ()
    """One per conversation; one per user turn in the forms `ids` and `text`."""
    problem: str = ""
    """Why there are none."""


def convert(rows: Iterable[FileRow], to: Form, vocabulary: Vocabulary, style: Style | None = None) -> Iterator[Converted]:
    """Each row in the form `to`; a row that can't be read or rendered has a problem, and the rest goes on."""
    for row in rows:
        if row.fields is None:
            yield Converted(row.number, problem=row.problem)
            continue
        try:
            what = held(row.fields, vocabulary)
            if what.sample and to in ("ids", "text"):
                written = (_sample(what.sample, to, vocabulary),)
            else:
                found = (from_transcript(what.sample.ids, vocabulary),) if what.sample else what.conversations
                written = tuple(new for conversation in found for new in _written(conversation, to, vocabulary, style))
        except InputError as problem:
            yield Converted(row.number, problem=str(problem))
            continue
        yield Converted(row.number, written, "" if written else "the assistant says nothing after a user message")


def _written(conversation: Conversation, to: Form, vocabulary: Vocabulary, style: Style | None) -> Iterator[dict[str, Any]]:
    if to in ("ids", "text"):
        yield from (_sample(sample, to, vocabulary) for sample in render_samples(conversation, vocabulary, style))
    elif to == "openai":
        yield {"messages": to_openai_messages(conversation), **write_declarations(conversation)}
    else:
        yield _WRITERS[cast("Any", to)](conversation)


def _sample(sample: Sample, to: Form, vocabulary: Vocabulary) -> dict[str, Any]:
    return {"text": vocabulary.decode(sample.ids)} if to == "text" else {"input_ids": sample.ids, "labels": sample.labels()}
