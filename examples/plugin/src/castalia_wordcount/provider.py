"""A provider: answers from a JSON file `{prompt: {subject: answer}}`, named in the role's `recordings`."""

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar

from castalia.oracle import Ask, LocalAnswer, LocalProvider, ModelAnswer


class TableProvider(LocalProvider):
    """Answers without network and money."""

    name: ClassVar[str] = "table"

    def identity(self, ask: Ask) -> dict[str, Any]:
        """Everything that can change the answer: which task, and the answer itself."""
        answer = self._lookup(ask)
        digest = hashlib.sha256(json.dumps(answer, sort_keys=True).encode()).hexdigest()
        return {"provider": self.name, "prompt": ask.task.prompt, "subject": ask.task.subject, "answer": digest}

    def answer(self, ask: Ask) -> LocalAnswer | None:
        """The answer in the table."""
        answer = self._lookup(ask)
        return None if answer is None else LocalAnswer(json.dumps(answer).encode(), model=self.config.model, note="from a table")

    def missing(self, ask: Ask) -> str:
        """What to do when the table has no answer."""
        return f"{self.config.recordings!r} has no answer for prompt {ask.task.prompt!r}, subject {ask.task.subject!r}; add one"

    @staticmethod
    def read(raw: bytes) -> ModelAnswer:
        """The bytes are the answer."""
        return ModelAnswer(text=raw.decode(), tokens_in=None, tokens_out=None, stop="end", model="table")

    def _lookup(self, ask: Ask) -> Any:
        table = json.loads(Path(self.config.recordings or "").read_text(encoding="utf-8"))
        return table.get(ask.task.prompt, {}).get(ask.task.subject)
