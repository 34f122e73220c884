"""The vendors' batch APIs as translations: the line of a request, the creation, the state, the line of a result. No sockets here.

OpenAI: https://platform.openai.com/docs/api-reference/batch. Anthropic: https://platform.claude.com/docs/en/api/messages/batches
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from castalia.oracle.compact import NotJSON, compact_json, strict_json
from castalia.oracle.ledger.submissions import Submission
from castalia.oracle.providers.base import HttpProvider, UnreadableAnswer
from castalia.records import canonical_json

MARK = "castalia_batch"
"""Metadata that holds the hash of the batch's file."""


class Progress(NamedTuple):
    """How a batch stands."""

    is_ended: bool
    done: int
    total: int
    results: tuple[str, ...]
    """Paths of its results."""
    detail: str = ""
    """Why it gave no results, where it didn't."""


class Fate(NamedTuple):
    """One line of the results."""

    key: str
    kind: Literal["answered", "open", "refused"]
    """`open`: not made, and not billed; `refused`: can't succeed as it is."""
    detail: str = ""


class BatchApi(ABC):
    """One vendor's."""

    path: ClassVar[str]
    after: ClassVar[str]
    """Parameter that continues a list."""
    state: ClassVar[str]
    """Field of the vendor's object that says how the batch stands."""
    is_newest_first: ClassVar[bool]
    """Whether the vendor promises that order for its list."""

    def __init__(self, provider: HttpProvider):
        self.provider = provider

    @abstractmethod
    def line(self, key: str, body: dict[str, Any]) -> bytes:
        """A call as it stands in the file."""

    @abstractmethod
    def creation(self, submission: Submission, file: bytes, file_id: str) -> bytes:
        """Body of the request that makes the batch."""

    @abstractmethod
    def progress(self, batch: Mapping[str, Any]) -> Progress:
        """How the batch stands, from the vendor's object."""

    @abstractmethod
    def fate(self, raw: bytes) -> Fate:
        """What a line of the results says. Raises UnreadableAnswer."""

    @abstractmethod
    def may_be(self, batch: Mapping[str, Any], submission: Submission) -> bool:
        """Whether a batch in the vendor's list can be this submission."""


class OpenAIBatches(BatchApi):
    """Upload a file, make a batch of it, download an output file and an error file. Metadata finds a batch again."""

    path = "/batches"
    after = "after"
    state = "status"
    is_newest_first = False

    def line(self, key: str, body: dict[str, Any]) -> bytes:
        """One line of the input file."""
        request = {"custom_id": key, "method": "POST", "url": f"/v1{self.provider.endpoint}", "body": self.provider.batch_wire(body)}
        return compact_json(request) + b"\n"

    def creation(self, submission: Submission, file: bytes, file_id: str) -> bytes:
        """The file was uploaded before."""
        made = {"input_file_id": file_id, "endpoint": f"/v1{self.provider.endpoint}", "completion_window": "24h"}
        return canonical_json({**made, "metadata": {MARK: submission.digest}}).encode()

    def progress(self, batch: Mapping[str, Any]) -> Progress:
        """A batch that expired or was cancelled has the results it got so far."""
        counts = _counts(batch)
        status = str(batch["status"])
        files = tuple(f"/files/{batch[name]}/content" for name in ("output_file_id", "error_file_id") if batch.get(name))
        problems = [str(_mapping(item).get("message")) for item in _mapping(batch.get("errors")).get("data") or ()]
        detail = "" if status == "completed" else "; ".join([f"the provider says the batch {status}", *problems])
        is_ended = status in ("completed", "failed", "expired", "cancelled")
        return Progress(is_ended, counts.get("completed", 0) + counts.get("failed", 0), counts.get("total", 0), files, detail)

    def fate(self, raw: bytes) -> Fate:
        """A line of either file."""
        line = _object(raw)
        key, error, response = str(line.get("custom_id")), line.get("error"), _mapping(line.get("response"))
        if error and not response:
            return Fate(key, "open", canonical_json(error))
        status = response.get("status_code")
        if status == 200 or not isinstance(status, int):  # what is neither is read, and found unreadable
            return Fate(key, "answered")
        words = f"HTTP {status} in the batch: {canonical_json(response.get('body'))[:500]}"
        return Fate(key, "open" if status in (408, 409, 429) or status >= 500 else "refused", words)

    def may_be(self, batch: Mapping[str, Any], submission: Submission) -> bool:
        """The metadata says so."""
        return _mapping(batch.get("metadata")).get(MARK) == submission.digest


