"""An oracle that answers from a dict, and the little a stage needs around it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from castalia.engine.context import Context
from castalia.engine.stage import Stage
from castalia.errors import AnswerUnusable, MissingRecording
from castalia.oracle import Reply, TextReply
from castalia.records import (
    Atom,
    Block,
    Check,
    Conversation,
    Document,
    Evidence,
    Execution,
    KnowledgeBody,
    LicenceDecision,
    Message,
    Record,
    Reject,
    SFTExample,
    SkillBody,
    TaxonomyNode,
)
from castalia.sandbox import Failure, Grade, Value
from castalia.sandbox.grading import grade_answers, inputs_of

URL = "https://docs.example.org/guide.html"


class DictOracle:
    """Answers by (prompt, subject). Remembers what it was asked, as (role, prompt, subject) and the user text. The writer plays `played`."""

    def __init__(self, answers: Mapping[tuple[str, str], Any], played: Sequence[str] = ()):
        self.answers = answers
        self.played = played
        self.asked: list[tuple[str, str, str]] = []
        self.texts: dict[tuple[str, str], str] = {}

    async def ask(self, role, system, user, answer, *, task, sample=0):
        self.asked.append((role, task.prompt, task.subject))
        self.texts[task.prompt, task.subject] = user
        if (task.prompt, task.subject) not in self.answers:
            raise MissingRecording(f"no answer for {task.prompt!r} about {task.subject!r}")
        raw = json.dumps(self.answers[task.prompt, task.subject])
        try:
            return Reply(answer.model_validate_json(raw, strict=True), f"call:{task.prompt}:{task.subject}", raw.encode(), f"the {role}")
        except ValidationError as error:
            unusable = AnswerUnusable(str(error))
            unusable.calls = (f"call:{task.prompt}:{task.subject}",)
            raise unusable from error

    async def chat(self, role, messages, *, task, sample=0, **_):
        self.asked.append((role, task.prompt, task.subject))
        return TextReply(
            self.answers[task.prompt, task.subject][sample], f"call:{task.prompt}:{task.subject}:{sample}", model=f"the {role}"
        )

    def is_writer(self, role: str) -> bool:
        return role in self.played


def context(stage: Stage, oracle: DictOracle, side: Mapping[str, list] | None = None, **services: Any) -> Context:
    prompts = {path.stem: path for path in stage.prompts}
    return Context(stage=stage.name, roles=stage.oracle, prompts=prompts, oracle=oracle, side=side or {}, services=services)  # type: ignore[arg-type]


def run(stage: Stage, given: Any, oracle: DictOracle, side: Mapping[str, list] | None = None, *, params: Mapping | None = None, **services):
    """Runs a stage on one record (ask) or on its inputs (whole). Returns records and rejects."""
    ctx = context(stage, oracle, side, **services)
    checked = stage.params.model_validate(params or {})

    async def collect() -> list[Record]:
        return [outcome async for outcome in stage.run(given, checked, ctx)]

    outcomes = asyncio.run(collect())
    return [o for o in outcomes if not isinstance(o, Reject)], [o for o in outcomes if isinstance(o, Reject)]


def reasons(rejects: list[Reject]) -> list[tuple[str, str]]:
    return [(reject.subject, reject.reason) for reject in rejects]


def node(key: str, **changes: Any) -> TaxonomyNode:
    category = key.partition("/")[0]
    values = {"key": key, "category": category, "title": f"Title of {key}", "description": "Does it.", "abilities": ("does it",)}
    return TaxonomyNode.model_validate(values | changes)


def document(*blocks: tuple[str, str], url: str = URL) -> Document:
    """A document of (kind, text); a heading's kind is h1 ... h6."""
    made = []
    for number, (kind, text) in enumerate(blocks):
        heading = kind[0] == "h" and kind[1:].isdecimal()
        made.append(Block(number=number, kind="heading" if heading else kind, text=text, level=int(kind[1:]) if heading else 0))  # type: ignore[arg-type]
    licence = LicenceDecision(spdx="MIT", verdict="allowed", reason="given")
    return Document(url=url, title="Guide", blocks=tuple(made), licence=licence)


def knowledge_atom(page: Document, number: int, last: int, *, node_key: str = "knowledge/filters", block: int = 1) -> Atom:
    section = f"{page.url.partition('://')[2]}#0-{last}"
    return Atom(
        subject=f"{section}/{number}", section=section, category="knowledge", node=node_key, domain="filters", difficulty="easy",
        style="reference",
        evidence={"document": page.id, "url": page.url, "blocks": (block,)},  # type: ignore[arg-type]
        knowledge=KnowledgeBody(form="claim", statement=f"Fact {number}."),
    )  # fmt: skip


def skill_atom(page: Document, number: int, last: int, check: Any = None) -> Atom:
    section = f"{page.url.partition('://')[2]}#0-{last}"
    return Atom(
        subject=f"{section}/{number}", section=section, category="skills", node="skills/write", domain="write", difficulty="medium",
        style="worked-example",
        evidence={"document": page.id, "url": page.url, "blocks": (1,)},  # type: ignore[arg-type]
        skill=SkillBody(task="Double it.", steps=("write it",), example="def answer(x): return 2 * x", check=check),
    )  # fmt: skip


DOUBLES = Check(
    kind="execution",
    execution=Execution(runner="python", tests=tuple({"input": {"call": "answer", "args": [x]}, "expected": 2 * x} for x in (2, 7))),  # type: ignore[arg-type]
)


class GradingSandbox:
    """Doubles where the candidate contains `return 2 * x`, else adds one; runs nothing."""

    def __init__(self):
        self.graded: list[str] = []

    def evaluate(self, runner: str, candidate: str, inputs: Sequence[Any], *, limits: Any = None) -> list[Value | Failure]:
        doubles = "return 2 * x" in candidate
        return [Value(2 * given["args"][0] if doubles else given["args"][0] + 1) for given in inputs]

    def evaluate_together(self, runner: str, programs: Sequence[str], inputs: Sequence[Any], *, limits: Any = None):
        return [self.evaluate(runner, program, inputs) for program in programs]

    def grade(self, execution: Execution, candidate: str, *, limits: Any = None) -> Grade:
        self.graded.append(candidate)
        return grade_answers(execution, self.evaluate(execution.runner, candidate, inputs_of(execution)))


def code(expression: str) -> str:
    """An answer with one candidate."""
    return f"Here it is:\n\n```python\ndef answer(x):\n    return {expression}\n```\n"


def example(section: str, number: int = 1, category: str = "knowledge", check: Check | None = None, **changes: Any) -> SFTExample:
    messages = (Message(role="user", content=f"Question {number}?"), Message(role="assistant", channel="final", content="Right."))
    values = {
        "subject": f"{section}/sft/{number}", "section": section, "kind": "grounded-answer", "category": category, "node": f"{category}/n",
        "difficulty": "easy", "conversation": Conversation(messages=messages), "atoms": ("atom_1",), "check": check,
        "evidence": (Evidence(document="doc_1", url=URL, blocks=(0,)),),
    }  # fmt: skip
    return SFTExample.model_validate(values | changes)
