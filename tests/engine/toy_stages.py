"""A small pipeline of all three shapes, and an oracle that answers by subject."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from castalia.engine import Params, Stage
from castalia.engine.context import Context
from castalia.errors import MissingRecording
from castalia.records import Provenance, Record, Reject


class Word(Record):
    """The start of the toy pipeline."""

    PREFIX: ClassVar[str] = "word"
    text: str


class Shout(Record):
    """What the map stage makes."""

    PREFIX: ClassVar[str] = "shout"
    text: str
    subject: str


class Meaning(Record):
    """What the ask stage makes."""

    PREFIX: ClassVar[str] = "meaning"
    text: str


class Count(Record):
    """What the last whole stage makes."""

    PREFIX: ClassVar[str] = "count"
    number: int


class WordParams(Params):
    """Words to start from."""

    words: tuple[str, ...] = ("ash", "beech", "cedar", "damson", "elm")


class ShoutParams(Params):
    """How to shout."""

    mark: str = "!"
    longest: int = 5


class NoParams(Params):
    """Nothing to decide."""


class ToyAnswer(Params):
    """What the toy oracle answers."""

    meaning: str


class ToyReply(NamedTuple):
    """What the client hands back."""

    value: ToyAnswer
    key: str


def origin(*records: Record) -> Provenance:
    """Made from these."""
    return Provenance(parents=tuple(record.id for record in records))


def words(inputs: Mapping[str, Sequence[Record]], params: WordParams, ctx: Context) -> Iterator[Word]:
    """One record a word."""
    yield from (Word(text=text) for text in params.words)


def shout(record: Word, params: ShoutParams) -> Iterator[Record]:
    """Louder; long words are rejected."""
    if len(record.text) > params.longest:
        yield Reject(stage="shout", subject=record.text, reason="too-long")
    else:
        yield Shout(text=record.text.upper() + params.mark, subject=record.text, provenance=origin(record))


async def explain(record: Shout, params: NoParams, ctx: Context) -> AsyncIterator[Record]:
    """What the oracle says a word means."""
    reply = await ctx.ask("explain", record.subject, {"word": record.subject}, ToyAnswer)
    yield Meaning(text=reply.value.meaning, provenance=Provenance(parents=(record.id,), calls=(reply.call,)))


async def count(inputs: Mapping[str, Sequence[Record]], params: NoParams, ctx: Context) -> AsyncIterator[Record]:
    """How many meanings there are."""
    yield Count(number=len(inputs["meanings"]), provenance=origin(*inputs["meanings"]))


class ToyOracle:
    """Answers every word by its hash; counts and remembers what it was asked; `absent` words have no recording."""

    def __init__(self, absent: Sequence[str] = (), delay: float = 0.0, failure: Callable[[str], Exception | None] = lambda _: None) -> None:
        self.asked: list[str] = []
        self.finished: list[str] = []
        self.absent = absent
        self.delay = delay
        self.failure = failure

    async def ask(self, role: str, system: str, user: str, answer: type[Any], *, task: Any, sample: int = 0) -> ToyReply:
        """Takes the place of the oracle client."""
        self.asked.append(task.subject)
        error = self.failure(task.subject)
        if error:
            raise error
        await asyncio.sleep(self.delay)
        if task.subject in self.absent:
            raise MissingRecording(f"no recorded answer for {task.subject!r}. Record them")
        self.finished.append(task.subject)
        key = hashlib.sha256(f"{role}{system}{user}".encode()).hexdigest()
        return ToyReply(answer.model_validate({"meaning": f"{task.subject} means {key[:6]}"}), key)


def toy_pipeline(folder: Path, prompt: str = "Say what {{ word }} means.") -> tuple[Stage, ...]:
    """words (whole) -> shouts (map) -> meanings (ask) -> counts (whole)."""
    file = folder / "explain.md"
    file.write_text(f"## System\nYou know words.\n## User\n{prompt}\n")
    return (
        Stage("words", 1, words, WordParams, {}, {"words": Word}, "whole"),
        Stage("shout", 1, shout, ShoutParams, {"words": Word}, {"shouts": Shout}, "map"),
        Stage("explain", 1, explain, NoParams, {"shouts": Shout}, {"meanings": Meaning}, "ask", prompts=(file,), oracle=("writer",)),
        Stage("count", 1, count, NoParams, {"meanings": Meaning}, {"counts": Count}, "whole"),
    )


def toy_identity(role: str, prompts: Sequence[str]) -> Mapping[str, Any]:
    """Who answers."""
    return {"provider": "toy", "model": "toy-1"}
