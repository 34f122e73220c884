"""Chooses prompts, asks for candidates, executes or judges them, and makes pairs of what is decided beyond the order of reading."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import Field

from castalia.engine.concurrently import concurrently
from castalia.engine.context import Context
from castalia.engine.fence import fence
from castalia.engine.labels import LABELS
from castalia.engine.stage import ExecutingParams, Stage
from castalia.engine.target import TARGET_PROMPT, is_played_by_writer, target_answers
from castalia.errors import AnswerUnusable
from castalia.harmony import gpt_oss_vocabulary
from castalia.records import Candidate, PreferencePair, Provenance, Record, Reject, SFTExample
from castalia.records.flaw import Flaw
from castalia.records.selection import spread
from castalia.stages.build_preferences.answers import CandidateVerdicts, JudgedCandidate, PlannedLevel, WrittenCandidates
from castalia.stages.build_preferences.candidates import accept_own, accept_written, execute
from castalia.stages.build_preferences.choice import choose
from castalia.stages.build_preferences.ranking import (
    Option,
    Ranked,
    first_order,
    in_order,
    is_told_apart,
    rank_by_execution,
    rank_by_judge,
)

WRITE_PROMPT = Path(__file__).with_name("write_candidates.md")
JUDGE_PROMPT = Path(__file__).with_name("judge_candidates.md")


class PreferenceParams(ExecutingParams):
    """How many pairs, of which candidates, and how clear they must be."""

    pairs: int = Field(default=12, ge=0, description="At most so many prompts, spread over passages and categories.")
    per_prompt: int = Field(default=1, ge=1, le=3, description="At most so many pairs per prompt, each against another level.")
    target_answers: int = Field(default=1, ge=0, le=4, description="The target's own answers per prompt among the candidates; 0 for none.")
    min_margin: float = Field(default=2.0, gt=0, le=10, description="Judge points by which chosen must beat rejected, in both orders.")
    least_score: float = Field(
        default=7.0, ge=0, le=10, description="Judge points from which an answer that is not the best of its ranking may be the chosen one."
    )
    judge_executed: int = Field(
        default=0,
        ge=0,
        description="So many of the prompts that execution decides are judged, too, to know how far the judge agrees with it.",
    )


class _Outcome(NamedTuple):
    """What became of one prompt."""

    example: SFTExample
    ranked: Ranked | None
    calls: Sequence[str]
    rejects: Sequence[Reject]


async def build_preferences(
    inputs: Mapping[str, Sequence[Record]], params: PreferenceParams, ctx: Context
) -> AsyncIterator[PreferencePair | Reject]:
    """At most `per_prompt` pairs per chosen prompt. Candidates are asked for under the example's subject, verdicts under
    `SUBJECT/order/1` and `SUBJECT/order/2`."""
    chosen = spread(cast(Sequence[SFTExample], inputs["sft"]), params.pairs)
    executable = [example.subject for example in chosen if example.check and example.check.kind == "execution"]
    judged_too = frozenset(executable[: params.judge_executed])
    work = (_rank(example, params, example.subject in judged_too, ctx) for example in chosen)
    outcomes = await concurrently(work, ctx.progress)
    for outcome in outcomes:
        for reject in outcome.rejects:
            yield reject
    ranked = [(outcome, outcome.ranked) for outcome in outcomes if outcome.ranked is not None]
    picks = choose([ranking for _, ranking in ranked], params.per_prompt, lambda text: len(gpt_oss_vocabulary().encode(text)))
    for (outcome, ranking), options in zip(ranked, picks, strict=True):
        for number, option in enumerate(options, 1):
            yield _record(outcome, ranking, option, number, ctx)


async def _rank(example: SFTExample, params: PreferenceParams, judged_too: bool, ctx: Context) -> _Outcome:
    calls: list[str] = []
    rejects: list[Reject] = []

    def note(name: str, flaw: Flaw) -> None:
        subject = f"{example.subject}/{name}" if name else example.subject
        provenance = Provenance(parents=(example.id,), calls=tuple(calls))
        rejects.append(Reject(stage=ctx.stage, subject=subject, reason=flaw.reason, detail=flaw.detail, provenance=provenance))

    candidates = await _candidates(example, params, ctx, calls)
    if isinstance(candidates, Flaw):
        note("", candidates)
        return _Outcome(example, None, calls, rejects)
    found, flawed = candidates
    for name, flaw in flawed:
        note(name, flaw)
    ranked = await _decide(example, found, params, judged_too, ctx, calls)
    if isinstance(ranked, Flaw):
        note("", ranked)
        return _Outcome(example, None, calls, rejects)
    ranking, problem = ranked
    if problem:
        note("judged-too", problem)
    return _Outcome(example, ranking, calls, rejects)


async def _candidates(
    example: SFTExample, params: PreferenceParams, ctx: Context, calls: list[str]
) -> tuple[list[Candidate], list[tuple[str, Flaw]]] | Flaw:
    levels = _levels(example)
    values: dict[str, object] = {
        "prompt": fence(_question(example)), "reference": fence(_gold(example)), "levels": levels,
        "runner": example.check.execution.runner if example.check and example.check.execution else None,
    }  # fmt: skip
    try:
        answer = await ctx.reply(WRITE_PROMPT.stem, example.subject, values, WrittenCandidates, role="writer")
    except AnswerUnusable as error:
        calls.extend(error.calls)
        return Flaw("answer-unusable", str(error))
    calls.append(answer.key)
    written, flawed = accept_written(answer.value.candidates, levels, answer.model)
    replies = await target_answers(example, range(params.target_answers), ctx) if params.target_answers else []
    calls += [reply.key for reply in replies]
    own, unusable = accept_own(replies, written)
    return [*written, *own], [*flawed, *unusable]


async def _decide(
    example: SFTExample, candidates: Sequence[Candidate], params: PreferenceParams, judged_too: bool, ctx: Context, calls: list[str]
) -> tuple[Ranked, Flaw | None] | Flaw:
    """Execution decides where it tells candidates apart; else the judge. With `judged_too` both rank, execution decides, and what
    was wrong with the judge's verdicts stands beside."""
    if example.check and example.check.kind == "execution":
        candidates = await execute(candidates, example.check, example, ctx)
        if is_told_apart(candidates):
            orders = await _both_orders(example, candidates, ctx, calls) if judged_too else []
            problem, orders = (orders, []) if isinstance(orders, Flaw) else (None, orders)
            ranked = rank_by_execution(candidates, orders, params.least_score)
            return ranked if isinstance(ranked, Flaw) else (ranked, problem)
        if not any(candidate.executed for candidate in candidates):
            return Flaw("execution-failed", "no candidate passed")
    if len(candidates) < 2:
        return Flaw("too-few-candidates", str(len(candidates)))
    orders = await _both_orders(example, candidates, ctx, calls)
    if isinstance(orders, Flaw):
        return orders
    ranked = rank_by_judge(orders, candidates, params.min_margin, params.least_score)
    return ranked if isinstance(ranked, Flaw) else (ranked, None)


