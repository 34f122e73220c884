"""Both batch APIs of the scripted server: upload, create, list, poll, cancel, results.

https://platform.openai.com/docs/api-reference/batch, https://platform.claude.com/docs/en/api/messages/batches

Every item is decided by the server's script, as if it had come alone. An act with the code `batch_expired` or `batch_cancelled` leaves its
item unanswered and unbilled. Answers in a batch are billed when it is processed, byte for byte as its results have them.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs

from castalia.oracle.scripted.acts import Act
from castalia.oracle.scripted.envelopes import Api, envelope, error_body, last_user_text
from castalia.oracle.scripted.wire import Request

UNANSWERED = {"batch_expired": "expired", "batch_cancelled": "canceled"}
BATCH_PATH = re.compile(r"/(?:messages/batches|batches|files)(?:/([\w-]+))?(?:/(content|results|cancel))?$")
BATCH_SHARE = 0.5
"""Of the price, what an answer in a batch costs."""
Lost = Literal["", "half", "all"]
Charge = Callable[[str, bytes, Act, str], None]
"""(user text, line of the results, act, batch): puts an item on the bill."""


@dataclass
class Batch:
    """A batch as the server keeps it."""

    id: str
    api: Api
    items: list[dict[str, Any]]
    metadata: dict[str, str]
    created: float
    due: float
    """When it is processed."""
    source: str = ""
    answered: list[tuple[str, str, Any]] | None = None
    """(custom id, fate, body) of every item once it is processed; fates are `succeeded`, `errored`, `expired`, `canceled`."""
    is_cancelled: bool = False


@dataclass
class Batches:
    """The server's side of both batch APIs."""

    act: Callable[[str], Act]
    """What to do with an item, by its user text."""
    charge: Charge
    seconds: float = 0.0
    """How long a batch takes."""
    fate: Literal["", "failed", "expired"] = ""
    """`failed`: the file is refused; `expired`: the day ends after half of the items."""
    lose_answers: int = 0
    """So many answers to the creation of a batch get lost on their way, after the batch was made."""
    refuses: int = 0
    """Status with which every request is refused, e.g. 401; 0 for none."""
    garbles: int = 0
    """So many answers that aren't about results come as a proxy's page with status 200, after what was asked for was done."""
    spoil: Callable[[list[bytes]], list[bytes]] | None = None
    """What becomes of the lines of a file of results before they are sent."""
    cuts: int = 0
    """So many downloads of results break off in the middle."""
    deletes_results: bool = False
    """Results are gone, as they are some weeks later."""
    requests: int = 0
    """Requests that these APIs saw."""
    batches: dict[str, Batch] = field(default_factory=dict[str, Batch])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def handle(self, request: Request) -> tuple[int, bytes, Lost] | None:
        """(status, body, how much of the answer gets lost) of a request to these APIs; None for any other."""
        found = BATCH_PATH.search(request.path)
        if found is None:
            return None
        self.requests += 1
        if self.refuses:
            return self.refuses, json.dumps({"error": {"message": f"scripted {self.refuses}"}}).encode(), ""
        name, action = found.groups()
        is_claude = "/messages/batches" in request.path
        if "/files" in request.path:
            return self._file(request, name, action)
        if request.method == "POST" and name is None:
            status, value = self._create(request, is_claude=is_claude)
            lost = status == 200 and self.lose_answers > 0
            self.lose_answers -= lost
            return self._garbled(status, value, lost=lost)
        if name is None:
            return self._garbled(200, self._list(request, is_claude=is_claude))
        batch = self.batches.get(name)
        if batch is None:
            return 404, b'{"error": {"message": "no such batch"}}', ""
        self._process(batch)
        if action == "cancel":
            batch.is_cancelled = batch.answered is None
            self._process(batch)
        if action == "results":
            return self._claude_results(batch)
        return self._garbled(200, _claude_view(batch) if is_claude else self._openai_view(batch))

    def _garbled(self, status: int, value: Any, *, lost: bool = False) -> tuple[int, bytes, Lost]:
        if self.garbles and not lost:
            self.garbles -= 1
            return 200, b"<html><body>Sign in to the network</body></html>", ""
        return status, json.dumps(value).encode(), "all" if lost else ""

    def _download(self, content: bytes) -> tuple[int, bytes, Lost]:
        if self.deletes_results:
            return 404, b'{"error": {"message": "no such file"}}', ""
        is_cut = self.cuts > 0
        self.cuts -= is_cut
        return 200, content, "half" if is_cut else ""

    def _results(self, lines: list[dict[str, Any]]) -> bytes:
        made = [_line_bytes(line) for line in lines]
        return b"".join(self.spoil(made) if self.spoil else made)

    def _file(self, request: Request, name: str | None, action: str | None) -> tuple[int, bytes, Lost]:
        if request.method == "POST" and name is None:
            content = _uploaded(request)
            if content is None:
                return 400, b'{"error": {"message": "expected multipart/form-data with purpose=batch and a file"}}', ""
            name = f"file-{len(self.files)}"
            self.files[name] = content
            return 200, json.dumps({"id": name, "object": "file", "bytes": len(content), "purpose": "batch"}).encode(), ""
        if name not in self.files:
            return 404, b'{"error": {"message": "no such file"}}', ""
        if action == "content":
            return self._download(self.files[name])
        return 200, json.dumps({"id": name, "object": "file", "bytes": len(self.files[name]), "purpose": "batch"}).encode(), ""

    def _create(self, request: Request, *, is_claude: bool) -> tuple[int, Any]:
        body = json.loads(request.body)
        now = time.time()
        if is_claude:
            batch = Batch(f"msgbatch_{len(self.batches)}", "messages", body["requests"], {}, now, now + self.seconds)
        else:
            source = self.files.get(body["input_file_id"])
            if source is None:
                return 400, {"error": {"message": "no such file"}}
            items = [json.loads(line) for line in source.splitlines() if line.strip()]
            api: Api = "responses" if body["endpoint"].endswith("/responses") else "chat"
            batch = Batch(
                f"batch_{len(self.batches)}", api, items, body.get("metadata") or {}, now, now + self.seconds, body["input_file_id"]
            )
        ids = [item["custom_id"] for item in batch.items]
        if len(set(ids)) != len(ids) or not all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", item) for item in ids):
            return 400, {"error": {"message": "custom ids must be unique and fit ^[a-zA-Z0-9_-]{1,64}$", "type": "invalid_request_error"}}
        self.batches[batch.id] = batch
        # It is processed, and billed, whether or not anybody asks for it again.
        asyncio.get_running_loop().call_later(self.seconds + 0.01, self._process, batch)
        return 200, _claude_view(batch) if is_claude else self._openai_view(batch)

    def _list(self, request: Request, *, is_claude: bool) -> dict[str, Any]:
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        mine = [batch for batch in reversed(self.batches.values()) if (batch.api == "messages") == is_claude]
        after = query.get("after_id" if is_claude else "after")
        if after is not None:
            mine = mine[[batch.id for batch in mine].index(after) + 1 :]
        size = int(query.get("limit", "20"))
        page = mine[:size]
        for batch in page:
            self._process(batch)
        views = [_claude_view(batch) if is_claude else self._openai_view(batch) for batch in page]
        return {"object": "list", "data": views, "has_more": len(mine) > size, "last_id": page[-1].id if page else None}

    def _process(self, batch: Batch) -> None:
        if batch.answered is not None or (time.time() < batch.due and not batch.is_cancelled):
            return
        batch.answered = []
        if self.fate == "failed":
            return
        for place, item in enumerate(batch.items):
            body = item["params"] if batch.api == "messages" else item["body"]
            user = last_user_text(batch.api, body)
            act = self.act(user)
            if batch.is_cancelled:
                fate, answer = "canceled", None
            elif act.code in UNANSWERED or (self.fate == "expired" and place >= len(batch.items) // 2):
                fate, answer = UNANSWERED.get(act.code, "expired"), None
            elif act.status != 200:
                fate, answer = "errored", (act.status, json.loads(error_body(batch.api, act)))
            else:
                fate, answer = "succeeded", envelope(batch.api, act, place)
                line = _claude_line if batch.api == "messages" else _openai_line
                self.charge(user, _line_bytes(line(batch, item["custom_id"], fate, answer)).rstrip(b"\n"), act, batch.id)
            batch.answered.append((item["custom_id"], fate, answer))

    def _openai_view(self, batch: Batch) -> dict[str, Any]:
        view: dict[str, Any] = {
            "id": batch.id, "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": batch.source, "errors": None,
            "completion_window": "24h", "status": "in_progress", "output_file_id": None, "error_file_id": None,
            "created_at": int(batch.created), "metadata": batch.metadata,
            "request_counts": {"total": len(batch.items), "completed": 0, "failed": 0},
        }  # fmt: skip
        if batch.answered is None:
            return view
        if self.fate == "failed":
            return {
                **view,
                "status": "failed",
                "errors": {"data": [{"code": "invalid_json_line", "message": "scripted refusal", "line": 1}]},
            }
        done = [_openai_line(batch, *item) for item in batch.answered if item[1] == "succeeded"]
        rest = [_openai_line(batch, *item) for item in batch.answered if item[1] != "succeeded"]
        fates = {fate for _, fate, _ in batch.answered}
        view["status"] = "cancelled" if batch.is_cancelled else "expired" if "expired" in fates else "completed"
        view["request_counts"] = {"total": len(batch.items), "completed": len(done), "failed": len(rest)}
        for name, lines in (("output_file_id", done), ("error_file_id", rest)):
            if lines:
                view[name] = f"file-{name[:3]}-{batch.id}"
                self.files[view[name]] = self._results(lines)
        return view

    def _claude_results(self, batch: Batch) -> tuple[int, bytes, Lost]:
        if batch.answered is None:
            return 404, b'{"type": "error", "error": {"type": "not_found_error", "message": "the batch has no results yet"}}', ""
        return self._download(self._results([_claude_line(batch, *item) for item in batch.answered]))


def _line_bytes(line: dict[str, Any]) -> bytes:
    return json.dumps(line).encode() + b"\n"


def _claude_line(_: Batch, name: str, fate: str, answer: Any) -> dict[str, Any]:
    result: dict[str, Any] = {"type": fate}
    if fate == "succeeded":
        result["message"] = answer
    elif fate == "errored":
        result["error"] = answer[1]
    return {"custom_id": name, "result": result}


def _openai_line(batch: Batch, name: str, fate: str, answer: Any) -> dict[str, Any]:
    line: dict[str, Any] = {"id": f"batch_req_{name[:8]}", "custom_id": name, "response": None, "error": None}
    if fate == "succeeded":
        line["response"] = {"status_code": 200, "request_id": f"{batch.id}-{name[:8]}", "body": answer}
    elif fate == "errored":
        line["response"] = {"status_code": answer[0], "request_id": "", "body": answer[1]}
    else:
        code = "batch_expired" if fate == "expired" else "batch_cancelled"
        line["error"] = {"code": code, "message": "This request could not be executed in time."}
    return line


def _claude_view(batch: Batch) -> dict[str, Any]:
    fates = [fate for _, fate, _ in batch.answered or ()]
    counts = {fate: fates.count(fate) for fate in ("succeeded", "errored", "canceled", "expired")}
    ended = batch.answered is not None
    return {
        "id": batch.id, "type": "message_batch", "processing_status": "ended" if ended else "in_progress",
        "request_counts": {"processing": 0 if ended else len(batch.items), **counts},
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(batch.created)),
        "results_url": f"https://results.example/{batch.id}" if ended else None,
    }  # fmt: skip


def _uploaded(request: Request) -> bytes | None:
    found = re.search(r'boundary="?([^";]+)"?', request.headers.get("content-type", ""))
    if found is None:
        return None
    purpose, content = b"", None
    for part in request.body.split(b"--" + found[1].encode())[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        value = value.removesuffix(b"\r\n")
        if b'name="purpose"' in head:
            purpose = value
        elif b'name="file"' in head:
            content = value
    return content if purpose == b"batch" else None
