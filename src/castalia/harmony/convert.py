"""Rows of chat data from any form into one."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple, cast

from castalia.errors import InputError
from castalia.harmony.declared import write_declarations
from castalia.harmony.files import FileRow
from castalia.harmony.openai_messages import to_openai_messages
from castalia.harmony.preference import write_preference
from castalia.harmony.rows import Held, held
from castalia.harmony.samples import Sample, render_samples
from castalia.harmony.sharegpt import to_hermes, to_sharegpt
from castalia.harmony.style import Style
from castalia.harmony.transcript import from_transcript, transcript_ids
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
    """One of a conversation or pair; one per user turn in the forms `ids` and `text`."""
    problem: str = ""
    """Why there are none, though something should be learned from the row."""
    rejected: int = 0
    """Answers that the row marks as bad and that the form can't mark: they are left out, for nobody should learn them."""


def convert(rows: Iterable[FileRow], to: Form, vocabulary: Vocabulary, style: Style | None = None) -> Iterator[Converted]:
    """Each row in the form `to`; a row that can't be read, rendered or said has a problem, and the rest goes on.

    Pairs of answers stay pairs in TRL's form; elsewhere the chosen one is written.
    """
    for row in rows:
        if row.fields is None:
            yield Converted(row.number, problem=row.problem)
            continue
        try:
            yield _converted(row.number, held(row.fields, vocabulary), to, vocabulary, style)
        except InputError as problem:
            yield Converted(row.number, problem=str(problem))


def _converted(number: int, what: Held, to: Form, vocabulary: Vocabulary, style: Style | None) -> Converted:
    if what.preference and to == "trl":
        return Converted(number, (write_preference(what.preference),))
    conversation, rejected = what.conversation, 0
    if what.preference:
        conversation, rejected = what.preference.chosen, int(what.preference.rejected is not None)
        if conversation is None:
            return Converted(number, rejected=rejected)
    if what.sample and to in ("ids", "text"):
        return Converted(number, (_sample(what.sample, to, vocabulary),))
    if what.sample:
        conversation = from_transcript(what.sample.ids, vocabulary)
    written = tuple(_written(conversation, to, vocabulary, style)) if conversation else ()
    return Converted(number, written, "" if written else "the assistant says nothing after a user message", rejected)


def _written(conversation: Conversation, to: Form, vocabulary: Vocabulary, style: Style | None) -> Iterator[dict[str, Any]]:
    if to in ("ids", "text"):
        yield from (_sample(sample, to, vocabulary) for sample in render_samples(conversation, vocabulary, style))
    elif to == "openai":
        yield {"messages": to_openai_messages(conversation), **write_declarations(conversation)}
    else:
        yield _WRITERS[cast("Any", to)](conversation)


def _sample(sample: Sample, to: Form, vocabulary: Vocabulary) -> dict[str, Any]:
    if to == "ids":
        return {"input_ids": sample.ids, "labels": sample.labels()}
    text = vocabulary.decode(sample.ids)
    if transcript_ids(text, vocabulary) != sample.ids:
        raise InputError("as text it would read back as other tokens: a special token's literal inside a message would become that token")
    return {"text": text}
