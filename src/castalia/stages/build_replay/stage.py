"""Has each DEV failure corrected, and keeps a correction only if it passes the check the target failed."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

from pydantic import Field

from castalia.engine.context import Context
from castalia.engine.fence import fence
from castalia.engine.stage import ExecutingParams, Stage
from castalia.engine.trace import TRACE_PROMPT, open_room, run_trace
from castalia.errors import AnswerUnusable
from castalia.records import Check, Failure, Message, Provenance, Reject, ReplayItem, TaxonomyNode
from castalia.records.flaw import Flaw
from castalia.scoring.proof import proof_flaw, text_flaw
from castalia.stages.build_replay.answers import Correction

PROMPT = Path(__file__).with_name("correct_failure.md")


class ReplayParams(ExecutingParams):
    """How corrections are made."""

    max_turns: int = Field(default=6, ge=2, description="At most so many turns where an item is solved with tools, the final one included.")
    packages: tuple[str, ...] = Field(default=(), description="Installed distributions that tools may import.")


async def build_replay(failure: Failure, params: ReplayParams, ctx: Context) -> AsyncIterator[ReplayItem | Reject]:
    """One ask per failure, subject = the item's subject; for items with tools also `SUBJECT/replay/turn/K`.

    GATE and VAULT items are refused before anything is asked: they never become training data.
    """
    item = failure.item
    parts = {node.key: node.part for node in cast(Sequence[TaxonomyNode], ctx.side["taxonomy"])}
    calls: list[str] = []
    outcome = await _correct(failure, params, ctx, calls)
    provenance = Provenance(parents=(failure.id, item.id), calls=tuple(calls))
    if isinstance(outcome, Flaw):
        yield Reject(stage=ctx.stage, subject=item.subject, reason=outcome.reason, detail=outcome.detail, provenance=provenance)
        return
    correction, messages = outcome
    yield ReplayItem(
        subject=item.subject, category=item.category, node=item.node, domain=parts.get(item.node, ""), wrong=failure.answer, failure_type=failure.failure_type,
        conversation=item.prompt.model_copy(update={"messages": (*item.prompt.messages, *messages)}), check=item.check,
        practise=correction.practise, weight=correction.weight, provenance=provenance,
    )  # fmt: skip


async def _correct(failure: Failure, params: ReplayParams, ctx: Context, calls: list[str]) -> tuple[Correction, Sequence[Message]] | Flaw:
    item = failure.item
    if item.bank != "dev":
        return Flaw("not-dev", f"a {item.bank.upper()} item never becomes training data")
    if free := text_flaw(item.check, item.prompt.messages[-1].content):
        return Flaw("check-proves-nothing", free)
    question = "\n\n".join(message.content for message in item.prompt.messages)
    values: dict[str, object] = {
        "category": item.category, "failure_type": failure.failure_type, "tools": bool(item.prompt.tools), "prompt": fence(question),
        "wrong": fence(failure.answer), "reference": fence(item.reference), "check": _described(item.check),
    }  # fmt: skip
    try:
        correction, call = await ctx.ask(PROMPT.stem, item.subject, values, Correction)
    except AnswerUnusable as error:
        calls.extend(error.calls)
        return Flaw("answer-unusable", str(error))
    calls.append(call)
    if item.prompt.tools:
        return await _solve(failure, question, correction, params, ctx, calls)
    if not correction.answer.strip():
        return Flaw("empty-answer", "the correction has no answer")
    if flaw := await proof_flaw(item.check, correction.answer, sandbox=ctx.services.get("sandbox")):
        return flaw
    analysis = [Message(role="assistant", channel="analysis", content=correction.analysis)] if correction.analysis else []
    return correction, [*analysis, Message(role="assistant", channel="final", content=correction.answer)]


async def _solve(
    failure: Failure, question: str, correction: Correction, params: ReplayParams, ctx: Context, calls: list[str]
) -> tuple[Correction, Sequence[Message]] | Flaw:
    """The right course, worked out with the real tools."""
    item = failure.item
    room = open_room(ctx, params.packages)
    trace = await run_trace(
        ctx, f"{item.subject}/replay", question, calls, tools=item.prompt.tools, room=room, packages=params.packages,
        reference=item.reference, max_turns=params.max_turns,
    )  # fmt: skip
    if isinstance(trace, Flaw):
        return trace
    flaw = await proof_flaw(item.check, trace.final, sandbox=ctx.services.get("sandbox"), files=room.files())
    return flaw or (correction, trace.messages)


def _described(check: Check) -> str:
    """The check in words, without the hidden inputs of executable ones."""
    if check.execution:
        return f"a program for the runner `{check.execution.runner}` in one fenced code block that gives the right values for hidden inputs"
    forbidden = f"; never: {', '.join(check.forbidden)}" if check.forbidden else ""
    return f"{check.kind}: {' & '.join(check.expected)}{forbidden}"


STAGE = Stage(
    name="build_replay", version=4, run=build_replay, params=ReplayParams, shape="ask", reads={"failures": Failure, "taxonomy": TaxonomyNode},
    writes={"replay": ReplayItem}, prompts=(PROMPT, TRACE_PROMPT), oracle=("writer",), optional=frozenset({"failures"}),
)  # fmt: skip
