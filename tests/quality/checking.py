"""How tests of quality look at one record: a context, a judge that says what it is told, and what comes of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from castalia.engine.context import Context
from castalia.errors import AnswerUnusable
from castalia.oracle import Reply
from castalia.quality.check import CheckContext, Finding, GroupCheck, RecordCheck
from castalia.quality.layers import LAYERS
from castalia.quality.verify import VerifyParams
from castalia.quality.view import View, view_record
from castalia.records import Document
from small_world import document, page, sft

OTHER = document(page("other.html"), ("Other", "Green tea is steeped for two minutes, says the tea board of Kyoto."))
VIEW = view_record(sft(), "sft")
CLAIM = "Green tea steeps for two minutes."
SHOWN = ["other.html:1"]


class Judge:
    """Answers every prompt with the same JSON, or raises; remembers what it was shown."""

    def __init__(self, answer: Any = None, error: Exception | None = None):
        self.answer, self.error = answer, error
        self.shown: list[str] = []

    async def ask(self, role, system, user, answer, *, task, sample=0):
        self.shown.append(user)
        if self.error:
            raise self.error
        try:
            return Reply(answer.model_validate_json(json.dumps(self.answer), strict=True), "call-1", b"")
        except ValidationError as error:
            raise AnswerUnusable(str(error)) from error


def context(judge: Judge | None = None, documents: tuple[Document, ...] = (document(),), **changes: Any) -> CheckContext:
    prompts: dict[str, Path] = {
        path.stem: path for layer in LAYERS for check in layer.checks if isinstance(check, GroupCheck) for path in check.prompts
    }
    services = changes.pop("services", {})
    ctx = Context("verify", ("judge",), prompts, judge, services=services)  # type: ignore[arg-type]
    values = {"leaks": {}, "seen_prompts": {}, "params": VerifyParams(), **changes}
    return CheckContext(documents={one.id: one for one in documents}, context=ctx, **values)


def look(check: RecordCheck, record: Any, dataset: str = "sft", **changes: Any) -> Finding:
    found = check.run(view_record(record, dataset), context(**changes))
    assert found is not None
    return found


def judged(check: GroupCheck, views: list[View], judge: Judge, **changes: Any) -> dict[str, Finding]:
    return dict(asyncio.run(check.run(views, context(judge, **changes))))  # type: ignore[arg-type]


def says(outcome: str = "pass", blocks: tuple[str, ...] = ("brew.html:1",), record: str = VIEW.label) -> dict[str, Any]:
    return {"record": record, "outcome": outcome, "reason": "so it is", "blocks": list(blocks)}


def claims(*found: tuple[str, list[str]], record: str = VIEW.label, quotes: tuple[str, ...] = ("two  minutes",)) -> dict[str, Any]:
    said = [{"claim": CLAIM, "verdict": v, "passages": p, "quotes": list(quotes) if p else []} for v, p in found]
    return {"records": [{"record": record, "claims": said}]}
