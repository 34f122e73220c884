"""Replays recorded answers, `castalia.oracle.recordings`, byte for byte.

Rewording a prompt doesn't break a recording; the ledger notes that it was made for another wording.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from castalia.oracle.calls import Ask, ModelAnswer
from castalia.oracle.compact import NotJSON, strict_json
from castalia.oracle.providers.base import LocalAnswer, LocalProvider, UnreadableAnswer
from castalia.oracle.recordings import RecordedLine, Recording, load_recordings
from castalia.oracle.roles import RoleConfig


class RecordedProvider(LocalProvider):
    """Answers by task from a folder."""

    name = "recorded"

    def __init__(self, config: RoleConfig):
        super().__init__(config)
        self.recordings = load_recordings(Path(config.recordings or ""))

    def _find(self, ask: Ask) -> Recording | None:
        return self.recordings.by_task.get((ask.task.prompt, ask.task.subject, ask.sample))

    def identity(self, ask: Ask) -> dict[str, Any]:
        """The request, the task and the recorded answer: a corrected recording is another call."""
        found = self._find(ask)
        return {
            "provider": self.name,
            "body": {
                "system": ask.system,
                "messages": [list(message) for message in ask.messages],
                "schema": ask.schema.text if ask.schema else None,
                "tools": ask.tools_json,
            },
            "prompt": ask.task.prompt,
            "subject": ask.task.subject,
            "sample": ask.sample,
            "answer_sha256": found.line.content_sha256 if found else None,
        }

    def answer(self, ask: Ask) -> LocalAnswer | None:
        """The recorded line, byte for byte."""
        found = self._find(ask)
        if found is None:
            return None
        notes = [f"recorded for {found.line.recorded_for!r}" if found.line.recorded_for else "recorded", found.place]
        if found.line.prompt_sha256 and found.line.prompt_sha256 != ask.task.prompt_sha256:
            notes.append(f"made for prompt hash {found.line.prompt_sha256[:12]}, asked with {ask.task.prompt_sha256[:12]}")
        return LocalAnswer(found.raw, found.line.model, "; ".join(notes))

    def missing(self, ask: Ask) -> str:
        """What is missing and the three ways to get it."""
        return (
            f"no recorded answer for prompt {ask.task.prompt!r}, subject {ask.task.subject!r}, sample {ask.sample} in "
            f"{str(self.recordings.folder)!r}. Three ways to get one: set an API key and a provider ('anthropic' or 'openai') for the "
            f"role; point the role at a local server (`provider: openai`, `base_url: http://localhost:8000/v1`); or answer the missing "
            f"tasks as a batch file (`provider: batch_file`), or by hand in pending.jsonl, and put the answered lines into that folder"
        )

    @staticmethod
    def read(raw: bytes) -> ModelAnswer:
        """Opens a recorded line."""
        try:
            line = RecordedLine.model_validate(strict_json(raw))
        except (NotJSON, ValidationError) as error:
            raise UnreadableAnswer(f"a recorded line in the ledger is damaged: {error}") from error
        return ModelAnswer(line.content, line.tokens_in, line.tokens_out, "end", line.model)
