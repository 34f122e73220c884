"""Answers by file: calls go out as OpenAI batch JSONL and their results come back in by import.

`vllm run-batch`, a cluster job or a person can answer in between. One line out:
    {"custom_id": KEY, "method": "POST", "url": "/v1/chat/completions", "body": {...}}
One line in (https://platform.openai.com/docs/guides/batch):
    {"custom_id": KEY, "response": {"status_code": 200, "body": {...}}, "error": null}
The calls wait as `planned` in the ledger, so the file can be written again at any time. Whoever runs the file pays; the ledger counts
what the role's `prices` say, and nothing without them.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from castalia.errors import InputError
from castalia.oracle.answers import NotJSON, strict_json
from castalia.oracle.calls import Ask, ModelAnswer
from castalia.oracle.ledger.ledger import Ledger
from castalia.oracle.ledger.reading import reading_of
from castalia.oracle.providers.base import LocalAnswer, LocalProvider, UnreadableAnswer
from castalia.oracle.providers.openai import OpenAIProvider
from castalia.oracle.roles import RoleConfig
from castalia.records import canonical_json

PENDING = "pending.batch.jsonl"


class BatchFileProvider(LocalProvider):
    """Writes calls down for somebody else to answer."""

    name = "batch_file"

    def __init__(self, config: RoleConfig):
        super().__init__(config)
        self._wire = OpenAIProvider(config)

    def identity(self, ask: Ask) -> dict[str, Any]:
        """The body as it stands in the file. Who answers it is not known, so no address is part of it."""
        return {"provider": self.name, "body": self._wire.body(ask), "sample": ask.sample}

    def answer(self, ask: Ask) -> LocalAnswer | None:
        """None: an imported answer is already in the ledger."""
        return None

    def missing(self, ask: Ask) -> str:
        """What to do with the file."""
        return (
            f"no imported answer for prompt {ask.task.prompt!r}, subject {ask.task.subject!r}, sample {ask.sample}. "
            f"The call waits in the ledger; when this run ends, all waiting calls stand in {PENDING!r} beside the ledger, in OpenAI batch "
            f"format. Have it answered (`vllm run-batch -i {PENDING} -o results.jsonl --model ...`, a batch API, a person), import the "
            f"results with `castalia oracle --import results.jsonl`, and run again"
        )

    @staticmethod
    def read(raw: bytes) -> ModelAnswer:
        """Opens a result line."""
        return OpenAIProvider.read(raw)


class Imported(NamedTuple):
    """What an import did."""

    answered: int
    already: int
    failed: int
    foreign: tuple[str, ...] = ()
    """Custom ids that this ledger never asked for."""


def export_pending(ledger: Ledger, path: Path) -> int:
    """Writes all waiting calls to `path` in OpenAI batch format; returns how many. No file is written when none waits."""
    waiting = ledger.planned("batch_file")
    if waiting:
        lines = [
            canonical_json({"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": json.loads(request)["body"]})
            for key, request in waiting
        ]
        temporary = path.with_name(path.name + ".part")
        temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        temporary.replace(path)
    return len(waiting)


def import_results(ledger: Ledger, path: Path) -> Imported:
    """Files the results of a batch in the ledger. Importing twice changes nothing.

    Partial results are welcome: calls without one keep waiting. Raises InputError naming the line that can't be read.
    """
    answered = already = 0
    failed: list[tuple[str, str]] = []
    foreign: list[str] = []
    for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            line = strict_json(raw)
            key, error = str(line["custom_id"]), line.get("error")
            if not ledger.has(key):
                foreign.append(key)
                continue
            response: dict[str, Any] = line.get("response") or {}
            if error or response.get("status_code") != 200:
                failed.append((key, f"batch result: {error or response.get('status_code')}"))
                continue
            answer = BatchFileProvider.read(raw)
        except (NotJSON, UnreadableAnswer, LookupError, TypeError, AttributeError) as problem:
            raise InputError(
                f"batch result {path.name}:{number} can't be read: {problem}; repair or remove the line and import again"
            ) from problem
        known = ledger.call(key)
        new = ledger.import_answer(known.key, raw.strip(), reading_of(answer, known.request, *ledger.price(known.key)))
        answered, already = answered + new, already + (not new)
    ledger.fail(failed)
    return Imported(answered, already, len(failed), tuple(foreign))
