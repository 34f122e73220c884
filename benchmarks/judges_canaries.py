# pyright: basic
"""Judges that err on records whose truth is known, and on nothing else: does any record pass them?

One judging check at a time gets one kind of canary wrong in one way; every other answer is sound. An honest judge must still let all pass.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from benchmarks.judges_fail_open import CLAIM, FailOpen, some_records, sound_answer, verify
from castalia.errors import AnswerUnusable, CastaliaError, OracleRefused
from castalia.oracle import Reply
from castalia.quality.canaries import FEWEST
from castalia.release import accept

JUDGES = ("consistency", "facts", "policy")
KINDS = ("bad", "injected")
WAYS = ("lets it through", "flags it", "is silent", "answers nonsense", "gives no usable answer", "refuses", "breaks")


def run_canaries() -> FailOpen:
    """Records that passed a judge that missed every canary of one kind, and how often that was tried."""
    passed: list[str] = []
    if _accepted("", "", "") != FEWEST:
        passed.append("an honest judge's records were not accepted, so the cases prove nothing")
    cases = [(judge, kind, way) for judge in JUDGES for kind in KINDS for way in WAYS]
    for judge, kind, way in cases:
        passed += [f"{judge} {way} ({kind})"] * _accepted(judge, kind, way)
    return FailOpen(tuple(passed), len(cases) * FEWEST)


def _accepted(judge: str, kind: str, way: str) -> int:
    records, documents = some_records(FEWEST)
    try:
        verdicts = asyncio.run(verify(records, documents, _Oracle(judge, kind, way)))
        return len(accept({"sft": records}, verdicts).records["sft"])
    except CastaliaError:
        return 0  # nothing is released at all


class _Oracle:
    """Sound, but for one judge on one kind of canary."""

    def __init__(self, judge: str, kind: str, way: str) -> None:
        self._errs = (judge, kind)
        self._way = way

    async def ask(self, role: str, system: str, user: str, answer: Any, *, task: Any, sample: int = 0) -> Any:
        shown = dict(re.findall(r"^\[([^\]\s]+:\d+)\] (.*)$", user, re.MULTILINE))
        labels = user.rsplit("each of: ", 1)[1].rstrip(".").split(", ")
        kind = task.subject.split("/")[2] if task.subject.startswith("canary/") else ""
        value: Any = sound_answer(task.prompt, labels, shown)
        if kind in KINDS:
            value = _failing(value, labels, shown) if (task.prompt, kind) != self._errs else self._wrong(value)
        try:
            return Reply(answer.model_validate(value, strict=True), f"call-{task.prompt}", b"")
        except ValidationError as error:
            raise AnswerUnusable(str(error)) from error

    def _wrong(self, value: dict[str, Any]) -> Any:
        errors = {"gives no usable answer": AnswerUnusable("no"), "refuses": OracleRefused("401"), "breaks": ValueError("no such field")}
        if self._way in errors:
            raise errors[self._way]
        if self._way == "flags it" and "verdicts" in value:
            return {"verdicts": [{**row, "outcome": "flag", "reason": "P3: perhaps"} for row in value["verdicts"]]}
        if self._way == "flags it":
            return {"records": [{**row, "claims": [{"claim": CLAIM, "verdict": "not_enough"}]} for row in value["records"]]}
        return {"is silent": {name: [] for name in value}, "answers nonsense": {"score": 10}}.get(self._way, value)


def _failing(value: dict[str, Any], labels: Sequence[str], shown: dict[str, str]) -> dict[str, Any]:
    """The sound answer about what is wrong."""
    if "verdicts" in value:
        return {"verdicts": [{**row, "outcome": "fail", "reason": "P3: wrong"} for row in value["verdicts"]]}
    return {"records": [{**row, "claims": [{**claim, "verdict": "refuted"} for claim in row["claims"]]} for row in value["records"]]}