async def _both_orders(
    example: SFTExample, candidates: Sequence[Candidate], ctx: Context, calls: list[str]
) -> list[dict[str, JudgedCandidate]] | Flaw:
    shown = first_order(example.subject, candidates)
    orders: list[dict[str, JudgedCandidate]] = []
    for number, order in ((1, shown), (2, shown[::-1])):
        verdicts = await _judge(example, order, number, ctx, calls)
        if isinstance(verdicts, Flaw):
            return verdicts
        orders.append({candidate.text: verdict for candidate, verdict in zip(order, verdicts, strict=True)})
    return orders


async def _judge(
    example: SFTExample, order: Sequence[Candidate], number: int, ctx: Context, calls: list[str]
) -> list[JudgedCandidate] | Flaw:
    values: dict[str, object] = {
        "prompt": fence(_question(example)), "reference": fence(_gold(example)), "category": example.category,
        "candidates": [{"label": label, "text": fence(c.text)} for label, c in zip(LABELS, order, strict=False)],
    }  # fmt: skip
    try:
        answer, call = await ctx.ask(JUDGE_PROMPT.stem, f"{example.subject}/order/{number}", values, CandidateVerdicts, role="judge")
    except AnswerUnusable as error:
        calls.extend(error.calls)
        return Flaw("verdict-unusable", f"order {number}: {error}")
    calls.append(call)
    return in_order(order, answer)


def _record(outcome: _Outcome, ranked: Ranked, option: Option, number: int, ctx: Context) -> PreferencePair:
    """The first pair of a prompt has the prompt's number, others have theirs behind it."""
    example, subject = outcome.example, outcome.example.renamed("pref")
    prompt = example.conversation.model_copy(update={"messages": example.conversation.messages[:1]})
    return PreferencePair(
        subject=subject if number == 1 else f"{subject}.{number}", section=example.section, category=example.category, node=example.node,
        domain=example.domain, difficulty=example.difficulty, style=example.style, prompt=prompt, chosen=option.chosen,
        rejected=option.rejected, ranking=ranked.ranking, decided_by=ranked.decided_by, margin=option.margin,
        on_policy=option.chosen.level == option.rejected.level == "target" and not is_played_by_writer(ctx),
        orders_agree=ranked.orders_agree, judge_agrees=ranked.judge_agrees, evidence=example.evidence, atoms=example.atoms,
        provenance=Provenance(parents=(example.id, *example.atoms), calls=tuple(outcome.calls)),
    )  # fmt: skip


def _levels(example: SFTExample) -> tuple[PlannedLevel, ...]:
    common: tuple[PlannedLevel, ...] = ("strong", "hasty", "subtly_wrong", "verbose")
    return (*common, "unsafe") if example.category == "behavioral" else common


def _question(example: SFTExample) -> str:
    return example.conversation.messages[0].content


def _gold(example: SFTExample) -> str:
    return example.conversation.messages[-1].content


STAGE = Stage(
    name="build_preferences", version=6, run=build_preferences, params=PreferenceParams, shape="whole", reads={"sft": SFTExample},
    writes={"preferences": PreferencePair}, prompts=(WRITE_PROMPT, JUDGE_PROMPT, TARGET_PROMPT), oracle=("writer", "judge", "target"),
)  # fmt: skip
