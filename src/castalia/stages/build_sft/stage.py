"""Asks passage by passage for examples of its atoms, then verifies every one of them."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

from pydantic import Field

from castalia.engine.concurrently import concurrently
from castalia.engine.context import Context
from castalia.engine.fence import fence
from castalia.engine.stage import ExecutingParams, Stage
from castalia.engine.trace import TRACE_PROMPT
from castalia.errors import AnswerUnusable
from castalia.records import Atom, Document, Provenance, Reject, SFTExample
from castalia.records.flaw import Flaw
from castalia.records.sections import section_named, show_section
from castalia.stages.build_sft.answers import SectionExamples
from castalia.stages.build_sft.examples import build_example
from castalia.stages.build_sft.passage import Passage, number_of, provenance, show_atoms
from castalia.stages.build_sft.room import ALL_TOOLS
from castalia.stages.build_sft.traces import build_trace

PROMPT = Path(__file__).with_name("build_sft.md")


class SftParams(ExecutingParams):
    """How much is written for a passage."""

    max_examples: int = Field(default=8, ge=1, description="At most so many examples per passage.")
    max_traces: int = Field(default=1, ge=0, description="At most so many agent traces per passage.")
    max_turns: int = Field(default=6, ge=2, description="At most so many turns in an agent trace, the final one included.")
    runners: tuple[str, ...] = Field(default=(), description="Runners for execution checks: `NAME: what candidate, input and value are`.")
    packages: tuple[str, ...] = Field(default=(), description="Installed distributions that tools may import.")


async def build_sft(document: Document, params: SftParams, ctx: Context) -> AsyncIterator[SFTExample | Reject]:
    """One ask per passage that has atoms, subject = the passage."""
    indexed = ctx.once("atoms by document", lambda: _by_document(cast(Sequence[Atom], ctx.side["atoms"])))
    passages: list[Passage] = []
    for subject, atoms in indexed.get(document.id, {}).items():
        section = section_named(document, subject)
        if section is None:
            parents = Provenance(parents=(document.id, *(atom.id for atom in atoms.values())))
            yield Reject(stage=ctx.stage, subject=subject, reason="unknown-section", detail=document.url, provenance=parents)
        else:
            passages.append(Passage(document, section, atoms))
    passages.sort(key=lambda passage: passage.section.first)
    for outcomes in await concurrently(_build(passage, params, ctx) for passage in passages):
        for outcome in outcomes:
            yield outcome


def _by_document(atoms: Sequence[Atom]) -> dict[str, dict[str, dict[int, Atom]]]:
    """The atoms by document, section and number."""
    found: dict[str, dict[str, dict[int, Atom]]] = {}
    for atom in atoms:
        found.setdefault(atom.evidence.document, {}).setdefault(atom.section, {})[number_of(atom)] = atom
    return found


async def _build(passage: Passage, params: SftParams, ctx: Context) -> list[SFTExample | Reject]:
    atoms = [passage.atoms[number] for number in sorted(passage.atoms)]
    values: dict[str, object] = {
        "runners": params.runners, "passage": fence(show_section(passage.document, passage.section)), "atoms": fence(show_atoms(passage.atoms)),
        "tools": tuple(ALL_TOOLS.values()) if params.max_traces else (), "packages": params.packages, "max_examples": params.max_examples,
        "max_traces": params.max_traces,
    }  # fmt: skip
    try:
        answer, call = await ctx.ask(PROMPT.stem, passage.section.subject, values, SectionExamples, role="writer")
    except AnswerUnusable as error:
        return [_reject(ctx, passage, atoms, passage.section.subject, Flaw("answer-unusable", str(error)), error.calls)]

    outcomes: list[SFTExample | Reject] = []
    questions: set[str] = set()
    for number, written in enumerate(answer.examples, start=1):
        question = " ".join(written.user.casefold().split())
        if number > params.max_examples:
            outcome = Flaw("too-many-examples", f"{params.max_examples} per passage")
        elif question in questions:
            outcome = Flaw("duplicate-question", written.user)
        else:
            outcome = await build_example(passage, number, written, call, ctx)
        questions.add(question)
        subject = f"{passage.section.subject}/sft/{number}"
        outcomes.append(_reject(ctx, passage, atoms, subject, outcome, (call,)) if isinstance(outcome, Flaw) else outcome)

    numbers: set[int] = set()
    for task in answer.trace_tasks:
        subject, calls = f"{passage.section.subject}/trace/{task.number}", [call]
        if len(numbers) >= params.max_traces:
            outcome = Flaw("too-many-traces", f"{params.max_traces} per passage")
        elif task.number in numbers:
            outcome = Flaw("duplicate-trace-number", str(task.number))
        else:
            outcome = await build_trace(passage, task, calls, ctx, max_turns=params.max_turns, packages=params.packages)
        numbers.add(task.number)
        outcomes.append(_reject(ctx, passage, atoms, subject, outcome, calls) if isinstance(outcome, Flaw) else outcome)
    return outcomes


def _reject(ctx: Context, passage: Passage, atoms: Sequence[Atom], subject: str, flaw: Flaw, calls: Sequence[str]) -> Reject:
    return Reject(stage=ctx.stage, subject=subject, reason=flaw.reason, detail=flaw.detail, provenance=provenance(passage, atoms, calls))


STAGE = Stage(
    name="build_sft", version=5, run=build_sft, params=SftParams, shape="ask", reads={"documents": Document, "atoms": Atom},
    writes={"sft": SFTExample}, prompts=(PROMPT, TRACE_PROMPT), oracle=("writer",),
)  # fmt: skip
