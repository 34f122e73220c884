"""Recorded answers: `*.jsonl` in a folder, one answer a line, found by (prompt, subject, sample).

    {"prompt": "extract", "subject": "docs.example.org/a#3-9", "sample": 0, "answer": {...}, "prompt_sha256": "...",
     "recorded_for": "example", "model": "recorded for the example", "tokens_in": 812, "tokens_out": 240}

`text` stands in for `answer` where free text was asked for. Who answers a line of `pending.jsonl` may leave its other fields in place.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from castalia.errors import InputError
from castalia.oracle.compact import NotJSON, strict_json
from castalia.records import Frozen, canonical_json, content_hash


class RecordedLine(Frozen):
    """One recorded answer."""

    prompt: str = Field(description="Name of the prompt file it answers.")
    subject: str = Field(description="Stable name of what was asked about.")
    sample: int = Field(0, ge=0, description="Which of several samples.")
    answer: Any = Field(None, description="The answer as JSON, where a schema was asked for.")
    text: str | None = Field(None, description="The answer, where free text was asked for.")
    prompt_sha256: str = Field("", description="Hash of the prompt file the answer was made for.")
    recorded_for: str = Field("", description="What the recording was made for.")
    model: str = Field("recorded", description="Who answered, as far as it may be said.")
    tokens_in: int | None = Field(None, ge=0, description="Tokens of the request.")
    tokens_out: int | None = Field(None, ge=0, description="Tokens of the answer.")
    stage: str = Field("", description="From pending.jsonl; not used.")
    role: str = Field("", description="From pending.jsonl; not used.")
    system: str = Field("", description="From pending.jsonl; not used.")
    user: str = Field("", description="From pending.jsonl; not used.")
    answer_schema: Any = Field(None, description="From pending.jsonl; not used.")

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        if (self.answer is None) == (self.text is None):
            raise ValueError("exactly one of `answer` (JSON) and `text` must be filled")
        return self

    @property
    def content(self) -> str:
        """The answer as text."""
        return self.text if self.text is not None else canonical_json(self.answer)

    @property
    def content_sha256(self) -> str:
        """Hash of the answer."""
        return hashlib.sha256(self.content.encode()).hexdigest()


class Recording(NamedTuple):
    """A recorded answer and where it stands."""

    line: RecordedLine
    raw: bytes
    place: str
    """`FILE:LINE`."""


class Recordings(NamedTuple):
    """A folder of recorded answers by (prompt, subject, sample)."""

    folder: Path
    by_task: Mapping[tuple[str, str, int], Recording]

    def content_hash(self, prompts: Sequence[str]) -> str:
        """sha256 of all answers to these prompts; order, files and notes don't matter."""
        wanted = frozenset(prompts)
        return content_hash(sorted([*task, item.line.content_sha256] for task, item in self.by_task.items() if task[0] in wanted))


def load_recordings(folder: Path) -> Recordings:
    """Reads every `*.jsonl` of a folder except `pending.jsonl`. Read again only when a file changed.

    Raises InputError, naming file and line, for an unreadable line and for two answers to one task.
    """
    if not folder.is_dir():
        raise InputError(f"recordings folder {str(folder)!r} does not exist; give the folder with the recorded answers (*.jsonl)")
    files = sorted(path for path in folder.glob("*.jsonl") if path.name != "pending.jsonl")
    return _load(folder, tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in files))


@lru_cache(maxsize=16)
def _load(folder: Path, files: tuple[tuple[Path, int, int], ...]) -> Recordings:
    lines = [(raw, f"{path}:{number}") for path, _, _ in files for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1)]
    return Recordings(folder, read_recordings(lines))


def read_recordings(lines: Iterable[tuple[bytes, str]]) -> Mapping[tuple[str, str, int], Recording]:
    """Recordings by task, of lines and the places they stand. Raises InputError as `load_recordings` does."""
    found: dict[tuple[str, str, int], Recording] = {}
    for raw, place in lines:
        if not raw.strip():
            continue
        line = _parse(raw, place)
        short = place.rpartition("/")[2]
        task = (line.prompt, line.subject, line.sample)
        if task in found:
            raise InputError(
                f"recording {short} answers prompt {line.prompt!r}, subject {line.subject!r}, sample {line.sample} a second time, "
                f"after {found[task].place}; a task has one answer, remove one of the lines"
            )
        found[task] = Recording(line, raw.strip(), short)
    return found


def _parse(raw: bytes, place: str) -> RecordedLine:
    try:
        return RecordedLine.model_validate(strict_json(raw.decode("utf-8")))
    except (NotJSON, UnicodeDecodeError) as error:
        raise InputError(f"recording {place} is not one line of JSON: {error}; repair or remove the line") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'line'}: {item['msg']}" for item in error.errors(include_url=False))
        raise InputError(f"recording {place} can't be used: {problems}; repair or remove the line") from error