class AnthropicBatches(BatchApi):
    """One request makes the batch. It carries no metadata: a newer one of the same size is taken for ours, until its results say otherwise."""

    path = "/v1/messages/batches"
    after = "after_id"
    state = "processing_status"
    is_newest_first = True

    def line(self, key: str, body: dict[str, Any]) -> bytes:
        """One element of `requests`, on a line of its own."""
        return compact_json({"custom_id": key, "params": self.provider.batch_wire(body)}) + b"\n"

    def creation(self, submission: Submission, file: bytes, file_id: str) -> bytes:
        """The lines as one list."""
        return b'{"requests": [' + b",".join(file.splitlines()) + b"]}"

    def progress(self, batch: Mapping[str, Any]) -> Progress:
        """Results come when all of it has ended."""
        counts = _counts(batch)
        total = sum(counts.values())
        # The object names another address for the results; the key goes nowhere but to the configured one.
        return Progress(
            batch["processing_status"] == "ended", total - counts.get("processing", 0), total, (f"{self.path}/{batch['id']}/results",)
        )

    def fate(self, raw: bytes) -> Fate:
        """A line of the results."""
        line = _object(raw)
        key, result = str(line.get("custom_id")), _mapping(line.get("result"))
        kind = result.get("type")
        if kind not in ("errored", "canceled", "expired"):  # what hasn't succeeded either is read, and found unreadable
            return Fate(key, "answered")
        words = canonical_json(result.get("error")) if kind == "errored" else f"the provider says the call {kind}"
        return Fate(key, "refused" if "invalid_request" in words else "open", words[:500])

    def may_be(self, batch: Mapping[str, Any], submission: Submission) -> bool:
        """Of the same size, as far as one can see before its results are there."""
        return self.progress(batch).total == submission.calls and str(batch["id"]) not in submission.excluded


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = strict_json(raw)
    except NotJSON as error:
        raise UnreadableAnswer(f"a line of batch results is no JSON: {error}: {raw[:80]!r}") from error
    if not isinstance(value, dict) or "custom_id" not in value:
        raise UnreadableAnswer(f"a line of batch results has no custom_id: {raw[:80]!r}")
    return value  # pyright: ignore[reportUnknownVariableType]


def _mapping(value: Any) -> dict[str, Any]:
    """An object, or nothing where the vendor left it out or put something else."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _counts(batch: Mapping[str, Any]) -> dict[str, int]:
    """Calls of a batch by their state."""
    return {name: count for name, count in _mapping(batch.get("request_counts")).items() if isinstance(count, int)}


def batch_api(provider: HttpProvider) -> BatchApi:
    """The batch API of a provider."""
    return AnthropicBatches(provider) if provider.name == "anthropic" else OpenAIBatches(provider)


def form(file: bytes, name: str) -> tuple[bytes, str]:
    """(body, content type) of the upload of a batch file, RFC 7578."""
    boundary = f"castalia-{name}"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--{boundary}\r\n'
    head += f'Content-Disposition: form-data; name="file"; filename="{name}.jsonl"\r\nContent-Type: application/jsonl\r\n\r\n'
    return head.encode() + file + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def read_object(raw: bytes, has: str) -> dict[str, Any]:
    """A vendor's object with a field `has`. Raises ValueError."""
    value = json.loads(raw)
    if not isinstance(value, dict) or has not in value:
        raise ValueError(f"no JSON object with {has!r}: {raw[:80]!r}")
    return value  # pyright: ignore[reportUnknownVariableType]
