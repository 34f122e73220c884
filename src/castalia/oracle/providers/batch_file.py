"""Answers by file: calls go out as OpenAI batch JSONL and their results come back in by import.

`vllm run-batch`, a cluster job or a person can answer in between. One line out:
    {"custom_id": KEY, "method": "POST", "url": "/v1/chat/completions", "body": {...}}
One line in (https://platform.openai.com/docs/guides/batch):
    {"custom_id": KEY, "response": {"status_code": 200, "body": {...}}, "error": null}
The calls wait in the ledger, also those whose result was an error, so the file can be written again at any time. Whoever runs the file pays; the ledger counts
what the role's `prices` say, and nothing without them.
"""

import codecs
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from castalia.errors import InputError
from castalia.oracle.calls import Ask, ModelAnswer
from castalia.oracle.compact import NotJSON, compact_json, strict_json
from castalia.oracle.ledger.ledger import Ledger
from castalia.oracle.ledger.reading import reading_of
from castalia.oracle.ledger.rows import Reading
from castalia.oracle.providers.base import LocalAnswer, LocalProvider, UnreadableAnswer
from castalia.oracle.providers.openai import OpenAIProvider
from castalia.oracle.roles import RoleConfig
from castalia.records import canonical_json

PENDING = "pending.batch.jsonl"
LINE_LIMIT = 64 * 2**20
"""Bytes of one result."""
FILED_AT_ONCE = 500


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
    """What an import did. Only `answered` and `failed` changed the ledger."""

    answered: int
    already: int
    """Answers that an earlier import filed."""
    failed: int
    """Calls for which the file has an error and no answer; they wait again."""
    foreign: tuple[str, ...] = ()
    """Custom ids that this ledger never asked by file."""
    repeated: tuple[str, ...] = ()
    """Custom ids with several answers in the file; the first one counts."""
    unreadable: tuple[str, ...] = ()
    """Place and reason of lines that can't be used."""
    waiting: int = 0
    """Calls of the ledger that still have no answer."""


def export_pending(ledger: Ledger, path: Path) -> int:
    """Writes all waiting calls to `path` in OpenAI batch format; returns how many. No file is written when none waits."""
    count = 0
    if ledger.count_planned("batch_file"):
        temporary = path.with_name(path.name + ".part")
        with temporary.open("w", encoding="utf-8") as file:
            for key, request in ledger.planned("batch_file"):
                line = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": json.loads(request)["body"]}
                file.write(compact_json(line).decode() + "\n")
                count += 1
        temporary.replace(path)
    return count


def import_results(ledger: Ledger, path: Path) -> Imported:
    """Files the results of a batch in the ledger, as far as they can be used. Importing twice changes nothing.

    Partial results are welcome, also a file that breaks off: calls without an answer keep waiting. Raises InputError for a file that isn't
    text in UTF-8 at all.
    """
    intake = _Intake(ledger, path.name)
    try:
        with path.open("rb") as file:
            if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                raise InputError(f"batch results {str(path)!r} are UTF-16 text; save them as UTF-8 and import again")
            file.seek(0)
            for number, raw in _lines(file):
                intake.add(number, raw)
    except OSError as error:
        raise InputError(f"batch results {str(path)!r} can't be read: {error.strerror}") from error
    return intake.end()


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """(number, line without its end and a byte order mark); None for one that is too long."""
    number = 0
    while line := file.readline(LINE_LIMIT + 1):
        number += 1
        if len(line) > LINE_LIMIT and not line.endswith(b"\n"):
            while (rest := file.readline(LINE_LIMIT)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        elif found := (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip():
            yield number, found


class _Intake:
    """Lines on their way into the ledger, some hundred to a commit."""

    def __init__(self, ledger: Ledger, name: str):
        self._ledger = ledger
        self._name = name
        self._waiting: list[tuple[str, bytes, Reading]] = []
        self._answers: dict[str, bytes] = {}
        """Digest of the answer to every id, to tell a repeated line from another answer."""
        self._failed: dict[str, str] = {}
        self._foreign: dict[str, None] = {}
        self._repeated: dict[str, None] = {}
        self._unreadable: list[str] = []
        self._answered = self._already = 0

    def add(self, number: int, raw: bytes | None) -> None:
        """One line of the file."""
        try:
            problem = f"it is longer than {LINE_LIMIT // 2**20} MiB" if raw is None else self._add(raw)
        except (NotJSON, UnreadableAnswer) as error:
            problem = str(error)
        if problem:
            self._unreadable.append(f"{self._name}:{number}: {problem}")

    def _add(self, raw: bytes) -> str:
        """Returns what is wrong with the line, or nothing."""
        value = strict_json(raw)
        line: dict[str, Any] = value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]
        key = line.get("custom_id")
        if not isinstance(key, str):
            return "it is no JSON object with a `custom_id`"
        known = self._ledger.priced(key, "batch_file")
        status = _status(line.get("response"))
        if known is None:
            self._foreign[key] = None
        elif line.get("error") or (status is not None and status != 200):
            self._failed[key] = f"batch result: {canonical_json(line.get('error') or line.get('response'))[:300]}"
        else:
            self._take(key, raw, reading_of(BatchFileProvider.read(raw), *known))
        return ""

    def _take(self, key: str, raw: bytes, reading: Reading) -> None:
        digest = hashlib.sha256(raw).digest()
        if key in self._answers:
            if self._answers[key] != digest:
                self._repeated[key] = None
            return
        self._answers[key] = digest
        self._waiting.append((key, raw, reading))
        if len(self._waiting) >= FILED_AT_ONCE:
            self._file()

    def _file(self) -> None:
        new = self._ledger.import_answers(self._waiting)
        self._answered += new
        self._already += len(self._waiting) - new
        self._waiting = []

    def end(self) -> Imported:
        """Files the rest."""
        self._file()
        failed = [(key, reason) for key, reason in self._failed.items() if key not in self._answers and self._ledger.lookup(key) is None]
        self._ledger.fail(failed)
        return Imported(
            self._answered, self._already, len(failed), tuple(self._foreign), tuple(self._repeated), tuple(self._unreadable),
            self._ledger.count_planned("batch_file"),
        )  # fmt: skip


def _status(response: Any) -> int | None:
    """Of a result's answer, where it tells one."""
    fields: dict[str, Any] = response if isinstance(response, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    status = fields.get("status_code")
    return status if isinstance(status, int) else None
