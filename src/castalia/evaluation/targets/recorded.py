"""Answers that were recorded before: graded again without a model.

One JSON object per line: `subject` of the item, `sample` (default 0), then either `ids` and `finished`, or `text` with Harmony
literals as a model writes them, and the parse `status` it had. A status that the parser no longer gives is an error, because a
recording that reads differently today would change scores unseen.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from castalia.errors import InputError
from castalia.evaluation.targets.target import Completion
from castalia.harmony import Style, Vocabulary, parse_completion, render_prompt, transcript_ids
from castalia.harmony.vocabulary import CALL, RETURN
from castalia.records import SuiteItem, content_hash


class RecordedTarget:
    """Answers first turns from a file. An item without a recording raises: silence is not an answer."""

    def __init__(
        self, file: Path, items: Sequence[SuiteItem], vocabulary: Vocabulary, *, style: Style | None = None, name: str = "recorded"
    ):
        self.name = name
        self.vocabulary = vocabulary
        self.chunk = max(1, len(items))
        self._answers = _read(file, vocabulary)
        self._subjects = {tuple(render_prompt(item.prompt, vocabulary, style)): item.subject for item in items}
        self.identity = f"recorded {content_hash(sorted([*key, *map(str, value.ids)] for key, value in self._answers.items()))[:16]}"

    def generate(
        self, prompts: Sequence[Sequence[int]], *, max_tokens: Sequence[int], seed: int, temperature: float = 0.0, n: int = 1
    ) -> list[list[Completion]]:
        """The recorded completions; limits, seed and temperature were fixed when they were recorded."""
        return [[self._answer(tuple(prompt), sample) for sample in range(n)] for prompt in prompts]

    def _answer(self, prompt: tuple[int, ...], sample: int) -> Completion:
        subject = self._subjects.get(prompt)
        if subject is None:
            raise InputError(
                "a prompt belongs to no recorded item: it is a later turn, or was rendered in another style; record it in full"
            )
        try:
            return self._answers[subject, str(sample)]
        except KeyError as error:
            raise InputError(f"item {subject!r} has no recorded answer with sample {sample}; record one, or leave the item out") from error


def _read(file: Path, vocabulary: Vocabulary) -> dict[tuple[str, str], Completion]:
    answers: dict[tuple[str, str], Completion] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row: Mapping[str, Any] = json.loads(line)
            ids = tuple(row["ids"]) if "ids" in row else tuple(transcript_ids(row["text"], vocabulary))
            finished = bool(row.get("finished", bool(ids) and ids[-1] in (vocabulary.special[RETURN], vocabulary.special[CALL])))
            subject, recorded = str(row["subject"]), row.get("status")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"line {number} of {file.name!r} is no recorded answer: {error!r}; it needs 'subject' and 'ids' or 'text'"
            ) from error
        status = str(parse_completion(ids, vocabulary, finished=finished).status)
        if recorded is not None and recorded != status:
            raise InputError(f"answer {subject!r} was recorded as {recorded!r} and parses as {status!r}; record it again with this parser")
        answers[subject, str(row.get("sample", 0))] = Completion(ids, finished)
    return answers
