"""The reward of one completion, term by term, recorded so that it can be computed again.

reward = 0 for what isn't valid Harmony, else floor + (1 - floor) * check. An absent check is None, and then so is the
reward: a scorer that could not decide says nothing about the answer.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from castalia.errors import SandboxUnavailable, TrainingFailed
from castalia.harmony import Parsed, Vocabulary, parse_completion
from castalia.records import ExecutionTest, Frozen, RewardRecord
from castalia.sandbox import Sandbox
from castalia.scoring import score
from castalia.scoring.fences import program_of
from castalia.scoring.hidden import hidden_tests

_REMEMBERED = 64  # prompts whose hidden tests are kept: those of a step


class Scored(NamedTuple):
    """What a check said of an answer."""

    value: float | None
    """In [0, 1], None where it could not be decided."""
    reason: str


Scorer = Callable[[RewardRecord, str, int], Scored]
"""From a record, an answer and the optimizer step to what the record's check says."""


def checks(sandbox: Sandbox | None, *, seed: int = 0) -> Scorer:
    """The scorer of `castalia.scoring`. What needs a sandbox or a tool session that isn't there is undecided, not wrong.

    A program must agree with the record's reference on hidden tests, too, drawn for each record and step from `seed`: the same in a
    repeated run, new in every step, so that neither the tests nor earlier ones can be learned by heart.
    """
    drawn: dict[str, tuple[ExecutionTest, ...]] = {}

    def hidden(record: RewardRecord, step: int) -> tuple[ExecutionTest, ...]:
        execution = record.check.execution
        if record.check.kind != "execution" or execution is None or sandbox is None:
            return ()
        name = f"{seed}/{record.id}/{step}"
        if name not in drawn:
            if len(drawn) >= _REMEMBERED:
                drawn.clear()
            drawn[name] = hidden_tests(sandbox, execution, program_of(record.reference), seed=name)
        return drawn[name]

    def scored(record: RewardRecord, answer: str, step: int) -> Scored:
        if record.check.kind == "state":
            return Scored(None, "a state check needs a tool session")
        try:
            result = score(record.check, answer, sandbox=sandbox, hidden=hidden(record, step))
        except SandboxUnavailable as error:
            return Scored(None, str(error))
        return Scored(float(result.value), result.reason)

    return scored


class RewardTerms(Frozen):
    """Everything that a reward was made of."""

    record: str = Field(description="Id of the reward record.")
    step: int = Field(description="Optimizer step in which it was sampled.")
    status: str = Field(description="What the parser said.")
    format: float = Field(description="1 for valid Harmony with a final message, else 0.")
    check: float | None = Field(description="The check's value in [0, 1]; None where it could not be decided.")
    check_source: str = Field(description="What decided: the kind of check.")
    reason: str = Field(default="", description="Why.")
    floor: float = Field(description="Reward of valid Harmony alone.")
    reward: float | None = Field(description="What GRPO got.")
    answer: str = Field(description="The final message, or everything decoded where there is none.")
    tokens: int = Field(description="Length of the completion.")


def combine(format_term: float, check: float | None, floor: float) -> float | None:
    """The formula above."""
    if format_term == 0:
        return 0.0
    return None if check is None else floor + (1 - floor) * check


def score_completion(
    record: RewardRecord, ids: Sequence[int], vocabulary: Vocabulary, scorer: Scorer, *, finished: bool, floor: float, step: int
) -> RewardTerms:
    """Parses a completion by its ids and scores its final message."""
    parsed: Parsed = parse_completion(ids, vocabulary, finished=finished)
    # A call where there are tools is valid, but what it leads to was not played: no score, and so no reward.
    called = bool(parsed.calls) and bool(record.prompt.tools)
    format_term = float(parsed.final is not None or called)
    value: float | None = None
    reason = "a call, not an answer" if called else "no final message to score"
    if parsed.final is not None:
        value, reason = scorer(record, parsed.final, step)
    return RewardTerms(
        record=record.id,
        step=step,
        status=str(parsed.status),
        format=format_term,
        check=value,
        check_source=record.check.kind,
        reason=reason[:300],
        floor=floor,
        reward=combine(format_term, value, floor),
        answer=parsed.final if parsed.final is not None else parsed.raw,
        tokens=len(ids),
    )


def record_terms(path: Path, terms: Sequence[RewardTerms]) -> None:
    """Appends to a JSONL file, in one write: other ranks append to the same one. Raises TrainingFailed when the disk is full."""
    block = "".join(json.dumps(term.model_dump(mode="json"), ensure_ascii=False) + "\n" for term in terms).encode()
    with path.open("ab", buffering=0) as file:
        if file.write(block) != len(block):
            raise TrainingFailed(f"{str(path)!r} can't grow: the disk is full; free some space, and the same command resumes")
