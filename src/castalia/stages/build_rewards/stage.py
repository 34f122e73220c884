"""Chooses checkable prompts, takes the target's own answers, checks them, and has a judge score them by rubric."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import Field

from castalia.engine.concurrently import concurrently
from castalia.engine.context import Context
from castalia.engine.fence import fence
from castalia.engine.labels import LABELS, by_label
from castalia.engine.stage import ExecutingParams, Stage
from castalia.engine.target import TARGET_PROMPT, is_readable, target_answers
from castalia.errors import AnswerUnusable
from castalia.records import Check, ExecutionTest, Provenance, Record, Reject, RewardRecord, Rubric, ScoredAnswer, SFTExample
from castalia.records.flaw import Flaw
from castalia.records.selection import spread
from castalia.scoring.proof import drawn_tests, proof_flaw, text_flaw
from castalia.stages.build_rewards.answers import JudgedAnswers
from castalia.stages.build_rewards.formula import FORMULA, combined_reward, is_disagreement

JUDGE_PROMPT = Path(__file__).with_name("judge_rewards.md")


class RewardParams(ExecutingParams):
    """How many prompts, and how often the target answers each."""

    prompts: int = Field(default=8, ge=0, description="At most so many prompts, spread over passages and categories.")
    answers: int = Field(default=4, ge=2, le=len(LABELS), description="Answers of the target per prompt.")


async def build_rewards(inputs: Mapping[str, Sequence[Record]], params: RewardParams, ctx: Context) -> AsyncIterator[RewardRecord | Reject]:
    """One record per chosen prompt. Where the judge gives nothing usable, the record stays, its rubrics are None, and a Reject says why."""
    checkable = [example for example in cast(Sequence[SFTExample], inputs["sft"]) if example.check]
    chosen = spread(checkable, params.prompts)
    for outcomes in await concurrently((_build(example, params, ctx) for example in chosen), ctx.progress):
        for outcome in outcomes:
            yield outcome


async def _build(example: SFTExample, params: RewardParams, ctx: Context) -> list[RewardRecord | Reject]:
    check = example.check
    if check is None:
        return []
    if free := text_flaw(check, example.conversation.messages[0].content):
        provenance = Provenance(parents=(example.id,))
        return [Reject(stage=ctx.stage, subject=example.subject, reason="check-proves-nothing", detail=free, provenance=provenance)]
    replies = await target_answers(example, range(params.answers), ctx)
    texts, calls = [reply.text for reply in replies], [reply.key for reply in replies]
    judged = await _judge(example, texts, ctx)
    reference = example.conversation.messages[-1].content
    hidden = await drawn_tests(check, reference, sandbox=ctx.services.get("sandbox"), seed=f"{ctx.stage}/{example.id}")
    checked = [await _passes(check, text, hidden, ctx) for text in texts]
    provenance = Provenance(parents=(example.id, *example.atoms), calls=(*calls, *judged.calls))
    record = RewardRecord(
        subject=example.renamed("reward"), section=example.section, category=example.category, node=example.node,
        domain=example.domain, difficulty=example.difficulty, style=example.style,
        prompt=example.conversation.model_copy(update={"messages": example.conversation.messages[:1]}), check=check,
        hidden_tests=len(hidden), reference=reference, formula=FORMULA, evidence=example.evidence, atoms=example.atoms,
        answers=tuple(_scored(*triple) for triple in zip(texts, checked, judged.rubrics, strict=True)), provenance=provenance,
    )  # fmt: skip
    if not judged.problem:
        return [record]
    return [
        record,
        Reject(stage=ctx.stage, subject=example.subject, reason="verdict-unusable", detail=judged.problem, provenance=provenance),
    ]


async def _passes(check: Check, text: str, hidden: Sequence[ExecutionTest], ctx: Context) -> bool:
    return await proof_flaw(check, text, sandbox=ctx.services.get("sandbox"), hidden=hidden) is None


class _Judged(NamedTuple):
    rubrics: list[Rubric]
    calls: tuple[str, ...]
    problem: str


async def _judge(example: SFTExample, texts: Sequence[str], ctx: Context) -> _Judged:
    """A rubric per answer; empty rubrics, never zeros, where labels or quotes don't hold."""
    nothing = [Rubric() for _ in texts]
    values: dict[str, object] = {
        "prompt": fence(example.conversation.messages[0].content), "reference": fence(example.conversation.messages[-1].content),
        "answers": [{"label": label, "text": fence(text)} for label, text in zip(LABELS, texts, strict=False)],
    }  # fmt: skip
    try:
        answer, call = await ctx.ask(JUDGE_PROMPT.stem, example.subject, values, JudgedAnswers, role="judge")
    except AnswerUnusable as error:
        return _Judged(nothing, error.calls, str(error))
    given = by_label(answer.answers, len(texts))
    if isinstance(given, Flaw):
        return _Judged(nothing, (call,), f"labels {given.detail}")
    rubrics: list[Rubric] = []
    problems: list[str] = []
    for label, judged, text in zip(LABELS, given, texts, strict=False):
        if judged.quote in text and (judged.quote.strip() or not text.strip()):
            rubrics.append(Rubric(**judged.model_dump(exclude={"label", "quote"})))
        else:
            rubrics.append(Rubric())
            problems.append(
                f"{label} quotes {judged.quote!r}, which it doesn't contain" if judged.quote.strip() else f"{label} quotes nothing"
            )
    return _Judged(rubrics, (call,), "; ".join(problems))


def _scored(text: str, checked: bool, rubric: Rubric) -> ScoredAnswer:
    parsed = is_readable(text)
    right = parsed and checked
    return ScoredAnswer(
        text=text, parsed=parsed, rubric=rubric, checked=checked,
        disagree=is_disagreement(right, rubric), reward=combined_reward(right, rubric),
    )  # fmt: skip


STAGE = Stage(
    name="build_rewards", version=4, run=build_rewards, params=RewardParams, shape="whole", reads={"sft": SFTExample},
    writes={"rewards": RewardRecord}, prompts=(TARGET_PROMPT, JUDGE_PROMPT), oracle=("target", "judge"),
)  # fmt: skip
